/**
 * Asynchronous invocations: accepted at once, run when there is room, tried twice more on a function's error. They are
 * not kept over a restart of the cloud.
 */
import { setTimeout as sleep } from "node:timers/promises";

import type { Log } from "../lib/log.ts";
import { Scope } from "../lib/scope.ts";
import { AwsError, tooManyRequests } from "./aws-error.ts";
import { whole, type Invocation, type Invoked } from "./lambda-invoke.ts";
import type { StateFile } from "./state-file.ts";
import type { LambdaFunction } from "./state.ts";

const RETRIES = 2;
const MAX_PENDING = 10_000;
/** AWS's: an event that could not be tried for this long is dropped. */
const MAX_AGE_MS = 6 * 3_600_000;

export type AsyncInvokesOptions = {
  readonly environments: { invoke(lambda: LambdaFunction, invocation: Invocation): Promise<Invoked> };
  readonly states: StateFile;
  readonly firstRetryMs: number;
  readonly log: Log;
};

export class AsyncInvokes {
  readonly #options: AsyncInvokesOptions;
  readonly #scope = new Scope();
  readonly #pending = new Set<Promise<void>>();

  constructor(options: AsyncInvokesOptions) {
    this.#options = options;
  }

  get pending(): number {
    return this.#pending.size;
  }

  add(lambda: LambdaFunction, invocation: Invocation): void {
    if (this.#pending.size >= MAX_PENDING) throw tooManyRequests();
    const run = this.#run(lambda.arn, invocation)
      .catch((error: unknown) => {
        if (!this.#scope.closed) this.#options.log.error({ err: error }, "an asynchronous invocation failed");
      })
      .finally(() => this.#pending.delete(run));
    this.#pending.add(run);
  }

  /** What waits for its retry is given up; what runs is ended with its environment. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope.close();
  }

  /** All tries have the same request id, as in Lambda. */
  async #run(arn: string, invocation: Invocation): Promise<void> {
    const { states, firstRetryMs, log } = this.#options;
    const { signal } = this.#scope;
    const until = performance.now() + MAX_AGE_MS;
    for (let retry = 0; performance.now() < until;) {
      const lambda = states.state.functions[arn];
      if (lambda === undefined || signal.aborted) return;
      const outcome = await this.#try(lambda, invocation);
      if (outcome === "ok") return;
      const { requestId } = invocation;
      if (outcome === "error" && retry === RETRIES) {
        log.warn(
          { function: lambda.name, requestId },
          "an asynchronous invocation failed three times and is dropped",
        );
        return;
      }
      // Throttled ones are no try of the function's code: they do not count.
      if (outcome === "error") retry += 1;
      await sleep(firstRetryMs * Math.max(1, retry), undefined, { signal });
    }
  }

  async #try(lambda: LambdaFunction, invocation: Invocation): Promise<"ok" | "error" | "throttled"> {
    try {
      const { answer } = await this.#options.environments.invoke(lambda, invocation);
      const { ok } = await whole(answer);
      return ok ? "ok" : "error";
    } catch (error) {
      if (error instanceof AwsError && error.status === 429) return "throttled";
      throw error;
    }
  }
}
