/**
 * What may take long gives way to what must not: on a busy machine the thread that takes stubs' frames would otherwise
 * wait its turn behind builds and searches. On Linux a thread has a priority of its own, and a process that it starts
 * inherits it; elsewhere a process has one only, and it stays as it is.
 */
import { setPriority } from "node:os";

const BEHIND = 10;

/** Of the calling thread. */
export function giveWay(): void {
  if (process.platform !== "linux") return;
  try {
    setPriority(BEHIND);
  } catch {
    // Not allowed here: then it is one among equals.
  }
}
