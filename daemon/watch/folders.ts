/**
 * The kernel's watches: one per folder, which tells of the files in it too.
 *
 * A tree is walked watch first, read second: what is made in between is told twice rather than never. An event with
 * the word "rename" says only that an entry came, went or was replaced; so the folder is read again and compared with
 * what is watched, one folder at a time, whichever order events and reads came in.
 */
import { watch, type Dirent, type FSWatcher } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

import { codeOf } from "../lib/errors.ts";

/** A tree is watched with all folders below it; a place alone, for the files that are expected in it. */
export type Extent = "tree" | "place" | "none";

export type FoldersOptions = {
  /** What of a folder is wanted. It may change; `reconsider` says so. */
  readonly extent: (folder: string) => Extent;
  /** Each event of the kernel, before anything is made of it. */
  readonly counted: () => void;
  /** An entry of a watched folder, or a folder itself, changed. */
  readonly changed: (path: string, extent: Extent) => void;
  /** A watch stands: what changed before is not told. */
  readonly placed: (folder: string) => void;
  /** A watched folder that no watched folder holds is gone. */
  readonly lost: (folder: string) => void;
  /** The system gives no more watches. */
  readonly refused: (error: unknown) => void;
};

type Folder = {
  readonly path: string;
  readonly watcher: FSWatcher;
  extent: Extent;
  readonly placedAt: number;
  /** Names of the folders in it that are watched. */
  readonly children: Set<string>;
};

export class Folders {
  readonly #options: FoldersOptions;
  readonly #folders = new Map<string, Folder>();
  /** Folders to read again → names that came, went or were replaced. */
  readonly #stale = new Map<string, Set<string>>();
  #reading: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: FoldersOptions) {
    this.#options = options;
  }

  /** When the folder's watch was placed, wall clock. */
  placedAt(folder: string): number | undefined {
    return this.#folders.get(folder)?.placedAt;
  }

  /** Watches a folder, and what is wanted below it. False where there is none. `fresh`: everything in it is a change. */
  async place(path: string, fresh = false): Promise<boolean> {
    const extent = this.#options.extent(path);
    if (this.#closed || extent === "none") return true;
    const known = this.#folders.get(path);
    if (known !== undefined && known.extent === extent) {
      // Placed for an input before the walk came to the folder that holds it.
      this.#folders.get(dirname(path))?.children.add(basename(path));
      return true;
    }
    if (known !== undefined) this.#drop(known);
    const folder = this.#watch(path, extent);
    if (folder === "refused") return true;
    if (folder === "missing") return false;
    const entries = await this.#read(folder);
    if (entries === undefined) return true;
    this.#options.placed(path);
    if (fresh)
      for (const entry of entries)
        if (!entry.isDirectory()) this.#options.changed(join(path, entry.name), extent);
    await this.#placeChildren(folder, entries, fresh);
    return true;
  }

  /** What is wanted has changed: lets go of what is wanted no more. What is wanted newly is placed. */
  reconsider(): void {
    for (const folder of this.#folders.values()) {
      const extent = this.#options.extent(folder.path);
      if (extent === "none") this.#drop(folder);
      if (extent === "place") folder.extent = extent;
    }
  }

  /**
   * Places every watch anew: events were lost, and with them perhaps the news that a folder is another one. The old
   * watch goes after the new one stands, so that nothing more is lost.
   */
  async renew(): Promise<void> {
    const tops = [...this.#folders.values()].filter(({ path }) => !this.#folders.has(dirname(path)));
    for (const folder of tops) await this.#renew(folder);
  }

  close(): void {
    this.#closed = true;
    for (const folder of this.#folders.values()) folder.watcher.close();
    this.#folders.clear();
    this.#stale.clear();
  }

  async #renew(old: Folder): Promise<void> {
    if (this.#closed || this.#folders.get(old.path) !== old) return;
    const folder = this.#watch(old.path, old.extent);
    if (folder === "refused") return;
    if (folder === "missing") {
      this.#drop(old);
      if (!this.#folders.has(dirname(old.path))) this.#options.lost(old.path);
      return;
    }
    old.watcher.close();
    for (const name of old.children) folder.children.add(name);
    const entries = await this.#read(folder);
    if (entries === undefined) return;
    const known = [...folder.children].map((name) => this.#folders.get(join(folder.path, name)));
    await this.#placeChildren(folder, entries, true);
    for (const child of known) if (child !== undefined) await this.#renew(child);
  }

  #watch(path: string, extent: Extent): Folder | "missing" | "refused" {
    try {
      const watcher = watch(path);
      const folder: Folder = { path, watcher, extent, placedAt: Date.now(), children: new Set() };
      watcher.on("change", (event, name) =>
        this.#event(folder, event, name === null ? undefined : String(name)),
      );
      watcher.on("error", () => this.#again(dirname(path), basename(path)));
      this.#folders.set(path, folder);
      this.#folders.get(dirname(path))?.children.add(basename(path));
      return folder;
    } catch (error) {
      const code = codeOf(error);
      if (code === "ENOENT" || code === "ENOTDIR") return "missing";
      // A folder that we may not read holds nothing that a build of ours reads.
      if (code !== "EACCES" && code !== "EPERM") this.#options.refused(error);
      return "refused";
    }
  }

  #event(folder: Folder, event: string, name: string | undefined): void {
    if (this.#folders.get(folder.path) !== folder) return;
    this.#options.counted();
    this.#options.changed(name === undefined ? folder.path : join(folder.path, name), folder.extent);
    if (event !== "rename") return;
    this.#again(folder.path, name);
    // Of its own end a folder tells by its own name; so does an entry that is called the same.
    if (name === basename(folder.path)) this.#again(dirname(folder.path), name);
  }

  /** Reads the folder again, soon; `name` is an entry that may be another one under an old name. */
  #again(path: string, name: string | undefined): void {
    const idle = this.#stale.size === 0;
    const names = this.#stale.get(path) ?? new Set();
    if (name !== undefined) names.add(name);
    this.#stale.set(path, names);
    if (idle) this.#reading = this.#reading.then(() => this.#readStale());
  }

  async #readStale(): Promise<void> {
    for (const [path, names] of this.#stale) {
      if (this.#closed) return;
      this.#stale.delete(path);
      for (const name of names) {
        const child = this.#folders.get(join(path, name));
        if (child === undefined) continue;
        // Deleted, moved or replaced: its watch is on what was there before.
        const top = !this.#folders.has(path);
        this.#drop(child);
        this.#options.changed(child.path, child.extent);
        if (top && !(await this.place(child.path, true))) this.#options.lost(child.path);
      }
      const folder = this.#folders.get(path);
      if (folder === undefined) continue;
      const entries = await this.#read(folder);
      if (entries !== undefined) await this.#placeChildren(folder, entries, true);
    }
  }

  async #read(folder: Folder): Promise<Dirent[] | undefined> {
    try {
      const entries = await readdir(folder.path, { withFileTypes: true });
      return this.#folders.get(folder.path) === folder ? entries : undefined;
    } catch {
      if (this.#folders.get(folder.path) === folder) {
        this.#drop(folder);
        if (!this.#folders.has(dirname(folder.path))) this.#options.lost(folder.path);
      }
      return undefined;
    }
  }

  async #placeChildren(folder: Folder, entries: readonly Dirent[], fresh: boolean): Promise<void> {
    const found = new Set<string>();
    for (const entry of entries) if (entry.isDirectory()) found.add(entry.name);
    for (const name of folder.children) {
      if (found.has(name)) continue;
      const child = this.#folders.get(join(folder.path, name));
      if (child !== undefined) this.#drop(child);
    }
    for (const name of found) {
      if (this.#folders.get(folder.path) !== folder) return;
      await this.place(join(folder.path, name), fresh);
    }
  }

  #drop(folder: Folder): void {
    folder.watcher.close();
    this.#folders.delete(folder.path);
    this.#folders.get(dirname(folder.path))?.children.delete(basename(folder.path));
    for (const name of folder.children) {
      const child = this.#folders.get(join(folder.path, name));
      if (child !== undefined) this.#drop(child);
    }
  }
}
