import { statSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";

import Sqlite from "better-sqlite3";
import t from "tap";

import type { Store } from "../../daemon/store/store.ts";
import { times } from "../support/counts.ts";
import { invoke, openStore, stateFile } from "./support.ts";

const MB = 1024 * 1024;

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Until pruning has come to rest: nothing went in this many turns. */
async function settled(store: Store): Promise<void> {
  await store.flushed();
  let firstSeq = store.firstSeq;
  for (let quiet = 0; quiet < 50; quiet += 1) {
    await turn();
    if (store.firstSeq !== firstSeq) quiet = 0;
    firstSeq = store.firstSeq;
  }
}

async function fill(store: Store, count: number, note = ""): Promise<number[]> {
  const ids: number[] = [];
  for (let n = 0; n < count; n += 1) {
    ids.push(invoke(store, { event: { n, note }, logs: ["one", "two"] }));
    if (n % 50 === 0) await store.flushed();
  }
  await settled(store);
  return ids;
}

/** That nothing of an invocation is left without the rest of it. */
function leftovers(file: string, firstSeq: number): unknown {
  const db = new Sqlite(file, { readonly: true });
  const count = (sql: string) => db.prepare<[number], number>(sql).pluck().get(firstSeq);
  try {
    return {
      invocations: count("SELECT count(*) FROM invocations WHERE id < ?"),
      payloads: count("SELECT count(*) FROM payloads WHERE invocation_id < ?"),
      events: count("SELECT count(*) FROM events WHERE seq < ?"),
    };
  } finally {
    db.close();
  }
}

const NOTHING = { invocations: 0, payloads: 0, events: 0 };

void t.test("history is kept to a number of invocations: the oldest go, whole", async (t) => {
  const file = stateFile(t);
  const store = await openStore(t, file, { limits: { maxInvocations: 500 } });
  const ids = await fill(store, times(2_000, 1_200));
  const listed = (await store.invocations({ limit: 1000 })).map(({ id }) => id);
  // Pruning follows each 2,000 events, and takes up to 1,000 of them at once.
  t.ok(listed.length <= 500 + 2_000 / 7 + 1 && listed.length >= 500 - 1_000 / 7, `${listed.length} are left`);
  t.strictSame(listed, ids.slice(-listed.length).toReversed(), "the newest ones");
  t.strictSame(leftovers(file, store.firstSeq), NOTHING);
  t.equal((await store.events({ limit: 1 })).events[0]?.seq, store.firstSeq);
  t.equal(await store.invocation(ids[0]!), undefined);

  const { firstSeq, lastSeq } = store;
  await store[Symbol.asyncDispose]();
  const smaller = await openStore(t, file, { limits: { maxInvocations: 10, maxEvents: 100 } });
  t.equal(smaller.firstSeq, firstSeq);
  smaller.record({ type: "daemon.started", epoch: "e", version: "v", pid: 1 });
  await settled(smaller);
  t.ok(smaller.firstSeq > firstSeq, "a smaller bound is kept from the next start on");
  t.equal(smaller.lastSeq, lastSeq + 1, "and no number is given twice");
});

void t.test("history is kept to a size, also where each invocation is as large as they get", async (t) => {
  const file = stateFile(t);
  const store = await openStore(t, file, { limits: { maxBytes: 40 * MB } });
  const ids: number[] = [];
  for (let n = 0; n < times(30, 9); n += 1) {
    ids.push(invoke(store, { event: "x".repeat(6 * MB - 10), answer: "y".repeat(5 * MB) }));
    await settled(store);
    t.ok(statSync(file).size < 90 * MB, `${Math.round(statSync(file).size / MB)} MB after ${n + 1}`);
  }
  const listed = (await store.invocations()).map(({ id }) => id);
  t.strictSame(listed, ids.slice(-listed.length).toReversed());
  t.ok(listed.length >= 2 && listed.length <= 7, `${listed.length} of 11 MB are left`);
  t.strictSame(leftovers(file, store.firstSeq), NOTHING);
});

void t.test("what is still under way is kept, and pruned once it has ended", async (t) => {
  const file = stateFile(t);
  const store = await openStore(t, file, { limits: { maxInvocations: 100 } });
  await fill(store, 500);
  const key = { requestId: "long", nonce: "n" };
  const long = invoke(store, { ...key, until: "begun" });
  await fill(store, 1_000);
  t.ok(store.firstSeq <= long);
  t.match(await store.invocation(long), { status: "running", event: { bytes: 2 } });
  t.strictSame(
    store.unfinished().map(({ id }) => id),
    [long],
  );
  const of = { id: long, functionName: "api", requestId: "long" };
  store.answer({
    event: { ...of, status: "ok", durationMs: 1 },
    body: Buffer.from("1"),
    contentType: "application/json",
    streamed: false,
  });
  store.record({ type: "invocation.delivered", ...of });
  await fill(store, 400);
  t.ok(store.firstSeq > long);
  t.equal(store.lookup(key), undefined);
});

void t.test("recording goes on at its pace while history is pruned", async (t) => {
  const store = await openStore(t, stateFile(t), { limits: { maxInvocations: 200 } });
  const lag = monitorEventLoopDelay({ resolution: 5 });
  lag.enable();
  await fill(store, times(3_000, 1_000), "x".repeat(2_000));
  lag.disable();
  const longest = lag.max / 1e6;
  t.ok(longest < 500, `the longest turn took ${Math.round(longest)} ms`);
});
