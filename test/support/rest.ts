/** What a process costs while nothing happens, by the kernel's own count (Linux). */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";

/** Share of one core, in percent, that all threads of a process take together within that time. */
export async function percentOfCore(pid: number, withinMs: number): Promise<number> {
  const before = nanoseconds(pid);
  const began = performance.now();
  await wait(withinMs);
  const tookMs = performance.now() - began;
  const after = nanoseconds(pid);
  // A thread that is gone by now is no part of the difference.
  const used = [...after].reduce((sum, [thread, at]) => sum + at - (before.get(thread) ?? 0), 0);
  return used / 1e4 / tookMs;
}

/** By thread: /proc/PID/stat counts in steps of 10 ms, which an idle process hardly takes. */
function nanoseconds(pid: number): Map<string, number> {
  return new Map(
    readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
      try {
        const [used = ""] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ");
        return [[thread, Number(used)] as const];
      } catch {
        return [];
      }
    }),
  );
}

/** Less than half a percent, which every display of processes rounds to 0. */
export const AT_REST_PERCENT = 0.5;

/**
 * One time after the other until the process is at rest, or so often: what work leaves behind (a heap to collect, code
 * to optimise) takes Node some seconds. Gives all that were measured.
 */
export async function restOf(pid: number, withinMs: number, atMost: number): Promise<number[]> {
  const measured: number[] = [];
  while (measured.length < atMost) {
    const percent = await percentOfCore(pid, withinMs);
    measured.push(percent);
    if (percent < AT_REST_PERCENT) break;
  }
  return measured;
}
