import { randomBytes } from "node:crypto";
import {
  appendFileSync,
  existsSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
  closeSync,
} from "node:fs";
import { dirname } from "node:path";

import Sqlite from "better-sqlite3";
import t, { type Test } from "tap";

import { silentLog } from "../../daemon/lib/log.ts";
import { MIGRATIONS, SCHEMA_VERSION } from "../../daemon/store/schema.ts";
import { Store } from "../../daemon/store/store.ts";
import { invoke, oldHistory, openStore, stateFile } from "./support.ts";

/** A history that was closed cleanly. */
async function closedHistory(
  t: Test,
  name?: string,
): Promise<{ file: string; databaseId: string; ids: number[] }> {
  const file = stateFile(t, name);
  const store = await openStore(t, file);
  const ids = Array.from({ length: 200 }, (_, n) => invoke(store, { event: { n, note: "x".repeat(1000) } }));
  const { databaseId } = store;
  await store[Symbol.asyncDispose]();
  return { file, databaseId, ids };
}

const overwrite = (file: string, at: number, bytes: Uint8Array) => {
  const descriptor = openSync(file, "r+");
  writeSync(descriptor, bytes, 0, bytes.length, at);
  closeSync(descriptor);
};

void t.test("F9: a file that is no history any more is moved aside, told, and a new one begun", async (t) => {
  const damages: Readonly<Record<string, (file: string) => void>> = {
    "cut in the middle": (file) => truncateSync(file, 4096 * 7 + 123),
    "cut to less than a page": (file) => truncateSync(file, 50),
    "random bytes": (file) => writeFileSync(file, randomBytes(50_000)),
    "a random first page": (file) => overwrite(file, 0, randomBytes(4096)),
    text: (file) => writeFileSync(file, "no database\n".repeat(1000)),
    "another program's database": (file) => {
      writeFileSync(file, "");
      const db = new Sqlite(file);
      db.exec("CREATE TABLE theirs (x)");
      db.close();
    },
    "our number on other tables": (file) => {
      writeFileSync(file, "");
      const db = new Sqlite(file);
      db.exec(
        "PRAGMA journal_mode = WAL; CREATE TABLE theirs (x); PRAGMA application_id = 0x6c697664; PRAGMA user_version = 2",
      );
      db.close();
    },
  };
  for (const [name, damage] of Object.entries(damages)) {
    const { file, databaseId } = await closedHistory(t, name.replaceAll(/\W/g, "-"));
    damage(file);
    const bytes = readFileSync(file);
    const store = await openStore(t, file);
    const { movedAside } = store;
    t.ok(movedAside, name);
    t.equal(dirname(movedAside!.movedTo), dirname(file));
    t.ok(readFileSync(movedAside!.movedTo).equals(bytes), `${name}: untouched where it lies now`);
    t.not(store.databaseId, databaseId, "cursors of the old one are foreign");
    const id = invoke(store);
    await store.flushed();
    t.equal((await store.invocation(id))?.status, "ok");
    await store[Symbol.asyncDispose]();
    const again = await openStore(t, file);
    t.equal(again.movedAside, undefined, "and that was that");
    await again[Symbol.asyncDispose]();
  }
});

void t.test(
  "F9: damage inside a file that was closed cleanly is told by who reads it, and moved aside at the next start",
  async (t) => {
    const { file, ids } = await closedHistory(t);
    const pages = statSync(file).size / 4096;
    // Neither the first pages nor the last ones, which are what a start reads.
    for (let page = Math.floor(pages / 3); page < pages / 2; page += 1)
      overwrite(file, page * 4096, randomBytes(4096));
    const store = await openStore(t, file);
    t.equal(store.movedAside, undefined);
    const reads = await Promise.allSettled([
      ...ids.map((id) => store.invocation(id)),
      store.invocations({ limit: 1000 }),
      store.invocations({ text: "absent" }),
      store.events({ limit: 10_000 }),
    ]);
    const refused = reads.filter((read) => read.status === "rejected");
    t.ok(refused.length > 0);
    for (const { reason } of refused)
      t.match(reason, {
        code: "store.damaged",
        hint: "The next `livedevd start` moves it aside and begins a new one.",
      });
    await store[Symbol.asyncDispose]();
    const next = await openStore(t, file);
    t.ok(next.movedAside);
  },
);

void t.test("F9: damage after a crash is found at the start", async (t) => {
  const { file } = await closedHistory(t);
  const db = new Sqlite(file);
  db.exec("UPDATE meta SET value = 'no' WHERE name = 'closed'");
  db.close();
  overwrite(file, Math.floor(statSync(file).size / 8192) * 4096, Buffer.alloc(4096, 0x55));
  const store = await openStore(t, file);
  t.ok(store.movedAside);
});

void t.test("F9: bytes behind the end of a history, or an empty file, are no damage", async (t) => {
  const { file, databaseId } = await closedHistory(t);
  appendFileSync(file, randomBytes(1000));
  const store = await openStore(t, file);
  t.equal(store.movedAside, undefined);
  t.equal(store.databaseId, databaseId);
  const empty = stateFile(t, "empty");
  writeFileSync(empty, "");
  t.equal((await openStore(t, empty)).movedAside, undefined);
});

void t.test("F9: a history of a newer livedev is refused and left as it is", async (t) => {
  const { file } = await closedHistory(t);
  const db = new Sqlite(file);
  db.pragma(`user_version = ${SCHEMA_VERSION + 1}`);
  db.close();
  const bytes = readFileSync(file);
  await t.rejects(Store.open({ file, log: silentLog }), {
    code: "store.newer",
    message: `${file} was written by a newer livedev (schema ${SCHEMA_VERSION + 1}, this one knows ${SCHEMA_VERSION}).`,
  });
  t.ok(readFileSync(file).equals(bytes));
  t.notOk(existsSync(`${file}-wal`));
});

void t.test("F9: a history of each older schema is migrated with all that is in it", async (t) => {
  for (let version = 1; version < SCHEMA_VERSION; version += 1) {
    const file = stateFile(t, `version-${version}`);
    oldHistory(file, version);
    const store = await openStore(t, file);
    t.equal(store.movedAside, undefined, `from ${version}`);
    t.equal(store.databaseId, "old");
    t.equal(store.lastSeq, 3);
    t.match(await store.invocations(), [
      { id: 1, requestId: "r", status: "ok", retryOf: undefined, local: undefined },
    ]);
    const retry = invoke(store, { requestId: "r" });
    const replay = invoke(store, { requestId: "r", replayOf: 1, local: true });
    await store.flushed();
    t.match(await store.invocations(), [
      { id: replay, replayOf: 1, local: true },
      { id: retry, retryOf: 1 },
      { id: 1 },
    ]);
    const db = new Sqlite(file, { readonly: true });
    t.equal(db.pragma("user_version", { simple: true }), SCHEMA_VERSION);
    t.strictSame(tablesOf(db), tablesOf(fresh(t, version)), "as if it had been made by this version");
    db.close();
  }
});

function fresh(t: Test, n: number) {
  const db = new Sqlite(stateFile(t, `fresh-${n}`));
  t.teardown(() => db.close());
  for (const sql of MIGRATIONS) db.exec(sql);
  return db;
}

const tablesOf = (db: InstanceType<typeof Sqlite>) =>
  db.prepare("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name").all();
