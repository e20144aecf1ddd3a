import { setTimeout } from "node:timers/promises";

/** Ends with the part: then it throws. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal });
}
