import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import Sqlite from "better-sqlite3";
import t from "tap";

import { PROGRAMS } from "../../daemon/lib/programs.ts";
import type { InvocationQuery } from "../../daemon/store/listing.ts";
import { SCHEMA_VERSION } from "../../daemon/store/schema.ts";
import { some } from "../support/counts.ts";
import { Child, childProgram, ORDINARY, type Line } from "./processes.ts";
import { invoke, oldHistory, openStore, stateFile } from "./support.ts";

/** The program that the command line runs, as an ordinary user. */
function read(file: string, method: string, params: unknown = {}) {
  const [command = "", ...args] = ORDINARY;
  const { stdout, status, stderr } = spawnSync(
    command,
    [...args, process.execPath, PROGRAMS.historyReader, file, method],
    { input: JSON.stringify(params), encoding: "utf8", maxBuffer: 64 * 1024 * 1024 },
  );
  const { result, error } = stdout === "" ? ({} as Line) : (JSON.parse(stdout) as Line);
  return { status, stderr, result: result as never, error };
}

// A program is started for each read.
t.setTimeout(300_000);

const idsOf = (list: readonly { readonly id: number }[]) => list.map(({ id }) => id);

void t.test(
  "history is read from the file where no daemon runs, with the same queries and answers",
  async (t) => {
    const file = stateFile(t);
    const store = await openStore(t, file);
    const ids = [
      invoke(store, { functionName: "api", event: { city: "Bern", password: "geheim-4478" } }),
      invoke(store, { functionName: "worker", answered: { status: "error", errorMessage: "Bern is far" } }),
      invoke(store, { functionName: "api", answered: { durationMs: 900 } }),
    ];
    await store.flushed();
    const queries = [
      { functionName: "api", limit: 1, before: ids[2] },
      { status: ["error"], since: 0 },
      { minDurationMs: 100 },
      { text: "BERN" },
    ] as const;
    const answers = await Promise.all(queries.map((query) => store.invocations(query)));
    const detail = await store.invocation(ids[0]!);
    const revealed = await store.invocation(ids[0]!, { reveal: true });
    const events = await store.events({ types: ["invocation.answered"] });
    const same = (name: string, asked: readonly InvocationQuery[] = queries) => {
      for (const [n, query] of asked.entries())
        t.strictSame(
          read(file, "invocations", query).result,
          answers[n],
          `${name}: ${JSON.stringify(query)}`,
        );
      t.strictSame(read(file, "invocation", { id: ids[0] }).result, detail, name);
      t.strictSame(read(file, "invocation", { id: ids[0], reveal: true }).result, revealed, name);
      t.strictSame(read(file, "events", { types: ["invocation.answered"] }).result, events, name);
    };
    same("beside a daemon");
    await store[Symbol.asyncDispose]();
    same("after its end", some(queries));
    const folder = dirname(file);
    const mine = new Set(["deploy.db", "history.db", "history.key", "history.db-wal", "history.db-shm"]);
    t.strictSame(
      readdirSync(folder).filter((name) => !mine.has(name)),
      [],
      "nothing was made but what SQLite shares",
    );
    t.notMatch(
      readFileSync(PROGRAMS.historyReader, "utf8"),
      /child_process|node:net|node:http/,
      "and it can start nothing",
    );
    const again = await openStore(t, file);
    t.equal(again.lastSeq, events.cursor.seq, "the next daemon finds it as the last one left it");
  },
);

void t.test("it is read while a daemon writes, and after that was killed", async (t) => {
  const program = await childProgram(t);
  const file = stateFile(t);
  const child = new Child(t, process.execPath, [program, file, "record"]);
  await child.said(10);
  const acknowledged = () => child.lines.map(({ id }) => (id as number | undefined) ?? 0);
  for (let round = 0; round < 3; round += 1) {
    const last = Math.max(...acknowledged());
    const { result } = read(file, "invocations", { limit: 100 });
    t.ok(
      idsOf(result).some((id) => id >= last),
      "what was acknowledged before is there",
    );
    await child.said(child.lines.length + 1);
  }
  child.process.kill("SIGKILL");
  await child.ended;
  const last = Math.max(...acknowledged());
  t.ok(existsSync(`${file}-wal`));
  t.ok(idsOf(read(file, "invocations", { limit: 1 }).result)[0]! >= last, "from the WAL that it left");
  rmSync(`${file}-shm`);
  t.ok(idsOf(read(file, "invocations", { limit: 1 }).result)[0]! >= last, "also without the WAL's index");
});

void t.test("it is read in a folder that may not be written", async (t) => {
  const program = await childProgram(t);
  const file = stateFile(t);
  const folder = dirname(file);
  const store = await openStore(t, file);
  const id = invoke(store, { event: { city: "Bern" } });
  await store[Symbol.asyncDispose]();
  const lock = () => {
    for (const name of readdirSync(folder)) chmodSync(join(folder, name), 0o400);
    chmodSync(folder, 0o500);
  };
  const unlock = () => {
    chmodSync(folder, 0o700);
    for (const name of readdirSync(folder)) chmodSync(join(folder, name), 0o600);
  };
  const before = readdirSync(folder);
  lock();
  t.strictSame(idsOf(read(file, "invocations", { text: "bern" }).result), [id], "closed cleanly");
  t.strictSame(readdirSync(folder), before, "and nothing was made");
  unlock();

  const child = new Child(t, process.execPath, [program, file, "record"]);
  await child.said(10);
  child.process.kill("SIGKILL");
  await child.ended;
  const last = Math.max(...child.lines.map(({ id }) => (id as number | undefined) ?? 0));
  lock();
  t.ok(idsOf(read(file, "invocations", { limit: 1 }).result)[0]! >= last, "left by a crash");
  unlock();
  rmSync(`${file}-shm`);
  lock();
  t.match(read(file, "invocations"), {
    status: 1,
    error: {
      code: "store.unreadable",
      message:
        /was not closed cleanly, and what was written last can only be read where its folder may be written/,
      hint: `Make it writable for your user: chmod u+w ${folder}`,
    },
  });
  chmodSync(file, 0o000);
  t.match(read(file, "invocations").error, { code: "store.unreadable" });
  unlock();
});

void t.test("a history of each older schema is read as it is, without migrating it", (t) => {
  for (let version = 1; version < SCHEMA_VERSION; version += 1) {
    const file = stateFile(t, `version-${version}`);
    oldHistory(file, version);
    for (const query of [{ status: ["ok"], since: 1 }, { text: "OLD line" }])
      t.strictSame(
        idsOf(read(file, "invocations", query).result),
        [1],
        `${version}: ${JSON.stringify(query)}`,
      );
    t.match(read(file, "invocation", { id: "r" }).result, { id: 1, logs: [{ text: "an old line" }] });
    const db = new Sqlite(file, { readonly: true });
    t.equal(db.pragma("user_version", { simple: true }), version);
    db.close();
  }
  t.end();
});

void t.test("what cannot be read is told in a sentence, with exit code 1", async (t) => {
  const file = stateFile(t);
  const missing = {
    status: 1,
    error: { code: "store.missing", message: `There is no history yet: ${file} does not exist.` },
  };
  t.match(read(file, "invocations"), missing);
  t.match(read(join(file, "deeper"), "invocations"), { status: 1, error: { code: "store.missing" } });
  t.strictSame(readdirSync(dirname(file)), [], "nothing is made");
  writeFileSync(file, "");
  t.match(
    read(file, "invocations"),
    { status: 1, error: { code: "store.missing" } },
    "a file that no daemon came to write",
  );
  writeFileSync(file, "no database\n".repeat(1000));
  t.match(read(file, "invocations"), { status: 1, error: { code: "store.damaged", hint: /moves it aside/ } });
  rmSync(file);
  const store = await openStore(t, file);
  await store[Symbol.asyncDispose]();
  t.equal(
    read(file, "invocation", { id: 1 }).result,
    undefined,
    "an invocation that is not there is no error",
  );
  t.equal(read(file, "invocation", { id: 1 }).status, 0);
  t.equal(read(file, "drop").status, 2);
  const db = new Sqlite(file);
  db.pragma(`user_version = ${SCHEMA_VERSION + 1}`);
  db.close();
  t.match(read(file, "invocations"), { status: 1, error: { code: "store.newer" } });
});
