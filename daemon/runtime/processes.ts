/**
 * The near end of the thread that holds the processes of execution environments (process-thread.ts). It starts with the
 * first process. Where it dies by a fault, what it held is ended, since nobody could hear it any more.
 */
import { Worker } from "node:worker_threads";

import type { Log } from "../lib/log.ts";
import { PROGRAMS } from "../lib/programs.ts";
import { deferred, type Deferred } from "../lib/scope.ts";
import { kill } from "./marks.ts";
import type { Exit, Process, ProcessOrder, RuntimeProcessOptions } from "./process.ts";
import type { FromProcesses, ToProcesses } from "./process-thread.ts";

type Options = Omit<RuntimeProcessOptions, "onReaped">;

export class Processes {
  readonly #log: Log;
  readonly #held = new Map<number, HeldProcess>();
  readonly #starting = new Map<number, { readonly options: Options; readonly started: Deferred<Process> }>();
  readonly #sweeps = new Map<number, Deferred<void>>();
  #thread: Worker | undefined;
  #ids = 0;
  #closed = false;

  constructor(options: { log: Log }) {
    this.#log = options.log;
  }

  /** Rejects where the system refuses to start it. */
  start(options: Options): Promise<Process> {
    const { command, cwd, env, ipc, maxLineBytes } = options;
    const order: ProcessOrder = { command, cwd, env, ipc, maxLineBytes };
    const started = deferred<Process>();
    const id = this.#id();
    this.#starting.set(id, { options, started });
    this.#post({ is: "start", id, order });
    return started.promise;
  }

  /** Ends the processes that have one of these marks in their environment. */
  async endMarked(marks: readonly string[]): Promise<void> {
    const done = deferred<void>();
    const id = this.#id();
    this.#sweeps.set(id, done);
    this.#post({ is: "endMarked", id, marks });
    await done.promise;
  }

  /** When all of them have ended. Keeps our process alive until the thread has: more may be to close after it. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#thread?.ref();
    await this.#thread?.terminate();
  }

  #id(): number {
    this.#ids += 1;
    return this.#ids;
  }

  #post(message: ToProcesses): void {
    if (this.#closed) throw new Error("the processes' thread is closed");
    this.#thread ??= this.#open();
    this.#thread.ref();
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
    this.#thread.postMessage(message);
  }

  #open(): Worker {
    // Neither the daemon's arguments nor its loaders are the thread's business: it is a bundle.
    const thread = new Worker(PROGRAMS.processThread, { execArgv: [], argv: [] });
    let cause: unknown = new Error("the processes' thread ended");
    thread.on("message", (message: FromProcesses) => this.#take(message));
    thread.on("error", (error) => (cause = error));
    thread.on("exit", () => {
      this.#thread = undefined;
      this.#lost(cause);
    });
    return thread;
  }

  #take(message: FromProcesses): void {
    const held = this.#held.get(message.id);
    switch (message.is) {
      case "started":
        this.#started(message.id, message.pid);
        break;
      case "refused":
        this.#starting.get(message.id)?.started.reject(refusal(message));
        this.#starting.delete(message.id);
        break;
      case "lines":
        void this.#lines(message, held);
        break;
      case "drained":
        held?.drains.shift()?.resolve();
        break;
      case "reaped":
        held?.reaped();
        break;
      case "exited":
        this.#held.delete(message.id);
        held?.end(message.exit);
        break;
      case "marksEnded":
        this.#sweeps.get(message.id)?.resolve();
        this.#sweeps.delete(message.id);
        break;
      default:
        message satisfies never;
    }
    // Without a process it does not keep ours alive.
    if (!this.#closed && this.#held.size + this.#starting.size + this.#sweeps.size === 0)
      this.#thread?.unref();
  }

  #started(id: number, pid: number): void {
    const starting = this.#starting.get(id);
    if (starting === undefined) return;
    this.#starting.delete(id);
    const held = new HeldProcess(pid, starting.options.onLines, (message) => {
      if (this.#held.has(id) && !this.#closed) this.#post({ ...message, id });
    });
    this.#held.set(id, held);
    starting.started.resolve(held);
  }

  async #lines(
    { id, stream, texts }: Extract<FromProcesses, { is: "lines" }>,
    held?: HeldProcess,
  ): Promise<void> {
    const lines = held?.onLines ?? this.#starting.get(id)?.options.onLines;
    try {
      await lines?.(stream, texts);
    } catch (error) {
      this.#log.error({ err: error }, "a process's output could not be taken");
    }
    if (this.#held.has(id) && !this.#closed) this.#post({ is: "taken", id });
  }

  #lost(cause: unknown): void {
    for (const { started } of this.#starting.values()) started.reject(cause);
    this.#starting.clear();
    for (const done of this.#sweeps.values()) done.resolve();
    this.#sweeps.clear();
    if (this.#held.size > 0)
      this.#log.error({ err: cause }, "the thread that holds the workers' processes ended");
    for (const held of this.#held.values()) {
      if (held.alive) kill(-held.pid);
      held.end({ code: null, signal: "SIGKILL" });
    }
    this.#held.clear();
  }
}

type Message = ToProcesses extends infer M ? (M extends ToProcesses ? Omit<M, "id"> : never) : never;

class HeldProcess implements Process {
  readonly pid: number;
  readonly onLines: Options["onLines"];
  readonly drains: Deferred<void>[] = [];
  readonly #post: (message: Message) => void;
  readonly #exited = deferred<Exit>();
  #over: "reaped" | "ended" | undefined;

  constructor(pid: number, onLines: Options["onLines"], post: (message: Message) => void) {
    this.pid = pid;
    this.onLines = onLines;
    this.#post = post;
  }

  get alive(): boolean {
    return this.pid !== 0 && this.#over === undefined;
  }

  get exited(): Promise<Exit> {
    return this.#exited.promise;
  }

  send(message: unknown): void {
    this.#post({ is: "send", message });
  }

  signal(signal: NodeJS.Signals): void {
    this.#post({ is: "signal", signal });
  }

  async drained(): Promise<void> {
    if (this.#over === "ended") return;
    const drained = deferred<void>();
    this.drains.push(drained);
    this.#post({ is: "drain" });
    await drained.promise;
  }

  async stop(): Promise<void> {
    this.#post({ is: "stop" });
    await this.#exited.promise;
  }

  reaped(): void {
    this.#over ??= "reaped";
  }

  end(exit: Exit): void {
    this.#over = "ended";
    for (const drained of this.drains.splice(0)) drained.resolve();
    this.#exited.resolve(exit);
  }
}

function refusal({ message, code }: Extract<FromProcesses, { is: "refused" }>): Error {
  return Object.assign(new Error(message), code === undefined ? {} : { code });
}
