/** Stores in a folder of their own, and invocations to put into them. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";

import Sqlite from "better-sqlite3";
import type { Test } from "tap";

import type { LivedevEvent } from "../../proto/events.ts";
import { silentLog } from "../../daemon/lib/log.ts";
import { MIGRATIONS } from "../../daemon/store/schema.ts";
import { Store, type StoreOptions } from "../../daemon/store/store.ts";
import { ownFolder } from "../support/folder.ts";

export type Answered = Omit<Extract<LivedevEvent, { type: "invocation.answered" }>, "type">;

const folders = new WeakMap<Test, string>();

/** The test's own folder, in the repository. (Each call of `ownFolder` would empty it.) */
export function folderOf(t: Test): string {
  const folder = folders.get(t) ?? ownFolder(t);
  folders.set(t, folder);
  return folder;
}

/** The history file in a state directory that is private, as the daemon makes it. */
export function stateFile(t: Test, name = "state"): string {
  const folder = join(folderOf(t), name);
  mkdirSync(folder, { mode: 0o700 });
  return join(folder, "history.db");
}

/** Closed at the end of the test, unless the test has closed it. */
export async function openStore(
  t: Test,
  file: string,
  options: Partial<Pick<StoreOptions, "limits" | "log">> = {},
): Promise<Store> {
  const store = await Store.open({ file, log: silentLog, ...options });
  t.teardown(() => store[Symbol.asyncDispose]());
  return store;
}

export type Given = {
  readonly functionName?: string;
  readonly requestId?: string;
  readonly nonce?: string;
  readonly replayOf?: number;
  readonly local?: boolean;
  readonly event?: unknown;
  readonly logs?: readonly string[];
  readonly answer?: unknown;
  readonly answered?: Partial<Answered>;
  readonly until?: "received" | "begun" | "answered" | "delivered" | "undelivered";
};

let count = 0;

/** Records one invocation up to `until` (delivered). Gives its id. */
export function invoke(store: Store, given: Given = {}): number {
  const n = ++count;
  const {
    functionName = "api",
    requestId = `request-${n}`,
    nonce = `nonce-${n}`,
    until = "delivered",
  } = given;
  const { replayOf, local } = given;
  const id = store.receive({
    event: {
      functionName,
      requestId,
      nonce,
      ...(replayOf === undefined ? {} : { replayOf }),
      ...(local === undefined ? {} : { local }),
    },
    payload: bytesOf(given.event ?? {}),
    context: { functionArn: "arn:aws:lambda:eu-west-1:000000000000:function:api", deadlineAt: 0 },
  });
  const of = { id, functionName, requestId };
  if (until === "received") return id;
  store.record({ type: "invocation.begun", ...of, codeHash: "0123456789abcdef", coldStart: false });
  for (const text of given.logs ?? [])
    store.record({ type: "invocation.logged", ...of, stream: "stdout", text });
  if (until === "begun") return id;
  store.answer({
    event: { ...of, status: "ok", durationMs: 1, ...given.answered },
    body: bytesOf(given.answer ?? null),
    contentType: "application/json",
    streamed: false,
  });
  if (until === "delivered") store.record({ type: "invocation.delivered", ...of });
  if (until === "undelivered") store.record({ type: "invocation.undelivered", ...of, reason: "gone" });
  return id;
}

export const bytesOf = (value: unknown) =>
  value instanceof Uint8Array
    ? value
    : Buffer.from(typeof value === "string" ? value : JSON.stringify(value));

/** Numbers that look random and are the same in every run. */
export function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** What a livedev of that schema left: one invocation, closed cleanly. */
export function oldHistory(file: string, version: number): void {
  const db = new Sqlite(file);
  db.pragma("journal_mode = WAL");
  for (const sql of MIGRATIONS.slice(0, version)) db.exec(sql);
  db.pragma("application_id = 0x6c697664");
  db.pragma(`user_version = ${version}`);
  db.exec(`
    INSERT INTO meta VALUES ('id', 'old'), ('closed', 'clean');
    INSERT INTO invocations (id, request_id, nonce, function_name, state, status, received_at)
    VALUES (1, 'r', 'n', 'api', 'delivered', 'ok', 1000);
    INSERT INTO events VALUES
      (1, 1000, 'invocation.received', 'api', 1, '{"type":"invocation.received","functionName":"api","requestId":"r","nonce":"n","bytes":2}'),
      (2, 1001, 'invocation.logged', 'api', 1, '{"type":"invocation.logged","id":1,"functionName":"api","requestId":"r","stream":"stdout","text":"an old line"}'),
      (3, 1002, 'invocation.delivered', 'api', 1, '{"type":"invocation.delivered","id":1,"functionName":"api","requestId":"r"}');
  `);
  db.close();
}
