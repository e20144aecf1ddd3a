/** Invocations over functions/ and real processes: what the handler does, as history has it. */
import t from "tap";

import { Invocations } from "../../daemon/invocations/invocations.ts";
import { silentLog } from "../../daemon/lib/log.ts";
import { growth, Rig as FunctionsRig } from "../functions/rig.ts";
import { openStore, stateFile } from "../store/support.ts";

t.test("deadlines, kills, floods and build errors end in the row, in Lambda's words", async (t) => {
  const functions = await FunctionsRig.open(t, {
    files: {
      "src/loop.ts": `const never = new Int32Array(new SharedArrayBuffer(4));
        export const handler = async () => { Atomics.wait(never, 0, 0); };`,
      "src/die.ts": `export const handler = async () => { console.log("last words"); process.kill(process.pid, "SIGKILL"); };`,
      "src/flood.ts": `export const handler = async () => { for (let i = 0; i < 50_000; i++) console.log("x".repeat(1000)); return "done"; };`,
      "src/broken.ts": `export const handler = async () => 1 +;`,
      "src/late.ts": `export const handler = async () => { throw new Error("thrown"); };`,
    },
    functions: Object.fromEntries(
      ["Loop", "Die", "Flood", "Broken", "Late"].map((name) => [
        name,
        { handler: `src/${name.toLowerCase()}.handler` },
      ]),
    ),
  });
  const store = await openStore(t, stateFile(t));
  const invocations = await Invocations.open({
    store,
    run: (request, signal) => functions.functions.run(request, signal),
    log: silentLog,
  });
  t.teardown(() => invocations[Symbol.asyncDispose]());
  const run = async (functionName: string, timeoutMs = 30_000) => {
    const { id, answer } = await invocations.runLocally(
      { functionName, event: Buffer.from("{}"), timeoutMs, functionArn: "arn", environment: {} },
      new AbortController().signal,
    );
    await store.flushed();
    return { answer, row: await store.invocation(id) };
  };

  const loop = await run("Loop", 2_000);
  t.match(loop.row, {
    status: "error",
    errorType: "Sandbox.Timedout",
    errorMessage: /Task timed out after (2\.00|1\.9\d) seconds$/,
    codeHash: functions.state("Loop").codeHash,
  });
  t.match(await functions.next("worker.exited"), { functionName: "Loop", reason: "stopped" });

  const die = await run("Die");
  t.match(die.row, {
    status: "error",
    errorType: "Runtime.ExitError",
    errorMessage: /signal: killed \(SIGKILL\)$/,
    logs: [{ text: "last words" }],
  });
  t.match(Buffer.from(die.answer.body).toString(), /"stackTrace":\["last words"\]/);

  const { value: flood, grewMb } = await growth(() => run("Flood"));
  t.equal(flood.row?.status, "ok");
  t.match(flood.row?.logs.at(-1), { text: "… [this invocation's further output is not kept]" });
  t.ok((flood.row?.logs.length ?? 0) <= 20_001);
  t.comment(`50 MB printed in one invocation: rss grew by ${grewMb} MB`);
  t.ok(grewMb < 150);

  const broken = await run("Broken");
  t.match(broken.row, {
    status: "error",
    errorType: "Livedev.BuildFailed",
    errorMessage: /^src\/broken\.ts:1:\d+/,
  });
  t.equal(broken.row?.codeHash, undefined);
  t.match((await run("Late")).row, { status: "error", errorType: "Error", errorMessage: "thrown" });
  await t.resolveMatch(run("Nowhere"), { row: { status: "interrupted", errorType: "Livedev.NotRun" } });
});
