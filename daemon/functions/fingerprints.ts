/**
 * What a file is known by without reading it: modification and change time, size, inode. A watcher may drop events
 * without a word; these do not lie.
 */
import { stat } from "node:fs/promises";

/** Numbers per path. */
const WIDTH = 4;
/** Enough to keep the file system busy, few enough to leave threads to others. */
const PARALLEL = 32;

/** One row per path; a missing file is a row of -1. */
export type Fingerprints = Float64Array;

export async function fingerprints(paths: readonly string[]): Promise<Fingerprints> {
  const rows = new Float64Array(paths.length * WIDTH);
  let next = 0;
  const work = async () => {
    for (let index = next++; index < paths.length; index = next++) {
      const path = paths[index];
      if (path === undefined) continue;
      try {
        const { mtimeMs, ctimeMs, size, ino } = await stat(path);
        rows.set([mtimeMs, ctimeMs, size, ino], index * WIDTH);
      } catch {
        rows.fill(-1, index * WIDTH, (index + 1) * WIDTH);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL, paths.length) }, work));
  return rows;
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
