/**
 * The near end of the terminals' thread (terminal-thread.ts), which starts with the first process. Where it dies by a
 * fault its PTYs close, so that what ran in them counts as ended.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";

import { noPty, noTerminal, processNotStarted } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { PROGRAMS } from "../lib/programs.ts";
import { deferred, type Deferred } from "../lib/scope.ts";
import type { Exit, Order } from "./terminal.ts";
import type { FromTerminals, Questions, ToTerminals } from "./terminal-thread.ts";

export type TerminalsOptions = {
  /** What settles when they have been made use of: until then no further lines of this process are told. */
  onLines(name: string, lines: readonly string[]): Promise<void>;
  readonly log: Log;
};

export type Running = {
  readonly pid: number;
  /** Behind its lines. Never rejects. */
  readonly exited: Promise<Exit>;
};

/** From the end of the last process to that of its PTY: moments. */
const CLOSE_MS = 2_000;

export class Terminals {
  readonly #options: TerminalsOptions;
  readonly #asked = new Map<number, Deferred<unknown>>();
  readonly #running = new Map<number, Deferred<Exit>>();
  /** Ended before we were told that it had started. */
  readonly #early = new Map<number, Exit>();
  #thread: Worker | undefined;
  #ids = 0;
  #closed = false;

  constructor(options: TerminalsOptions) {
    this.#options = options;
  }

  /** @throws LivedevError where there is no PTY, or the system refuses. */
  async start(name: string, order: Order): Promise<Running> {
    const { pid } = await this.ask("start", { name, order });
    const exited = deferred<Exit>();
    const early = this.#early.get(pid);
    this.#early.delete(pid);
    if (early === undefined) this.#running.set(pid, exited);
    else exited.resolve(early);
    return { pid, exited: exited.promise };
  }

  ask<Q extends keyof Questions>(is: Q, params: Questions[Q]["params"]): Promise<Questions[Q]["result"]> {
    const asked = deferred<unknown>();
    this.#ids += 1;
    this.#asked.set(this.#ids, asked);
    this.tell({ is, id: this.#ids, params } as ToTerminals);
    return asked.promise as Promise<Questions[Q]["result"]>;
  }

  tell(message: ToTerminals): void {
    if (this.#closed) throw new Error("the terminals' thread is closed");
    this.#thread ??= this.#open();
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
    this.#thread.postMessage(message);
  }

  /**
   * When all processes have ended. The thread ends by itself: a PTY that tells of its end to a thread that is being
   * terminated aborts the whole daemon, in native code.
   */
  async close(): Promise<void> {
    const thread = this.#thread;
    if (thread !== undefined) {
      const ended = once(thread, "exit", { signal: AbortSignal.timeout(CLOSE_MS) });
      this.tell({ is: "close" });
      this.#closed = true;
      // Something is alive that the system does not let go of.
      await ended.catch(() => thread.terminate());
    }
    this.#closed = true;
  }

  #open(): Worker {
    // Neither the daemon's arguments nor its loaders are the thread's business: it is a bundle.
    const thread = new Worker(PROGRAMS.terminalThread, { execArgv: [], argv: [] });
    let cause: unknown = new Error("the terminals' thread ended");
    thread.on("message", (message: FromTerminals) => this.#take(message));
    thread.on("error", (error) => (cause = error));
    thread.on("exit", () => {
      this.#thread = undefined;
      this.#lost(cause);
    });
    return thread;
  }

  #take(message: FromTerminals): void {
    switch (message.is) {
      case "answer":
        this.#asked.get(message.id)?.resolve(message.result);
        this.#asked.delete(message.id);
        break;
      case "refused": {
        const { id, lacks, message: reason } = message;
        const refusal = lacks === "library" ? noTerminal : lacks === "pty" ? noPty : processNotStarted;
        this.#asked.get(id)?.reject(refusal(reason));
        this.#asked.delete(id);
        break;
      }
      case "lines":
        void this.#lines(message.name, message.lines);
        break;
      case "exited": {
        const running = this.#running.get(message.pid);
        this.#running.delete(message.pid);
        if (running === undefined) this.#early.set(message.pid, message.exit);
        else running.resolve(message.exit);
        break;
      }
      default:
        message satisfies never;
    }
  }

  async #lines(name: string, lines: readonly string[]): Promise<void> {
    try {
      await this.#options.onLines(name, lines);
    } catch (error) {
      this.#options.log.error({ err: error, name }, "a process's output could not be taken");
    }
    if (!this.#closed) this.tell({ is: "taken", name });
  }

  #lost(cause: unknown): void {
    if (!this.#closed)
      this.#options.log.error({ err: cause }, "the thread of the processes' terminals ended");
    for (const asked of this.#asked.values()) asked.reject(cause);
    this.#asked.clear();
    for (const exited of this.#running.values()) exited.resolve({ code: null, signal: "SIGHUP" });
    this.#running.clear();
  }
}
