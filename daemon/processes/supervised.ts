/**
 * One frontend, service or command, from the wish that it runs to the end of all that came of it.
 *
 *     ┌─────────┐  start   ┌─────────┐ links ready, ┌──────────┐  answers, or  ┌───────┐
 *     │ stopped │─────────▶│ waiting │─ port free ─▶│ starting │─ its output ─▶│ ready │
 *     └─────────┘          └─────────┘              └────┬─────┘   matches     └───┬───┘
 *        ▲   ▲                ▲   ▲                      │ ends by itself          │
 *        │   └─ with code 0 ──┼───┼──────────────────────┼─────────────────────────┤
 *        │                    │   └── backoff ─ crashed ◀┴─────────────────────────┘
 *        │                    │ restart, another environment
 *        └──── stopping ──────┘◀── stop, restart: from whatever runs
 *
 * Whatever the way, the whole tree has ended before the next run begins: the port is free again, so that a restarted
 * frontend gets its old one.
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { Backoff } from "../lib/backoff.ts";
import { directoryMissing, LivedevError, messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { processIdentity } from "../lib/process-identity.ts";
import { deferred, type Deferred } from "../lib/scope.ts";
import type { Leftovers } from "../runtime/leftovers.ts";
import { MARK } from "../runtime/marks.ts";
import { processEnvironment } from "./environment.ts";
import { answers, holderOf } from "../lib/ports.ts";
import { isFrontend, portOf, Readiness } from "./readiness.ts";
import type { Exit } from "./terminal.ts";
import type { Running, Terminals } from "./terminals.ts";
import type { Root } from "./tree.ts";
import type { Turns } from "./turns.ts";
import type { Limits, ProcessEvent, RunnableProcess } from "./types.ts";

/** What it needs of the room it is in. */
export type Surroundings = {
  readonly project: string;
  readonly machine: Readonly<Record<string, string | undefined>>;
  readonly terminals: Terminals;
  readonly leftovers: Leftovers;
  readonly limits: Limits;
  record(event: ProcessEvent): void;
  /** Its state, or where it answers, is another. */
  changed(): void;
  /** Settles when nothing that it links to is on its way up any more; tells what it waits for. */
  linksReady(name: string, signal: AbortSignal, waiting: (why: string) => void): Promise<void>;
  readonly turns: Turns;
  /** Where it answered last, also before this daemon. */
  lastUrl(name: string): string | undefined;
  answersAt(name: string, url: string): void;
  readonly log: Log;
};

/** One life of its first process. */
type Run = {
  readonly root: Root;
  readonly readiness: Readiness;
  readonly began: number;
  readonly over: AbortController;
};

type State =
  | { readonly name: "stopped"; readonly why: string | undefined }
  | { readonly name: "waiting"; readonly given: AbortController; readonly why: string | undefined }
  | { readonly name: "starting"; readonly run: Run }
  | { readonly name: "ready"; readonly run: Run }
  | {
      readonly name: "stopping";
      readonly run: Run;
      readonly next: "stop" | "start";
      /** Of a restart. */
      readonly because: string;
      readonly done: Deferred<void>;
    }
  | {
      readonly name: "crashed";
      readonly why: string;
      readonly retryAt: number;
      readonly timer: NodeJS.Timeout;
    };

const BY_HAND = "by hand";

/** Others wait for one that comes back so soon. */
const SOON_MS = 5_000;

export class Supervised {
  readonly #around: Surroundings;
  readonly #backoff: Backoff;
  #wanted: RunnableProcess;
  #state: State = { name: "stopped", why: "not started yet" };
  #since = Date.now();
  #runs = 0;
  /** Why the next run, where it is not the first, is begun. */
  #because = BY_HAND;
  #restarted: { readonly at: number; readonly why: string } | undefined;
  #url: string | undefined;
  /** What an ended run left behind is being ended: the next one waits for that. */
  #sweeping: Promise<unknown> = Promise.resolve();

  /** Of several that crash at once, each comes back after a while of its own: the others are told to let it go first. */
  #withdraw = () => {};
  /** Its way from wish to run, whatever became of it: a run may come of it when it is not wanted any more. */
  #coming: Promise<void> = Promise.resolve();

  constructor(wanted: RunnableProcess, around: Surroundings) {
    this.#wanted = wanted;
    this.#around = around;
    this.#backoff = new Backoff(around.limits.backoff);
  }

  get wanted(): RunnableProcess {
    return this.#wanted;
  }

  get state(): State["name"] {
    return this.#state.name;
  }

  get since(): number {
    return this.#since;
  }

  get restarts(): number {
    return Math.max(0, this.#runs - 1);
  }

  /** The config's, or what it printed: also of an earlier run, since it gets its old port. */
  get url(): string | undefined {
    return this.#wanted.url ?? this.#url ?? this.#around.lastUrl(this.#wanted.name);
  }

  /** When and why the last run began, where it was not the first. */
  get restarted(): { readonly at: number; readonly why: string } | undefined {
    return this.#restarted;
  }

  get root(): Root | undefined {
    return "run" in this.#state ? this.#state.run.root : undefined;
  }

  get why(): string | undefined {
    return "why" in this.#state ? this.#state.why : undefined;
  }

  get retryAt(): number | undefined {
    return this.#state.name === "crashed" ? this.#state.retryAt : undefined;
  }

  /** Whether others that link to it do well to wait. */
  get isComing(): boolean {
    const { name } = this.#state;
    if (name === "stopping") return this.#state.next === "start";
    return name === "waiting" || name === "starting";
  }

  /** Another command, directory or environment is another process. */
  update(wanted: RunnableProcess): void {
    const before = this.#wanted;
    this.#wanted = wanted;
    const runs = this.#state.name === "starting" || this.#state.name === "ready";
    const change = runs ? changeOf(before, wanted) : undefined;
    if (change !== undefined) this.restart(change);
  }

  start(because = BY_HAND): void {
    switch (this.#state.name) {
      case "stopped":
      case "crashed":
        this.#leave();
        this.#begin(because);
        break;
      case "stopping":
        this.#enter({ ...this.#state, next: "start", because });
        break;
      case "waiting":
      case "starting":
      case "ready":
        break;
      default:
        this.#state satisfies never;
    }
  }

  restart(because = BY_HAND): void {
    switch (this.#state.name) {
      case "starting":
      case "ready":
        void this.#stopRunning(this.#state.run, "start", because);
        break;
      case "waiting":
        this.#leave();
        this.#begin(because);
        break;
      case "stopped":
      case "crashed":
      case "stopping":
        this.start(because);
        break;
      default:
        this.#state satisfies never;
    }
  }

  /** Resolves when nothing of it is alive. */
  async stop(): Promise<void> {
    const coming = this.#coming;
    switch (this.#state.name) {
      case "starting":
      case "ready":
        await this.#stopRunning(this.#state.run, "stop");
        break;
      case "stopping": {
        const { done } = this.#state;
        this.#enter({ ...this.#state, next: "stop" });
        await done.promise;
        break;
      }
      case "waiting":
      case "crashed":
        this.#leave();
        this.#enter({ name: "stopped", why: "stopped by hand" });
        break;
      case "stopped":
        break;
      default:
        this.#state satisfies never;
    }
    // What the system was starting just then is ended as soon as it is there.
    await coming;
    await this.#sweeping;
  }

  /** What it wrote. */
  lines(lines: readonly string[]): void {
    if (this.#state.name === "starting" || this.#state.name === "ready")
      this.#state.run.readiness.lines(lines);
  }

  // ---- from wish to run

  #begin(because: string): void {
    this.#because = because;
    const given = new AbortController();
    this.#enter({ name: "waiting", given, why: undefined });
    this.#coming = this.#up(given).catch((error: unknown) => {
      this.#withdraw();
      if (given.signal.aborted) return;
      this.#record({
        type: "process.exited",
        processName: this.#wanted.name,
        reason: "crashed",
        how: whole(error),
        survivors: 0,
      });
      this.#enter({ name: "stopped", why: whole(error) });
    });
  }

  async #up(given: AbortController): Promise<void> {
    const { signal } = given;
    const waiting = (why: string) => {
      if (signal.aborted || (this.#state.name === "waiting" && this.#state.why === why)) return;
      this.#record({ type: "process.waiting", processName: this.#wanted.name, why });
      this.#enter({ name: "waiting", given, why });
    };
    await this.#sweeping;
    await this.#around.linksReady(this.#wanted.name, signal, waiting);
    await this.#portFree(signal, waiting);
    const done = await this.#turn(signal);
    signal.throwIfAborted();
    try {
      await this.#run(given, done);
    } catch (error) {
      done();
      throw error;
    }
  }

  /** Of those that choose their ports: by the one of the last time. */
  get #rank(): number | undefined {
    const { url, kind } = this.#wanted;
    if (url !== undefined || !isFrontend(kind)) return undefined;
    return portOf(this.url) ?? Number.MAX_SAFE_INTEGER;
  }

  async #turn(signal: AbortSignal): Promise<() => void> {
    const rank = this.#rank;
    const turn = rank === undefined ? () => {} : this.#around.turns.take(rank, signal);
    this.#withdraw();
    return turn;
  }

  /** A stranger who answers there would be taken for it. */
  async #portFree(signal: AbortSignal, waiting: (why: string) => void): Promise<void> {
    for (;;) {
      const port = portOf(this.#wanted.url);
      if (port === undefined || !(await answers(port))) return;
      const holder = await holderOf(port);
      waiting(
        holder === undefined
          ? `port ${port} is taken by another program`
          : `port ${port} is taken by ${holder.command} (pid ${holder.pid})`,
      );
      await sleep(this.#around.limits.portMs, undefined, { signal });
    }
  }

  /** `placed` is called when it has its port, or has ended. */
  async #run(given: AbortController, placed: () => void): Promise<void> {
    const wanted = this.#wanted;
    const { project, machine, terminals, leftovers } = this.#around;
    const cwd = join(project, wanted.directory);
    if (!existsSync(cwd)) throw directoryMissing(wanted.name, wanted.directory);
    const mark = randomUUID();
    // On record before it is there: killed in between, the next daemon finds it by its mark.
    leftovers.expect(mark);
    const own = { ...this.#portAgain(), ...wanted.environment, [MARK]: mark };
    const env = processEnvironment({
      machine,
      project,
      directory: wanted.directory,
      own,
      unset: wanted.unset,
    });
    let running: Running;
    try {
      running = await terminals.start(wanted.name, { command: wanted.command, cwd, env });
    } catch (error) {
      await leftovers.ended(mark);
      throw error;
    }
    const { pid } = running;
    const root = { pid, identity: processIdentity(pid) ?? "", mark };
    leftovers.record(pid, mark);
    const run: Run = {
      root,
      readiness: new Readiness({ kind: wanted.kind, url: wanted.url, ready: wanted.ready }),
      began: performance.now(),
      over: new AbortController(),
    };
    this.#runs += 1;
    if (this.#runs > 1) this.#restarted = { at: Date.now(), why: this.#because };
    this.#record({ type: "process.started", processName: wanted.name, pid });
    run.over.signal.addEventListener("abort", placed, { once: true });
    void running.exited.then((exit) => this.#exited(run, exit));
    this.#enter({ name: "starting", run });
    // Stopped while the system started it.
    if (given.signal.aborted) return this.#stopRunning(run, "stop");
    this.#awaitReady(run, placed);
  }

  /** Most programs that choose a port begin with this one. */
  #portAgain(): Record<string, string> {
    const port = portOf(this.url);
    return port === undefined ? {} : { PORT: String(port) };
  }

  #awaitReady(run: Run, placed: () => void): void {
    const { name } = this.#wanted;
    const onUrl = (url: string) => {
      this.#url = url;
      this.#around.answersAt(name, url);
      this.#around.changed();
    };
    run.readiness.wait(run.over.signal, onUrl).then(
      () => {
        placed();
        if (this.#state.name !== "starting" || this.#state.run !== run) return;
        const { url } = this;
        this.#record({
          type: "process.ready",
          processName: name,
          tookMs: Math.round(performance.now() - run.began),
          ...(url !== undefined && { url }),
        });
        this.#enter({ name: "ready", run });
      },
      (error: unknown) => {
        if (!run.over.signal.aborted)
          this.#around.log.error({ err: error, name }, "cannot tell whether it is ready");
      },
    );
  }

  // ---- from run to end

  #stopRunning(run: Run, next: "stop" | "start", because = BY_HAND): Promise<void> {
    const done = deferred<void>();
    run.over.abort();
    this.#enter({ name: "stopping", run, next, because, done });
    const { askMs, termMs } = this.#around.limits;
    void this.#sweep(run, { askMs, termMs }).then((survivors) => {
      const asked = this.#state.name === "stopping" ? this.#state : { next, because };
      this.#record({
        type: "process.exited",
        processName: this.#wanted.name,
        pid: run.root.pid,
        reason: asked.next === "start" ? "restarted" : "stopped",
        how: asked.next === "start" ? asked.because : "asked to end",
        survivors,
      });
      if (asked.next === "start") this.#begin(asked.because);
      else this.#enter({ name: "stopped", why: "stopped by hand" });
      done.resolve();
    });
    return done.promise;
  }

  #exited(run: Run, exit: Exit): void {
    run.over.abort();
    if (!("run" in this.#state) || this.#state.run !== run || this.#state.name === "stopping") return;
    const how = exit.signal ?? `exit code ${exit.code ?? 0}`;
    const crashed = exit.code !== 0;
    if (performance.now() - run.began > this.#around.limits.steadyMs) this.#backoff.reset();
    const retryInMs = Math.round(this.#backoff.next());
    const swept = this.#sweep(run, { askMs: 0, termMs: this.#around.limits.termMs });
    void swept.then((survivors) =>
      this.#record({
        type: "process.exited",
        processName: this.#wanted.name,
        pid: run.root.pid,
        reason: crashed ? "crashed" : "ended",
        how,
        survivors,
        ...(crashed && { retryInMs }),
      }),
    );
    if (!crashed) return this.#enter({ name: "stopped", why: "it ended by itself" });
    const rank = this.#rank;
    if (rank !== undefined && retryInMs <= SOON_MS) this.#withdraw = this.#around.turns.announce(rank);
    const timer = setTimeout(() => {
      if (this.#state.name === "crashed" && this.#state.timer === timer) this.#begin(how);
    }, retryInMs);
    this.#enter({ name: "crashed", why: how, retryAt: Date.now() + retryInMs, timer });
  }

  /** Ends all that is left of a run. Gives how many the system did not let go of. Never rejects. */
  #sweep(run: Run, patience: { askMs: number; termMs: number }): Promise<number> {
    const { terminals, leftovers, log } = this.#around;
    const { root } = run;
    const swept = terminals
      .ask("end", { root, patience })
      .then(({ alive }) => alive)
      .catch((error: unknown) => {
        // Without its thread the record ends it: by group and mark, at once.
        log.warn(
          { reason: messageOf(error), name: this.#wanted.name },
          "its processes could not be asked to end",
        );
        return 0;
      })
      .then(async (alive) => {
        await leftovers.ended(root.mark);
        if (alive > 0)
          log.error({ alive, name: this.#wanted.name }, "the system does not let go of processes");
        return alive;
      });
    this.#sweeping = swept;
    return swept;
  }

  /** Leaves a state that waits for something. */
  #leave(): void {
    if (this.#state.name === "waiting") this.#state.given.abort(new Error("not wanted any more"));
    if (this.#state.name === "crashed") clearTimeout(this.#state.timer);
    this.#withdraw();
  }

  #enter(state: State): void {
    if (state.name !== this.#state.name) this.#since = Date.now();
    this.#state = state;
    this.#around.changed();
  }

  #record(event: ProcessEvent): void {
    this.#around.record(event);
  }
}

/** With what to do about it. */
const whole = (error: unknown): string =>
  error instanceof LivedevError && error.hint !== undefined
    ? `${error.message} ${error.hint}`
    : messageOf(error);

/** What a process cannot be told while it runs; of its variables the names alone are said. */
function changeOf(before: RunnableProcess, wanted: RunnableProcess): string | undefined {
  for (const part of ["command", "directory", "url", "ready"] as const)
    if (before[part] !== wanted[part]) return `its ${part} changed`;
  const [was, is] = [before.environment, wanted.environment];
  const names = [...new Set([...Object.keys(was), ...Object.keys(is)])].filter(
    (name) => was[name] !== is[name],
  );
  if (names.length > 0) return `${names.sort().join(", ")} changed`;
  return JSON.stringify(before.unset) === JSON.stringify(wanted.unset)
    ? undefined
    : "its environment changed";
}
