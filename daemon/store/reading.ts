/** The daemon's end of the reader thread. */
import { Worker } from "node:worker_threads";

import { historyUnreadable, LivedevError } from "../lib/errors.ts";
import { ThreadCalls } from "../lib/thread-calls.ts";
import type { ReaderError, ReaderMethod, ReaderParams, ReaderRequest, ReaderResult } from "./reader.ts";

export class Reading {
  readonly #thread: ThreadCalls<ReaderError>;

  constructor({ program, file }: { program: string; file: string }) {
    this.#thread = new ThreadCalls({
      name: "reader thread",
      // Neither the daemon's arguments nor its loaders are the thread's business: it is a bundle.
      start: () => new Worker(program, { workerData: { file }, execArgv: [], argv: [] }),
      failed: errorFrom,
      lost: (cause) => historyUnreadable(file, cause),
    });
  }

  /** When the signal aborts, the answer is not waited for, and a search stops where it is. */
  async ask<M extends ReaderMethod>(
    method: M,
    params: ReaderParams<M>,
    signal?: AbortSignal,
  ): Promise<ReaderResult<M>> {
    signal?.throwIfAborted();
    const stop = signal && new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const question: Omit<ReaderRequest, "id"> = { method, params, ...(stop === undefined ? {} : { stop }) };
    const answer = this.#thread.ask(question);
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
    await this.#thread.terminate();
  }
}

function errorFrom({ code, message, hint, stack }: ReaderError): Error {
  if (code !== undefined) return new LivedevError(code, message, hint);
  return Object.assign(new Error(message), stack === undefined ? {} : { stack });
}
