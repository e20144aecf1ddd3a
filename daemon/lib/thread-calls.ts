/**
 * The near end of a thread that answers questions: a question is a message with a number, its answer a promise. The
 * thread starts with the first question; one that died is replaced at the next.
 */
import type { Worker } from "node:worker_threads";

import { deferred, type Deferred } from "./scope.ts";

/** Of any thread that answers so. */
export type ThreadReply<E> =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: E };

export type ThreadCallsOptions<E> = {
  /** For the error that tells of its end. */
  readonly name: string;
  start(): Worker;
  /** What the question is answered with where the thread says `error`. */
  failed(error: E): Error;
  /** And where it ended before it had answered. */
  lost(cause: Error): Error;
};

export class ThreadCalls<E> {
  readonly #options: ThreadCallsOptions<E>;
  readonly #waiting = new Map<number, Deferred<unknown>>();
  #thread: Worker | undefined;
  #ids = 0;
  #ending = false;

  constructor(options: ThreadCallsOptions<E>) {
    this.#options = options;
  }

  get started(): boolean {
    return this.#thread !== undefined;
  }

  /** The answer may be given up by rejecting it: the thread's own is then ignored. */
  ask(question: object): Deferred<unknown> {
    this.#ids += 1;
    const answer = deferred<unknown>();
    this.#waiting.set(this.#ids, answer);
    this.#thread ??= this.#start();
    this.#thread.ref();
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
    this.#thread.postMessage({ ...question, id: this.#ids });
    return answer;
  }

  /** Keeps the process alive until the thread has ended: more may be to close after it. */
  async terminate(): Promise<void> {
    this.#ending = true;
    this.#thread?.ref();
    await this.#thread?.terminate();
  }

  #start(): Worker {
    const thread = this.#options.start();
    thread.on("message", (reply: ThreadReply<E>) => this.#settle(reply));
    const lost = (cause: Error) => {
      // "exit" follows "error": by then the questions may be those of the next thread.
      if (this.#thread !== thread) return;
      this.#thread = undefined;
      for (const { reject } of this.#waiting.values()) reject(this.#options.lost(cause));
      this.#waiting.clear();
    };
    thread.on("error", lost);
    thread.on("exit", () => lost(new Error(`the ${this.#options.name} ended`)));
    return thread;
  }

  #settle(reply: ThreadReply<E>): void {
    const answer = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    // A thread without a question does not keep the process alive.
    if (this.#waiting.size === 0 && !this.#ending) this.#thread?.unref();
    if ("error" in reply) answer?.reject(this.#options.failed(reply.error));
    else answer?.resolve(reply.result);
  }
}
