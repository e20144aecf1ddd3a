/**
 * One chokidar watcher on a folder and, where asked, on what is below it: on folders only, a kernel watch each, whose
 * raw events tell of the files in it. (chokidar's own events for files take a watch per file, and of two saves within
 * 50 ms they tell only the first.)
 *
 * chokidar reads a folder before it watches it, and a folder that is another one under an old name it takes for the
 * same. So a tree keeps to the folders that it found while it opened, each with its identity for the caller to
 * compare; a folder that came later gets a tree of its own, since only of opening is the end known.
 */
import type { Stats } from "node:fs";
import { basename } from "node:path";

import { watch, type FSWatcher } from "chokidar";

import { codeOf } from "../lib/errors.ts";
import { isIgnoredFolder, isWithin } from "./names.ts";

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
  readonly #watcher: FSWatcher;
  #opening = true;

  constructor({ folder, deep, told, refused }: TreeOptions) {
    this.folder = folder;
    this.deep = deep;
    this.#watcher = watch(folder, {
      ignoreInitial: true,
      ignorePermissionErrors: true,
      atomic: false,
      // A persistent one is shared by all trees on the same path, also where its folder is long another one.
      persistent: false,
      ignored: (path, stats) => this.#ignored(path, stats),
    });
    this.#watcher.on("raw", (event, name: string | null, details) =>
      told((details as { watchedPath: string }).watchedPath, name ?? undefined, event === "rename"),
    );
    this.opened = new Promise<void>((resolve) => {
      this.#watcher.on("ready", resolve);
      this.#watcher.on("error", (error) => {
        const watching = (error as NodeJS.ErrnoException).syscall === "watch";
        if (watching || codeOf(error) === "EMFILE") refused(error);
        // A folder that could not be read keeps chokidar from ever being ready.
        if (!watching) resolve();
      });
    }).then(() => {
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

  close(): Promise<void> {
    return this.#watcher.close();
  }

  #ignored(path: string, stats: Stats | undefined): boolean {
    if (stats !== undefined && !stats.isDirectory()) return true;
    const wanted = path === this.folder || (this.deep && !isIgnoredFolder(basename(path)));
    if (stats !== undefined && wanted && this.#opening) this.#folders.set(path, identityOf(stats));
    return path !== this.folder && !this.#folders.has(path);
  }
}

/** The number of a deleted folder is soon given to the next one; the time of birth tells them apart. */
export function identityOf({ dev, ino, birthtimeMs }: Stats): string {
  return `${dev}:${ino}:${birthtimeMs}`;
}
