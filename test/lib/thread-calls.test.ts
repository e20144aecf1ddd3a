import { Worker } from "node:worker_threads";

import t from "tap";

import { ThreadCalls } from "../../daemon/lib/thread-calls.ts";

/** Answers, and is at work in SQLite then, which nothing interrupts. */
const ANSWERS = `
  const { parentPort, workerData } = require("node:worker_threads");
  const db = new (require("better-sqlite3"))(":memory:");
  db.function("within", () => {
    Atomics.store(workerData, 0, 1);
    return Atomics.notify(workerData, 0);
  });
  parentPort.on("message", ({ id }) => {
    parentPort.postMessage({ id, result: "an answer" });
    db.exec("SELECT within(), (WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 1000000) SELECT max(x) FROM n)");
  });`;

void t.test("the thread's end is waited for, also where its last answer comes meanwhile", async (t) => {
  const answered = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const calls = new ThreadCalls<Error>({
    name: "answering thread",
    start: () => new Worker(ANSWERS, { eval: true, workerData: answered }),
    failed: (error) => error,
    lost: (cause) => cause,
  });
  const { promise } = calls.ask({});
  // Its answer lies there, and is looked at once its end is awaited.
  t.equal(Atomics.wait(answered, 0, 0, 30_000), "ok");
  // Nothing else keeps this process alive: where nobody waits, it ends here.
  await calls.terminate();
  t.equal(await promise, "an answer");
});
