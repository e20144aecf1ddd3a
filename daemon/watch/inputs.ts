/** The files that somebody asked for, and which of them lie below a folder that came, went or was replaced. */
import { dirname } from "node:path";

const NONE: ReadonlySet<string> = new Set();

export class Inputs {
  readonly #files = new Set<string>();
  /** Folder → the files anywhere below it. */
  readonly #below = new Map<string, Set<string>>();

  /** Replaces the files; gives back what is new. */
  set(files: readonly string[]): readonly string[] {
    const wanted = new Set(files);
    const removed = [...this.#files].filter((file) => !wanted.has(file));
    const added = [...wanted].filter((file) => !this.#files.has(file));
    for (const file of removed) this.#delete(file);
    for (const file of added) this.#add(file);
    return added;
  }

  has(path: string): boolean {
    return this.#files.has(path);
  }

  below(folder: string): ReadonlySet<string> {
    return this.#below.get(folder) ?? NONE;
  }

  /** Those in which a file is expected, in order. */
  folders(): string[] {
    return [...new Set([...this.#files].map(dirname))].sort();
  }

  [Symbol.iterator](): Iterator<string> {
    return this.#files.values();
  }

  #add(file: string): void {
    this.#files.add(file);
    for (const folder of ancestors(file)) {
      const files = this.#below.get(folder);
      if (files === undefined) this.#below.set(folder, new Set([file]));
      else files.add(file);
    }
  }

  #delete(file: string): void {
    this.#files.delete(file);
    for (const folder of ancestors(file)) {
      const files = this.#below.get(folder);
      files?.delete(file);
      if (files?.size === 0) this.#below.delete(folder);
    }
  }
}

/** The folders above a path, the nearest first. */
export function* ancestors(path: string): Generator<string> {
  for (let folder = dirname(path), last = path; folder !== last; last = folder, folder = dirname(folder))
    yield folder;
}
