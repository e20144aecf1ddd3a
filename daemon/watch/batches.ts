/**
 * Changes, gathered into batches. A save is told 5 ms after its first event, so that it is one batch and still quick;
 * while many files keep changing the window grows, so that an install or a checkout is a few batches.
 *
 *     quiet ──change──► gathering ──5 … 40 ms──► batch
 *                           │ more events in a second than the kernel's queue safely holds
 *                           ▼
 *                        flooded ──100 ms without an event, or 500 ms──► overflow
 *
 * A flood's end is awaited because the kernel drops what its queue cannot hold, without a word, and goes on: only
 * after the last event does a check of everything see everything.
 */

export type Batch = {
  /** Absolute. */
  readonly paths: readonly string[];
  /** More changed than is listed: everything must be checked. */
  readonly overflow: boolean;
  /** `performance.now()` of the first change in it. */
  readonly at: number;
};

const FIRST_WINDOW_MS = 5;
const LONGEST_WINDOW_MS = 40;
/** More paths than a save has, an editor's temporary files and a formatter's second write included. */
const MANY_PATHS = 20;
/** Beyond so many paths, checking everything is no more work than going through the list. */
const MOST_PATHS = 1_000;
const FLOOD_WITHIN_MS = 1_000;
const FLOOD_QUIET_MS = 100;
const FLOOD_LONGEST_MS = 500;

type State =
  | { readonly is: "quiet"; readonly since: number; readonly lastSize: number }
  | {
      readonly is: "gathering";
      readonly at: number;
      readonly timer: NodeJS.Timeout;
      readonly paths: Set<string>;
    }
  | {
      readonly is: "flooded";
      readonly at: number;
      timer: NodeJS.Timeout;
      readonly began: number;
      last: number;
    };

export class Batches {
  readonly #give: (batch: Batch) => void;
  readonly #flooded: () => void;
  readonly #floodEvents: number;
  #state: State = { is: "quiet", since: -Infinity, lastSize: 0 };
  #windowMs = FIRST_WINDOW_MS;
  #counted = { since: 0, events: 0 };

  constructor(options: {
    readonly give: (batch: Batch) => void;
    /** A flood has ended, and its overflow been given. */
    readonly flooded: () => void;
    readonly floodEvents: number;
  }) {
    this.#give = options.give;
    this.#flooded = options.flooded;
    this.#floodEvents = options.floodEvents;
  }

  /** Events of the kernel, whether or not their paths matter. */
  count(events = 1): void {
    const now = performance.now();
    if (now - this.#counted.since > FLOOD_WITHIN_MS) this.#counted = { since: now, events: 0 };
    this.#counted.events += events;
    if (this.#state.is === "flooded") this.#state.last = now;
    else if (this.#counted.events > this.#floodEvents) this.flood();
  }

  add(path: string): void {
    const state = this.#state;
    switch (state.is) {
      case "quiet": {
        const at = performance.now();
        const busy = state.lastSize > MANY_PATHS && at - state.since < 2 * LONGEST_WINDOW_MS;
        this.#windowMs = busy ? Math.min(2 * this.#windowMs, LONGEST_WINDOW_MS) : FIRST_WINDOW_MS;
        const timer = setTimeout(() => this.#end(), this.#windowMs);
        this.#state = { is: "gathering", at, timer, paths: new Set([path]) };
        break;
      }
      case "gathering":
        if (state.paths.size <= MOST_PATHS) state.paths.add(path);
        break;
      case "flooded":
        break;
      default:
        state satisfies never;
    }
  }

  /** Events were lost, or may have been: what comes next is one overflow. */
  flood(): void {
    if (this.#state.is === "flooded") return;
    const now = performance.now();
    const at = this.#state.is === "gathering" ? this.#state.at : now;
    this.close();
    const timer = setTimeout(() => this.#end(), FLOOD_QUIET_MS);
    this.#state = { is: "flooded", at, began: now, last: now, timer };
  }

  close(): void {
    if (this.#state.is !== "quiet") clearTimeout(this.#state.timer);
    this.#state = { is: "quiet", since: performance.now(), lastSize: 0 };
  }

  #end(): void {
    const state = this.#state;
    const now = performance.now();
    if (state.is === "flooded") {
      const leftMs = Math.min(state.last + FLOOD_QUIET_MS, state.began + FLOOD_LONGEST_MS) - now;
      if (leftMs > 0) {
        state.timer = setTimeout(() => this.#end(), leftMs);
        return;
      }
    }
    this.#state = { is: "quiet", since: now, lastSize: state.is === "gathering" ? state.paths.size : 0 };
    if (state.is === "quiet") return;
    if (state.is === "flooded") {
      this.#counted = { since: 0, events: 0 };
      this.#give({ paths: [], overflow: true, at: state.at });
      this.#flooded();
      return;
    }
    const overflow = state.paths.size > MOST_PATHS;
    this.#give({ paths: overflow ? [] : [...state.paths], overflow, at: state.at });
  }
}
