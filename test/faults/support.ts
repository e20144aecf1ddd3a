/** What several faults have in common: real signals, and looking at processes from outside. */
import { readFileSync, readdirSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";

import { processIdentity } from "../../daemon/lib/process-identity.ts";
import type { Rig } from "../support/rig.ts";

/** `kill -9` of the rig's daemon; resolves when it is gone. */
export async function killDaemon(rig: Rig): Promise<void> {
  const pid = rig.daemonPid();
  process.kill(pid, "SIGKILL");
  await gone([pid], 5_000);
}

/** Nobody but its parent is told of a process's end, so this looks. Throws where one is alive after so long. */
export async function gone(pids: readonly number[], withinMs: number): Promise<void> {
  const until = performance.now() + withinMs;
  for (;;) {
    const alive = pids.filter((pid) => processIdentity(pid) !== undefined);
    if (alive.length === 0) return;
    if (performance.now() > until) throw new Error(`alive after ${withinMs} ms: ${alive.join(", ")}`);
    await wait(10);
  }
}

/** How many descriptors a process has open. */
export function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Resident memory of a process, in megabytes. */
export function residentMb(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) / 1024;
}
