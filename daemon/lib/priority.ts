/**
 * What may take long gives way to what must not: on a busy machine the thread that takes stubs' frames would otherwise
 * wait its turn behind builds, searches and handlers. On Linux a thread has a priority of its own, and a process that it
 * starts inherits it; elsewhere a process has one only, and the daemon's stays as it is.
 */
import { writeFileSync } from "node:fs";
import { setPriority } from "node:os";

/** A third of the share of one that does not give way; on a machine that has time left, no difference. */
const BEHIND = 5;
const FAR_BEHIND = 10;

/** The calling thread. */
export function giveWay(): void {
  if (process.platform !== "linux") return;
  try {
    setPriority(FAR_BEHIND);
  } catch {
    // Not allowed here: then it is one among equals.
  }
}

/** The leader of a session. Linux shares time among sessions first, so that a process's own priority says little. */
export function makeGiveWay(pid: number): void {
  try {
    setPriority(pid, BEHIND);
    if (process.platform === "linux") writeFileSync(`/proc/${pid}/autogroup`, String(BEHIND));
  } catch {
    // It has ended, or this system has no such thing.
  }
}
