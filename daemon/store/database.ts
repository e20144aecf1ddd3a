/**
 * Opens a SQLite file so that what comes back is whole: private to the user, in WAL mode, of this version. A file
 * that is damaged is moved aside, never deleted and never written to.
 */
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, renameSync, statSync } from "node:fs";
import { dirname } from "node:path";

import Sqlite, { type Database } from "better-sqlite3";

import {
  codeOf,
  LivedevError,
  messageOf,
  sqliteMissing,
  stateNotWritable,
  storageFailed,
  isDiskFull,
  storageFull,
} from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { APPLICATION_ID } from "./schema.ts";

/** A damaged file and where it lies now. */
export type MovedAside = { readonly movedTo: string; readonly reason: string };

export type Opened = { readonly db: Database; readonly movedAside: MovedAside | undefined };

/** Longer checks would hold up the start; a larger file is checked in the reader thread (reading.ts). */
export const CHECK_AT_ONCE_BYTES = 64 * 1024 * 1024;

/** Another process that holds the lock (somebody's sqlite3 shell) costs the event loop this much, then a retry. */
const BUSY_MS = 50;

/**
 * @param prepare migrates the file, and throws what SQLite throws where it is damaged.
 * @throws LivedevError where the place cannot be written or the file is newer than we are.
 */
export function openDatabase(options: { file: string; log: Log; prepare: (db: Database) => void }): Opened {
  const { file, log, prepare } = options;
  makePrivate(file);
  try {
    return { db: openWhole(file, prepare), movedAside: undefined };
  } catch (error) {
    // SQLITE_ERROR: tables that are not what the file's version says.
    if (!isDamage(error) && codeOf(error) !== "SQLITE_ERROR") throw explain(file, error);
    const movedAside = { movedTo: moveAside(file), reason: messageOf(error) };
    log.error({ file, ...movedAside }, "the database was damaged: it was moved aside and a new one begun");
    makePrivate(file);
    try {
      return { db: openWhole(file, prepare), movedAside };
    } catch (again) {
      throw explain(file, again);
    }
  }
}

function openWhole(file: string, prepare: (db: Database) => void): Database {
  const db = new Sqlite(file, { timeout: BUSY_MS });
  try {
    const foreign = db.pragma("application_id", { simple: true }) !== APPLICATION_ID;
    if (foreign && db.pragma("page_count", { simple: true }) !== 0)
      throw damage("it is not a livedev database");
    db.pragma("journal_mode = WAL");
    prepare(db);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Throws where SQLite finds the file inconsistent. */
export function quickCheck(db: Database): void {
  const found = db.pragma("quick_check(1)", { simple: true });
  if (found !== "ok") throw damage(String(found));
}

const damage = (reason: string) => new Sqlite.SqliteError(reason, "SQLITE_CORRUPT");

export function isDamage(error: unknown): boolean {
  const code = codeOf(error) ?? "";
  return code.startsWith("SQLITE_CORRUPT") || code === "SQLITE_NOTADB";
}

/** The disk, not our rows, refused: it may well be taken later. */
export function isStorageError(error: unknown): boolean {
  return /^SQLITE_(FULL|IOERR|BUSY|LOCKED|READONLY|CANTOPEN|NOMEM|CORRUPT|NOTADB)/.test(codeOf(error) ?? "");
}

/** better-sqlite3 was installed without its scripts, or for another Node than the one that runs. */
export function isBindingMissing(error: unknown): boolean {
  return /bindings file|NODE_MODULE_VERSION|ERR_DLOPEN/.test(`${codeOf(error) ?? ""} ${messageOf(error)}`);
}

/** What the user reads for an error of SQLite's or of the file system's. */
export function explain(file: string, error: unknown): unknown {
  if (error instanceof LivedevError) return error;
  const code = codeOf(error) ?? "";
  if (isDiskFull(error)) return storageFull(file, error);
  if (/^SQLITE_(READONLY|CANTOPEN)|^E(ACCES|PERM|ROFS)$/.test(code))
    return stateNotWritable(dirname(file), error);
  if (isBindingMissing(error)) return sqliteMissing(error);
  return isStorageError(error) ? storageFailed(file, error) : error;
}

/** SQLite gives the WAL and its index the mode of the main file, so that is made first, and with the right one. */
function makePrivate(file: string): void {
  const folder = dirname(file);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if ((statSync(folder).mode & 0o077) !== 0) chmodSync(folder, 0o700);
    closeSync(openSync(file, "a", 0o600));
    if ((statSync(file).mode & 0o077) !== 0) chmodSync(file, 0o600);
  } catch (error) {
    throw explain(file, error);
  }
}

/** The WAL goes with its file: beside another one it would be replayed into it. */
function moveAside(file: string): string {
  const target = freeName(`${file}.broken-${new Date().toISOString().replaceAll(/[:.]/g, "-")}`);
  for (const suffix of ["-wal", "-shm", ""]) {
    if (existsSync(file + suffix)) renameSync(file + suffix, target + suffix);
  }
  return target;
}

function freeName(wanted: string): string {
  let name = wanted;
  for (let n = 2; existsSync(name); n += 1) name = `${wanted}-${n}`;
  return name;
}
