/**
 * One function under development: its newest code, the workers that run it, and the invocations that wait for one.
 *
 *     run() → a turn (at most `concurrency` at once, the rest in order)
 *           → the newest code (waits for its build)
 *           → a worker of just that code and those settings: an idle one, one that was started ahead, or, as soon as
 *             there is room for another process, a new one
 *           → the handler
 *
 * A worker of older code finishes what it runs, then leaves.
 */
import { setImmediate as turn } from "node:timers/promises";

import { errorAnswer, type Answer, type BufferedAnswer } from "../../proto/answer.ts";
import type { ResolvedFunction } from "../../proto/app.ts";
import type { BuildError } from "../../proto/events.ts";
import { tookSince } from "../lib/clock.ts";
import { functionsClosed } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { deferred, type Deferred } from "../lib/scope.ts";
import { untilAborted } from "../lib/abort.ts";
import type { ExecutionEnvironment } from "../runtime/environment.ts";
import type { Code, Finished, Program } from "./code.ts";
import { standsIn } from "./node-binaries.ts";
import type { Debugger } from "./debugger.ts";
import type { Seated, Seats } from "./seats.ts";
import type { Spares } from "./spares.ts";
import type { FunctionRequest, FunctionState, Limits, RecordEvent } from "./types.ts";
import { readAtStart, variablesFor, type AppOf } from "./variables.ts";
import { Worker, type EndReason } from "./worker.ts";

export type LiveFunctionOptions = {
  readonly project: string;
  readonly code: Code;
  readonly seats: Seats<Seat>;
  readonly spares: Spares;
  readonly limits: Limits;
  /** Undefined while none is attached. */
  readonly debugger: (functionName: string) => Debugger | undefined;
  readonly machine: Readonly<Record<string, string | undefined>>;
  readonly record: RecordEvent;
  readonly log: Log;
};

/** Config decides these; another value takes effect at the next invocation. */
export type Setting = { readonly wanted: ResolvedFunction; readonly app: AppOf; readonly node: string };

/** A worker where it waits for its next invocation. */
export type Seat = Seated & { readonly worker: Worker };

type Found = { readonly worker: Worker; readonly coldStart: boolean };

/** Lambda's limit of an init phase. A worker that nobody waits for must not compute for ever. */
const INIT_MS = 10_000;

export class LiveFunction {
  readonly code: Code;
  readonly #options: LiveFunctionOptions;
  #setting: Setting;
  readonly #workers = new Set<Worker>();
  /** The longest idle first. */
  readonly #idle: { readonly seat: Seat; readonly timer: NodeJS.Timeout }[] = [];
  /** Workers that nobody has waited for yet, from their start until they are ready. */
  readonly #ahead = new Set<Worker>();
  readonly #warming = new Set<Promise<void>>();
  readonly #waiting: Deferred<void>[] = [];
  readonly #runs = new Set<AbortController>();
  #running = 0;
  /** Of the running, those that have no worker yet. */
  #seeking = 0;
  /** AWS's variables as the last event brought them: what a worker that nobody waits for is started with. */
  #sandbox: Readonly<Record<string, string>> = {};
  /** `performance.now()` of its last event. */
  #usedAt = Number.NEGATIVE_INFINITY;
  /** From the beginning of its close on: settles when nothing runs any more. */
  #quiet: Deferred<void> | undefined;

  constructor(options: LiveFunctionOptions, setting: Setting) {
    this.#options = options;
    this.#setting = setting;
    this.code = options.code;
  }

  get wanted(): ResolvedFunction {
    return this.#setting.wanted;
  }

  /**
   * Whether its next event should find everything done. Only for so long as an idle worker is kept: a day's work
   * touches many functions, and a save of what they share must not start a process for each of them.
   */
  get inUse(): boolean {
    return this.#running > 0 || performance.now() - this.#usedAt < this.#options.limits.idleMs;
  }

  get state(): FunctionState {
    const { program, errors } = this.code;
    const { name, handler, runtime } = this.wanted;
    return {
      name,
      handler,
      runtime,
      ...(standsIn(this.#setting.node, runtime) && { node: process.version }),
      state: this.code.state,
      ...(program !== undefined && { codeHash: program.bundle.hash }),
      ...(errors !== undefined && { errors }),
      workers: this.#workers.size,
      running: this.#running - this.#seeking,
      queued: this.#waiting.length + this.#seeking,
    };
  }

  apply(setting: Setting): void {
    this.#setting = setting;
    void this.#dropUseless();
  }

  /** A debugger came, or went: workers that have an inspector, or have none, are others than those that are wanted. */
  debuggerChanged(): void {
    void this.#dropUseless();
    this.#fill();
  }

  /** Rejects with the signal's reason. */
  async run(request: FunctionRequest, signal: AbortSignal): Promise<Answer> {
    // Also of this function's own end.
    const controller = new AbortController();
    const onAbort = () => controller.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    this.#runs.add(controller);
    const over = () => {
      signal.removeEventListener("abort", onAbort);
      this.#runs.delete(controller);
    };
    try {
      await this.#turn(request, controller.signal);
    } catch (error) {
      over();
      throw error;
    }
    let released: Promise<void> = Promise.resolve();
    try {
      // A client of this machine has none to give.
      if (Object.keys(request.environment).length > 0) this.#sandbox = request.environment;
      for (;;) {
        const found = await this.#find(request, controller.signal);
        if (!("worker" in found)) return buildErrorAnswer(found.errors);
        const { worker, coldStart } = found;
        request.position("running");
        request.begun({ codeHash: worker.program.bundle.hash, coldStart });
        if (controller.signal.aborted) {
          // Its time is over, and the worker unharmed.
          void this.#settle(worker);
          controller.signal.throwIfAborted();
        }
        const invoked = await worker.invoke(request, this.#variables().aws, controller.signal);
        released = invoked.released.finally(() => this.#released(worker));
        // An idle worker may have died at this very moment: whoever has not seen the event has not run it.
        if (invoked.handed || coldStart) return invoked.answer;
      }
    } finally {
      void released.finally(() => {
        this.#usedAt = performance.now();
        over();
        this.#leave();
      });
    }
  }

  /** A build is done: the next event should find a worker that has loaded it. */
  built({ result, savedAt }: Finished): void {
    const leaving = this.#dropUseless();
    if (result.kind !== "built" || !this.inUse || this.#quiet !== undefined) return;
    // Its init code would stop at a breakpoint that nobody waits at, or have run before an event could.
    if (this.#debugger !== undefined) return;
    // Whoever waits for this build starts a worker for it; and the same code as before has one already.
    if (this.#seeking > 0 || this.#idle.length + this.#ahead.size > 0) return;
    const { bundle, exportPath } = result;
    const warming = this.#warm({ bundle, exportPath }, leaving, savedAt);
    this.#warming.add(warming);
    void warming.finally(() => this.#warming.delete(warming));
  }

  /** What runs may finish. After `stop()`, that is soon. */
  async close(): Promise<void> {
    this.#quiet ??= deferred<void>();
    void this.#dropUseless();
    if (this.#running === 0) this.#quiet.resolve();
    await this.#quiet.promise;
    await this.code.close();
    await Promise.all(this.#warming);
    await Promise.all([...this.#workers].map((worker) => worker.end("closed")));
    await Promise.all([...this.#workers].map((worker) => worker.gone));
  }

  /** Ends what runs or waits. */
  stop(): void {
    for (const controller of [...this.#runs]) controller.abort(functionsClosed());
  }

  // ---- turns

  async #turn(request: FunctionRequest, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#running < this.#most) {
      this.#running += 1;
      return;
    }
    request.position("queued");
    const waits = this.#debugger?.waits;
    if (waits !== undefined) void request.logged({ stream: "stderr", text: waits });
    const place = deferred<void>();
    this.#waiting.push(place);
    try {
      await untilAborted(place.promise, signal);
    } catch (error) {
      const index = this.#waiting.indexOf(place);
      if (index >= 0) this.#waiting.splice(index, 1);
      else this.#leave();
      throw error;
    }
  }

  get #debugger(): Debugger | undefined {
    return this.#options.debugger(this.wanted.name);
  }

  /** Invocations at once. */
  get #most(): number {
    const { limits } = this.#options;
    return Math.min(limits.concurrency, this.#debugger?.concurrency ?? Infinity);
  }

  #leave(): void {
    // A debugger that came or went changed how many there may be.
    const next = this.#running > this.#most ? undefined : this.#waiting.shift();
    if (next !== undefined) return next.resolve();
    this.#running -= 1;
    this.#fill();
    if (this.#running === 0) this.#quiet?.resolve();
  }

  #fill(): void {
    while (this.#running < this.#most) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#running += 1;
      next.resolve();
    }
  }

  // ---- workers

  /** A worker of the newest code that no other has, or the errors of its build. */
  async #find(
    request: FunctionRequest,
    signal: AbortSignal,
  ): Promise<Found | { readonly errors: readonly BuildError[] }> {
    this.#seeking += 1;
    try {
      for (;;) {
        const newest = await this.code.newest(signal, () => request.position("building"));
        if (!newest.ok) return newest;
        const found = this.#take() ?? (await this.#startFor(request, newest.program, signal));
        // A save came between: the next round waits for its build.
        if (found === undefined) continue;
        // Whether an idle one has died meanwhile may lie unread in the event loop's queue.
        if (!found.coldStart) await turn();
        if (!signal.aborted && found.worker.alive && this.#matches(found.worker)) return found;
        // Unused, and perhaps the next one's.
        void this.#settle(found.worker);
        signal.throwIfAborted();
      }
    } finally {
      this.#seeking -= 1;
      this.#trim();
    }
  }

  #take(): Found | undefined {
    const place = this.#idle.findLastIndex(({ seat: { worker } }) => worker.idle && this.#matches(worker));
    const worker = this.#idle[place]?.seat.worker;
    if (worker !== undefined) {
      this.#forget(worker);
      return { worker, coldStart: false };
    }
    for (const ahead of this.#ahead) {
      if (!ahead.alive || !this.#matches(ahead)) continue;
      this.#ahead.delete(ahead);
      return { worker: ahead, coldStart: true };
    }
    return undefined;
  }

  /** Undefined where this program is not the newest any more. */
  async #startFor(
    request: FunctionRequest,
    program: Program,
    signal: AbortSignal,
  ): Promise<Found | undefined> {
    const { seats } = this.#options;
    if (!seats.tryTake(this)) {
      request.position("queued");
      const given = await seats.take(this, signal);
      // The wait may have been a long one: saves that nobody was told of are looked for again.
      await this.code.verify();
      if (given?.worker.idle === true) return { worker: given.worker, coldStart: false };
      // It died meanwhile.
      if (given !== undefined) return undefined;
    }
    const worker = await this.#start(program);
    return worker === undefined ? undefined : { worker, coldStart: true };
  }

  /** On a seat that was taken for it. Undefined where this program is not the newest any more; then it is free again. */
  async #start(program: Program): Promise<Worker | undefined> {
    const { seats, spares, project, record } = this.#options;
    const { bundle, exportPath } = program;
    if (this.code.program?.bundle !== bundle || !bundle.hold()) {
      seats.free(this);
      return undefined;
    }
    try {
      if (!(await bundle.onDisk())) {
        // Removed under our feet (`rm -rf .livedev`).
        this.code.lost(program);
        bundle.release();
        seats.free(this);
        return undefined;
      }
      const { name } = this.wanted;
      const { preload } = this.#setting.app;
      const { settings, aws, environment } = this.#variables();
      const startedAt = performance.now();
      const spare = await spares.take(this.#setting.node, readAtStart(this.wanted.environment));
      const worker = new Worker({
        environment: spare.environment,
        program,
        settings,
        startedAt,
        aws,
        logged: ({ stream, text }) =>
          void record({ type: "function.logged", functionName: name, stream, text }),
        ended: (ended, exit) => this.#ended(ended, exit),
      });
      spare.listen((line) => worker.print(line));
      this.#workers.add(worker);
      record({ type: "worker.started", functionName: name, pid: worker.pid, codeHash: bundle.hash });
      void this.#attached(worker, spare.environment).then(() =>
        spare.load({
          type: "load",
          cwd: project,
          env: environment,
          handler: { file: bundle.file, export: exportPath },
          ...(preload !== undefined && { preload: [preload] }),
        }),
      );
      return worker;
    } catch (error) {
      seats.free(this);
      bundle.release();
      throw error;
    }
  }

  /** A debugger gets the process before its code does, so that it can stop in what runs at load. */
  async #attached(worker: Worker, environment: ExecutionEnvironment): Promise<void> {
    const attached = this.#debugger;
    if (attached === undefined) return;
    const address = await environment.inspect();
    if (address === undefined) return;
    const { pid, program } = worker;
    await attached.adopt({
      functionName: this.wanted.name,
      pid,
      address,
      file: program.bundle.file,
      ended: environment.exited.then(() => undefined),
      requestId: () => worker.requestId,
    });
  }

  #ended(
    worker: Worker,
    { code, signal, reason }: { code: number | null; signal: string | null; reason: EndReason },
  ): void {
    this.#workers.delete(worker);
    this.#ahead.delete(worker);
    this.#forget(worker);
    const { seats, record } = this.#options;
    seats.free(this);
    record({ type: "worker.exited", functionName: this.wanted.name, pid: worker.pid, code, signal, reason });
  }

  /** Only where there is room, if need be the room of the function's own workers that leave. */
  async #warm(program: Program, leaving: Promise<void>, savedAt: number | undefined): Promise<void> {
    const { seats, record, log } = this.#options;
    try {
      if (!seats.tryTake(this)) {
        await leaving;
        if (!seats.tryTake(this)) return;
      }
      const worker = await this.#start(program);
      if (worker === undefined) return;
      await this.#settle(worker, () =>
        record({
          type: "worker.ready",
          functionName: this.wanted.name,
          pid: worker.pid,
          codeHash: program.bundle.hash,
          ...(savedAt !== undefined && { sinceSaveMs: tookSince(savedAt) }),
        }),
      );
    } catch (error) {
      log.error({ err: error }, "a worker could not be started");
    }
  }

  /** A worker that nobody waits for becomes idle once it has loaded its code. */
  async #settle(worker: Worker, onReady?: () => void): Promise<void> {
    if (worker.idle) return this.#released(worker);
    if (this.#isUseless(worker)) return void worker.end(this.#quiet === undefined ? "replaced" : "closed");
    this.#ahead.add(worker);
    const late = setTimeout(() => {
      // At a breakpoint in its init code it computes nothing.
      if (this.#ahead.has(worker) && this.#debugger === undefined) void worker.end("stopped");
    }, INIT_MS);
    late.unref();
    const init = await worker.ready;
    clearTimeout(late);
    // Taken by an event meanwhile, or ended.
    if (!this.#ahead.delete(worker)) return;
    // Its init error is printed; the next event meets it again, and is told.
    if (!init.ok) return void worker.end("crashed");
    onReady?.();
    this.#released(worker);
  }

  /** It waits for another invocation, or leaves where it is of no use any more. */
  #released(worker: Worker): void {
    if (!worker.idle) return;
    const { limits, seats } = this.#options;
    if (this.#isUseless(worker)) return void worker.end(this.#quiet === undefined ? "replaced" : "closed");
    const leave = async () => {
      this.#forget(worker);
      await worker.end("idle");
    };
    const { readyAt, startedAt } = worker;
    const seat: Seat = {
      worker,
      since: readyAt,
      startMs: readyAt - startedAt,
      leave,
      unwanted: () => this.#released(worker),
    };
    // Given to one who waits; or it had to make room.
    const wanted = this.#waiting.length + this.#seeking;
    if (seats.offer(this, seat, wanted > 0) || !worker.idle) return;
    // Those that wait will take it in a moment.
    if (this.#idle.length >= limits.idlePerFunction + wanted) {
      seats.busy(seat);
      return void worker.end("idle");
    }
    const timer = setTimeout(() => void leave(), limits.idleMs);
    timer.unref();
    this.#idle.push({ seat, timer });
  }

  /** Those that were kept for whoever waited, and were not needed after all. */
  #trim(): void {
    const most = this.#options.limits.idlePerFunction + this.#waiting.length + this.#seeking;
    while (this.#idle.length > most) {
      const worker = this.#idle[0]?.seat.worker;
      if (worker === undefined) return;
      this.#forget(worker);
      void worker.end("idle");
    }
  }

  /** Whether it runs the newest code under today's settings. */
  #matches(worker: Worker): boolean {
    return (
      this.code.program?.bundle === worker.program.bundle && worker.settings === this.#variables().settings
    );
  }

  /** No event will be given to it. While a build runs, nobody knows: it may come to the same code. */
  #isUseless(worker: Worker): boolean {
    if (this.#quiet !== undefined || worker.settings !== this.#variables().settings) return true;
    const { state } = this.code;
    return state !== "idle" && state !== "building" && !this.#matches(worker);
  }

  /** Ends those that wait, and resolves when they are gone; those that run go when they are done. */
  async #dropUseless(): Promise<void> {
    const useless = [...this.#idle.map(({ seat }) => seat.worker), ...this.#ahead].filter((worker) =>
      this.#isUseless(worker),
    );
    for (const worker of useless) {
      this.#forget(worker);
      this.#ahead.delete(worker);
      void worker.end(this.#quiet === undefined ? "replaced" : "closed");
    }
    await Promise.all(useless.map((worker) => worker.gone));
  }

  #forget(worker: Worker): void {
    const place = this.#idle.findIndex(({ seat }) => seat.worker === worker);
    const [entry] = place < 0 ? [] : this.#idle.splice(place, 1);
    if (entry === undefined) return;
    clearTimeout(entry.timer);
    this.#options.seats.busy(entry.seat);
  }

  #variables(): {
    readonly settings: string;
    readonly aws: Readonly<Record<string, string>>;
    readonly environment: Readonly<Record<string, string>>;
  } {
    const { project, machine } = this.#options;
    const { wanted, app, node } = this.#setting;
    const { settings, aws } = variablesFor({ wanted, app, project, machine, sandbox: this.#sandbox });
    const inspected = this.#debugger !== undefined;
    return {
      settings: JSON.stringify([node, settings, inspected]),
      aws,
      environment: { ...settings, ...aws },
    };
  }
}

/** A broken build answers at once: the last good code is never run silently. */
function buildErrorAnswer(errors: readonly BuildError[]): BufferedAnswer {
  const sentences = errors.map(({ text, file, line, column }) => {
    const place = [file, line, column === undefined ? undefined : column + 1].filter(
      (part) => part !== undefined,
    );
    return place.length === 0 ? text : `${place.join(":")}: ${text}`;
  });
  const stack = errors.flatMap(({ lineText }) => (lineText === undefined ? [] : [lineText]));
  return errorAnswer("build", "Livedev.BuildFailed", sentences.join("\n") || "The build failed.", stack);
}
