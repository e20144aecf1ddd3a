/**
 * esbuild's contexts: a context keeps a function's parsed files in memory, which makes its next build incremental.
 * Hundreds of functions share few of them; the one that nobody used for longest goes first.
 */
import { context, stop, type BuildContext, type BuildOptions, type BuildResult } from "esbuild";

type Made = BuildResult<{ write: false; metafile: true }>;

type Entry = {
  readonly context: BuildContext<{ write: false; metafile: true }>;
  usedAt: number;
  busy: boolean;
};

export class Contexts {
  readonly #max: number;
  readonly #entries = new Map<number, Entry>();
  /** Which of esbuild's processes this is: it may have died and been followed by another. */
  #process = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** One build at a time per owner. `usedAt` 0: nobody waits for it, so its context is the first to go. */
  async build(owner: number, options: BuildOptions, usedAt: number): Promise<Made> {
    const service = this.#process;
    try {
      return await this.#build(owner, options, usedAt);
    } catch (error) {
      if (!/service (was stopped|is no longer running)/i.test(String(error))) throw error;
      // esbuild's process died (out of memory, killed), and every context with it: once more, in another. The first
      // of those who learn it sees to that.
      if (service === this.#process) {
        this.#process += 1;
        this.#entries.clear();
        await stop();
      }
      return this.#build(owner, options, usedAt);
    }
  }

  async #build(owner: number, options: BuildOptions, usedAt: number): Promise<Made> {
    let entry = this.#entries.get(owner);
    if (entry === undefined) {
      const opened = await context({ ...options, write: false, metafile: true });
      entry = { context: opened, usedAt, busy: true };
      this.#entries.set(owner, entry);
    }
    entry.usedAt = Math.max(entry.usedAt, usedAt);
    entry.busy = true;
    try {
      return await entry.context.rebuild();
    } finally {
      entry.busy = false;
      await this.#trim();
    }
  }

  /** The build in progress ends soon, as cancelled. */
  async cancel(owner: number): Promise<void> {
    await this.#entries.get(owner)?.context.cancel();
  }

  async close(owner: number): Promise<void> {
    const entry = this.#entries.get(owner);
    if (entry === undefined) return;
    this.#entries.delete(owner);
    // It rejects where esbuild's process died, and all its contexts with it.
    await entry.context.dispose().catch(() => undefined);
  }

  async closeUnusedSince(time: number): Promise<void> {
    for (const [owner, entry] of this.#entries)
      if (!entry.busy && entry.usedAt < time) await this.close(owner);
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#entries.keys()].map((owner) => this.close(owner)));
  }

  async #trim(): Promise<void> {
    const idle = [...this.#entries]
      .filter(([, entry]) => !entry.busy)
      .sort(([, a], [, b]) => a.usedAt - b.usedAt);
    for (const [owner, entry] of idle.slice(0, Math.max(0, this.#entries.size - this.#max))) {
      // Its owner may have begun another build while the one before it was closed.
      if (!entry.busy) await this.close(owner);
    }
  }
}
