/** What a daemon takes up of its predecessor's, as design and README promise it. */
import t from "tap";

import { deferred } from "../../daemon/lib/scope.ts";
import { CODE, ok, Rig, shown } from "./rig.ts";

t.test("restarted, never seen: it runs", async (t) => {
  const rig = await (await Rig.open(t)).again(t);
  const sent = rig.send();
  (await rig.call()).outcome.resolve(ok("run"));
  await sent.done;
  t.match(await rig.row(sent), { status: "ok" });
});

t.test("restarted, not begun: it runs once its stub comes back", async (t) => {
  const first = await Rig.open(t);
  const sent = first.send();
  await first.call();
  await first.invocations.drain(0, "restarting");
  await sent.done;
  t.same(sent.given, [], "its stub is told nothing");
  t.match(await first.row(sent), { status: "received" });
  const late = first.send();
  await late.done;
  t.ok(first.uncalled, "and what comes meanwhile is left to the next daemon");

  const second = await first.again(t);
  for (const { incoming } of [sent, late]) {
    const resent = second.send({ key: incoming.key });
    (await second.call()).outcome.resolve(ok("run"));
    await resent.done;
    t.equal(shown(resent.given[0]).value, "run");
    t.same(await second.story(resent), ["received", "answered", "delivered"], "in the same row");
  }
});

t.test("restarted, begun: interrupted at once, and not run again", async (t) => {
  const first = await Rig.open(t);
  const sent = first.send({ takes: () => new Promise(() => {}) });
  (await first.call()).request.begun(CODE);
  // Killed: nothing more is written.
  await first.store.flushed();
  await first.store[Symbol.asyncDispose]();
  const second = await Rig.open(t, { file: first.file });
  const resent = second.send({ key: sent.incoming.key });
  await resent.done;
  t.ok(second.uncalled);
  t.match(shown(resent.given[0]), { errorType: "Livedev.Interrupted", cause: "interrupted" });
  t.match(await second.row(resent), { status: "interrupted" });
});

t.test("restarted, begun, and the function may run again: it does", async (t) => {
  const first = await Rig.open(t, { retryable: () => true });
  const sent = first.send();
  (await first.call()).request.begun(CODE);
  await first.invocations.drain(0, "restarting");
  await sent.done;
  t.same(sent.given, []);
  const second = await first.again(t, { retryable: () => true });
  const resent = second.send({ key: sent.incoming.key });
  const { request, outcome } = await second.call();
  request.begun({ codeHash: "fedcba9876543210", coldStart: true });
  outcome.resolve(ok("again"));
  await resent.done;
  t.match(await second.row(resent), { status: "ok", codeHash: "fedcba9876543210", coldStart: true });
});

t.test("restarted, answered: the stored answer is delivered", async (t) => {
  const first = await Rig.open(t);
  const never = deferred<void>();
  const sent = first.send({ takes: () => never.promise });
  (await first.call()).outcome.resolve(ok({ price: 12 }));
  while (sent.given.length === 0) await first.store.flushed();
  await first.invocations.drain(0, "restarting");
  const second = await first.again(t);
  const resent = second.send({ key: sent.incoming.key });
  await resent.done;
  t.ok(second.uncalled);
  t.same(shown(resent.given[0]).value, { price: 12 });
  t.match(await second.row(resent), { status: "ok" });
});

t.test("restarted, and its stub does not come back: the row is closed with what is known", async (t) => {
  const first = await Rig.open(t);
  const begun = first.send({ takes: () => new Promise(() => {}) });
  (await first.call()).request.begun(CODE);
  const received = first.send();
  await first.call();
  const answered = first.send({ takes: () => new Promise(() => {}) });
  (await first.call()).outcome.resolve(ok("kept"));
  while (answered.given.length === 0) await first.store.flushed();
  await first.store.flushed();
  await first.store[Symbol.asyncDispose]();

  const second = await Rig.open(t, { file: first.file, resumeMs: 1 });
  const closed = deferred<void>();
  let count = 0;
  second.store.watch((events) => {
    count += events.filter(({ event }) => event.type === "invocation.undelivered").length;
    if (count === 3) closed.resolve();
  });
  await closed.promise;
  t.match(await second.row(begun), {
    errorType: "Livedev.Interrupted",
    errorMessage: /while the handler ran/,
  });
  t.match(await second.row(received), { errorMessage: /before the handler had the event/ });
  t.match(
    await second.row(answered),
    { status: "undelivered", answer: { text: '"kept"' } },
    "and can be replayed",
  );
});

t.test("the same request with another nonce is Lambda's own retry: it runs, and is linked", async (t) => {
  const rig = await Rig.open(t);
  const first = rig.send();
  (await rig.call()).outcome.resolve(ok(1));
  await first.done;
  const firstId = (await rig.row(first)).id;
  const retry = rig.send({ key: { requestId: first.incoming.key.requestId, nonce: "another" } });
  (await rig.call()).outcome.resolve(ok(2));
  await retry.done;
  t.match(await rig.row(retry), { retryOf: firstId, status: "ok" });
});
