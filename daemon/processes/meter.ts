/** Processor time of each tree, as a share of one core since the last look; the first look takes two. */
import { setTimeout as sleep } from "node:timers/promises";

import type { Usage } from "./terminal-thread.ts";
import type { Root } from "./tree.ts";

type Reading = { readonly processes: number; readonly cpu: number; readonly memoryBytes: number };

const BETWEEN_MS = 200;
/** After a longer pause the share would tell of long ago. */
const STALE_MS = 10_000;

export class Meter {
  readonly #before = new Map<string, { readonly at: number; readonly cpuMs: number }>();

  /** By mark. */
  async read(
    roots: readonly Root[],
    ask: (roots: readonly Root[]) => Promise<readonly Usage[]>,
  ): Promise<ReadonlyMap<string, Reading>> {
    if (roots.length === 0) return new Map();
    const now = performance.now();
    const fresh = ({ mark }: Root) => {
      const before = this.#before.get(mark);
      return before !== undefined && now - before.at < STALE_MS && now - before.at > BETWEEN_MS / 2;
    };
    if (!roots.every(fresh)) {
      this.#note(roots, await ask(roots));
      await sleep(BETWEEN_MS);
    }
    const before = new Map(this.#before);
    const usage = await ask(roots);
    this.#note(roots, usage);
    return new Map(
      roots.flatMap((root, index) => {
        const [used, was] = [usage[index], before.get(root.mark)];
        const is = this.#before.get(root.mark);
        if (used === undefined || was === undefined || is === undefined) return [];
        // A child that ended takes its time with it.
        const cpu = Math.max(0, (is.cpuMs - was.cpuMs) / Math.max(1, is.at - was.at));
        const { processes, memoryBytes } = used;
        return [[root.mark, { processes, memoryBytes, cpu: Math.round(cpu * 1000) / 1000 }]];
      }),
    );
  }

  #note(roots: readonly Root[], usage: readonly Usage[]): void {
    const at = performance.now();
    this.#before.clear();
    for (const [index, { mark }] of roots.entries()) {
      this.#before.set(mark, { at, cpuMs: usage[index]?.cpuMs ?? 0 });
    }
  }
}
