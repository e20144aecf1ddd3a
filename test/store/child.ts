/**
 * A process that has a store: what a test kills, starves of space or of rights. Each line that it prints is a promise
 * that it has made. Bundled by processes.ts, since a hundred of them are started.
 *
 *     child.mjs FILE record            records invocations and prints the ids of those that are flushed, until killed
 *     child.mjs FILE open              opens, prints { lastSeq, movedTo, openMs } and closes
 *     child.mjs FILE fill              records until its small disk refuses, and then until it does not; see `fill`
 */
import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import Sqlite from "better-sqlite3";

import { silentLog } from "../../daemon/lib/log.ts";
import { LivedevError } from "../../daemon/lib/errors.ts";
import { Store } from "../../daemon/store/store.ts";
import { invoke } from "./support.ts";

const say = (line: unknown) => process.stdout.write(`${JSON.stringify(line)}\n`);

const MODES: Readonly<Record<string, (file: string) => Promise<void>>> = {
  async record(file) {
    const store = await Store.open({ file, log: silentLog, limits: { maxInvocations: 400 } });
    say("ready");
    // Several at once, as a daemon has them: each waits for its own flush.
    await Promise.all(Array.from({ length: 8 }, (_, n) => recordForEver(store, n)));
  },

  async open(file) {
    const began = performance.now();
    const store = await Store.open({ file, log: silentLog });
    const openMs = performance.now() - began;
    const { lastSeq, movedAside } = store;
    await store[Symbol.asyncDispose]();
    say({ lastSeq, movedTo: movedAside?.movedTo, openMs });
  },

  fill,
};

async function recordForEver(store: Store, lane: number): Promise<never> {
  for (let n = 0; ; n += 1) {
    const requestId = `${process.pid}-${lane}-${n}`;
    const logs = Array.from({ length: 1 + (n % 5) }, (_, line) => `${requestId} line ${line}`);
    const id = invoke(store, {
      requestId,
      event: { requestId, note: "x".repeat(n % 3000) },
      logs,
      answer: { requestId },
    });
    if (n % 10 === 0) {
      say({ entry: store.journal.append(entryOf(requestId)), requestId });
    }
    await store.flushed();
    say({ id, requestId, logs: logs.length });
  }
}

const entryOf = (requestId: string) => ({
  deployId: "d",
  resource: requestId,
  action: "create",
  phase: "before" as const,
  data: { requestId },
});

/** Fills the small disk that the file lies on, says what that meets, makes room, and says when all is on the disk. */
async function fill(file: string): Promise<void> {
  process.on("SIGXFSZ", () => {});
  const ballast = join(dirname(file), "ballast");
  writeFileSync(ballast, Buffer.alloc(1024 * 1024));
  const store = await Store.open({ file, log: silentLog, limits: { retryFirstMs: 5, retryMaxMs: 20 } });
  let recorded = 0;
  const record = () => {
    recorded += 1;
    const id = invoke(store, {
      requestId: `r${recorded}`,
      nonce: "n",
      event: { note: "x".repeat(20_000), recorded },
      logs: [`line ${recorded}`],
      answer: { recorded },
    });
    return { id, key: { requestId: `r${recorded}`, nonce: "n" } };
  };
  let acknowledged = 0;
  let refusal: unknown;
  while (refusal === undefined) {
    record();
    try {
      await store.flushed();
      acknowledged = recorded;
    } catch (error) {
      refusal = error;
    }
  }
  // What happens while it is full is answered from memory and waits for the disk.
  const during = record();
  const known = store.lookup(during.key);
  say({
    full: codeOf(refusal),
    flushed: await codeOfThrown(() => store.flushed()),
    journal: await codeOfThrown(() => store.journal.append({ ...entryOf("r"), data: "x".repeat(300_000) })),
    known: { state: known?.state, answered: known?.answer?.kind },
    readable: (await store.invocations({ limit: 1000 })).length,
    health: store.health(),
    acknowledged,
    recorded,
  });
  rmSync(ballast);
  // Where files are limited instead, the limit is what goes.
  spawnSync("sh", ["-c", `prlimit --pid ${process.pid} --fsize=unlimited:`]);
  await untilWritten(store);
  const { length } = await store.invocations({ limit: 1000 });
  say({
    resumed: recorded,
    health: store.health(),
    readable: length,
    known: store.lookup(during.key)?.state,
  });
  await store[Symbol.asyncDispose]();
  const db = new Sqlite(file, { readonly: true });
  say({
    integrity: db.pragma("integrity_check", { simple: true }),
    rows: db
      .prepare(
        "SELECT (SELECT count(*) FROM invocations), (SELECT count(*) FROM payloads), (SELECT count(*) FROM events)",
      )
      .raw()
      .get(),
  });
}

/** The store tries again by itself. */
function untilWritten(store: Store): Promise<void> {
  return new Promise<void>((resolve) => {
    const unwatch = store.watch(() => {
      if (store.committedSeq < store.lastSeq) return;
      unwatch();
      setImmediate(resolve);
    });
  });
}

const codeOf = (error: unknown) => (error instanceof LivedevError ? error.code : String(error));

async function codeOfThrown(run: () => unknown): Promise<string | undefined> {
  try {
    await run();
    return undefined;
  } catch (error) {
    return codeOf(error);
  }
}

const [file = "", mode = ""] = process.argv.slice(2);
try {
  await MODES[mode]?.(file);
} catch (error) {
  if (!(error instanceof LivedevError)) throw error;
  say({ error: { code: error.code, message: error.message, hint: error.hint } });
  process.exitCode = 1;
}
