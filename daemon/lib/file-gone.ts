/**
 * What a program lives in may be deleted, or replaced by another of its name, while the program runs. A folder is told
 * by a file in it that is made only once: the program itself may make the folder again, perhaps with the same inode.
 */
import { lstat, stat } from "node:fs/promises";

import { codeOf } from "./errors.ts";
import { nextLook } from "./looks.ts";

/** Resolves `true` when the file that is there now is not there any more, `false` when the signal aborts first. */
export async function fileGone(file: string, signal: AbortSignal): Promise<boolean> {
  const here = await identity(file);
  while (await nextLook(signal)) {
    if ((await identity(file)) !== here) return true;
  }
  return false;
}

async function identity(file: string): Promise<string | undefined> {
  return stat(file).then(
    ({ dev, ino }) => `${dev}:${ino}`,
    () => undefined,
  );
}

/** Also where it cannot be told: only what is surely absent is to be made again. */
export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    return codeOf(error) !== "ENOENT";
  }
}
