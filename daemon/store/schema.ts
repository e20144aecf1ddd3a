/**
 * The tables of history and the way from each older version to this one. `user_version` says how many of the
 * migrations a file has seen; a migration, once released, is never edited.
 */
import type { Database } from "better-sqlite3";

import { historyNewer } from "../lib/errors.ts";

/** "livd": tells our file from any other SQLite file. */
export const APPLICATION_ID = 0x6c697664;

export const MIGRATIONS: readonly string[] = [
  // 1: the base
  `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

  CREATE TABLE events (
    seq           INTEGER PRIMARY KEY,
    at            INTEGER NOT NULL,
    type          TEXT NOT NULL,
    function_name TEXT,
    invocation_id INTEGER,
    json          TEXT NOT NULL
  ) STRICT;

  -- One row per key; id is the seq of its invocation.received.
  CREATE TABLE invocations (
    id            INTEGER PRIMARY KEY,
    request_id    TEXT NOT NULL,
    nonce         TEXT NOT NULL,
    function_name TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('received', 'begun', 'answered', 'delivered', 'undelivered')),
    status        TEXT CHECK (status IN ('ok', 'error')),
    cause         TEXT,
    received_at   INTEGER NOT NULL,
    duration_ms   REAL,
    code_hash     TEXT,
    cold_start    INTEGER,
    error_type    TEXT,
    error_message TEXT,
    retry_of      INTEGER,
    UNIQUE (request_id, nonce)
  ) STRICT;

  -- Always sealed as a whole (vault.ts); what a reader may see is made when it is read (shown.ts).
  CREATE TABLE payloads (
    invocation_id INTEGER NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('event', 'answer', 'context')),
    content_type  TEXT NOT NULL,
    streamed      INTEGER NOT NULL,
    bytes         INTEGER NOT NULL, -- of the original
    kept          INTEGER NOT NULL, -- of them, how many are in sealed: fewer where the payload was cut
    sealed        BLOB NOT NULL,
    PRIMARY KEY (invocation_id, kind)
  ) STRICT;
  `,
  // 2: the ways in that listing, detail and start-up take
  `
  CREATE INDEX events_by_invocation ON events (invocation_id) WHERE invocation_id IS NOT NULL;
  CREATE INDEX invocations_by_function ON invocations (function_name, id);
  CREATE INDEX invocations_unfinished ON invocations (id) WHERE state IN ('received', 'begun', 'answered');
  `,
  // 3: what a client runs itself
  `
  ALTER TABLE invocations ADD COLUMN replay_of INTEGER;
  ALTER TABLE invocations ADD COLUMN local INTEGER;
  `,
  // 4: what processes print has a bound of its own
  `
  CREATE INDEX events_of_terminals ON events (function_name, seq) WHERE type = 'process.logged';
  `,
];

export const SCHEMA_VERSION = MIGRATIONS.length;

/** Each step and its number are one transaction: killed in between, a file is at one version or at the next. */
export function migrate(db: Database, file: string, migrations: readonly string[] = MIGRATIONS): void {
  const found = schemaVersion(db);
  if (found > migrations.length) throw historyNewer(file, found, migrations.length);
  for (const [index, sql] of migrations.entries()) {
    if (index < found) continue;
    db.transaction(() => {
      db.exec(sql);
      db.pragma(`application_id = ${APPLICATION_ID}`);
      db.pragma(`user_version = ${index + 1}`);
    })();
  }
}

export function schemaVersion(db: Database): number {
  return db.pragma("user_version", { simple: true }) as number;
}

export function readMeta(db: Database, name: string): string | undefined {
  const row = db.prepare<[string], { value: string }>("SELECT value FROM meta WHERE name = ?").get(name);
  return row?.value;
}

export function writeMeta(db: Database, name: string, value: string): void {
  db.prepare("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value").run(
    name,
    value,
  );
}
