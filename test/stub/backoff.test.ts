/** How a stub that finds nobody tries again: ever more rarely, up to a bound, and no two in step. */
import t from "tap";

import { Session } from "../../stub/session.ts";
import type { Settings } from "../../stub/settings.ts";
import { freePort } from "../support/free-port.ts";
import { KEY, KEY_ID } from "../support/stub.ts";

const TRIES = 10;

t.test(
  "each wait is between half and all of a bound that doubles to 2 s, drawn anew each time",
  async (t) => {
    const port = await freePort();
    const settings: Settings = {
      version: 1,
      app: "shop",
      stage: "dev",
      functionName: "api",
      key: Buffer.from(KEY, "hex"),
      keyId: KEY_ID,
      addresses: [{ address: `tls://127.0.0.1:${port}`, match: "*" }],
      whenAway: "error",
    };
    const [one, other] = [await waitsOf(settings), await waitsOf(settings)];
    t.notSame(one, other, "two stubs do not come at the same moments");
    for (const waits of [one, other]) {
      t.comment(waits.map(Math.round).join(", "));
      for (const [index, wait] of waits.entries()) {
        const bound = Math.min(2_000, 50 * 2 ** index);
        t.ok(wait >= bound / 2 && wait <= bound, `wait ${index + 1} of at most ${bound} ms`);
      }
    }
  },
);

/** How long a session that is refused would wait, each time. A dial's own time limit is no wait. */
async function waitsOf(settings: Settings): Promise<readonly number[]> {
  const { setTimeout: original } = globalThis;
  const waits: number[] = [];
  try {
    await new Promise<void>((resolve) => {
      globalThis.setTimeout = ((run: () => void, ms: number) => {
        if (!/#wait\b/.test(new Error("asked").stack ?? "")) return original(run, ms);
        waits.push(ms);
        if (waits.length < TRIES) setImmediate(run);
        else resolve();
        return original(() => {}, 0);
      }) as typeof setTimeout;
      // It dials by itself.
      void new Session(settings, {});
    });
  } finally {
    globalThis.setTimeout = original;
  }
  return waits;
}
