/**
 * One cloud for each state directory. The lock is the file `lock.<n>` with the highest n, and names the process that
 * holds it; that process gone, whoever makes `lock.<n+1>` has it. A lock is never given back by removing its file, so
 * there is always a highest: after making a file its maker looks whether it is still the highest, which settles the
 * races of starters that saw an old one.
 */
import { link, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { codeOf } from "../lib/errors.ts";
import { isAlive, processIdentity } from "../lib/process-identity.ts";

export type LockHolder = { readonly pid: number; readonly identity: string };

/** Gives the lock to this process, or says who has it. */
export async function takeLock(stateDir: string): Promise<{ readonly heldBy: LockHolder | undefined }> {
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const candidate = join(stateDir, `lock-candidate.${process.pid}`);
  const self = { pid: process.pid, identity: processIdentity(process.pid) ?? "" };
  // Linked when complete: a lock is never seen half written.
  await writeFile(candidate, JSON.stringify(self), { mode: 0o600 });
  try {
    for (;;) {
      const highest = await highestLock(stateDir);
      const holder = highest === 0 ? undefined : await readHolder(lockFile(stateDir, highest));
      if (holder !== undefined) return { heldBy: holder };
      const mine = highest + 1;
      if (!(await made(candidate, lockFile(stateDir, mine)))) continue;
      if ((await highestLock(stateDir)) === mine) {
        await removeBelow(stateDir, mine);
        return { heldBy: undefined };
      }
      await rm(lockFile(stateDir, mine), { force: true });
    }
  } finally {
    await rm(candidate, { force: true });
  }
}

/** Who holds the lock now; `undefined` where nobody who lives does. */
export async function lockHolder(stateDir: string): Promise<LockHolder | undefined> {
  const highest = await highestLock(stateDir);
  return highest === 0 ? undefined : readHolder(lockFile(stateDir, highest));
}

const lockFile = (stateDir: string, n: number) => join(stateDir, `lock.${n}`);

async function highestLock(stateDir: string): Promise<number> {
  try {
    const names = await readdir(stateDir);
    return Math.max(0, ...names.map((name) => Number(/^lock\.(\d+)$/.exec(name)?.[1] ?? 0)));
  } catch (error) {
    if (codeOf(error) === "ENOENT") return 0;
    throw error;
  }
}

async function readHolder(file: string): Promise<LockHolder | undefined> {
  try {
    const { pid, identity } = JSON.parse(await readFile(file, "utf8")) as LockHolder;
    return isAlive(pid, identity) ? { pid, identity } : undefined;
  } catch {
    // Not JSON: cut by a full disk or a crash of the machine. Gone: somebody made a higher one, which is seen next.
    return undefined;
  }
}

async function made(candidate: string, file: string): Promise<boolean> {
  try {
    await link(candidate, file);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

async function removeBelow(stateDir: string, mine: number): Promise<void> {
  for (const name of await readdir(stateDir)) {
    const n = Number(/^lock\.(\d+)$/.exec(name)?.[1] ?? mine);
    if (n < mine) await rm(join(stateDir, name), { force: true });
  }
}
