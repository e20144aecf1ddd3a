/** Which process is meant, beyond its number: numbers are given out again. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** When the process with this number was started, in a form to compare; `undefined` where there is none. */
export function processIdentity(pid: number): string | undefined {
  try {
    return process.platform === "linux" ? linuxIdentity(pid) : psIdentity(pid);
  } catch {
    return undefined;
  }
}

export function isAlive(pid: number, identity: string): boolean {
  return processIdentity(pid) === identity;
}

/** Start times count from the boot, so the boot belongs to it. A zombie only waits for its parent: it runs no more. */
function linuxIdentity(pid: number): string | undefined {
  const { state, startedAt } = readStat(pid);
  return state === "Z" || state === "X" ? undefined : `${bootId()}:${startedAt}`;
}

/** The command's name stands in brackets and may hold brackets and spaces itself. */
function readStat(pid: number): { state: string | undefined; startedAt: string | undefined } {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0], startedAt: fields[19] };
}

function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

function psIdentity(pid: number): string | undefined {
  const [started, state] = ["lstart=", "state="].map((column) =>
    execFileSync("ps", ["-o", column, "-p", String(pid)], { encoding: "utf8", env: { LC_ALL: "C" } }).trim(),
  );
  return started === "" || state?.startsWith("Z") ? undefined : started;
}
