/**
 * A function that invokes itself, directly or through others, waits for ever once all its turns are taken by
 * invocations that wait for one behind them. Their trace id gives it away: what an invocation causes has its root.
 */
import type { UnderWay } from "./under-way.ts";

export type Deadlock = {
  readonly functionName: string;
  /** How many run, each waiting for one that cannot begin. */
  readonly running: number;
  readonly queued: number;
  /** `["Order", "Price", "Order"]`: who invokes whom, as far as it is seen here. */
  readonly chain: readonly string[];
};

/** Functions of which every running invocation waits, as its trace says, for one of the same function in the queue. */
export function deadlocks(underWay: readonly UnderWay[]): Deadlock[] {
  const found: Deadlock[] = [];
  // One whose worker is on its way will begin, and waits for nobody.
  const queued = underWay.filter((one) => one.queued);
  for (const functionName of new Set(queued.map((one) => one.functionName))) {
    const waiting = queued.filter((one) => one.functionName === functionName);
    const roots = new Set(waiting.map(rootOf));
    const running = underWay.filter((one) => one.begun && one.functionName === functionName);
    const each = (one: UnderWay) => rootOf(one) !== undefined && roots.has(rootOf(one));
    if (running.length === 0 || !running.every(each)) continue;
    const root = rootOf(running[0] as UnderWay);
    const between = underWay
      .filter((one) => one.begun && one.functionName !== functionName && rootOf(one) === root)
      .map((one) => one.functionName);
    found.push({
      functionName,
      running: running.length,
      queued: waiting.length,
      chain: [functionName, ...new Set(between), functionName],
    });
  }
  return found;
}

/** Of X-Ray's `Root=1-…;Parent=…;Sampled=0;Lineage=…`. */
function rootOf({ traceId }: UnderWay): string | undefined {
  return /(?:^|;)Root=([^;]+)/.exec(traceId ?? "")?.[1];
}
