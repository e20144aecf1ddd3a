/** A function that waits for itself, seen by the trace ids of what is under way. */
import t from "tap";

import { deadlocks } from "../../daemon/invocations/deadlock.ts";
import type { UnderWay } from "../../daemon/invocations/under-way.ts";

let count = 0;
const one = (functionName: string, is: "runs" | "waits" | "starts", root?: string): UnderWay => ({
  functionName,
  requestId: `request-${(count += 1)}`,
  begun: is === "runs",
  queued: is === "waits",
  ...(root !== undefined && { traceId: `Root=${root};Parent=0123456789abcdef;Sampled=0` }),
});

t.test("a function that invokes itself directly, once all its turns are taken", async (t) => {
  t.strictSame(
    deadlocks([one("Order", "runs", "1-a"), one("Order", "runs", "1-b"), one("Order", "waits", "1-a")]),
    [],
    "the other may end, and give its turn",
  );
  t.strictSame(
    deadlocks([
      one("Order", "runs", "1-a"),
      one("Order", "runs", "1-b"),
      one("Order", "waits", "1-a"),
      one("Order", "waits", "1-b"),
    ]),
    [{ functionName: "Order", running: 2, queued: 2, chain: ["Order", "Order"] }],
  );
});

t.test("through another: the chain names it", async (t) => {
  t.strictSame(
    deadlocks([one("Order", "runs", "1-a"), one("Price", "runs", "1-a"), one("Order", "waits", "1-a")]),
    [{ functionName: "Order", running: 1, queued: 1, chain: ["Order", "Price", "Order"] }],
  );
});

t.test("a plain queue is none: others' events, no trace, or a process that is on its way", async (t) => {
  t.strictSame(deadlocks([one("Order", "runs", "1-a"), one("Order", "waits", "1-b")]), []);
  t.strictSame(deadlocks([one("Order", "runs"), one("Order", "waits")]), []);
  t.strictSame(deadlocks([one("Order", "runs", "1-a"), one("Order", "starts", "1-a")]), []);
  t.strictSame(deadlocks([one("Order", "starts", "1-a"), one("Order", "waits", "1-a")]), []);
});
