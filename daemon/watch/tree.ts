/**
 * A folder under watch and, where asked, what is below it.
 *
 * Below it chokidar finds what there is: folders only, a kernel watch each, whose raw events tell of the files in it.
 * (chokidar's own events for files take a watch per file, and of two saves within 50 ms they tell only the first.) A
 * folder alone is the kernel's watch alone: chokidar would read all of it at each event, with a stat of every entry,
 * and a folder above a project may be one that a whole machine writes to.
 *
 * chokidar reads a folder before it watches it, and a folder that is another one under an old name it takes for the
 * same. So a tree keeps to the folders that it found while it opened, each with its identity for the caller to
 * compare; a folder that came later gets a tree of its own, since only of opening is the end known.
 */
import { statSync, watch as watchOne, type Stats } from "node:fs";
import { basename } from "node:path";

import { watch } from "chokidar";

import { codeOf } from "../lib/errors.ts";
import { isIgnoredFolder, isWithin } from "./names.ts";

/** Gone again, or not ours to watch, which is no matter of how many watches there are. */
const NOT_THERE = new Set(["ENOENT", "ENOTDIR", "EACCES", "EPERM"]);

export type TreeOptions = {
  readonly folder: string;
  /** With the folders below it. */
  readonly deep: boolean;
  /** An entry of the folder changed; `renamed`: it came, went or was replaced. */
  readonly told: (folder: string, name: string | undefined, renamed: boolean) => void;
  /** The system gives no more watches. */
  readonly refused: (error: unknown) => void;
};

export class Tree {
  readonly folder: string;
  readonly deep: boolean;
  /** Settles when the watches stand: what changed before is not told. */
  readonly opened: Promise<void>;
  readonly #folders = new Map<string, string>();
  readonly #watcher: { close(): unknown } | undefined;
  #opening = true;

  constructor(options: TreeOptions) {
    this.folder = options.folder;
    this.deep = options.deep;
    const { watcher, ready } = options.deep ? this.#below(options) : this.#alone(options);
    this.#watcher = watcher;
    this.opened = ready.then(() => {
      this.#opening = false;
    });
  }

  has(folder: string): boolean {
    return folder === this.folder || this.#folders.has(folder);
  }

  identity(folder: string): string | undefined {
    return this.#folders.get(folder);
  }

  /** The folder is gone, or another one: chokidar lets go of it when it next reads the one above. */
  forget(folder: string): void {
    for (const known of this.#folders.keys()) if (isWithin(folder, known)) this.#folders.delete(known);
  }

  async close(): Promise<void> {
    await this.#watcher?.close();
  }

  #below({ folder, told, refused }: TreeOptions): Opened {
    const watcher = watch(folder, {
      ignoreInitial: true,
      ignorePermissionErrors: true,
      atomic: false,
      // A persistent one is shared by all trees on the same path, also where its folder is long another one.
      persistent: false,
      ignored: (path, stats) => this.#ignored(path, stats),
    });
    watcher.on("raw", (event, name: string | null, details) =>
      told((details as { watchedPath: string }).watchedPath, name ?? undefined, event === "rename"),
    );
    const ready = new Promise<void>((resolve) => {
      watcher.on("ready", resolve);
      watcher.on("error", (error) => {
        if (isWatch(error) || codeOf(error) === "EMFILE") refused(error);
        // A folder that could not be read keeps chokidar from ever being ready.
        if (!isWatch(error)) resolve();
      });
    });
    return { watcher, ready };
  }

  #alone({ folder, told, refused }: TreeOptions): Opened {
    const ready = Promise.resolve();
    const failed = (error: unknown) => {
      if (!NOT_THERE.has(codeOf(error) ?? "")) refused(error);
    };
    try {
      // Before the watch: replaced in between, it is looked at again rather than taken for the one that is watched.
      this.#folders.set(folder, identityOf(statSync(folder)));
      const watcher = watchOne(folder, { persistent: false }, (event, name) =>
        told(folder, name ?? undefined, event === "rename"),
      );
      watcher.on("error", failed);
      return { watcher, ready };
    } catch (error) {
      failed(error);
      return { watcher: undefined, ready };
    }
  }

  #ignored(path: string, stats: Stats | undefined): boolean {
    if (stats !== undefined && !stats.isDirectory()) return true;
    const wanted = path === this.folder || !isIgnoredFolder(basename(path));
    if (stats !== undefined && wanted && this.#opening) this.#folders.set(path, identityOf(stats));
    return path !== this.folder && !this.#folders.has(path);
  }
}

type Opened = { readonly watcher: { close(): unknown } | undefined; readonly ready: Promise<void> };

const isWatch = (error: unknown): boolean => (error as NodeJS.ErrnoException).syscall === "watch";

/** The number of a deleted folder is soon given to the next one; the time of birth tells them apart. */
export function identityOf({ dev, ino, birthtimeMs }: Stats): string {
  return `${dev}:${ino}:${birthtimeMs}`;
}
