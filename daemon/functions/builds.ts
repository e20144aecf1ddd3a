/** The daemon's end of the build thread. */
import { Worker } from "node:worker_threads";

import { PROGRAMS } from "../lib/programs.ts";
import { ThreadCalls } from "../lib/thread-calls.ts";
import type { BuildCalls, BuildRequest } from "./build-thread.ts";
import type { Compiled, CompileOrder } from "./compiler.ts";
import { unknown, type Fingerprints } from "../lib/fingerprints.ts";

export class Builds {
  readonly #thread: ThreadCalls<string>;
  #owners = 0;
  #closed = false;

  /** `contexts`: whose parsed files are kept in memory, at most. */
  constructor({ contexts }: { contexts: number }) {
    this.#thread = new ThreadCalls({
      name: "build thread",
      // Neither the daemon's arguments nor its loaders are the thread's business: it is a bundle.
      start: () => new Worker(PROGRAMS.buildThread, { workerData: { contexts }, execArgv: [], argv: [] }),
      failed: (message) => new Error(message),
      lost: (cause) => cause,
    });
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
    if (this.#thread.started) await this.#call("cancel", owner);
  }

  async forget(owner: number): Promise<void> {
    if (this.#thread.started) await this.#call("forget", owner);
  }

  async closeUnusedSince(time: number): Promise<void> {
    if (this.#thread.started) await this.#call("closeUnusedSince", time);
  }

  async close(): Promise<void> {
    if (this.#thread.started) await this.#call("close", undefined).catch(() => undefined);
    this.#closed = true;
    await this.#thread.terminate();
  }

  async #call<C extends keyof BuildCalls>(
    call: C,
    parameter: Parameters<BuildCalls[C]>[0],
  ): Promise<Awaited<ReturnType<BuildCalls[C]>>> {
    if (this.#closed) throw new Error("the build thread is closed");
    const question: Omit<BuildRequest, "id"> = { call, parameter };
    return (await this.#thread.ask(question).promise) as Awaited<ReturnType<BuildCalls[C]>>;
  }
}
