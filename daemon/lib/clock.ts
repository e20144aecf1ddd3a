/**
 * Milliseconds that only go forward and do not stop while the machine sleeps. The monotonic clock stops then (Linux),
 * so that by it an event of two hours ago has time left; the wall clock jumps when somebody sets it. The time since
 * the machine's start does neither, but is coarse: it tells how long the machine has slept, and the monotonic clock
 * tells the rest.
 */
import { uptime } from "node:os";

/** How long ago that was, by the monotonic clock, for people and records: to the microsecond, which is all it can tell. */
export const tookSince = (began: number): number => Math.round((performance.now() - began) * 1_000) / 1_000;

export type Sources = { readonly monotonicMs: () => number; readonly sinceBootMs: () => number };

/** Below this the two clocks differ by their resolution alone. */
const SLEEP_MS = 2_000;

export function createClock({ monotonicMs, sinceBootMs }: Sources): () => number {
  const apart = sinceBootMs() - monotonicMs();
  return () => {
    const now = monotonicMs();
    const slept = sinceBootMs() - now - apart;
    return slept < SLEEP_MS ? now : now + slept;
  };
}

/** For deadlines. A call costs some microseconds more than `performance.now()`. */
export const continuousMs = createClock({
  monotonicMs: () => performance.now(),
  sinceBootMs: () => uptime() * 1_000,
});
