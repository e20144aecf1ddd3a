/**
 * The daemon's end of the reader thread: a question is a message, an answer a promise. The thread starts with the
 * first question; one that died is replaced at the next.
 */
import { Worker } from "node:worker_threads";

import { historyUnreadable, LivedevError } from "../lib/errors.ts";
import { deferred, type Deferred } from "../lib/scope.ts";
import type {
  ReaderError,
  ReaderMethod,
  ReaderParams,
  ReaderReply,
  ReaderRequest,
  ReaderResult,
} from "./reader.ts";

export class Reading {
  readonly #program: string;
  readonly #file: string;
  #thread: Worker | undefined;
  #nextId = 1;
  readonly #waiting = new Map<number, Deferred<unknown>>();

  constructor(options: { program: string; file: string }) {
    this.#program = options.program;
    this.#file = options.file;
  }

  /** When the signal aborts, the answer is not waited for, and a search stops where it is. */
  async ask<M extends ReaderMethod>(
    method: M,
    params: ReaderParams<M>,
    signal?: AbortSignal,
  ): Promise<ReaderResult<M>> {
    signal?.throwIfAborted();
    const id = this.#nextId++;
    const answer = deferred<unknown>();
    this.#waiting.set(id, answer);
    this.#thread ??= this.#start();
    this.#thread.ref();
    const stop = signal && new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const request = { id, method, params, ...(stop === undefined ? {} : { stop }) } satisfies ReaderRequest;
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
    this.#thread.postMessage(request);
    const onAbort = () => {
      if (stop !== undefined) Atomics.store(stop, 0, 1);
      answer.reject(signal?.reason);
    };
    signal?.addEventListener("abort", onAbort);
    try {
      return (await answer.promise) as ReaderResult<M>;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread?.terminate();
  }

  #start(): Worker {
    // Neither the daemon's arguments nor its loaders are the thread's business: it is a bundle.
    const thread = new Worker(this.#program, { workerData: { file: this.#file }, execArgv: [], argv: [] });
    thread.on("message", (reply: ReaderReply) => this.#settle(reply));
    const lost = (cause: unknown) => {
      // "exit" follows "error": by then the questions may be those of the next thread.
      if (this.#thread !== thread) return;
      this.#thread = undefined;
      for (const { reject } of this.#waiting.values()) reject(historyUnreadable(this.#file, cause));
      this.#waiting.clear();
    };
    thread.on("error", lost);
    thread.on("exit", () => lost(new Error("the reader thread ended")));
    return thread;
  }

  #settle(reply: ReaderReply): void {
    const answer = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    // A thread without a question does not keep the process alive.
    if (this.#waiting.size === 0) this.#thread?.unref();
    if ("error" in reply) answer?.reject(errorFrom(reply.error));
    else answer?.resolve(reply.result);
  }
}

function errorFrom({ code, message, hint, stack }: ReaderError): Error {
  if (code !== undefined) return new LivedevError(code, message, hint);
  return Object.assign(new Error(message), stack === undefined ? {} : { stack });
}
