/**
 * The table of lost connections (ARCHITECTURE.md), row by row: the real stub before the real daemon, which is killed,
 * restarted and cut off. What ran is counted by the handlers themselves.
 */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import t from "tap";

import { killDaemon, LiveStub, project, runsOf, startAgain } from "../support/live-stub.ts";

const json = (value: Record<string, unknown>) => JSON.stringify(value);
const answerOf = ({ body }: { body: Buffer }) => JSON.parse(body.toString()) as { ran: string };
const errorOf = ({ body }: { body: Buffer }) =>
  JSON.parse(body.toString()) as { errorType: string; errorMessage: string };

const made = await project("Plain");
t.teardown(() => made[Symbol.asyncDispose]());
const { rig, watched, stub } = made;

/** Another stub of the same daemon. */
async function another(functionName: string, options: { direct?: boolean } = {}): Promise<LiveStub> {
  const opened = await LiveStub.open(rig, functionName, options);
  t.teardown(() => opened[Symbol.asyncDispose]());
  return opened;
}
const [second, third, again, streaming] = (await Promise.all(
  ["Plain", "Plain", "Again", "Stream"].map((functionName) => another(functionName)),
)) as [LiveStub, LiveStub, LiveStub, LiveStub];

// Each test counts its own runs, with those of its subtests.
t.beforeEach(({ parent }) => {
  if (parent === t) rmSync(join(rig.root, "runs"), { force: true });
});

/** An event of this name, which is its request's id too: no two of the file share one. */
const invoke = (
  { runtime }: LiveStub,
  name: string,
  { until, ...options }: { until?: string; chunk?: () => void } = {},
) =>
  runtime.invoke(json({ name, ...(until !== undefined && { until: `${rig.root}/${until}` }) }), {
    requestId: name,
    ...options,
  });
const told = (type: "received" | "begun" | "answered" | "delivered", name: string) =>
  watched.next(`invocation.${type}`, ({ requestId }) => requestId === name);
const status = async (name: string) => (await watched.row(name))?.status;
/** Its handler runs. */
async function runs(name: string): Promise<void> {
  while (runsOf(rig)[name] !== 1) await wait(2);
}

t.test("`livedevd restart` while events keep coming: each is answered, each ran once", async (t) => {
  const restart = { over: false };
  const restarted = rig.livedevd("restart").finally(() => (restart.over = true));
  const names: string[] = [];
  while (!restart.over || names.length < 3) {
    const name = `event-${names.length}`;
    names.push(name);
    t.same(answerOf(await invoke(stub, name)), { ran: name });
  }
  t.equal((await restarted).code, 0);
  t.same(runsOf(rig), Object.fromEntries(names.map((name) => [name, 1])));
  t.same(answerOf(await invoke(stub, "after")), { ran: "after" });
  await told("delivered", "after");
  const rows = await watched.client.call("invocation.list", { limit: 1_000 });
  t.equal(rows.length, names.length + 1);
  t.ok(rows.every(({ status }) => status === "ok" || status === "undelivered"));
});

t.test("killed, with an event of each kind under way", async (t) => {
  const running = invoke(stub, "running", { until: "never" });
  const retried = invoke(again, "retried", { until: "retry" });
  await invoke(second, "warm");
  const stored = invoke(second, "stored", { until: "answer" });
  await Promise.all(["running", "retried", "stored"].map(runs));
  await second.proxy.refuse();
  rig.save("../answer", "");
  await watched.next("invocation.answered", (event) => event.requestId === "stored" && event.status === "ok");
  t.equal(await status("stored"), "answered", "not ok before the stub has acked");
  // The stub writes into a connection whose other end hears nothing.
  third.proxy.blackHole();
  third.proxy.swallowNew(true);
  const unheard = invoke(third, "unheard");
  await third.proxy.connected();

  await killDaemon(rig);
  const began = performance.now();
  rig.save("../retry", "");
  await startAgain(rig);

  await t.test("while the handler ran: interrupted at once, and not run again", async (t) => {
    const posted = await running;
    t.ok(performance.now() - began < 5_000, `${(performance.now() - began).toFixed(0)} ms after the kill`);
    t.match(errorOf(posted), { errorType: "Livedev.Interrupted", errorMessage: /not run again/ });
    await told("delivered", "running");
    t.equal(await status("running"), "interrupted");
  });
  await t.test("between the answer and its delivery: the stored answer is delivered (F2)", async (t) => {
    t.equal(await status("stored"), "answered");
    await second.proxy.accept();
    t.same(answerOf(await stored), { ran: "stored" });
    await told("delivered", "stored");
    t.equal(await status("stored"), "ok");
  });
  await t.test("while a `retryable` handler ran: it runs again, and is answered once", async (t) => {
    t.same(answerOf(await retried), { ran: "retried" });
    await told("delivered", "retried");
    t.equal(await status("retried"), "ok");
    t.equal(again.runtime.strays, 0);
  });
  await t.test("before it had the event at all: the next daemon runs it", async (t) => {
    third.proxy.swallowNew(false);
    third.proxy.cut();
    t.same(answerOf(await unheard), { ran: "unheard" });
    await told("delivered", "unheard");
  });
  t.same(runsOf(rig), { running: 1, warm: 1, stored: 1, retried: 2, unheard: 1 });
});

t.test(
  "a restart in a hurry: what runs is interrupted, what is retryable or waits runs after it",
  async (t) => {
    const interrupted = invoke(stub, "hurried-begun", { until: "never" });
    const retried = invoke(again, "hurried-again", { until: "hurried" });
    await told("begun", "hurried-again");
    await Promise.all(["hurried-begun", "hurried-again"].map(runs));

    const pid = rig.daemonPid();
    const { client } = watched;
    await client.call("daemon.stop", { restarting: true });
    const waiting = invoke(second, "hurried-late");
    await told("received", "hurried-late");
    // The second call does not wait for what runs.
    await client.call("daemon.stop", { restarting: true }).catch(() => {});
    while (existsSync(`/proc/${pid}/exe`)) await wait(2);
    rig.save("../hurried", "");
    await startAgain(rig);

    t.match(errorOf(await interrupted), { errorType: "Livedev.Interrupted" });
    t.same(answerOf(await retried), { ran: "hurried-again" });
    t.same(answerOf(await waiting), { ran: "hurried-late" });
    t.same(runsOf(rig), { "hurried-begun": 1, "hurried-again": 2, "hurried-late": 1 });
  },
);

t.test(
  "`livedevd restart`, and once more in a hurry: begun, retryable, answered and in mid-stream",
  async (t) => {
    const interrupted = invoke(stub, "begun", { until: "never" });
    let begins = () => {};
    const streams = new Promise<void>((resolve) => (begins = resolve));
    const cut = invoke(streaming, "stream", { until: "never", chunk: begins });
    const retried = invoke(again, "again", { until: "later" });
    const kept = invoke(second, "kept", { until: "gate" });
    await Promise.all(["begun", "stream", "again", "kept"].map(runs));
    await streams;
    await second.proxy.refuse();
    rig.save("../gate", "");
    await told("answered", "kept");
    t.equal(await status("kept"), "answered", "its stub cannot be reached");

    const pid = rig.daemonPid();
    const restart = rig.spawn("livedevd.js", ["restart"]);
    const ended = new Promise<number | null>((resolve) => restart.once("close", resolve));
    await new Promise<void>((resolve) => {
      restart.stderr?.setEncoding("utf8").on("data", (text: string) => /Waiting for/.test(text) && resolve());
    });
    // The second one does not wait for what runs.
    const hurried = rig.livedevd("restart");
    while (existsSync(`/proc/${pid}/exe`)) await wait(2);
    rig.save("../later", "");
    t.equal(await ended, 0);
    t.equal((await hurried).code, 0);

    t.match(errorOf(await interrupted), { errorType: "Livedev.Interrupted" });
    t.same(answerOf(await retried), { ran: "again" });
    const stream = await cut;
    t.match(stream.body.toString(), /^begins /, "what had left stays");
    t.equal(stream.trailers["lambda-runtime-function-error-type"], "Livedev.Interrupted");
    await second.proxy.accept();
    t.same(answerOf(await kept), { ran: "kept" });
    t.same(runsOf(rig), { begun: 1, stream: 1, again: 2, kept: 1 });
    await told("delivered", "kept");
    t.same(
      { begun: await status("begun"), stream: await status("stream"), kept: await status("kept") },
      { begun: "interrupted", stream: "interrupted", kept: "ok" },
    );
  },
);

t.test("refused: away at once, a 503 for a request and an error for all else", async (t) => {
  const direct = await another("Plain", { direct: true });
  t.same(answerOf(await invoke(direct, "first")), { ran: "first" });
  await told("delivered", "first");
  t.equal((await rig.livedevd("stop")).code, 0);

  const request = json({ version: "2.0", requestContext: { http: { method: "GET" } } });
  for (const [event, to] of [
    [request, "response"],
    [json({ name: "never" }), "error"],
  ] as const) {
    const began = performance.now();
    const posted = await direct.runtime.invoke(event);
    const tookMs = performance.now() - began;
    // The bar is 100 ms (test/stub/away.test.ts holds it); here other tests run beside this one.
    t.ok(tookMs < 1_000, `${tookMs.toFixed(0)} ms`);
    t.equal(posted.to, to);
    if (to === "response") t.match(answerOf(posted), { statusCode: 503 });
    else t.match(errorOf(posted), { errorType: "Livedev.Away", errorMessage: /livedevd start/ });
  }
  t.same(runsOf(rig), { first: 1 });
});

t.test("killed before it began: the next daemon runs it (F3)", async (t) => {
  await rig.livedevd("stop");
  // No invocation begins before the config is there.
  const config = rig.read("livedev.config.ts");
  rig.save(
    "livedev.config.ts",
    `import { existsSync } from "node:fs";\nwhile (!existsSync("${rig.root}/config")) await new Promise((done) => setTimeout(done, 5));\n${config}`,
  );
  await startAgain(rig);
  const invoked = invoke(stub, "x");
  await told("received", "x");
  t.equal(await status("x"), "received");
  await killDaemon(rig);
  rig.save("../config", "");
  await startAgain(rig);
  t.same(answerOf(await invoked), { ran: "x" });
  t.same(runsOf(rig), { x: 1 });
  await told("delivered", "x");
  t.equal(await status("x"), "ok");
});
