/** A watched project in a folder of its own, and what its watcher told. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import type { Test } from "tap";

import { silentLog, type Log } from "../../daemon/lib/log.ts";
import { Watch, type Batch } from "../../daemon/watch/watch.ts";

export class WatchRig {
  /** Holds the project, and is outside of it. */
  readonly outside: string;
  readonly project: string;
  readonly batches: Batch[] = [];
  readonly #waiting = new Set<() => void>();

  constructor(t: Test, files: Readonly<Record<string, string>> = {}) {
    this.outside = realpathSync(mkdtempSync(join(tmpdir(), "ld-watch-")));
    this.project = join(this.outside, "project");
    mkdirSync(this.project);
    t.teardown(() => rmSync(this.outside, { recursive: true, force: true }));
    for (const [path, text] of Object.entries(files)) this.save(path, text);
  }

  path(path: string): string {
    return join(this.project, path);
  }

  save(path: string, text: string): string {
    const file = this.path(path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    return file;
  }

  /** Its walk goes on behind. */
  async open(t: Test, options: { root?: string; onGone?: () => void; log?: Log } = {}): Promise<Watch> {
    const watch = await Watch.open({
      root: this.project,
      log: silentLog,
      ...options,
      onBatch: (batch) => this.#took(batch),
    });
    t.teardown(() => watch[Symbol.asyncDispose]());
    return watch;
  }

  async watch(
    t: Test,
    options: { root?: string; files?: string[]; onGone?: () => void; log?: Log } = {},
  ): Promise<Watch> {
    const { files = [], ...rest } = options;
    const watch = await this.open(t, rest);
    watch.apply({ folders: ["."], files });
    await watch.settled();
    return watch;
  }

  /** The first batch, of those not yet asked for, that fits; what came before it is forgotten. */
  async next(fits: (batch: Batch) => boolean): Promise<Batch> {
    for (;;) {
      const index = this.batches.findIndex(fits);
      if (index >= 0) return this.batches.splice(0, index + 1)[index] as Batch;
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /** A batch that names the path. */
  told(path: string): Promise<Batch> {
    return this.next((batch) => batch.paths.includes(path));
  }

  /** Every path told until a file saved now is: the kernel keeps the order, so that what came before is complete. */
  async toldUntilNow(): Promise<Set<string>> {
    const fence = this.save(`fence-${Math.random()}.ts`, "");
    const told = new Set<string>();
    for (;;) {
      const batch = await this.next(() => true);
      for (const path of batch.paths) told.add(path);
      if (told.delete(fence) || batch.overflow) return told;
    }
  }

  #took(batch: Batch): void {
    this.batches.push(batch);
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}
