/**
 * What a process that outlives us must not hold: descriptors that our own parent left open to us, of a shell's
 * process substitution for instance. Whoever reads the other end would wait for as long as that process lives.
 */
import type { StdioOptions } from "node:child_process";
import { openSync, readdirSync, readFileSync } from "node:fs";

/** Linux, fcntl.h: such a descriptor ends with the program that opened it. */
const O_CLOEXEC = 0o2_000_000;

let devNull: number | undefined;

/** These, and /dev/null in the place of each inherited descriptor. */
export function withoutInherited(stdio: Exclude<StdioOptions, string>): StdioOptions {
  const all = [...stdio];
  for (const fd of inherited()) {
    while (all.length <= fd) all.push("ignore");
    if (fd >= stdio.length) all[fd] = devNull ??= openSync("/dev/null", "r+");
  }
  return all;
}

/** Node itself opens none without the flag. Where there is no /proc nobody can tell. */
function inherited(): number[] {
  try {
    return readdirSync("/proc/self/fdinfo")
      .map(Number)
      .filter((fd) => fd > 2 && !closesOnExec(fd));
  } catch {
    return [];
  }
}

function closesOnExec(fd: number): boolean {
  try {
    const [, flags = ""] = /^flags:\s+(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8")) ?? [];
    return (Number.parseInt(flags, 8) & O_CLOEXEC) !== 0;
  } catch {
    // The listing's own, closed since.
    return true;
  }
}
