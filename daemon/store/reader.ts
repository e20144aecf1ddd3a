/**
 * Entry of dist/history-reader.js. As a thread of the daemon it answers Reading's requests; as a program it answers
 * one question, with its parameters on stdin, which is how history is read where no daemon runs:
 *
 *     echo '{"limit":20}' | node dist/history-reader.js .livedev/dev/history.db invocations
 *
 * It prints `{ "result": … }`, or `{ "error": { code, message, hint } }` and exits with 1.
 */
import { readFileSync } from "node:fs";
import { isMainThread, parentPort, workerData } from "node:worker_threads";

import { LivedevError, messageOf } from "../lib/errors.ts";
import { giveWay } from "../lib/priority.ts";
import type { ThreadReply } from "../lib/thread-calls.ts";
import type { InvocationQuery } from "./listing.ts";
import { Queries, type DetailQuery, type EventQuery } from "./queries.ts";

/** What can be asked, over the thread's port and on the command line. */
const METHODS = {
  events: (queries: Queries, query: EventQuery) => queries.events(query),
  invocations: (queries: Queries, query: InvocationQuery, stopped?: () => boolean) =>
    queries.invocations(query, stopped),
  invocation: (queries: Queries, query: DetailQuery) => queries.invocation(query),
  unseal: (queries: Queries, query: Pick<DetailQuery, "id">) => queries.unseal(query),
  check: (queries: Queries) => queries.check(),
  checkpoint: (queries: Queries) => queries.checkpoint(),
} as const;

export type ReaderMethod = keyof typeof METHODS;
export type ReaderParams<M extends ReaderMethod> = Parameters<(typeof METHODS)[M]>[1];
export type ReaderResult<M extends ReaderMethod> = ReturnType<(typeof METHODS)[M]>;

export type ReaderRequest = {
  readonly id: number;
  readonly method: ReaderMethod;
  readonly params: unknown;
  /** One number in shared memory, not zero once nobody waits for the answer. */
  readonly stop?: Int32Array;
};
export type ReaderReply = ThreadReply<ReaderError>;
/** `code` is absent for a bug. */
export type ReaderError = {
  readonly code?: string;
  readonly message: string;
  readonly hint?: string;
  readonly stack?: string;
};

if (isMainThread) runOnce(process.argv.slice(2));
else serve();

function serve(): void {
  giveWay();
  const { file } = workerData as { file: string };
  let queries: Queries | undefined;
  parentPort?.on("message", ({ id, method, params, stop }: ReaderRequest) => {
    const stopped = () => stop !== undefined && Atomics.load(stop, 0) !== 0;
    let reply: ReaderReply;
    try {
      queries ??= new Queries(file);
      reply = { id, result: stopped() ? undefined : call(queries, method, params, stopped) };
    } catch (error) {
      reply = { id, error: errorBody(error) };
    }
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
    parentPort?.postMessage(reply);
  });
}

function runOnce([file, method]: string[]): void {
  if (file === undefined || method === undefined || !Object.hasOwn(METHODS, method)) {
    console.error(`usage: history-reader FILE ${Object.keys(METHODS).join("|")} < JSON`);
    process.exitCode = 2;
    return;
  }
  try {
    const result = call(new Queries(file), method as ReaderMethod, JSON.parse(readFileSync(0, "utf8")));
    process.stdout.write(`${JSON.stringify({ result })}\n`);
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ error: errorBody(error) })}\n`);
    process.exitCode = 1;
  }
}

function call(queries: Queries, method: ReaderMethod, params: unknown, stopped?: () => boolean): unknown {
  type Method = (queries: Queries, params: unknown, stopped?: () => boolean) => unknown;
  return (METHODS[method] as Method)(queries, params, stopped);
}

function errorBody(error: unknown): ReaderError {
  if (error instanceof LivedevError) {
    const { code, message, hint } = error;
    return { code, message, ...(hint === undefined ? {} : { hint }) };
  }
  const stack = error instanceof Error ? error.stack : undefined;
  return { message: messageOf(error), ...(stack === undefined ? {} : { stack }) };
}
