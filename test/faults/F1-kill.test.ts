/**
 * F1: the daemon is killed at a random moment, under load. Whatever a client was shown of history is shown again by the
 * next one, whatever it was told as done is done there. (test/store/kill.test.ts kills the store alone, at finer moments.)
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import Sqlite from "better-sqlite3";
import t, { type Test } from "tap";

import type { LivedevClient } from "../../client/connect.ts";
import type { Cursor, RecordedEvent } from "../../proto/events.ts";
import { seeded } from "../store/support.ts";
import { counted, times } from "../support/counts.ts";
import { killDaemon } from "../support/live-stub.ts";
import { Rig } from "../support/rig.ts";

t.setTimeout(600_000);

const KILLS = times(100, 2);
/** Side by side, each with a daemon of its own: most of a round is waiting for a start. */
const LANES = times(2, 1);
/** The moment of a kill is after so many new rows, and some milliseconds. A start alone makes some ten. */
const MAX_ROWS = 200;
const MAX_MS = 10;

const CONFIG = (round: number) => `
import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "killed", home: "local" }),
  async run() {
    new aws.Function("Api", { handler: "src/api.handler", description: "deployed ${round} times" });
  },
});
`;

const HANDLER = `
export const handler = async ({ name, lines }: { name: string; lines: number }) => {
  for (let line = 0; line < lines; line += 1) console.log(name + " line " + line);
  return { name };
};
`;

type Counts = {
  kills: number;
  rows: number;
  lines: number;
  steps: number;
  done: number;
  readonly startsMs: number[];
  /** Of a bare Node, at the same moments: how slow the machine is. */
  readonly bareMs: number[];
};

/** Of an idle machine. */
const BARE_MS = 60;

async function lane(t: Test, name: string, kills: number, random: (below: number) => number, counts: Counts) {
  await using rig = Rig.open({ files: { "livedev.config.ts": CONFIG(0), "src/api.ts": HANDLER } });
  await rig.start();
  let from: Cursor;
  {
    await using client = await rig.connect();
    from = (await client.call("event.list", { after: 0, limit: 1 })).cursor;
  }
  const stateDir = join(rig.project, ".livedev", rig.stage);
  let shown: readonly RecordedEvent[] = [];
  for (let round = 1; ; round += 1) {
    const began = performance.now();
    await once(spawn(process.execPath, ["-e", ""]), "exit");
    const bare = performance.now();
    await using client = await rig.connect();
    if (round > 1) {
      counts.bareMs.push(bare - began);
      counts.startsMs.push(performance.now() - bare);
    }

    const before = shown;
    const now: RecordedEvent[] = [];
    const cursors: Cursor[] = [from];
    let wanted = before.length + (round > kills ? 0 : 1 + random(MAX_ROWS));
    let enough = () => {};
    const there = new Promise<void>((resolve) => (enough = resolve));
    await client.subscribe({ after: from }, (events, cursor) => {
      now.push(...events);
      cursors.push(cursor);
      if (now.length >= wanted) enough();
    });
    const done = new Map<number, string>();
    const load =
      round > kills ? [] : [0, 1, 2, 3].map((n) => invokeForEver(client, `${name}-${round}-${n}`, n, done));
    if (wanted > 0) await there;
    t.same(now.slice(0, before.length), before, `round ${round}: what was shown is shown again`);
    if (round > kills) return;

    await wait(random(MAX_MS));
    await killDaemon(rig);
    await client[Symbol.asyncDispose]();
    await Promise.all(load);
    look(t, stateDir, done);
    shown = now.slice(before.length);
    from = cursorAfter(now, before.length, from);
    counts.kills += 1;
    counts.rows += shown.length;
    counts.lines += shown.filter(({ event }) => event.type === "invocation.logged").length;
    counts.steps += shown.filter(({ event }) => event.type === "deploy.stepped").length;
    counts.done += done.size;
    // The next daemon is live, and has something to deploy.
    rig.save("livedev.config.ts", CONFIG(round));
  }
}

const medianOf = (times: readonly number[]): number =>
  times.toSorted((one, other) => one - other)[Math.floor(times.length / 2)] ?? Infinity;

/** Behind what was compared. */
function cursorAfter(events: readonly RecordedEvent[], count: number, from: Cursor): Cursor {
  const last = events[count - 1];
  return last === undefined ? from : { ...from, seq: last.seq };
}

/** One after the other, one of four the whole way through the cloud and a stub, until the daemon is gone. */
async function invokeForEver(
  client: LivedevClient,
  name: string,
  n: number,
  done: Map<number, string>,
): Promise<void> {
  for (let call = 0; ; call += 1) {
    const event = JSON.stringify({ name: `${name}-${call}`, lines: call % 5 });
    try {
      if (n === 0) await client.call("function.invoke", { functionName: "Api", event });
      else {
        const { id, payload } = await client.call("function.invokeLocal", { functionName: "Api", event });
        done.set(id, payload);
      }
    } catch {
      return;
    }
  }
}

/** The files as the kill left them. */
function look(t: Test, stateDir: string, done: ReadonlyMap<number, string>): void {
  const db = new Sqlite(join(stateDir, "history.db"), { readonly: true });
  const journal = new Sqlite(join(stateDir, "deploy.db"), { readonly: true });
  try {
    const state = db.prepare<[number], string>("SELECT state FROM invocations WHERE id = ?").pluck();
    // The answer is on the disk before it is on its way; that it arrived may be told a moment later.
    const kept = new Set(["answered", "delivered"]);
    const lost = [...done.keys()].filter((id) => !kept.has(state.get(id) ?? ""));
    const integrity = [db, journal].map((each) => each.pragma("integrity_check", { simple: true }));
    t.same({ lost, integrity }, { lost: [], integrity: ["ok", "ok"] });
  } finally {
    db.close();
    journal.close();
  }
}

t.test("the whole daemon, killed at random moments under load, loses nothing that it told", async (t) => {
  const counts: Counts = { kills: 0, rows: 0, lines: 0, steps: 0, done: 0, startsMs: [], bareMs: [] };
  await Promise.all(
    Array.from({ length: LANES }, (_, n) => lane(t, `lane${n}`, KILLS / LANES, seeded(n + 1), counts)),
  );
  const median = medianOf(counts.startsMs);
  const slower = Math.max(1, medianOf(counts.bareMs) / BARE_MS);
  t.equal(counts.kills, KILLS);
  t.ok(counts.done > KILLS && counts.lines > KILLS && counts.steps > KILLS / 4, "there was load");
  t.ok(median < 2_000 * slower, `a start took ${median.toFixed(0)} ms`);
  counted(
    t,
    `F1: ${counts.kills} kills of the daemon: ${counts.rows} rows that a client was shown (${counts.lines} log lines, ${counts.steps} deploy steps) and ${counts.done} invocations that it was told as done found again; the next start took ${median.toFixed(0)} ms (median; a bare Node ${medianOf(counts.bareMs).toFixed(0)} ms), ${Math.max(...counts.startsMs).toFixed(0)} ms at most`,
  );
});
