/**
 * Asynchronous invocations: accepted at once, run when there is room, tried twice more on a function's error. Each is
 * a file until it is through, so that one that was accepted runs also after a kill of the cloud: at least once, as in
 * AWS, and from the start where it was running.
 */
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
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
  readonly stateDir: string;
  readonly environments: { invoke(lambda: LambdaFunction, invocation: Invocation): Promise<Invoked> };
  readonly states: StateFile;
  readonly firstRetryMs: number;
  /** When functions can run: what an earlier cloud accepted waits for it. */
  readonly ready: Promise<void>;
  readonly log: Log;
};

/** As its file holds it. */
type Accepted = Omit<Invocation, "event"> & {
  readonly arn: string;
  readonly acceptedAt: number;
  /** Base64. */
  readonly event: string;
  /** How many tries have failed. */
  readonly failed: number;
};

export class AsyncInvokes {
  readonly #options: AsyncInvokesOptions;
  readonly #dir: string;
  readonly #scope = new Scope();
  readonly #pending = new Set<Promise<void>>();

  private constructor(options: AsyncInvokesOptions, dir: string) {
    this.#options = options;
    this.#dir = dir;
  }

  static async open(options: AsyncInvokesOptions): Promise<AsyncInvokes> {
    const dir = join(options.stateDir, "events");
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const invokes = new AsyncInvokes(options, dir);
    for (const accepted of await readAccepted(dir)) invokes.#begin(accepted);
    return invokes;
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** Resolves when it is accepted. */
  async add(lambda: LambdaFunction, invocation: Invocation): Promise<void> {
    if (this.#pending.size >= MAX_PENDING) throw tooManyRequests();
    const event = Buffer.from(invocation.event).toString("base64");
    const accepted = { ...invocation, event, arn: lambda.arn, acceptedAt: Date.now(), failed: 0 };
    await this.#keep(accepted);
    this.#begin(accepted);
  }

  /** What waits or runs is kept for the next cloud. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope.close();
  }

  #begin(accepted: Accepted): void {
    const run = this.#run(accepted)
      .catch((error: unknown) => {
        if (!this.#scope.closed) this.#options.log.error({ err: error }, "an asynchronous invocation failed");
      })
      .finally(() => this.#pending.delete(run));
    this.#pending.add(run);
  }

  /** All tries have the same request id, as in Lambda. */
  async #run(first: Accepted): Promise<void> {
    const { states, firstRetryMs, ready, log } = this.#options;
    const { signal } = this.#scope;
    await ready;
    let accepted = first;
    const { arn, requestId } = accepted;
    while (Date.now() < accepted.acceptedAt + MAX_AGE_MS) {
      const lambda = states.state.functions[arn];
      if (lambda === undefined) break;
      const outcome = await this.#try(lambda, accepted);
      // An answer that only came because the cloud ends its environments says nothing of the function.
      if (signal.aborted) return;
      if (outcome === "ok") break;
      // Throttled ones are no try of the function's code: they do not count.
      if (outcome === "error") {
        accepted = { ...accepted, failed: accepted.failed + 1 };
        if (accepted.failed > RETRIES) {
          log.warn(
            { function: lambda.name, requestId },
            "an asynchronous invocation failed three times and is dropped",
          );
          break;
        }
        await this.#keep(accepted);
      }
      await sleep(firstRetryMs * Math.max(1, accepted.failed), undefined, { signal });
    }
    await rm(this.#fileOf(requestId), { force: true });
  }

  async #try(lambda: LambdaFunction, accepted: Accepted): Promise<"ok" | "error" | "throttled"> {
    const { event, requestId, traceId, clientContext } = accepted;
    try {
      const { answer } = await this.#options.environments.invoke(lambda, {
        requestId,
        traceId,
        event: Buffer.from(event, "base64"),
        ...(clientContext !== undefined && { clientContext }),
      });
      const { ok } = await whole(answer);
      return ok ? "ok" : "error";
    } catch (error) {
      if (error instanceof AwsError && error.status === 429) return "throttled";
      throw error;
    }
  }

  async #keep(accepted: Accepted): Promise<void> {
    const file = this.#fileOf(accepted.requestId);
    await writeFile(`${file}.new`, JSON.stringify(accepted), { mode: 0o600 });
    await rename(`${file}.new`, file);
  }

  #fileOf(requestId: string): string {
    return join(this.#dir, `${requestId}.json`);
  }
}

/** The oldest first. What cannot be read was cut by the machine's own end, or is of an event that nobody was told of. */
async function readAccepted(dir: string): Promise<Accepted[]> {
  const found: Accepted[] = [];
  for (const name of await readdir(dir)) {
    const file = join(dir, name);
    const accepted = name.endsWith(".json") ? parse(await readFile(file, "utf8")) : undefined;
    if (accepted === undefined) await rm(file, { recursive: true, force: true });
    else found.push(accepted);
  }
  return found.sort((a, b) => a.acceptedAt - b.acceptedAt);
}

function parse(text: string): Accepted | undefined {
  try {
    return JSON.parse(text) as Accepted;
  } catch {
    return undefined;
  }
}
