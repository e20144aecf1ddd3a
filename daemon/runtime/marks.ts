/** Processes by the mark that they inherited, wherever they went. */
import { readdirSync, readFileSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";

import { codeOf } from "../lib/errors.ts";
import { processIdentity } from "../lib/process-identity.ts";

/**
 * Inherited by all of an environment's processes, also those that leave its group. The runner strips LIVEDEV_* and
 * keeps this one; a stub never hands it on to a local worker.
 */
export const MARK = "_LIVEDEV_MARK";

/** Environments are read so many at a time: a machine has hundreds of processes, and a thread other things to do. */
const AT_ONCE = 20;

/** A killed stopped process ends without being continued; the signal to go on is for those that handle none. */
export function kill(...targets: number[]): void {
  for (const target of targets) {
    for (const signal of ["SIGCONT", "SIGKILL"] as const) {
      try {
        process.kill(target, signal);
      } catch {
        // Gone already, or never in a group.
      }
    }
  }
}

/** Linux shows each process's environment to its own user. */
export function markOf(pid: number): string | undefined {
  const environment = read(`/proc/${pid}/environ`);
  // Most processes have no mark at all: they are passed over without being taken apart.
  if (!environment.includes(`${MARK}=`)) return undefined;
  const variable = environment.split("\0").find((one) => one.startsWith(`${MARK}=`));
  return variable?.slice(MARK.length + 1);
}

/** Gives the number of those that were ended. */
export async function endMarked(marks: readonly string[]): Promise<number> {
  if (process.platform !== "linux") return 0;
  const wanted = new Set(marks);
  const pids = list("/proc")
    .map(Number)
    .filter((pid) => pid > 1 && pid !== process.pid);
  let ended = 0;
  for (const [index, pid] of pids.entries()) {
    if (index % AT_ONCE === AT_ONCE - 1) await turn();
    const mark = markOf(pid);
    if (mark === undefined || !wanted.has(mark) || processIdentity(pid) === undefined) continue;
    kill(pid);
    ended += 1;
  }
  return ended;
}

export function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
