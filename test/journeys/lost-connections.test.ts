/**
 * The table of lost connections (ARCHITECTURE.md), row by row: the real stub before the real daemon, which is killed,
 * restarted and cut off. What ran is counted by the handlers themselves.
 */
import { existsSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";

import t from "tap";

import { killDaemon, LiveStub, project, runsOf, startAgain, Watched } from "../support/live-stub.ts";

const json = (value: Record<string, unknown>) => JSON.stringify(value);
const errorOf = (body: Buffer) => JSON.parse(body.toString()) as { errorType: string; errorMessage: string };

t.test("refused: away at once, a 503 for a request and an error for all else", async (t) => {
  await using made = await project("Plain", { direct: true });
  const { rig, watched, stub } = made;
  const first = await stub.runtime.invoke(json({ name: "first" }));
  t.same(JSON.parse(first.body.toString()), { ran: "first" });
  await watched.next("invocation.delivered");
  t.equal((await rig.livedevd("stop")).code, 0);

  const request = json({ version: "2.0", requestContext: { http: { method: "GET" } } });
  for (const [event, to] of [
    [request, "response"],
    [json({ name: "never" }), "error"],
  ] as const) {
    const began = performance.now();
    const posted = await stub.runtime.invoke(event);
    const tookMs = performance.now() - began;
    // The bar is 100 ms (test/stub/away.test.ts holds it); here other tests run beside this one.
    t.ok(tookMs < 1_000, `${tookMs.toFixed(0)} ms`);
    t.equal(posted.to, to);
    if (to === "response") t.match(JSON.parse(posted.body.toString()), { statusCode: 503 });
    else t.match(errorOf(posted.body), { errorType: "Livedev.Away", errorMessage: /livedevd start/ });
  }
  t.same(runsOf(rig), { first: 1 });
});

t.test("`livedevd restart` while events keep coming: each is answered, each ran once", async (t) => {
  await using made = await project("Plain");
  const { rig, watched, stub } = made;
  const restart = { over: false };
  const restarted = rig.livedevd("restart").finally(() => (restart.over = true));
  const names: string[] = [];
  while (!restart.over || names.length < 3) {
    const name = `event-${names.length}`;
    names.push(name);
    const posted = await stub.runtime.invoke(json({ name }));
    t.same(JSON.parse(posted.body.toString()), { ran: name });
  }
  t.equal((await restarted).code, 0);
  t.same(runsOf(rig), Object.fromEntries(names.map((name) => [name, 1])));
  const after = json({ name: "after" });
  t.same(JSON.parse((await stub.runtime.invoke(after, { requestId: "after" })).body.toString()), {
    ran: "after",
  });
  await watched.next("invocation.delivered", ({ requestId }) => requestId === "after");
  const rows = await watched.client.call("invocation.list", { limit: 1_000 });
  t.equal(rows.length, names.length + 1);
  t.ok(rows.every(({ status }) => status === "ok" || status === "undelivered"));
});

t.test("killed before it began: the next daemon runs it (F3)", async (t) => {
  await using made = await project("Plain");
  const { rig, watched, stub } = made;
  await killDaemon(rig);
  // No invocation begins before the config is there.
  const config = rig.read("livedev.config.ts");
  rig.save(
    "livedev.config.ts",
    `import { existsSync } from "node:fs";\nwhile (!existsSync("${rig.root}/config")) await new Promise((done) => setTimeout(done, 5));\n${config}`,
  );
  await startAgain(rig);
  const invoked = stub.runtime.invoke(json({ name: "x" }));
  const { requestId } = await watched.next("invocation.received");
  t.equal((await watched.row(requestId))?.status, "received");
  await killDaemon(rig);
  rig.save("../config", "");
  await startAgain(rig);
  t.same(JSON.parse((await invoked).body.toString()), { ran: "x" });
  t.same(runsOf(rig), { x: 1 });
  await watched.next("invocation.delivered");
  t.match(await watched.row(requestId), { status: "ok" });
});

t.test("killed before it had the event at all: the next daemon runs it", async (t) => {
  await using made = await project("Plain");
  const { rig, watched, stub } = made;
  await stub.runtime.invoke(json({ name: "warm" }));
  // The stub writes into a connection whose other end hears nothing.
  stub.proxy.blackHole();
  stub.proxy.swallowNew(true);
  const invoked = stub.runtime.invoke(json({ name: "x" }));
  await stub.proxy.connected();
  await killDaemon(rig);
  await startAgain(rig);
  stub.proxy.swallowNew(false);
  stub.proxy.cut();
  t.same(JSON.parse((await invoked).body.toString()), { ran: "x" });
  t.same(runsOf(rig), { warm: 1, x: 1 });
  await watched.next("invocation.delivered", ({ requestId }) => requestId === "request-2");
});

t.test("killed while the handler ran: interrupted at once, and not run again", async (t) => {
  await using made = await project("Plain");
  const { rig, watched, stub } = made;
  const invoked = stub.runtime.invoke(json({ name: "x", until: `${rig.root}/never` }));
  const { requestId } = await watched.next("invocation.begun");
  while (runsOf(rig)["x"] !== 1) await wait(2);
  await killDaemon(rig);
  const began = performance.now();
  await startAgain(rig);
  const posted = await invoked;
  t.ok(performance.now() - began < 5_000, `${(performance.now() - began).toFixed(0)} ms after the kill`);
  t.match(errorOf(posted.body), { errorType: "Livedev.Interrupted", errorMessage: /not run again/ });
  t.same(runsOf(rig), { x: 1 });
  await watched.next("invocation.delivered");
  t.match(await watched.row(requestId), { status: "interrupted" });
});

t.test("killed while a `retryable` handler ran: it runs again, and is answered once", async (t) => {
  await using made = await project("Again");
  const { rig, watched, stub } = made;
  const invoked = stub.runtime.invoke(json({ name: "x", until: `${rig.root}/gate` }));
  const { requestId } = await watched.next("invocation.begun");
  while (runsOf(rig)["x"] !== 1) await wait(2);
  await killDaemon(rig);
  rig.save("../gate", "");
  await startAgain(rig);
  t.same(JSON.parse((await invoked).body.toString()), { ran: "x" });
  t.same(runsOf(rig), { x: 2 });
  await watched.next("invocation.delivered");
  t.match(await watched.row(requestId), { status: "ok" });
  t.equal(stub.runtime.strays, 0);
});

t.test("killed between the answer and its delivery: the stored answer is delivered (F2)", async (t) => {
  await using made = await project("Plain");
  const { rig, watched, stub } = made;
  const invoked = stub.runtime.invoke(json({ name: "x", until: `${rig.root}/gate` }));
  const { requestId } = await watched.next("invocation.begun");
  await stub.proxy.refuse();
  rig.save("../gate", "");
  await watched.next("invocation.answered", ({ status }) => status === "ok");
  t.equal((await watched.row(requestId))?.status, "answered", "not ok before the stub has acked");
  await killDaemon(rig);
  await startAgain(rig);
  t.equal((await watched.row(requestId))?.status, "answered");
  await stub.proxy.accept();
  t.same(JSON.parse((await invoked).body.toString()), { ran: "x" });
  await watched.next("invocation.delivered");
  t.equal((await watched.row(requestId))?.status, "ok");
  t.same(runsOf(rig), { x: 1 });
});

t.test(
  "a restart in a hurry: what runs is interrupted, what is retryable or waits runs after it",
  async (t) => {
    await using made = await project("Plain");
    const { rig, watched, stub } = made;
    await using again = await LiveStub.open(rig, "Again");
    await using late = await LiveStub.open(rig, "Plain");
    const gate = `${rig.root}/gate`;
    const interrupted = stub.runtime.invoke(json({ name: "begun", until: `${rig.root}/never` }));
    while (runsOf(rig)["begun"] !== 1) await wait(2);
    const retried = again.runtime.invoke(json({ name: "again", until: gate }), { requestId: "again" });
    await watched.next("invocation.begun", ({ requestId }) => requestId === "again");
    while (runsOf(rig)["again"] !== 1) await wait(2);

    const pid = rig.daemonPid();
    const { client } = watched;
    await client.call("daemon.stop", { restarting: true });
    const waiting = late.runtime.invoke(json({ name: "late" }), { requestId: "late" });
    await watched.next("invocation.received", ({ requestId }) => requestId === "late");
    // The second call does not wait for what runs.
    await client.call("daemon.stop", { restarting: true }).catch(() => {});
    while (existsSync(`/proc/${pid}/exe`)) await wait(2);
    rig.save("../gate", "");
    await startAgain(rig);

    t.match(errorOf((await interrupted).body), { errorType: "Livedev.Interrupted" });
    t.same(JSON.parse((await retried).body.toString()), { ran: "again" });
    t.same(JSON.parse((await waiting).body.toString()), { ran: "late" });
    t.same(runsOf(rig), { begun: 1, again: 2, late: 1 });
  },
);

t.test(
  "`livedevd restart`, and once more in a hurry: begun, retryable, answered and in mid-stream",
  async (t) => {
    await using made = await project("Plain");
    const { rig, watched, stub } = made;
    await using again = await LiveStub.open(rig, "Again");
    await using answered = await LiveStub.open(rig, "Plain");
    await using streaming = await LiveStub.open(rig, "Stream");
    const gate = `${rig.root}/gate`;
    const never = `${rig.root}/never`;
    const ran = async (name: string) => {
      while (runsOf(rig)[name] !== 1) await wait(2);
    };
    const interrupted = stub.runtime.invoke(json({ name: "begun", until: never }), { requestId: "begun" });
    let begins = () => {};
    const streams = new Promise<void>((resolve) => (begins = resolve));
    const cut = streaming.runtime.invoke(json({ name: "stream", until: never }), {
      requestId: "stream",
      chunk: begins,
    });
    const retried = again.runtime.invoke(json({ name: "again", until: `${rig.root}/later` }));
    const kept = answered.runtime.invoke(json({ name: "kept", until: gate }), { requestId: "kept" });
    await Promise.all(["begun", "stream", "again", "kept"].map(ran));
    await streams;
    await answered.proxy.refuse();
    rig.save("../gate", "");
    await watched.next("invocation.answered", ({ requestId }) => requestId === "kept");
    t.equal((await watched.row("kept"))?.status, "answered", "its stub cannot be reached");

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

    t.match(errorOf((await interrupted).body), { errorType: "Livedev.Interrupted" });
    t.same(JSON.parse((await retried).body.toString()), { ran: "again" });
    const stream = await cut;
    t.match(stream.body.toString(), /^begins /, "what had left stays");
    t.equal(stream.trailers["lambda-runtime-function-error-type"], "Livedev.Interrupted");
    await answered.proxy.accept();
    t.same(JSON.parse((await kept).body.toString()), { ran: "kept" });
    t.same(runsOf(rig), { begun: 1, stream: 1, again: 2, kept: 1 });
    await using after = await Watched.open(rig);
    await after.next("invocation.delivered", ({ requestId }) => requestId === "kept");
    const status = async (requestId: string) => (await after.row(requestId))?.status;
    t.same(
      { begun: await status("begun"), stream: await status("stream"), kept: await status("kept") },
      { begun: "interrupted", stream: "interrupted", kept: "ok" },
    );
  },
);
