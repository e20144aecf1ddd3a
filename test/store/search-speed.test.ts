import { monitorEventLoopDelay } from "node:perf_hooks";

import t from "tap";

import { times } from "../support/counts.ts";
import { invoke, openStore, stateFile } from "./support.ts";

/** A history as large as it gets is 50,000. */
const INVOCATIONS = Number(process.env["LIVEDEV_SEARCH_INVOCATIONS"] ?? times(10_000, 1_000));

void t.test(
  "a search through all of history takes no long while, and the daemon goes on meanwhile",
  async (t) => {
    const store = await openStore(t, stateFile(t));
    for (let n = 0; n < INVOCATIONS; n += 1) {
      invoke(store, {
        event: {
          headers: { authorization: `Bearer token-of-${n}` },
          rawPath: `/orders/${n}`,
          body: JSON.stringify({ id: n, note: "x".repeat(1_850) }),
        },
        logs: Array.from(
          { length: 4 },
          (_, line) => `line ${line} of order ${n}: loaded the catalogue in ${n % 97} ms`,
        ),
        answer: { statusCode: 200, body: `order ${n} is on its way` },
      });
      if (n % 200 === 0) await store.flushed();
    }
    await store.flushed();
    // Both threads are up.
    await Promise.all([store.invocations({ limit: 1 }), store.invocations({ text: "line", limit: 1 })]);

    const lag = monitorEventLoopDelay({ resolution: 5 });
    lag.enable();
    const took: Record<string, number> = {};
    const timed = async (name: string, expected: number, run: () => Promise<readonly unknown[]>) => {
      const began = performance.now();
      const { length } = await run();
      took[name] = Math.round(performance.now() - began);
      t.equal(length, expected, name);
    };
    const absent = timed("absent", 0, () => store.invocations({ text: "matterhorn" }));
    await timed("a page meanwhile", 100, () => store.invocations({ limit: 100 }));
    await absent;
    await timed("rare, in a line", 1, () => store.invocations({ text: "line 2 of order 17:" }));
    await timed("rare, in an answer", 1, () => store.invocations({ text: "ORDER 123 is on" }));
    await timed("common", 100, () => store.invocations({ text: "catalogue" }));
    await timed("redacted everywhere", 0, () => store.invocations({ text: "token-of-" }));
    lag.disable();
    t.comment(
      `${INVOCATIONS} invocations, ${4 * INVOCATIONS} lines: ${JSON.stringify(took)} ms, longest turn meanwhile ${Math.round(lag.max / 1e6)} ms`,
    );
    const bound = Math.max(2_000, (2_000 * INVOCATIONS) / 10_000);
    t.ok(took["absent"]! < bound && took["rare, in a line"]! < bound && took["rare, in an answer"]! < bound);
    t.ok(took["a page meanwhile"]! < 500, "a page does not wait for the search");
  },
);
