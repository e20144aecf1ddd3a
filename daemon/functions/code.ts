/**
 * The newest code of one function.
 *
 *              needed                   done, nothing newer
 *   ┌──────┐ ────────► ┌──────────┐ ───────────────────────► ┌───────┐
 *   │ idle │           │ building │                          │ ready │ or broken
 *   └──────┘ ◄──┐      └──────────┘ ◄─────────────────────── └───────┘
 *               │        │      ▲        change, in use          │
 *               │        └──────┘ change: cancelled, once more   │
 *               └────────────────────────────────────────────────┘ change, not in use
 *
 * Newest wins: each change raises a generation, and a build that was begun under an older one is nobody's result.
 */
import type { BuildError } from "../../proto/events.ts";
import { tookSince } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { deferred, type Deferred } from "../lib/scope.ts";
import { untilAborted } from "../lib/abort.ts";
import type { Bundler, BuildResult } from "./bundler.ts";
import { changedAt, missing, row, same, type Fingerprints } from "../lib/fingerprints.ts";
import type { Gate, Ticket } from "./gate.ts";
import { NO_INPUTS, type BuildInputs } from "./inputs.ts";
import type { Bundle } from "./outputs.ts";

/** What a worker loads. */
export type Program = { readonly bundle: Bundle; readonly exportPath: string };

export type Newest =
  | { readonly ok: true; readonly program: Program }
  | { readonly ok: false; readonly errors: readonly BuildError[] };

export type Finished = {
  readonly result: Exclude<BuildResult, { kind: "cancelled" }>;
  readonly tookMs: number;
  /** `performance.now()` of the change that it answers. */
  readonly savedAt: number | undefined;
};

type State =
  | { readonly is: "idle" }
  | {
      readonly is: "building";
      readonly ticket: Urgency;
      readonly settled: Deferred<void>;
      savedAt: number | undefined;
    }
  | { readonly is: "ready"; readonly program: Program; readonly inputs: Inputs }
  | { readonly is: "broken"; readonly errors: readonly BuildError[]; readonly inputs: Inputs };

type Urgency = Ticket & { urgent: boolean; usedAt: number };

/** A build's inputs, and what they looked like right after it. */
type Inputs = {
  readonly paths: readonly string[];
  /** The first so many were read; the rest were looked for. */
  readonly read: number;
  readonly wide: boolean;
  readonly seen: Promise<Fingerprints>;
  /** `performance.now()` of the last time that they were known to be as seen; -Infinity: in doubt. */
  checkedAt: number;
};

/** File systems count time in steps of up to 4 ms, downwards. */
const CLOCK_STEP_MS = 5;

export class Code {
  readonly #gate: Gate;
  readonly #verifyAfterMs: number;
  readonly #fingerprints: (paths: readonly string[]) => Promise<Fingerprints>;
  readonly #onInputs: (inputs: BuildInputs) => readonly string[];
  readonly #onFinished: (finished: Finished) => void;
  readonly #log: Log;
  #bundler: Bundler;
  #state: State = { is: "idle" };
  #generation = 0;
  #usedAt = 0;
  #verifying: { readonly inputs: Inputs; readonly done: Promise<void> } | undefined;
  /** The last good or bad build's inputs: what a change is compared with while another build runs. */
  #before: Inputs | undefined;
  #running: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: {
    bundler: Bundler;
    gate: Gate;
    verifyAfterMs: number;
    /** Never rejects. */
    fingerprints: (paths: readonly string[]) => Promise<Fingerprints>;
    /** Notes whom a save of these files reaches; gives back read, then looked-for paths, in order. */
    onInputs: (inputs: BuildInputs) => readonly string[];
    onFinished: (finished: Finished) => void;
    log: Log;
  }) {
    this.#bundler = options.bundler;
    this.#gate = options.gate;
    this.#verifyAfterMs = options.verifyAfterMs;
    this.#fingerprints = options.fingerprints;
    this.#onInputs = options.onInputs;
    this.#onFinished = options.onFinished;
    this.#log = options.log;
  }

  get state(): State["is"] {
    return this.#state.is;
  }

  get program(): Program | undefined {
    return this.#state.is === "ready" ? this.#state.program : undefined;
  }

  get errors(): readonly BuildError[] | undefined {
    return this.#state.is === "broken" ? this.#state.errors : undefined;
  }

  /** The result for the newest change that is known, waiting for its build where there is one to wait for. */
  async newest(signal: AbortSignal, onBuilding: () => void): Promise<Newest> {
    this.#usedAt = performance.now();
    let waited = false;
    for (;;) {
      signal.throwIfAborted();
      await untilAborted(this.verify(waited), signal);
      const state = this.#state;
      switch (state.is) {
        case "idle":
        case "building": {
          if (!waited) onBuilding();
          waited = true;
          await untilAborted(this.#begin(true).settled.promise, signal);
          break;
        }
        case "ready":
          return { ok: true, program: state.program };
        case "broken":
          return { ok: false, errors: state.errors };
        default:
          return state satisfies never;
      }
    }
  }

  /**
   * Watch events are hints; this is what is relied on. Shared by the invocations that come meanwhile. `built`: for this
   * very call, so that no other build is needed to tell whether a missing package has come.
   */
  async verify(built = false): Promise<void> {
    const state = this.#state;
    if (state.is !== "ready" && state.is !== "broken") return;
    const { inputs } = state;
    if (performance.now() - inputs.checkedAt <= this.#verifyAfterMs) return;
    if (this.#verifying?.inputs !== inputs) {
      const done = this.#verifyNow(inputs, state.is === "broken" && !built).finally(() => {
        if (this.#verifying?.inputs === inputs) this.#verifying = undefined;
      });
      this.#verifying = { inputs, done };
    }
    await this.#verifying.done;
  }

  /** Builds where nothing is built; behind everything that somebody waits for. */
  background(): void {
    if (this.#state.is === "idle" && !this.#closed) this.#begin(false);
  }

  /** An input changed. `urgent`: the function is in use, so its next event should find the build done. */
  changed(savedAt: number | undefined, urgent: boolean): void {
    if (this.#closed) return;
    this.#generation += 1;
    const state = this.#state;
    switch (state.is) {
      case "idle":
        break;
      case "building": {
        state.savedAt = savedAt ?? state.savedAt;
        // Whether or not it can be stopped, its result is dropped.
        this.#bundler.cancel().catch(() => undefined);
        break;
      }
      case "ready":
      case "broken": {
        if (state.is === "ready") state.program.bundle.release();
        this.#state = { is: "idle" };
        break;
      }
      default:
        state satisfies never;
    }
    this.#begin(urgent, savedAt);
  }

  /** Another handler, or other build settings. */
  rebuildWith(bundler: Bundler, urgent: boolean): void {
    const old = this.#bundler;
    this.#bundler = bundler;
    old.cancel().catch(() => undefined);
    this.changed(undefined, urgent);
    this.#running.then(() => old.close()).catch(() => undefined);
  }

  /** What was built is not on the disk any more. */
  lost(program: Program): void {
    if (this.program === program) this.changed(undefined, true);
  }

  /** Events may have been lost: the inputs are checked before the code is used again. */
  doubt(): void {
    const state = this.#state;
    switch (state.is) {
      case "idle":
        return;
      case "building":
        // What it has read already may be what changed. One that has not begun yet reads everything anyway.
        this.changed(undefined, state.ticket.urgent);
        return;
      case "ready":
      case "broken":
        state.inputs.checkedAt = Number.NEGATIVE_INFINITY;
        return;
      default:
        state satisfies never;
    }
  }

  /** Checks the inputs now, and builds where one of them changed. */
  async check(): Promise<void> {
    this.doubt();
    await this.verify();
  }

  async close(): Promise<void> {
    this.#closed = true;
    const state = this.#state;
    // At once: whoever waits for a build is woken into this.
    this.#state = {
      is: "broken",
      errors: [{ text: "livedevd is closing." }],
      inputs: this.#inputs(NO_INPUTS),
    };
    if (state.is === "ready") state.program.bundle.release();
    if (state.is === "building") {
      this.#gate.withdraw(state.ticket);
      state.settled.resolve();
      await this.#bundler.cancel().catch(() => undefined);
    }
    await this.#running;
    await this.#bundler.close();
  }

  #begin(urgent: boolean, savedAt?: number): Extract<State, { is: "building" }> {
    if (this.#state.is === "building") {
      this.#state.ticket.urgent ||= urgent;
      this.#state.ticket.usedAt = this.#usedAt;
      this.#gate.check();
      return this.#state;
    }
    const ticket: Urgency = { urgent, usedAt: this.#usedAt };
    const building = { is: "building" as const, ticket, settled: deferred<void>(), savedAt };
    this.#state = building;
    this.#running = this.#run(building);
    return building;
  }

  async #run(building: Extract<State, { is: "building" }>): Promise<void> {
    for (;;) {
      if (!(await this.#gate.enter(building.ticket))) return;
      const generation = this.#generation;
      const began = performance.now();
      const beganWall = Date.now();
      let result: BuildResult;
      try {
        result = await this.#bundler.build(this.#usedAt);
      } catch (error) {
        this.#log.error({ err: error }, "a build failed in an unexpected way");
        result = {
          kind: "failed",
          errors: [{ text: messageOf(error) }],
          inputs: { ...NO_INPUTS, wide: true },
        };
      } finally {
        this.#gate.leave();
      }
      if (this.#closed || generation !== this.#generation || result.kind === "cancelled") {
        if (result.kind === "built") result.bundle.release();
        if (this.#closed) return;
        continue;
      }
      // Where only a build can tell, the next one is due so long after this one's end.
      const inputs = this.#inputs(result.inputs, result.inputs.wide ? performance.now() : began);
      this.#state =
        result.kind === "built"
          ? { is: "ready", program: { bundle: result.bundle, exportPath: result.exportPath }, inputs }
          : { is: "broken", errors: result.errors, inputs };
      this.#compare(inputs, beganWall);
      this.#onFinished({ result, tookMs: tookSince(began), savedAt: building.savedAt });
      building.settled.resolve();
      return;
    }
  }

  #inputs(inputs: BuildInputs, checkedAt = 0): Inputs {
    const paths = this.#closed ? [] : this.#onInputs(inputs);
    const seen = this.#fingerprints(paths);
    return { paths, read: inputs.read.length, wide: inputs.wide, seen, checkedAt };
  }

  /**
   * Was an input changed while it was being read? It looks other than after the last build, and became so after this
   * one began. Off the way of the build's result, which is used meanwhile.
   */
  #compare(inputs: Inputs, beganWall: number): void {
    const before = this.#before;
    this.#before = inputs;
    void (async () => {
      const seen = await inputs.seen;
      const earlier = await before?.seen;
      const place = new Map(earlier === undefined ? [] : before?.paths.map((path, index) => [path, index]));
      const late = inputs.paths.some((path, index) => {
        const now = row(seen, index);
        const known = place.get(path);
        if (known !== undefined && earlier !== undefined && same(now, row(earlier, known))) return false;
        return missing(now) ? index < inputs.read : changedAt(now) >= beganWall - CLOCK_STEP_MS;
      });
      if (late && this.#uses(inputs)) this.changed(undefined, true);
    })();
  }

  async #verifyNow(inputs: Inputs, broken: boolean): Promise<void> {
    const at = performance.now();
    // A package that was missing may have come from anywhere: only a build can tell.
    const changed =
      (broken && inputs.wide) || !same(await this.#fingerprints(inputs.paths), await inputs.seen);
    if (!this.#uses(inputs)) return;
    if (changed) this.changed(undefined, true);
    else inputs.checkedAt = at;
  }

  #uses(inputs: Inputs): boolean {
    const state = this.#state;
    return !this.#closed && (state.is === "ready" || state.is === "broken") && state.inputs === inputs;
  }
}
