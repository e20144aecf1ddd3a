/** The stub, or the daemon, does not come back. Side by side, since each waits the 15 s after which that is certain. */
import { setTimeout as wait } from "node:timers/promises";

import t from "tap";

import { killDaemon, project, runsOf, startAgain } from "../support/live-stub.ts";

const json = (value: Record<string, unknown>) => JSON.stringify(value);
const errorOf = (body: Buffer) => JSON.parse(body.toString()) as { errorType: string; errorMessage: string };

t.jobs = 4;

t.test(
  "the stub does not come back for the stored answer: undelivered, and it can be replayed",
  { buffered: true },
  async (t) => {
    await using made = await project("Plain");
    const { rig, watched, stub } = made;
    const invoked = stub.runtime.invoke(json({ name: "x", until: `${rig.root}/gate` }), { timeoutMs: 4_000 });
    const { id, requestId } = await watched.next("invocation.begun");
    await stub.proxy.refuse();
    rig.save("../gate", "");
    await watched.next("invocation.answered");
    await killDaemon(rig);
    t.match(errorOf((await invoked).body), { errorType: "Livedev.OutcomeUnknown" }, "the grace is over");
    await startAgain(rig);
    await watched.next("invocation.undelivered");
    t.equal((await watched.row(requestId))?.status, "undelivered");
    t.match(await watched.client.call("invocation.replay", { id }), { status: "ok", payload: '{"ran":"x"}' });
    await stub.proxy.accept();
  },
);

t.test("nobody starts it again: an error that says the outcome is unknown", { buffered: true }, async (t) => {
  await using made = await project("Plain");
  const { rig, watched, stub } = made;
  const invoked = stub.runtime.invoke(json({ name: "x", until: `${rig.root}/never` }), { timeoutMs: 3_000 });
  const { requestId } = await watched.next("invocation.begun");
  while (runsOf(rig)["x"] !== 1) await wait(2);
  await killDaemon(rig);
  const posted = await invoked;
  t.equal(posted.to, "error");
  t.match(errorOf(posted.body), {
    errorType: "Livedev.OutcomeUnknown",
    errorMessage: /was running.*is unknown/,
  });
  await startAgain(rig);
  await watched.next("invocation.undelivered");
  t.equal((await watched.row(requestId))?.status, "interrupted");
  t.same(runsOf(rig), { x: 1 });
});

t.test("nobody starts it again, and its timeout is far: told after 10 s", { buffered: true }, async (t) => {
  await using made = await project("Plain");
  const { rig, watched, stub } = made;
  const invoked = stub.runtime.invoke(json({ name: "x", until: `${rig.root}/never` }), { timeoutMs: 60_000 });
  await watched.next("invocation.begun");
  while (runsOf(rig)["x"] !== 1) await wait(2);
  await killDaemon(rig);
  const began = performance.now();
  t.match(errorOf((await invoked).body), { errorType: "Livedev.OutcomeUnknown" });
  const tookMs = performance.now() - began;
  t.ok(tookMs > 9_000 && tookMs < 20_000, `${tookMs.toFixed(0)} ms`);
  await startAgain(rig);
  await watched.next("invocation.undelivered");
});

t.test("killed in mid-stream: a mid-stream error, as Lambda signals it", { buffered: true }, async (t) => {
  await using made = await project("Stream");
  const { rig, watched, stub } = made;
  let first = () => {};
  const flowing = new Promise<void>((resolve) => (first = resolve));
  const invoked = stub.runtime.invoke(json({ name: "x", until: `${rig.root}/never` }), {
    chunk: () => first(),
  });
  const { requestId } = await watched.next("invocation.begun");
  await flowing;
  await killDaemon(rig);
  await startAgain(rig);
  const posted = await invoked;
  t.equal(posted.body.toString(), "begins ");
  t.equal(posted.trailers["lambda-runtime-function-error-type"], "Livedev.OutcomeUnknown");
  await watched.next("invocation.undelivered");
  t.equal((await watched.row(requestId))?.status, "interrupted");
  t.same(runsOf(rig), { x: 1 });
});
