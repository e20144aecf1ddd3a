/** The stub, or the daemon, does not come back. Side by side, since each waits the 15 s after which that is certain. */
import { setTimeout as wait } from "node:timers/promises";

import t from "tap";

import { killDaemon, LiveStub, project, runsOf, startAgain } from "../support/live-stub.ts";

const json = (value: Record<string, unknown>) => JSON.stringify(value);
const errorOf = (body: Buffer) => JSON.parse(body.toString()) as { errorType: string; errorMessage: string };

t.jobs = 2;

t.test("killed, and nobody starts it again for 10 s", { buffered: true }, async (t) => {
  await using made = await project("Plain");
  const { rig, watched, stub } = made;
  await using second = await LiveStub.open(rig, "Plain");
  await using third = await LiveStub.open(rig, "Plain");
  /** An event of this name, which is its request's id too. */
  const invoke = async ({ runtime }: LiveStub, name: string, until: string, timeoutMs: number) => {
    const event = json({ name, until: `${rig.root}/${until}` });
    const invoked = runtime.invoke(event, { requestId: name, timeoutMs });
    const { id } = await watched.next("invocation.begun", ({ requestId }) => requestId === name);
    while (runsOf(rig)[name] !== 1) await wait(2);
    return { id, invoked };
  };
  const undelivered = (name: string) =>
    watched.next("invocation.undelivered", ({ requestId }) => requestId === name);
  const status = async (name: string) => (await watched.row(name))?.status;

  const far = await invoke(third, "far", "never", 60_000);
  const stored = await invoke(stub, "stored", "gate", 6_000);
  const near = await invoke(second, "near", "never", 5_000);
  await stub.proxy.refuse();
  rig.save("../gate", "");
  await watched.next("invocation.answered", ({ requestId }) => requestId === "stored");
  await killDaemon(rig);
  const began = performance.now();
  const farMs = far.invoked.then(() => performance.now() - began);
  const started = Promise.all([far.invoked, stored.invoked, near.invoked]).then(() => startAgain(rig));

  await t.test("an error that says the outcome is unknown", async (t) => {
    const posted = await near.invoked;
    t.equal(posted.to, "error");
    t.match(errorOf(posted.body), {
      errorType: "Livedev.OutcomeUnknown",
      errorMessage: /was running.*is unknown/,
    });
    await started;
    await undelivered("near");
    t.equal(await status("near"), "interrupted");
    t.equal(runsOf(rig)["near"], 1);
  });

  await t.test("its timeout is far: told after 10 s", async (t) => {
    t.match(errorOf((await far.invoked).body), { errorType: "Livedev.OutcomeUnknown" });
    const tookMs = await farMs;
    t.ok(tookMs > 9_000 && tookMs < 20_000, `${tookMs.toFixed(0)} ms`);
    await started;
    await undelivered("far");
  });

  await t.test(
    "the stub does not come back for the stored answer: undelivered, and it can be replayed",
    async (t) => {
      t.match(
        errorOf((await stored.invoked).body),
        { errorType: "Livedev.OutcomeUnknown" },
        "the grace is over",
      );
      await started;
      await undelivered("stored");
      t.equal(await status("stored"), "undelivered");
      const replayed = await watched.client.call("invocation.replay", { id: stored.id });
      t.match(replayed, { status: "ok", payload: '{"ran":"stored"}' });
      await stub.proxy.accept();
    },
  );
  t.same(runsOf(rig), { far: 1, near: 1, stored: 2 });
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
