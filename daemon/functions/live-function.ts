/**
 * One function under development: its newest code, the workers that run it, and the invocations that wait for one.
 *
 *     run() → a turn (at most `concurrency` at once, the rest in order)
 *           → the newest code (waits for its build)
 *           → an idle worker of just that code and those settings, or a new one
 *           → the handler
 *
 * A worker of older code finishes what it runs, then leaves.
 */
import { errorAnswer, type Answer, type BufferedAnswer } from "../../proto/answer.ts";
import type { WantedFunction } from "../../proto/app.ts";
import type { BuildError } from "../../proto/events.ts";
import type { Log } from "../lib/log.ts";
import { deferred, type Deferred } from "../lib/scope.ts";
import { untilAborted } from "./abort.ts";
import type { Code, Finished, Program } from "./code.ts";
import type { Seats } from "./seats.ts";
import type { Spares } from "./spares.ts";
import type { FunctionRequest, FunctionState, Limits, RecordEvent } from "./types.ts";
import { readAtStart, variablesFor, type AppOf } from "./variables.ts";
import { Worker } from "./worker.ts";

export type LiveFunctionOptions = {
  readonly project: string;
  readonly code: Code;
  readonly seats: Seats;
  readonly spares: Spares;
  readonly limits: Limits;
  readonly machine: Readonly<Record<string, string | undefined>>;
  readonly record: RecordEvent;
  readonly signal: AbortSignal;
  readonly log: Log;
};

/** Config decides these; another value takes effect at the next invocation. */
export type Setting = { readonly wanted: WantedFunction; readonly app: AppOf; readonly node: string };

export class LiveFunction {
  readonly code: Code;
  readonly #options: LiveFunctionOptions;
  #setting: Setting;
  readonly #workers = new Set<Worker>();
  readonly #idle: {
    readonly worker: Worker;
    readonly timer: NodeJS.Timeout;
    readonly leave: () => Promise<void>;
  }[] = [];
  readonly #waiting: Deferred<void>[] = [];
  #running = 0;
  /** AWS's variables as the last event brought them: what a worker that nobody waits for is started with. */
  #sandbox: Readonly<Record<string, string>> = {};
  #used = false;

  constructor(options: LiveFunctionOptions, setting: Setting) {
    this.#options = options;
    this.#setting = setting;
    this.code = options.code;
  }

  get wanted(): WantedFunction {
    return this.#setting.wanted;
  }

  /** Whether its next event should find everything done. */
  get inUse(): boolean {
    return this.#used;
  }

  get state(): FunctionState {
    const { program, errors } = this.code;
    const { name, handler, runtime } = this.wanted;
    return {
      name,
      handler,
      runtime,
      state: this.code.state,
      ...(program !== undefined && { codeHash: program.bundle.hash }),
      ...(errors !== undefined && { errors }),
      workers: this.#workers.size,
      running: this.#running,
      queued: this.#waiting.length,
    };
  }

  apply(setting: Setting): void {
    this.#setting = setting;
    this.#dropIdle();
  }

  /** Rejects with the signal's reason. */
  async run(request: FunctionRequest, signal: AbortSignal): Promise<Answer> {
    await this.#turn(request, signal);
    let released: Promise<void> | undefined;
    try {
      this.#used = true;
      // A client of this machine has none to give.
      if (Object.keys(request.environment).length > 0) this.#sandbox = request.environment;
      for (;;) {
        const newest = await this.code.newest(signal, () => request.position("building"));
        if (!newest.ok) return buildErrorAnswer(newest.errors);
        const found = this.#take(newest.program);
        const worker = found ?? (await this.#start(newest.program, signal));
        // A save came between: the next round waits for its build.
        if (worker === undefined) continue;
        request.position("running");
        request.begun({ codeHash: worker.program.bundle.hash, coldStart: found === undefined });
        const invoked = await worker.invoke(request, signal);
        released = invoked.released.finally(() => this.#released(worker));
        return invoked.answer;
      }
    } finally {
      if (released === undefined) this.#leave();
      else void released.finally(() => this.#leave());
    }
  }

  /** A build is done: the next event should find a worker that has loaded it. */
  built({ result, savedAt }: Finished): void {
    this.#dropIdle();
    if (result.kind !== "built" || !this.#used || this.#options.signal.aborted) return;
    void this.#warm({ bundle: result.bundle, exportPath: result.exportPath }, savedAt);
  }

  async close(): Promise<void> {
    for (const { timer } of this.#idle.splice(0)) clearTimeout(timer);
    await Promise.all([this.code.close(), ...[...this.#workers].map((worker) => worker.end("closed"))]);
    await Promise.all([...this.#workers].map((worker) => worker.gone));
  }

  // ---- turns

  async #turn(request: FunctionRequest, signal: AbortSignal): Promise<void> {
    if (this.#running < this.#options.limits.concurrency) {
      this.#running += 1;
      return;
    }
    request.position("queued");
    const turn = deferred<void>();
    this.#waiting.push(turn);
    try {
      await untilAborted(turn.promise, signal);
    } catch (error) {
      const place = this.#waiting.indexOf(turn);
      if (place >= 0) this.#waiting.splice(place, 1);
      else this.#leave();
      throw error;
    }
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running -= 1;
    else next.resolve();
  }

  // ---- workers

  #take(program: Program): Worker | undefined {
    const { settings } = this.#variables();
    const place = this.#idle.findLastIndex(
      ({ worker }) => worker.idle && worker.program.bundle === program.bundle && worker.settings === settings,
    );
    const [found] = place < 0 ? [] : this.#idle.splice(place, 1);
    if (found === undefined) return undefined;
    clearTimeout(found.timer);
    this.#options.seats.busy(found);
    return found.worker;
  }

  /** Undefined where this program is not the newest any more. */
  async #start(program: Program, signal: AbortSignal): Promise<Worker | undefined> {
    const { seats, spares, project, record } = this.#options;
    const { bundle, exportPath } = program;
    if (!bundle.hold()) return undefined;
    try {
      if (!(await bundle.onDisk())) {
        // Removed under our feet (`rm -rf .livedev`).
        bundle.release();
        this.code.changed(undefined, true);
        return undefined;
      }
      await seats.take(signal);
    } catch (error) {
      bundle.release();
      throw error;
    }
    const { settings, aws, environment } = this.#variables();
    try {
      const spare = await spares.take(
        this.#setting.node,
        {
          type: "load",
          cwd: project,
          env: environment,
          handler: { file: bundle.file, export: exportPath },
        },
        readAtStart(this.wanted.environment),
      );
      const { name } = this.wanted;
      const worker = new Worker({
        environment: spare.environment,
        program,
        settings,
        aws,
        logged: ({ stream, text }) =>
          void record({ type: "function.logged", functionName: name, stream, text }),
        ended: (ended, { code, signal: by, reason }) => {
          this.#workers.delete(ended);
          this.#forget(ended);
          seats.free();
          record({
            type: "worker.exited",
            functionName: name,
            pid: ended.pid,
            code,
            signal: by,
            reason,
          });
        },
      });
      spare.listen((line) => worker.print(line));
      this.#workers.add(worker);
      record({ type: "worker.started", functionName: name, pid: worker.pid, codeHash: bundle.hash });
      return worker;
    } catch (error) {
      seats.free();
      bundle.release();
      throw error;
    }
  }

  async #warm(program: Program, savedAt: number | undefined): Promise<void> {
    const { signal, log, record } = this.#options;
    try {
      const worker = await this.#start(program, signal);
      if (worker === undefined) return;
      const init = await worker.ready;
      // Its init error is printed; the next event meets it again, and is told.
      if (!init.ok) return await worker.end("crashed");
      record({
        type: "worker.ready",
        functionName: this.wanted.name,
        pid: worker.pid,
        codeHash: program.bundle.hash,
        ...(savedAt !== undefined && { sinceSaveMs: performance.now() - savedAt }),
      });
      this.#released(worker);
    } catch (error) {
      if (!signal.aborted) log.error({ err: error }, "a worker could not be started");
    }
  }

  /** It waits for another invocation, or leaves where it is of no use any more. */
  #released(worker: Worker): void {
    if (!worker.idle) return;
    const { limits, seats } = this.#options;
    if (!this.#isCurrent(worker)) return void worker.end("replaced");
    if (this.#idle.length >= limits.idlePerFunction) return void worker.end("idle");
    const leave = async () => {
      this.#forget(worker);
      await worker.end("idle");
    };
    const timer = setTimeout(() => void leave(), limits.idleMs);
    timer.unref();
    const entry = { worker, timer, leave };
    this.#idle.push(entry);
    seats.idle(entry);
  }

  #isCurrent(worker: Worker): boolean {
    return (
      this.code.program?.bundle === worker.program.bundle && worker.settings === this.#variables().settings
    );
  }

  #dropIdle(): void {
    for (const { worker } of [...this.#idle]) {
      if (this.#isCurrent(worker)) continue;
      this.#forget(worker);
      void worker.end("replaced");
    }
  }

  #forget(worker: Worker): void {
    const place = this.#idle.findIndex((entry) => entry.worker === worker);
    const [entry] = place < 0 ? [] : this.#idle.splice(place, 1);
    if (entry === undefined) return;
    clearTimeout(entry.timer);
    this.#options.seats.busy(entry);
  }

  #variables(): {
    readonly settings: string;
    readonly aws: Readonly<Record<string, string>>;
    readonly environment: Readonly<Record<string, string>>;
  } {
    const { project, machine } = this.#options;
    const { wanted, app, node } = this.#setting;
    const { settings, aws } = variablesFor({ wanted, app, project, machine, sandbox: this.#sandbox });
    return { settings: JSON.stringify([node, settings]), aws, environment: { ...settings, ...aws } };
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
