import { once } from "node:events";
import { Worker } from "node:worker_threads";

import type { Test } from "tap";

/** How long the machine itself lets a loop wait: as long as ours did nothing, and at the same time. */
export async function idleThread(t: Test): Promise<{ maxMs(): Promise<number> }> {
  const thread = new Worker(
    `const { monitorEventLoopDelay } = require("node:perf_hooks");
     const { parentPort } = require("node:worker_threads");
     const delay = monitorEventLoopDelay({ resolution: 5 });
     delay.enable();
     parentPort.on("message", () => parentPort.postMessage(delay.max / 1e6));
     parentPort.postMessage("up");`,
    { eval: true, execArgv: [] },
  );
  t.teardown(() => thread.terminate());
  await once(thread, "message");
  return {
    async maxMs() {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
      thread.postMessage("how long");
      const [maxMs] = (await once(thread, "message")) as [number];
      return maxMs;
    },
  };
}
