/**
 * The processes of execution environments, on record: a cloud that was killed leaves them behind, perhaps frozen, and
 * the next one ends them. Never one that is not ours: a process's start time, or the mark in its environment, which
 * no other process has, must be as recorded. A stub hands Lambda's own variables on to local workers, never this one.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { codeOf } from "../lib/errors.ts";
import { isAlive, processIdentity } from "../lib/process-identity.ts";

type Recorded = { readonly pid: number; readonly identity: string; readonly mark: string };

/** Inherited by all of an environment's processes, also those that leave its group. The runner strips LIVEDEV_*. */
export const MARK = "_LIVEDEV_SANDBOX";

/** Synchronous, so that nothing can come between a process's start and its record. Gives what removes the record. */
export function record(stateDir: string, pid: number, mark: string): () => void {
  const identity = pid === 0 ? undefined : processIdentity(pid);
  if (identity === undefined) return () => undefined;
  const file = join(folder(stateDir), `${mark}.json`);
  const recorded: Recorded = { pid, identity, mark };
  mkdirSync(folder(stateDir), { recursive: true, mode: 0o700 });
  writeFileSync(file, JSON.stringify(recorded), { mode: 0o600 });
  return () => rmSync(file, { force: true });
}

/** Ends what an earlier cloud left behind, also those of its processes that left their group. Gives their number. */
export async function endLeftovers(stateDir: string): Promise<number> {
  const records = readRecords(stateDir);
  let ended = 0;
  for (const { pid, identity } of records) {
    if (!isAlive(pid, identity)) continue;
    ended += 1;
    kill(-pid, pid);
  }
  ended += endStrays(records.map(({ mark }) => mark));
  rmSync(folder(stateDir), { recursive: true, force: true });
  return ended;
}

/** Ends the processes that left an environment's group, and outlived it. Gives their number. */
export function endStrays(marks: readonly string[]): number {
  const pids = strays(marks);
  for (const pid of pids) kill(pid);
  return pids.length;
}

const folder = (stateDir: string) => join(stateDir, "environments");

function readRecords(stateDir: string): Recorded[] {
  const files = list(folder(stateDir)).filter((name) => name.endsWith(".json"));
  return files.flatMap((name) => {
    try {
      return [JSON.parse(readFileSync(join(folder(stateDir), name), "utf8")) as Recorded];
    } catch {
      // Cut short by the kill, within the instant after the process was started; the runner ends by itself.
      return [];
    }
  });
}

/** A killed stopped process ends without being continued; the signal to go on is for those that handle none. */
function kill(...targets: number[]): void {
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
function strays(marks: readonly string[]): number[] {
  if (process.platform !== "linux" || marks.length === 0) return [];
  const wanted = new Set(marks.map((mark) => `${MARK}=${mark}`));
  const pids = list("/proc")
    .map(Number)
    .filter((pid) => pid > 1 && pid !== process.pid);
  return pids.filter((pid) => {
    const environment = read(`/proc/${pid}/environ`);
    // Most processes have no mark at all: they are passed over without being taken apart.
    if (!environment.includes(`${MARK}=`)) return false;
    return environment.split("\0").some((one) => wanted.has(one)) && processIdentity(pid) !== undefined;
  });
}

function list(path: string): string[] {
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
