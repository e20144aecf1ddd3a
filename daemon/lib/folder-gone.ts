/** A folder that a program lives in may be deleted, or replaced by another of its name, while the program runs. */
import { stat } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";

const LOOK_MS = 2_000;

/** Resolves `true` when the folder that is there now is not there any more, `false` when the signal aborts first. */
export async function folderGone(folder: string, signal: AbortSignal): Promise<boolean> {
  const here = await identity(folder);
  while (!signal.aborted) {
    await wait(LOOK_MS, undefined, { signal, ref: false }).catch(() => {});
    if (!signal.aborted && (await identity(folder)) !== here) return true;
  }
  return false;
}

async function identity(folder: string): Promise<string | undefined> {
  return stat(folder).then(
    ({ dev, ino }) => `${dev}:${ino}`,
    () => undefined,
  );
}
