/**
 * Changed paths of a project, in batches. They are hints: whoever builds verifies by stat what it read.
 *
 *     apply ─► inputs, trees ─► folders ⇄ thread (chokidar, one kernel watch per folder)
 *                                  ├─ told ─► changed(path) ─► batches ─► onBatch
 *                                  └─ no more watches ─► poll (stat of each input) ─┘
 *
 * Watched are the trees of `folders`, without what names.ts leaves out, and each of `files`, wherever it is: by a watch
 * on its folder, or, where that does not exist yet, on the nearest one above it. A path is told as it was asked for;
 * symbolic links inside a tree are not followed, since a build's inputs are real paths and are in `files`.
 */
import { readFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";

import { watchesExhausted } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { nextLook } from "../lib/looks.ts";
import { Scope } from "../lib/scope.ts";
import { Batches, type Batch } from "./batches.ts";
import { Folders } from "./folders.ts";
import { ancestors, Inputs } from "./inputs.ts";
import { isInTree, isNoise } from "./names.ts";
import { Poll } from "./poll.ts";

export type { Batch };

export type WatchOptions = {
  readonly root: string;
  readonly onBatch: (batch: Batch) => void;
  /** The root was deleted, renamed or replaced; told once. */
  readonly onGone?: () => void;
  readonly log: Log;
};

export type WatchWanted = {
  /** Relative to the root. */
  readonly folders: readonly string[];
  /** Absolute. They may lie outside the root, and may not exist yet. */
  readonly files: readonly string[];
};

const FLOOD_EVENTS = 10_000;
/** How long before its watch a file's change may have been and still be news to whoever asked for it. */
const BLIND_MS = 5_000;
/** Time stamps of files are those of the kernel's last tick. */
const TICK_MS = 10;

export class Watch implements AsyncDisposable {
  readonly #root: string;
  readonly #identity: string;
  readonly #options: WatchOptions;
  readonly #scope = new Scope();
  readonly #inputs = new Inputs();
  readonly #folders: Folders;
  readonly #batches: Batches;
  /** Wall clock, rounded up: what was written before is no news. */
  #checkedAt = Date.now() + 1;
  /** Folder → when it and all below it came under watch, wall clock. */
  readonly #placedAt = new Map<string, number>();
  #trees: ReadonlySet<string> = new Set();
  /** Folders of which nothing is told but of the files that are expected there. */
  #above: ReadonlySet<string> = new Set();
  #poll: Poll | undefined;
  #settled: Promise<unknown> = Promise.resolve();
  #gone = false;

  /** The walk through the project goes on behind. @throws where there is no such folder. */
  static async open(options: WatchOptions): Promise<Watch> {
    const root = resolve(options.root);
    const watch = new Watch(root, await identity(root), options);
    watch.apply({ folders: ["."], files: [] });
    return watch;
  }

  private constructor(root: string, rootIdentity: string, options: WatchOptions) {
    this.#root = root;
    this.#identity = rootIdentity;
    this.#options = options;
    this.#batches = new Batches({
      give: options.onBatch,
      flooded: () => this.#renew(),
      floodEvents: floodEvents(),
    });
    this.#folders = new Folders({
      log: options.log,
      told: (paths, events) => {
        this.#batches.count(events);
        for (const path of paths) this.#changed(path);
      },
      placed: (folder, at) => {
        this.#placedAt.set(folder, at);
        void this.#lookBack(this.#inputs.below(folder));
      },
      blind: () => this.#batches.flood(),
      refused: (error) => this.#refused(error),
    });
    this.#scope.defer(() => this.#batches.close());
    this.#scope.defer(() => this.#folders.close());
    this.#scope.defer(() => this.#poll?.close());
    // A rename of a folder above the root is told to nobody.
    void this.#keepChecking();
  }

  /** The only way it is configured: what is watched. Does nothing when called twice. */
  apply(wanted: WatchWanted): void {
    if (this.#scope.closed) return;
    this.#trees = new Set(wanted.folders.map((folder) => resolve(this.#root, folder)));
    this.#above = new Set([...this.#trees].flatMap((folder) => [...ancestors(folder)]));
    const added = this.#inputs.set(wanted.files);
    const expected = [...this.#inputs].filter((file) => this.#above.has(dirname(file))).sort();
    const applied = this.#folders
      .apply({ trees: [...this.#trees], places: this.#inputs.folders(), expected })
      .then(() => this.#lookBack(added, Date.now()));
    this.#settled = Promise.all([this.#settled, applied]);
  }

  /** Settles when the watches for all that was asked for so far stand. */
  async settled(): Promise<void> {
    await this.#settled;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope.close();
  }

  #changed(path: string): void {
    if (path === this.#root) void this.#checkRoot();
    const below = this.#inputs.below(path);
    const asked = this.#inputs.has(path) || below.size > 0;
    if (asked || (isInTree(this.#trees, dirname(path)) && !isNoise(basename(path)))) this.#batches.add(path);
    for (const file of below) this.#batches.add(file);
  }

  /** An overflow has just been given. */
  #renew(): void {
    this.#checkedAt = Date.now() - TICK_MS;
    this.#folders.renew();
  }

  /** Tells of files that changed between the moment that somebody read them and the moment that their watch stood. */
  async #lookBack(files: Iterable<string>, expectedAt?: number): Promise<void> {
    for (const file of files) {
      const placed = [...ancestors(file)].map((folder) => this.#placedAt.get(folder) ?? 0);
      // Its folder may be watched for long, and it itself be expected only now.
      const placedAt = Math.max(...placed, this.#above.has(dirname(file)) ? (expectedAt ?? 0) : 0);
      if (Date.now() - placedAt > BLIND_MS) continue;
      const changedAt = await stat(file).then(
        ({ ctimeMs }) => ctimeMs,
        () => -1,
      );
      if (this.#scope.closed) return;
      const blindSince = Math.max(this.#checkedAt, placedAt - BLIND_MS);
      if (changedAt > blindSince && changedAt <= placedAt + TICK_MS) this.#batches.add(file);
    }
  }

  #refused(error: unknown): void {
    if (this.#poll !== undefined || this.#scope.closed) return;
    const { message, hint, code } = watchesExhausted(error);
    this.#options.log.warn({ code, hint }, message);
    this.#poll = new Poll({ files: () => this.#inputs, changed: (path) => this.#batches.add(path) });
  }

  async #keepChecking(): Promise<void> {
    while (await nextLook(this.#scope.signal)) await this.#checkRoot();
  }

  async #checkRoot(): Promise<void> {
    const found = await identity(this.#root).catch(() => undefined);
    if (found === this.#identity || this.#gone || this.#scope.closed) return;
    this.#gone = true;
    this.#options.onGone?.();
  }
}

async function identity(folder: string): Promise<string> {
  const { dev, ino } = await stat(folder);
  return `${dev}:${ino}`;
}

/** Half of what the kernel's queue holds, where that is less than usual. */
function floodEvents(): number {
  try {
    const limit = Number(readFileSync("/proc/sys/fs/inotify/max_queued_events", "utf8"));
    return limit > 0 ? Math.min(FLOOD_EVENTS, limit / 2) : FLOOD_EVENTS;
  } catch {
    return FLOOD_EVENTS;
  }
}
