/**
 * The daemon's end of the build thread: a call is a message, its result a promise. The thread starts with the first
 * call; one that died is replaced at the next.
 */
import { Worker } from "node:worker_threads";

import { PROGRAMS } from "../lib/programs.ts";
import { deferred, type Deferred } from "../lib/scope.ts";
import type { BuildCalls, BuildReply, BuildRequest } from "./build-thread.ts";
import type { Compiled, CompileOrder } from "./compiler.ts";
import { unknown, type Fingerprints } from "./fingerprints.ts";

export class Builds {
  readonly #contexts: number;
  readonly #waiting = new Map<number, Deferred<unknown>>();
  #thread: Worker | undefined;
  #ids = 0;
  #owners = 0;
  #closed = false;

  /** `contexts`: whose parsed files are kept in memory, at most. */
  constructor(options: { contexts: number }) {
    this.#contexts = options.contexts;
  }

  /** A number for one who has builds made. */
  owner(): number {
    this.#owners += 1;
    return this.#owners;
  }

  compile(order: CompileOrder): Promise<Compiled> {
    return this.#call("compile", order);
  }

  /** Never rejects: where nobody could look, nothing is as it was. */
  fingerprints(paths: readonly string[]): Promise<Fingerprints> {
    return this.#call("fingerprints", paths).catch(() => unknown(paths));
  }

  /** The build in progress ends soon, as cancelled. */
  async cancel(owner: number): Promise<void> {
    if (this.#thread !== undefined) await this.#call("cancel", owner);
  }

  async forget(owner: number): Promise<void> {
    if (this.#thread !== undefined) await this.#call("forget", owner);
  }

  async closeUnusedSince(time: number): Promise<void> {
    if (this.#thread !== undefined) await this.#call("closeUnusedSince", time);
  }

  async close(): Promise<void> {
    if (this.#thread !== undefined) await this.#call("close", undefined).catch(() => undefined);
    this.#closed = true;
    await this.#thread?.terminate();
  }

  async #call<C extends keyof BuildCalls>(
    call: C,
    parameter: Parameters<BuildCalls[C]>[0],
  ): Promise<Awaited<ReturnType<BuildCalls[C]>>> {
    if (this.#closed) throw new Error("the build thread is closed");
    this.#ids += 1;
    const request: BuildRequest = { id: this.#ids, call, parameter };
    const result = deferred<unknown>();
    this.#waiting.set(request.id, result);
    this.#thread ??= this.#start();
    this.#thread.ref();
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
    this.#thread.postMessage(request);
    return (await result.promise) as Awaited<ReturnType<BuildCalls[C]>>;
  }

  #start(): Worker {
    // Neither the daemon's arguments nor its loaders are the thread's business: it is a bundle.
    const thread = new Worker(PROGRAMS.buildThread, {
      workerData: { contexts: this.#contexts },
      execArgv: [],
      argv: [],
    });
    thread.on("message", (reply: BuildReply) => this.#settle(reply));
    const lost = (cause: Error) => {
      // "exit" follows "error": by then the calls may be those of the next thread.
      if (this.#thread !== thread) return;
      this.#thread = undefined;
      for (const { reject } of this.#waiting.values()) reject(cause);
      this.#waiting.clear();
    };
    thread.on("error", lost);
    thread.on("exit", () => lost(new Error("the build thread ended")));
    return thread;
  }

  #settle(reply: BuildReply): void {
    const result = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    // A thread without a call does not keep the process alive.
    if (this.#waiting.size === 0) this.#thread?.unref();
    if ("error" in reply) result?.reject(new Error(reply.error));
    else result?.resolve(reply.result);
  }
}
