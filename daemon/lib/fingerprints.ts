/**
 * What a file is known by without reading it: modification and change time, size, inode. A watcher may drop events
 * without a word; these do not lie.
 */
import { statSync } from "node:fs";

/** Numbers per path. */
const WIDTH = 4;

/** One row per path; a missing file is a row of -1. */
export type Fingerprints = Float64Array<ArrayBuffer>;

/** Waits for the disk: a bundle, which has hundreds of inputs, is looked at in the build thread. */
export function fingerprints(paths: readonly string[]): Fingerprints {
  const rows = new Float64Array(paths.length * WIDTH);
  for (const [index, path] of paths.entries()) {
    const found = stat(path);
    if (found === undefined) rows.fill(-1, index * WIDTH, (index + 1) * WIDTH);
    else rows.set([found.mtimeMs, found.ctimeMs, found.size, found.ino], index * WIDTH);
  }
  return rows;
}

/** Nobody could look: the same as nothing, not even as itself. */
export function unknown(paths: readonly string[]): Fingerprints {
  return new Float64Array(Math.max(1, paths.length * WIDTH)).fill(Number.NaN);
}

export function same(a: Fingerprints, b: Fingerprints): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}

export function row(rows: Fingerprints, index: number): Fingerprints {
  return rows.subarray(index * WIDTH, (index + 1) * WIDTH);
}

export function missing(row: Fingerprints): boolean {
  return row[2] === -1;
}

/** When the file last became what it is, wall clock. A rename or a copy that keeps the modification time counts. */
export function changedAt(row: Fingerprints): number {
  return Math.max(row[0] ?? 0, row[1] ?? 0);
}

function stat(path: string) {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    // ENOTDIR, EACCES: it cannot be an input.
    return undefined;
  }
}
