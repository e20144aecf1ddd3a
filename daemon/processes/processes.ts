/**
 * The frontends, services and commands of the app. `apply` says which there are and starts what is new; any client may
 * start, stop and look at them, and none of them ends with a client.
 */
import type { ProcessStatus } from "../../proto/rpc.ts";
import { tookSince } from "../lib/clock.ts";
import { processesClosed, unknownProcess } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { Scope } from "../lib/scope.ts";
import { Leftovers } from "../runtime/leftovers.ts";
import { acyclic } from "./order.ts";
import { Supervised, type Surroundings } from "./supervised.ts";
import type { Output, Screen } from "./terminal.ts";
import { Terminals } from "./terminals.ts";
import { Turns } from "./turns.ts";
import { DEFAULT_LIMITS, type Limits, type ProcessEvent, type RunnableProcess } from "./types.ts";
import { Meter } from "./meter.ts";

export type { RunnableProcess } from "./types.ts";

export type ProcessesOptions = {
  readonly project: string;
  /** Where they are on record, for the daemon that comes after a killed one. */
  readonly leftoversDir: string;
  /** Where each answered last, by name: a restarted frontend gets its old port. */
  readonly urls: Readonly<Record<string, string>>;
  readonly record: (event: ProcessEvent) => void;
  /** Told when one answers elsewhere than before. */
  readonly onUrls: (urls: Readonly<Record<string, string>>) => void;
  /** The daemon's own environment, which is that of whoever opened it. */
  readonly machine: Readonly<Record<string, string | undefined>>;
  readonly limits?: Partial<Limits>;
  readonly log: Log;
};

/** A process's output may take this share of the daemon's time: one that floods waits for its turn. */
const SHARE = 0.2;

export class Processes implements AsyncDisposable {
  readonly #options: ProcessesOptions;
  readonly #scope = new Scope();
  readonly #terminals: Terminals;
  readonly #around: Surroundings;
  readonly #meter = new Meter();
  readonly #all = new Map<string, Supervised>();
  /** Taken out of the app, and on their way to their end. */
  readonly #leaving = new Map<string, Promise<void>>();
  readonly #waiters = new Set<() => void>();
  #after: ReadonlyMap<string, readonly string[]> = new Map();
  #urls: Readonly<Record<string, string>>;

  static async open(options: ProcessesOptions): Promise<Processes> {
    const leftovers = await Leftovers.open({ folder: options.leftoversDir, log: options.log });
    return new Processes(options, leftovers);
  }

  private constructor(options: ProcessesOptions, leftovers: Leftovers) {
    this.#options = options;
    this.#urls = options.urls;
    this.#terminals = new Terminals({
      onLines: (name, lines) => this.#lines(name, lines),
      log: options.log,
    });
    this.#scope.defer(() => this.#terminals.close());
    this.#scope.defer(() => this.#stopAll());
    const { project, machine, log, record } = options;
    this.#around = {
      project,
      machine,
      terminals: this.#terminals,
      leftovers,
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      record,
      changed: () => this.#changed(),
      linksReady: (name, signal, waiting) => this.#linksReady(name, signal, waiting),
      turns: new Turns(),
      lastUrl: (name) => this.#urls[name],
      answersAt: (name, url) => this.#answersAt(name, url),
      log,
    };
  }

  /** Starts what is new and starts by itself, restarts what differs, ends what is gone. */
  apply(wanted: readonly RunnableProcess[]): void {
    if (this.#scope.closed) return;
    this.#after = acyclic(wanted);
    const names = new Set(wanted.map(({ name }) => name));
    for (const [name, one] of this.#all) {
      if (names.has(name)) continue;
      this.#all.delete(name);
      this.#leaving.set(name, this.#leave(name, one));
    }
    for (const one of wanted) {
      const found = this.#all.get(one.name);
      if (found !== undefined) found.update(one);
      else this.#add(one);
    }
  }

  /** Where each answers, as far as it is known. */
  get urls(): Readonly<Record<string, string>> {
    return this.#urls;
  }

  async list({ usage = false }: { usage?: boolean } = {}): Promise<ProcessStatus[]> {
    const all = [...this.#all.values()];
    const used = usage ? await this.#usage(all) : [];
    return all.map((one, index) => ({ ...status(one), ...used[index] }));
  }

  start(name: string): ProcessStatus {
    const one = this.#found(name);
    one.start();
    return status(one);
  }

  restart(name: string): ProcessStatus {
    const one = this.#found(name);
    one.restart();
    return status(one);
  }

  async stop(name: string): Promise<ProcessStatus> {
    const one = this.#found(name);
    await one.stop();
    return status(one);
  }

  output(name: string, after: number, waitMs: number): Promise<Output> {
    this.#found(name);
    return this.#terminals.ask("output", { name, after, waitMs });
  }

  screen(name: string, scrollback: number): Promise<Screen> {
    this.#found(name);
    return this.#terminals.ask("screen", { name, scrollback });
  }

  clear(name: string): Promise<void> {
    this.#found(name);
    return this.#terminals.ask("clear", { name });
  }

  write(name: string, data: string): void {
    this.#found(name);
    this.#terminals.tell({ is: "write", name, data });
  }

  resize(name: string, columns: number, rows: number): void {
    this.#found(name);
    this.#terminals.tell({ is: "resize", name, columns, rows });
  }

  /** All of them end first. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }

  #found(name: string): Supervised {
    if (this.#scope.closed) throw processesClosed();
    const one = this.#all.get(name);
    if (one === undefined) throw unknownProcess(name, [...this.#all.keys()]);
    return one;
  }

  #add(wanted: RunnableProcess): void {
    const one = new Supervised(wanted, this.#around);
    this.#all.set(wanted.name, one);
    if (!wanted.autostart) return;
    // Of the same name, and perhaps on the same port.
    const before = this.#leaving.get(wanted.name);
    if (before === undefined) one.start();
    else void before.then(() => this.#all.get(wanted.name) === one && !this.#scope.closed && one.start());
  }

  async #leave(name: string, one: Supervised): Promise<void> {
    await one.stop();
    this.#leaving.delete(name);
    if (!this.#all.has(name) && !this.#scope.closed) this.#terminals.tell({ is: "forget", name });
  }

  async #stopAll(): Promise<void> {
    await Promise.all([...[...this.#all.values()].map((one) => one.stop()), ...this.#leaving.values()]);
  }

  async #lines(name: string, lines: readonly string[]): Promise<void> {
    const began = performance.now();
    this.#options.record({ type: "process.logged", processName: name, lines });
    this.#all.get(name)?.lines(lines);
    const tookMs = tookSince(began);
    const restMs = tookMs / SHARE - tookMs;
    // Whoever prints a little now and then is not held up by a timer.
    if (restMs > 2) await new Promise((resolve) => setTimeout(resolve, restMs));
  }

  // ---- what waits for what

  async #linksReady(name: string, signal: AbortSignal, waiting: (why: string) => void): Promise<void> {
    const until = performance.now() + this.#around.limits.linkedMs;
    for (;;) {
      signal.throwIfAborted();
      const coming = (this.#after.get(name) ?? []).filter((other) => this.#all.get(other)?.isComing === true);
      const leftMs = until - performance.now();
      if (coming.length === 0 || leftMs <= 0) return;
      waiting(`for ${coming.join(", ")} to be ready`);
      await this.#untilChanged(signal, leftMs);
    }
  }

  #untilChanged(signal: AbortSignal, withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        this.#waiters.delete(done);
        resolve();
      };
      const timer = setTimeout(done, withinMs);
      signal.addEventListener("abort", done);
      this.#waiters.add(done);
    });
  }

  #changed(): void {
    for (const waiter of [...this.#waiters]) waiter();
  }

  #answersAt(name: string, url: string): void {
    if (this.#urls[name] === url) return;
    this.#urls = { ...this.#urls, [name]: url };
    this.#options.onUrls(this.#urls);
  }

  async #usage(all: readonly Supervised[]): Promise<Partial<ProcessStatus>[]> {
    const running = all.flatMap((one) => (one.root === undefined ? [] : [one.root]));
    const used = await this.#meter.read(running, (roots) => this.#terminals.ask("usage", { roots }));
    return all.map((one) => (one.root === undefined ? {} : (used.get(one.root.mark) ?? {})));
  }
}

function status(one: Supervised): ProcessStatus {
  const { name, title, kind, command, directory, autostart } = one.wanted;
  const { url, why, root, retryAt, restarted } = one;
  return {
    name,
    title,
    kind,
    command,
    directory,
    autostart,
    state: one.state,
    since: one.since,
    restarts: one.restarts,
    ...(why !== undefined && { why }),
    ...(url !== undefined && { url }),
    ...(root !== undefined && { pid: root.pid }),
    ...(retryAt !== undefined && { retryAt }),
    ...(restarted !== undefined && { restarted }),
  };
}
