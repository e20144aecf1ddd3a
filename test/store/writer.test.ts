import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import Sqlite from "better-sqlite3";
import { pino } from "pino";
import t, { type Test } from "tap";

import type { LivedevEvent, RecordedEvent } from "../../proto/events.ts";
import { silentLog } from "../../daemon/lib/log.ts";
import { Journal } from "../../daemon/store/journal.ts";
import { StateLock } from "../../daemon/store/lock.ts";
import type { Store } from "../../daemon/store/store.ts";
import { invoke, openStore, stateFile } from "./support.ts";

const loaded = (n: number): LivedevEvent => ({ type: "config.loaded", tookMs: n, functions: [] });

/** Somebody's shell holds the file: the store can read and not write, until the lock is let go. */
function holdLock(t: Test, file: string): () => void {
  const db = new Sqlite(file);
  t.teardown(() => db.close());
  db.exec("BEGIN IMMEDIATE");
  return () => db.exec("ROLLBACK");
}

const written = (store: Store) =>
  new Promise<void>((resolve) => {
    const unwatch = store.watch(() => {
      if (store.committedSeq < store.lastSeq) return;
      unwatch();
      setImmediate(resolve);
    });
  });

/** What the store tells its log. */
function keptLog() {
  const lines: Record<string, unknown>[] = [];
  const log = pino(
    { base: null },
    { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  );
  return { log, lines };
}

const QUICK = { retryFirstMs: 2, retryMaxMs: 5 };

void t.test(
  "while the file cannot be written, rows wait in bounded memory: payloads are let go first, then log lines, and that is told",
  async (t) => {
    const file = stateFile(t);
    const { log, lines } = keptLog();
    const store = await openStore(t, file, { log, limits: { ...QUICK, maxWaitingBytes: 100_000 } });
    const letGo = holdLock(t, file);
    const first = invoke(store, { event: { note: "x".repeat(2_000) } });
    await t.rejects(store.flushed(), {
      code: "storage.failed",
      message: `${file} could not be written: database is locked.`,
    });
    const ids = Array.from({ length: 60 }, (_, n) =>
      invoke(store, {
        requestId: `r${n}`,
        nonce: "n",
        event: { note: "x".repeat(2_000) },
        logs: ["a line"],
        answer: { n },
      }),
    );
    t.match(store.health(), { state: "failing", code: "SQLITE_BUSY" });
    const { dropped } = store.health() as { dropped: number };
    t.ok(dropped > 60, `${dropped} rows and payloads found no room`);
    t.match(store.lookup({ requestId: "r59", nonce: "n" }), {
      id: ids[59],
      state: "delivered",
      answer: undefined,
    });
    t.match(store.lookup({ requestId: "r0", nonce: "n" }), {
      id: ids[0],
      state: "delivered",
      answer: { kind: "buffered" },
    });
    t.equal(store.lookup({ requestId: "r0", nonce: "another" }), undefined);

    const resumed = written(store);
    letGo();
    await resumed;
    t.strictSame(store.health(), { state: "ok" });
    t.equal((await store.invocation(first))?.event.bytes, 2_011);
    t.match(await store.invocation(ids[0]!), {
      status: "ok",
      event: { bytes: 2_011 },
      logs: [{ text: "a line" }],
    });
    const last = await store.invocation(ids[59]!);
    t.match(last, { status: "ok", event: { text: "", bytes: 0 } }, "the invocation itself is there");
    t.strictSame(last?.logs, []);
    t.ok(lines.some(({ msg, dropped: told }) => msg === "history is written again" && told === dropped));
  },
);

void t.test(
  "a store that is closed while its file cannot be written says what is lost, and the next one starts",
  async (t) => {
    const file = stateFile(t);
    const { log, lines } = keptLog();
    const store = await openStore(t, file, { log, limits: QUICK });
    const kept = invoke(store);
    await store.flushed();
    const letGo = holdLock(t, file);
    invoke(store);
    const refused = t.rejects(store.flushed(), { code: "storage.failed" });
    await store[Symbol.asyncDispose]();
    await refused;
    t.ok(lines.some(({ msg, rows }) => msg === "history lost its last rows" && rows === 4));
    letGo();
    const next = await openStore(t, file);
    t.strictSame(
      (await next.invocations()).map(({ id }) => id),
      [kept],
    );
    t.ok(next.lastSeq > 10_000, "and gives none of the lost numbers again");
  },
);

void t.test("a row that the tables refuse is left out and told, and takes no other with it", async (t) => {
  const { log, lines } = keptLog();
  const store = await openStore(t, stateFile(t), { log });
  const first = invoke(store, { requestId: "r", nonce: "n" });
  const twice = invoke(store, { requestId: "r", nonce: "n", until: "received" });
  const last = invoke(store);
  await store.flushed();
  t.strictSame(
    (await store.invocations()).map(({ id }) => id),
    [last, first],
  );
  const { events } = await store.events();
  t.notOk(events.some(({ seq }) => seq === twice));
  t.ok(lines.some(({ msg, seq }) => msg === "history refused a row" && seq === twice));
});

void t.test(
  "watchers are told of what is committed, in order, also of what a watcher records; one that throws harms nobody",
  async (t) => {
    const file = stateFile(t);
    const store = await openStore(t, file);
    const db = new Sqlite(file, { readonly: true });
    t.teardown(() => db.close());
    const visible = db.prepare<[], number>("SELECT coalesce(max(seq), 0) FROM events").pluck();
    const seen: number[] = [];
    store.watch(() => {
      throw new Error("a watcher's fault");
    });
    store.watch((events) => {
      for (const { event } of events)
        if (event.type === "config.loaded" && event.tookMs < 10) {
          store.record(loaded(event.tookMs + 100));
          store.commit();
        }
    });
    store.watch((events: readonly RecordedEvent[]) => {
      const last = events.at(-1)!.seq;
      if (visible.get()! < last) t.fail("told before a reader can see it");
      seen.push(...events.map(({ seq }) => seq));
    });
    for (let n = 0; n < 10; n += 1) {
      store.record(loaded(n));
      if (n % 3 === 0) await store.flushed();
    }
    await store.flushed();
    t.strictSame(
      seen,
      Array.from({ length: 20 }, (_, n) => n + 1),
    );
  },
);

void t.test("what is committed is on its way to the disk before commit returns", async (t) => {
  const file = stateFile(t);
  const store = await openStore(t, file);
  const db = new Sqlite(file, { readonly: true });
  t.teardown(() => db.close());
  const id = invoke(store, { until: "begun" });
  store.commit();
  t.equal(db.prepare("SELECT state FROM invocations WHERE id = ?").pluck().get(id), "begun");
});

void t.test(
  "the deployment journal keeps each entry, in order, and survives damage as history does",
  async (t) => {
    const file = join(dirname(stateFile(t)), "deploy.db");
    const journal = Journal.open({ file, log: silentLog });
    const entry = (resource: string, deployId: string) => ({
      deployId,
      resource,
      action: "create",
      phase: "before" as const,
      data: { arn: resource },
    });
    const ids = [
      journal.append(entry("a", "1")),
      journal.append(entry("b", "1")),
      journal.append(entry("a", "2")),
    ];
    journal.close();
    const again = Journal.open({ file, log: silentLog });
    t.strictSame(
      again.entries().map(({ id }) => id),
      ids,
    );
    t.strictSame(
      again.entries({ resource: "a" }).map(({ id }) => id),
      [ids[0], ids[2]],
    );
    t.strictSame(
      again.entries({ deployId: "1", after: ids[0]! }).map(({ id, data }) => ({ id, data })),
      [{ id: ids[1], data: { arn: "b" } }],
    );
    again.close();
    const db = new Sqlite(file);
    db.pragma("user_version = 2");
    db.close();
    t.throws(() => Journal.open({ file, log: silentLog }), { code: "store.newer" });
    writeFileSync(file, randomBytes(9_000));
    const fresh = Journal.open({ file, log: silentLog });
    t.match(fresh.movedAside?.movedTo, /deploy\.db\.broken-/);
    t.strictSame(fresh.entries(), []);
    fresh.close();
  },
);

void t.test(
  "a state directory has one holder, and whoever waits gets the lock when that one lets go",
  (t) => {
    const file = join(dirname(stateFile(t)), "lock");
    const held = StateLock.acquire(file);
    t.ok(held);
    t.equal(StateLock.acquire(file), undefined);
    held?.release();
    const next = StateLock.acquire(file);
    t.ok(next);
    next?.release();
    t.end();
  },
);
