/**
 * How many worker processes stand at once, of all functions together. Whoever finds no room takes the place of the
 * worker that was idle for longest, of whichever function; where none is idle, it waits for its turn.
 */
import { deferred, type Deferred } from "../lib/scope.ts";
import { untilAborted } from "./abort.ts";

/** Something that holds a seat and can be asked to give it up. */
export type Seated = { leave(): Promise<void> };

export class Seats {
  readonly #max: number;
  /** The longest idle first. */
  readonly #idle = new Set<Seated>();
  readonly #waiting: Deferred<void>[] = [];
  #taken = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Resolves when a seat is taken; `free()` must follow. Rejects with the signal's reason. */
  async take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#taken < this.#max) {
      this.#taken += 1;
      return;
    }
    const turn = deferred<void>();
    this.#waiting.push(turn);
    this.#makeRoom();
    try {
      await untilAborted(turn.promise, signal);
    } catch (error) {
      const place = this.#waiting.indexOf(turn);
      if (place >= 0) this.#waiting.splice(place, 1);
      // Given in the same turn as it was given up.
      else this.free();
      throw error;
    }
  }

  free(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#taken -= 1;
    else next.resolve();
  }

  idle(seated: Seated): void {
    this.#idle.delete(seated);
    this.#idle.add(seated);
    if (this.#waiting.length > 0) this.#makeRoom();
  }

  busy(seated: Seated): void {
    this.#idle.delete(seated);
  }

  /** One that is asked to leave frees its seat when it is gone. */
  #makeRoom(): void {
    for (const seated of this.#idle) {
      this.#idle.delete(seated);
      void seated.leave();
      return;
    }
  }
}
