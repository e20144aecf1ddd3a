import { statSync } from "node:fs";

import Sqlite from "better-sqlite3";
import t from "tap";

import { counted, times } from "../support/counts.ts";
import { Child, childProgram, run } from "./processes.ts";
import { openStore, seeded, stateFile } from "./support.ts";

const ROUNDS = Number(process.env["LIVEDEV_KILL_ROUNDS"] ?? times(30, 5));
const RESTARTS_MEASURED = times(10, 2);

// Each round starts a process. The whole daemon is killed in test/faults/F1-kill.
t.setTimeout(300_000);

void t.test("F1: what the store acknowledged survives a kill at any moment, under load", async (t) => {
  const program = await childProgram(t);
  const file = stateFile(t);
  const random = seeded(1);
  const before = { seq: 0 };
  const counts = { invocations: 0, lines: 0, entries: 0, pruned: 0 };
  let slowestMs = 0;
  for (let round = 1; round <= ROUNDS; round += 1) {
    const child = new Child(t, process.execPath, [program, file, "record"]);
    await child.said(1);
    // Up to 60 ms of load: from the first rows of a fresh WAL to checkpoints and pruning. On a busy machine that may be
    // none at all, but for each second child.
    if (round % 2 === 0) await child.said(30);
    await new Promise((resolve) => setTimeout(resolve, random(60)));
    child.process.kill("SIGKILL");
    await child.ended;

    const db = new Sqlite(file, { readonly: true });
    const journal = new Sqlite(file.replace("history.db", "deploy.db"), { readonly: true });
    try {
      const firstSeq = Number(
        db.prepare<[], string>("SELECT value FROM meta WHERE name = 'firstSeq'").pluck().get() ?? 1,
      );
      const invocation = db.prepare<[number], { request_id: string; state: string }>(
        "SELECT request_id, state FROM invocations WHERE id = ?",
      );
      const logged = db
        .prepare<[number], number>(
          "SELECT count(*) FROM events WHERE invocation_id = ? AND type = 'invocation.logged'",
        )
        .pluck();
      const payloads = db
        .prepare<[number], number>("SELECT count(*) FROM payloads WHERE invocation_id = ?")
        .pluck();
      const entry = journal.prepare<[number], string>("SELECT resource FROM entries WHERE id = ?").pluck();
      const lost: unknown[] = [];
      for (const line of child.lines) {
        if (typeof line["entry"] === "number") {
          counts.entries += 1;
          if (entry.get(line["entry"]) !== line["requestId"]) lost.push(line);
        }
        if (typeof line["id"] !== "number") continue;
        const id = line["id"];
        if (id <= before.seq) lost.push({ line, reused: id });
        if (id < firstSeq) {
          counts.pruned += 1;
          continue;
        }
        counts.invocations += 1;
        counts.lines += line["logs"] as number;
        const row = invocation.get(id);
        const whole =
          row?.request_id === line["requestId"] &&
          row?.state === "delivered" &&
          logged.get(id) === line["logs"] &&
          payloads.get(id) === 3;
        if (!whole) lost.push(line);
      }
      const integrity = [db, journal].map((each) => each.pragma("integrity_check", { simple: true }));
      const half = db
        .prepare(
          `SELECT id FROM invocations WHERE id NOT IN (SELECT seq FROM events WHERE type = 'invocation.received')
           OR (SELECT count(*) FROM payloads WHERE invocation_id = id) NOT IN (2, 3)`,
        )
        .all();
      // One assertion for a round, and it says all.
      const found = { lost, integrity, half };
      if (JSON.stringify(found) !== '{"lost":[],"integrity":["ok","ok"],"half":[]}')
        t.fail(`round ${round}`, found);
      before.seq = db.prepare<[], number>("SELECT max(seq) FROM events").pluck().get() ?? 0;
    } finally {
      db.close();
      journal.close();
    }
    if (round % Math.ceil(ROUNDS / RESTARTS_MEASURED) === 0) {
      const [opened] = await run(t, process.execPath, [program, file, "open"]);
      slowestMs = Math.max(slowestMs, opened?.["openMs"] as number);
      t.ok((opened?.["lastSeq"] as number) > before.seq, "a new start counts on from what it finds");
      t.equal(opened?.["movedTo"], undefined);
    }
  }
  t.ok(counts.invocations > ROUNDS && counts.entries > ROUNDS / 2, "there was load");
  t.ok(slowestMs < 2_000, `the slowest opening took ${Math.round(slowestMs)} ms`);
  counted(
    t,
    `F1: ${ROUNDS} kills of a process with the store alone: ${counts.invocations} acknowledged invocations, ${counts.lines} log lines and ${counts.entries} journal entries found again (${counts.pruned} pruned); history has ${Math.round(statSync(file).size / 1024)} KB; slowest opening ${Math.round(slowestMs)} ms`,
  );
});

void t.test("F10: the WAL that a crash left is recovered, and numbers go on behind a gap", async (t) => {
  const program = await childProgram(t);
  const file = stateFile(t);
  const child = new Child(t, process.execPath, [program, file, "record"]);
  await child.said(20);
  child.process.kill("SIGKILL");
  await child.ended;
  t.ok(statSync(`${file}-wal`).size > 0);
  const acknowledged = child.lines.filter(({ id }) => id !== undefined).map(({ id }) => id as number);

  const store = await openStore(t, file);
  t.equal(store.movedAside, undefined);
  const listed = (await store.invocations({ limit: 1000 })).map(({ id }) => id);
  t.strictSame(
    acknowledged.filter((id) => !listed.includes(id)),
    [],
  );
  const { events } = await store.events({ limit: 10_000 });
  t.equal(
    store.lastSeq,
    events.at(-1)!.seq + 10_000,
    "a power cut may have taken numbers that somebody has seen",
  );
  t.equal(store.committedSeq, store.lastSeq);
  const next = store.record({ type: "daemon.started", epoch: "e", version: "v", pid: 1 });
  t.equal(next, store.lastSeq);
  await store.flushed();
  await store[Symbol.asyncDispose]();

  const clean = await openStore(t, file);
  t.equal(clean.lastSeq, next, "after a clean end there is no gap");
});
