/**
 * Entry of dist/build-thread.js: what a build computes, in a thread of its own, so that the daemon's main thread goes on
 * serving sockets: esbuild's answers (megabytes of output, a metafile of hundreds of inputs), hashing, and the looks at
 * the inputs. It gives way to the other threads, and so does esbuild's process, which it starts.
 */
import childProcess, { type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { parentPort, workerData } from "node:worker_threads";

import { messageOf } from "../lib/errors.ts";
import { giveWay } from "../lib/priority.ts";
import type { ThreadReply } from "../lib/thread-calls.ts";
import { Compiler, type Compiled, type CompileOrder } from "./compiler.ts";
import { fingerprints, type Fingerprints } from "../lib/fingerprints.ts";

export type BuildCalls = {
  compile(order: CompileOrder): Promise<Compiled>;
  fingerprints(paths: readonly string[]): Promise<Fingerprints>;
  cancel(owner: number): Promise<void>;
  /** Nothing more will be built for it. */
  forget(owner: number): Promise<void>;
  closeUnusedSince(time: number): Promise<void>;
  /** The last call: esbuild's process ends. */
  close(): Promise<void>;
};

export type BuildRequest = {
  readonly id: number;
  readonly call: keyof BuildCalls;
  readonly parameter: unknown;
};
export type BuildReply = ThreadReply<string>;

giveWay();
/** esbuild's: it gives no hold on its process, whose end is to be seen before this thread's, or nobody would ever reap it. */
const children = new Set<ChildProcess>();
const { spawn } = childProcess;
childProcess.spawn = ((...parameters: Parameters<typeof spawn>) => {
  const child = spawn(...parameters);
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}) as typeof spawn;

const compiler = new Compiler(workerData as { contexts: number });

const calls: BuildCalls = {
  compile: (order) => compiler.compile(order),
  // oxlint-disable-next-line typescript/require-await -- as the others
  fingerprints: async (paths) => fingerprints(paths),
  cancel: (owner) => compiler.cancel(owner),
  forget: (owner) => compiler.forget(owner),
  closeUnusedSince: (time) => compiler.closeUnusedSince(time),
  close: async () => {
    await compiler.close();
    await Promise.all(
      [...children].map(async (child) => {
        child.ref();
        await once(child, "exit");
      }),
    );
  },
};

parentPort?.on("message", (request: BuildRequest) => void answer(request));

async function answer({ id, call, parameter }: BuildRequest): Promise<void> {
  let reply: BuildReply;
  try {
    reply = { id, result: await (calls[call] as (parameter: unknown) => Promise<unknown>)(parameter) };
  } catch (error) {
    reply = { id, error: messageOf(error) };
  }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
  parentPort?.postMessage(reply, "result" in reply ? buffersOf(reply.result) : []);
}

/** Handed over, not copied. */
function buffersOf(result: unknown): ArrayBuffer[] {
  if (result instanceof Float64Array) return [result.buffer as ArrayBuffer];
  const compiled = result as Compiled | undefined;
  return compiled?.kind === "compiled" ? compiled.files.map(({ contents }) => contents.buffer) : [];
}
