/**
 * Parts that look at something from time to time, which tells nobody by itself. All look at the same moments, so that a
 * daemon at rest wakes once for all of them.
 */
import { setTimeout as wait } from "node:timers/promises";

/** What is looked at in vain nearly always: that a file or a folder is still there. */
export const LOOK_MS = 2_000;

/** Resolves at the next moment; `false` where the signal aborted. It keeps no process alive. */
export async function nextLook(signal: AbortSignal, everyMs = LOOK_MS): Promise<boolean> {
  const leftMs = everyMs - (performance.now() % everyMs);
  // A timer may be early by a moment: not the same look twice.
  const waitMs = leftMs < everyMs / 4 ? leftMs + everyMs : leftMs;
  await wait(waitMs, undefined, { signal, ref: false }).catch(() => {});
  return !signal.aborted;
}
