import t from "tap";

import { deferred } from "../../daemon/lib/scope.ts";

import { MemoryHistory, Rig } from "./rig.ts";

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => from + at);

void t.test("a subscription replays after its cursor, then follows, without gap or duplicate", async (t) => {
  await using rig = await Rig.open();
  const { history } = rig;
  for (const n of range(1, 3_000)) history.log(`old ${n}`);
  const wire = await rig.wire();
  const answered = wire.call("events.subscribe", { after: { database: "db-1", seq: 100 } });
  // Events race with the replay, in bursts of different sizes, over its whole length.
  let next = 3_000;
  await new Promise<void>((resolve) => {
    const burst = () => {
      for (let n = 0; n < (next % 7) * 40 + 1; n += 1) history.log(`new ${(next += 1)}`);
      if (next < 9_000) setImmediate(burst);
      else resolve();
    };
    burst();
  });
  const { result } = await answered;
  t.same(result.cursor, { database: "db-1", seq: 100 });
  await wire.until(({ params }) => params?.cursor?.seq === next);
  t.same(wire.seqs, range(101, next));
});

void t.test("without a cursor only what is recorded from then on comes", async (t) => {
  await using rig = await Rig.open();
  for (const n of range(1, 5)) rig.history.log(`old ${n}`);
  const wire = await rig.wire();
  const { result } = await wire.call("events.subscribe", {});
  t.same(result.cursor, { database: "db-1", seq: 5 });
  rig.history.log("new");
  await wire.until(({ params }) => params?.cursor?.seq === 6);
  t.same(wire.seqs, [6]);
});

void t.test("the answer that names a subscription comes before its first event", async (t) => {
  await using rig = await Rig.open();
  for (const n of range(1, 50)) rig.history.log(`old ${n}`);
  const wire = await rig.wire();
  for (const n of range(1, 20)) {
    wire.send({
      jsonrpc: "2.0",
      id: n,
      method: "events.subscribe",
      params: { after: { database: "db-1", seq: 0 } },
    });
  }
  await wire.until(({ params }) => params?.subscription === "s20");
  const known = new Set<string>();
  for (const { result, params } of wire.received) {
    if (result) known.add(result.subscription);
    else t.ok(known.has(params.subscription));
  }
});

void t.test("types and functionName filter, in the replay and live", async (t) => {
  await using rig = await Rig.open();
  const { history } = rig;
  const event = { type: "config.loaded", tookMs: 1, functions: [] } as const;
  history.log("a", "hello");
  history.log("b", "other");
  history.record(event);
  const wire = await rig.wire();
  const after = { database: "db-1", seq: 0 };
  await wire.call("events.subscribe", { after, types: ["function.*"], functionName: "hello" });
  history.log("c", "other");
  history.record(event);
  history.log("d", "hello");
  await wire.until(({ params }) => params?.cursor?.seq === 6);
  t.same(wire.seqs, [1, 6]);
});

void t.test("a cursor of another database, or one pruned away, gives a typed reset", async (t) => {
  const history = new MemoryHistory();
  await using rig = await Rig.open({ history });
  for (const n of range(1, 10)) history.log(`old ${n}`);
  history.firstSeq = 6;
  const wire = await rig.wire();

  const cases: [reason: string, after: object, cursor: object][] = [
    ["database", { database: "gone", seq: 3 }, { database: "db-1", seq: 5 }],
    ["database", { database: "db-1", seq: 11 }, { database: "db-1", seq: 5 }],
    ["pruned", { database: "db-1", seq: 4 }, { database: "db-1", seq: 5 }],
  ];
  for (const [reason, after, cursor] of cases) {
    const { result } = await wire.call("events.subscribe", { after });
    const { subscription } = result;
    const reset = await wire.until(
      ({ method, params }) => method === "events.reset" && params.subscription === subscription,
    );
    t.same(reset.params, { subscription, reason, cursor });
  }
  await wire.call("events.subscribe", { after: { database: "db-1", seq: 5 } });
  await wire.until(({ params }) => params?.cursor?.seq === 10 && params.events);
  t.same(wire.seqs, range(6, 10), "the last that is not pruned still replays");
});

void t.test("unsubscribing and going away both let go of the history", async (t) => {
  await using rig = await Rig.open();
  const [first, second] = await Promise.all([rig.wire(), rig.wire()]);
  const { result } = await first.call("events.subscribe", {});
  await second.call("events.subscribe", {});
  t.equal(rig.history.watchers, 2);
  t.same((await first.call("events.unsubscribe", { subscription: result.subscription })).result, {});
  t.same((await first.call("events.unsubscribe", { subscription: "unknown" })).result, {});
  t.equal(rig.history.watchers, 1);
  second.socket.terminate();
  await until(() => rig.history.watchers === 0);
  rig.history.log("nobody hears");
  t.same((await first.call("function.list")).result, []);
  t.same(first.seqs, []);
});

void t.test("subscribing over HTTP is refused with what to do instead", async (t) => {
  await using rig = await Rig.open();
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "events.subscribe", params: {} });
  t.match((await rig.post(body)).json().error, { code: -32000, data: { code: "rpc.webSocketOnly" } });
});

void t.test(
  "a subscriber that does not read costs bounded memory, is told slow, and resumes without gap",
  async (t) => {
    await using rig = await Rig.open({ slowMs: 500 });
    const { history } = rig;
    const wire = await rig.wire();
    const reader = await rig.wire();
    await wire.call("events.subscribe", {});
    await reader.call("events.subscribe", {});
    wire.socket.pause();
    const line = "x".repeat(10_000);
    for (const _ of range(1, 2_000)) history.log(line);
    await reader.until(({ params }) => params?.cursor?.seq === 2_000);
    t.same(reader.seqs, range(1, 2_000), "another reader is not held up");
    await until(() => history.watchers === 1);
    wire.socket.resume();

    const reset = await wire.until(({ method }) => method === "events.reset");
    t.equal(reset.params.reason, "slow");
    const stopped = reset.params.cursor.seq;
    t.same(wire.seqs, range(1, stopped), "what was sent before arrives whole, up to the cursor");
    t.ok(stopped * line.length < 4 * 1024 * 1024, "20 MB were not kept for it");
    await wire.call("events.subscribe", { after: reset.params.cursor });
    await wire.until(({ params }) => params?.cursor?.seq === 2_000);
    t.same(wire.seqs, range(1, 2_000));
  },
);

void t.test(
  "after the daemon itself stood still, as in a laptop's sleep, its readers are not taken for slow",
  async (t) => {
    const slowMs = 1_000;
    await using rig = await Rig.open({ slowMs });
    const wire = await rig.wire();
    const reader = await rig.wire();
    await wire.call("events.subscribe", {});
    await reader.call("events.subscribe", {});
    wire.socket.pause();
    for (const _ of range(1, 300)) rig.history.log("x".repeat(10_000));
    await reader.until(({ params }) => params?.cursor?.seq === 300);
    wire.socket.resume();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1.5 * slowMs);

    await wire.until(({ method, params }) => method === "events.reset" || params?.cursor?.seq === 300);
    t.same(wire.seqs, range(1, 300));
  },
);

void t.test("clients that vanish in mid-subscription, 300 times, leave nothing", async (t) => {
  const held = deferred<void>();
  await using rig = await Rig.open({ methods: { "function.list": () => held.promise.then(() => []) } });
  for (const n of range(1, 300)) {
    const wire = await rig.wire();
    const subscribed = wire.call("events.subscribe", { after: { database: "db-1", seq: 0 } });
    wire.send({ jsonrpc: "2.0", id: n, method: "function.list" });
    if (n % 2 === 0) await subscribed;
    rig.history.log(`line ${n}`);
    wire.socket.terminate();
  }
  held.resolve();
  await until(() => rig.rpc.connections === 0 && rig.history.watchers === 0);
  t.pass("none is left");
});

/** Looks once a turn; the test's own timeout bounds it. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 1));
}
