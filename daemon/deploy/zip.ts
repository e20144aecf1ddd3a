/** Zips off the main thread, a few at a time. */
import { Worker } from "node:worker_threads";

import { PROGRAMS } from "../lib/programs.ts";
import type { Packaged, PackageOrder } from "./packager.ts";

export async function zipInThread(order: PackageOrder, signal: AbortSignal): Promise<Packaged> {
  signal.throwIfAborted();
  // Without our own flags: a loader, or an inspector, takes longer to start there than the zipping takes.
  const worker = new Worker(PROGRAMS.packager, { workerData: order, execArgv: [] });
  const stop = () => void worker.terminate();
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await new Promise<Packaged>((resolve, reject) => {
      worker.once("message", resolve).once("error", reject);
      worker.once("exit", () =>
        reject(signal.aborted ? (signal.reason as Error) : new Error("the packager ended")),
      );
    });
  } finally {
    signal.removeEventListener("abort", stop);
    await worker.terminate();
  }
}
