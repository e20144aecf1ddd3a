/**
 * What functions print in the cloud, as the daemon reads it out of CloudWatch. Lines come there some seconds late and
 * not in the order of their times, so each look begins before the newest line and leaves out what was there.
 */
import { setTimeout as wait } from "node:timers/promises";

import type { RpcResult } from "../../proto/rpc.ts";

import type { LivedevClient } from "../client.ts";

export type CloudLine = RpcResult<"log.list">["lines"][number];

export type CloudQuery = {
  readonly functionName?: string;
  /** Absent: the last hour. */
  readonly since?: number | undefined;
};

const HOUR_MS = 3_600_000;
const OVERLAP_MS = 30_000;
const LOOK_MS = 2_000;

export class CloudLines {
  readonly #client: LivedevClient;
  readonly #query: CloudQuery;
  readonly #signal: AbortSignal;
  /** Ids of the lines that a look may find again. */
  readonly #seen = new Map<string, number>();
  #since: number;

  constructor(client: LivedevClient, query: CloudQuery, signal: AbortSignal) {
    this.#client = client;
    this.#query = query;
    this.#signal = signal;
    this.#since = query.since ?? Date.now() - HOUR_MS;
  }

  /** Those that were not given yet, oldest first. */
  async next(): Promise<CloudLine[]> {
    const { functionName } = this.#query;
    const { lines } = await this.#client.call(
      "log.list",
      { since: this.#since, ...(functionName !== undefined && { functionName }) },
      { signal: this.#signal },
    );
    const fresh = lines.filter(({ id }) => !this.#seen.has(id));
    for (const { id, at } of lines) this.#seen.set(id, at);
    const newest = Math.max(this.#since, ...lines.map(({ at }) => at));
    this.#since = Math.max(this.#query.since ?? 0, newest - OVERLAP_MS);
    for (const [id, at] of this.#seen) if (at < this.#since) this.#seen.delete(id);
    return fresh;
  }

  /** Until the signal. */
  async follow(show: (line: CloudLine) => unknown): Promise<void> {
    const signal = this.#signal;
    while (!signal.aborted) {
      await wait(LOOK_MS, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      for (const line of await this.next()) show(line);
    }
  }
}
