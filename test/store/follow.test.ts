import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import t, { type Test } from "tap";

import type { Cursor, LivedevEvent, RecordedEvent } from "../../proto/events.ts";
import type { FollowOptions } from "../../daemon/store/follow.ts";
import { matches } from "../../daemon/store/queries.ts";
import type { Store } from "../../daemon/store/store.ts";
import { times } from "../support/counts.ts";
import { invoke, openStore, seeded, stateFile } from "./support.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const loaded = (n: number): LivedevEvent => ({ type: "config.loaded", tookMs: n, functions: [] });

type Pace = () => Promise<void> | void;

/** A subscriber that keeps what it is given. */
class Follower {
  readonly events: RecordedEvent[] = [];
  readonly batches: number[] = [];
  readonly cursors: Cursor[] = [];
  reset: { reason: string; cursor: Cursor } | undefined;
  begun: Cursor | undefined;
  readonly ended: Promise<void>;
  readonly #controller = new AbortController();
  #inside = false;
  #wake = () => {};

  constructor(t: Test, store: Store, options: FollowOptions = {}, pace: Pace = () => {}) {
    const sink = {
      begun: (cursor: Cursor) => {
        this.begun = cursor;
      },
      events: (events: readonly RecordedEvent[], cursor: Cursor) => {
        if (this.#inside) t.fail("called again while it was busy");
        this.events.push(...events);
        this.#wake();
        this.batches.push(events.length);
        this.cursors.push(cursor);
        const pending = pace();
        if (pending === undefined) return undefined;
        this.#inside = true;
        return pending.then(() => {
          this.#inside = false;
        });
      },
      reset: (reason: string, cursor: Cursor) => {
        this.reset = { reason, cursor };
      },
    };
    this.ended = store.follow(options, sink, this.#controller.signal);
  }

  get seqs(): number[] {
    return this.events.map(({ seq }) => seq);
  }

  async has(count: number): Promise<void> {
    while (this.events.length < count) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  async end(): Promise<void> {
    this.#controller.abort();
    await this.ended;
  }
}

void t.test(
  "whoever follows sees each event once and in order, wherever they begin, however slow, under load",
  async (t) => {
    const store = await openStore(t, stateFile(t));
    const random = seeded(3);
    // When they draw is a matter of time, and must not change what is drawn elsewhere.
    const pause = seeded(4);
    const paces: readonly Pace[] = [
      () => {},
      turn,
      async () => {
        for (let n = pause(30); n > 0; n -= 1) await turn();
      },
    ];
    const filters = [
      {},
      { types: ["invocation.*"] },
      { functionName: "worker" },
      { types: ["invocation.logged", "config.*"] },
    ];
    const everything = new Follower(t, store, { after: { database: store.databaseId, seq: 0 } });
    const followers: { follower: Follower; options: FollowOptions; after: number }[] = [];
    for (let n = 0; n < times(900, 300); n += 1) {
      // Bursts that outgrow the tail, and quiet turns.
      for (let burst = random(100) === 0 ? 400 : random(4); burst > 0; burst -= 1) {
        if (random(3) === 0) store.record(loaded(burst));
        else invoke(store, { functionName: ["api", "worker"][random(2)]!, logs: ["a line"] });
      }
      if (random(times(30, 10)) === 0) {
        const options: FollowOptions = { ...filters[random(filters.length)] };
        const after = random(4) === 0 ? store.committedSeq : random(store.committedSeq + 1);
        const given =
          after === store.committedSeq ? {} : { after: { database: store.databaseId, seq: after } };
        const follower = new Follower(t, store, { ...options, ...given }, paces[random(paces.length)]);
        t.equal(follower.begun?.seq, after);
        followers.push({ follower, options, after });
      }
      await turn();
    }
    await store.flushed();
    await everything.has(store.lastSeq);
    t.strictSame(
      everything.seqs,
      Array.from({ length: store.lastSeq }, (_, n) => n + 1),
    );
    for (const { follower, options, after } of followers) {
      const expected = everything.events.filter(({ seq, event }) => seq > after && matches(options, event));
      await follower.has(expected.length);
      const name = `${JSON.stringify(options)} after ${after}`;
      if (JSON.stringify(follower.events) !== JSON.stringify(expected))
        t.strictSame(
          follower.seqs,
          expected.map(({ seq }) => seq),
          name,
        );
      t.equal(follower.reset, undefined);
      await follower.end();
    }
    t.ok(followers.length > 20, `${followers.length} followers, ${everything.events.length} events`);
    await everything.end();
  },
);

void t.test("any cursor that was given is a place to go on from", async (t) => {
  const store = await openStore(t, stateFile(t));
  const all = new Follower(t, store, { types: ["config.*"] }, turn);
  const count = times(300, 100);
  for (let n = 0; n < count; n += 1) {
    store.record(loaded(n));
    invoke(store);
    if (n % 7 === 0) await turn();
  }
  await all.has(count);
  for (const [n, cursor] of all.cursors.entries()) {
    const before = all.batches.slice(0, n + 1).reduce((sum, size) => sum + size, 0);
    const again = new Follower(t, store, { types: ["config.*"], after: cursor });
    await again.has(count - before);
    t.strictSame(again.seqs, all.seqs.slice(before));
    await again.end();
  }
  await all.end();
});

void t.test(
  "F18: a subscriber that never reads costs no memory, keeps nobody waiting, and can come back",
  async (t) => {
    const store = await openStore(t, stateFile(t));
    let read = () => {};
    const unread = new Promise<void>((resolve) => {
      read = resolve;
    });
    const stuck = new Follower(t, store, {}, () => unread);
    const replaying = new Follower(t, store, { after: { database: store.databaseId, seq: 0 } }, () => unread);
    const quick = { count: 0, ended: undefined as Promise<void> | undefined };
    const given = new AbortController();
    quick.ended = store.follow(
      {},
      {
        begun() {},
        events: (events) => {
          quick.count += events.length;
        },
        reset() {},
      },
      given.signal,
    );

    const EVENTS = times(30_000, 10_000);
    const text = () => `${"x".repeat(2_000)}${Math.random()}`;
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    for (let n = 0; n < EVENTS; n += 1) {
      store.record({ type: "function.logged", functionName: "api", stream: "stdout", text: text() });
      if (n % 100 === 0) await turn();
    }
    await store.flushed();
    t.equal(quick.count, EVENTS, "others are untouched");
    collectGarbage();
    const grownMb = (process.memoryUsage().heapUsed - before) / 1024 / 1024;
    const linesMb = EVENTS / 500;
    t.ok(
      grownMb < linesMb / 4,
      `the heap grew by ${grownMb.toFixed(1)} MB while ${linesMb} MB of lines went by`,
    );
    t.equal(stuck.batches.length, 1);

    read();
    await Promise.all([stuck.has(EVENTS), replaying.has(EVENTS)]);
    for (const follower of [stuck, replaying]) {
      t.strictSame(
        follower.seqs,
        Array.from({ length: EVENTS }, (_, n) => n + 1),
      );
      t.ok(Math.max(...follower.batches) <= 1_000, "what it missed comes in portions");
      await follower.end();
    }
    given.abort();
    await quick.ended;
  },
);

void t.test(
  "a cursor of another history, of its future or of what was pruned is reset to where history begins",
  async (t) => {
    const store = await openStore(t, stateFile(t), { limits: { maxEvents: 1_000 } });
    for (let n = 0; n < 8_000; n += 1) {
      store.record(loaded(n));
      if (n % 500 === 0) await turn();
    }
    await store.flushed();
    // A step a turn, of a thousand each: at rest, or where history begins would move on.
    for (let seen = 0; seen < 5_000 || seen !== store.firstSeq; await turn()) {
      seen = store.firstSeq;
      await turn();
    }
    const begins = { database: store.databaseId, seq: store.firstSeq - 1 };
    const reset = async (after: Cursor) => {
      const follower = new Follower(t, store, { after });
      await follower.ended;
      t.strictSame(follower.events, []);
      return follower.reset;
    };
    t.strictSame(await reset({ database: "another", seq: 7_000 }), { reason: "database", cursor: begins });
    t.strictSame(await reset({ database: store.databaseId, seq: 8_001 }), {
      reason: "database",
      cursor: begins,
    });
    t.strictSame(await reset({ database: store.databaseId, seq: begins.seq - 1 }), {
      reason: "pruned",
      cursor: begins,
    });
    const follower = new Follower(t, store, { after: begins });
    await follower.has(8_000 - begins.seq);
    t.equal(follower.seqs[0], store.firstSeq, "and from there on nothing is missing");
    t.equal(follower.reset, undefined);
    await follower.end();
  },
);

void t.test("a sink that fails ends its own following, with its error", async (t) => {
  const store = await openStore(t, stateFile(t));
  const broken = new Error("the client is gone");
  const sync = new Follower(t, store, {}, () => {
    throw broken;
  });
  const later = new Follower(t, store, {}, () => Promise.reject(broken));
  const fine = new Follower(t, store);
  store.record(loaded(1));
  await t.rejects(sync.ended, broken);
  await t.rejects(later.ended, broken);
  store.record(loaded(2));
  await fine.has(2);
  const closing = fine.ended;
  await store[Symbol.asyncDispose]();
  await closing;
  t.equal(sync.events.length + later.events.length, 2);
});

const VANISHING = times(10_000, 800);

void t.test(
  `F17: subscribers that vanish, ${VANISHING} times, in whatever they were doing, leave nothing behind`,
  async (t) => {
    const store = await openStore(t, stateFile(t));
    for (let n = 0; n < 600; n += 1) store.record(loaded(n));
    await store.flushed();
    const vanish = async (rounds: number) => {
      for (let n = 0; n < rounds; n += 1) {
        const after = n % 10 === 0 ? { after: { database: store.databaseId, seq: 0 } } : {};
        const follower = new Follower(t, store, after, n % 3 === 0 ? turn : undefined);
        if (n % 20 === 0) store.record(loaded(n));
        if (n % 30 === 0) await turn();
        await follower.end();
      }
      await store.events({ limit: 1 });
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    const before = await vanish(times(1_000, 400));
    const grownMb = ((await vanish(VANISHING)) - before) / 1024 / 1024;
    t.ok(grownMb < 5, `the heap grew by ${grownMb.toFixed(1)} MB`);
  },
);

void t.test("F23: when the clock jumps, history stays in the order in which it happened", async (t) => {
  const store = await openStore(t, stateFile(t));
  const now = Date.now;
  t.teardown(() => {
    Date.now = now;
  });
  const follower = new Follower(t, store);
  const ids: number[] = [];
  for (const hours of [0, -48, 24 * 365, -1, 0]) {
    Date.now = () => now() + hours * 3_600_000;
    ids.push(invoke(store, { requestId: "again", answered: { durationMs: 12 } }));
    store.journal.append({
      deployId: "d",
      resource: `${hours}`,
      action: "create",
      phase: "before",
      data: null,
    });
    await store.flushed();
  }
  Date.now = now;
  t.strictSame(
    (await store.invocations()).map(({ id }) => id),
    ids.toReversed(),
    "the list",
  );
  t.strictSame(
    (await store.invocations({ before: ids[3]!, limit: 2 })).map(({ id }) => id),
    [ids[2], ids[1]],
    "its pages",
  );
  t.ok((await store.invocations()).every(({ durationMs }) => durationMs === 12));
  t.equal((await store.invocation("again"))?.id, ids[4], "the latest of a request id is the last one");
  t.strictSame(
    (await store.invocations()).map(({ retryOf }) => retryOf),
    [ids[3], ids[2], ids[1], ids[0], undefined],
  );
  const { events } = await store.events();
  t.strictSame(
    events.map(({ seq }) => seq),
    Array.from({ length: store.lastSeq }, (_, n) => n + 1),
  );
  t.strictSame(follower.events, events);
  t.strictSame(
    store.journal.entries().map(({ resource }) => resource),
    ["0", "-48", "8760", "-1", "0"],
  );
  await follower.end();
});
