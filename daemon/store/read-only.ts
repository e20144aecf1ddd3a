/**
 * Opens history for who only reads it, beside a daemon that writes or where none runs. Nothing is made that is not
 * SQLite's own: it shares the WAL's index with the writer, and makes that file anew where a crash took it. In a
 * folder that may not be written it cannot; there a file that was closed cleanly is read into memory, since nothing
 * of it lies elsewhere.
 */
import { readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";

import Sqlite, { type Database } from "better-sqlite3";

import { codeOf, historyMissing, historyNewer, historyNotRecovered } from "../lib/errors.ts";
import { SCHEMA_VERSION, schemaVersion } from "./schema.ts";

/** @throws LivedevError, or what SQLite and the file system throw. */
export function openForReading(file: string): Database {
  if (sizeOf(file) === undefined) throw historyMissing(file);
  const { db, version } = openAsItLies(file) ?? openInMemory(file);
  // Made by a daemon that did not come to write it.
  const error =
    version === 0 && db.pragma("page_count", { simple: true }) === 0
      ? historyMissing(file)
      : version > SCHEMA_VERSION
        ? historyNewer(file, version, SCHEMA_VERSION)
        : undefined;
  if (error === undefined) return db;
  db.close();
  throw error;
}

type Opened = { readonly db: Database; readonly version: number };

/** Undefined where SQLite would have to write. */
function openAsItLies(file: string): Opened | undefined {
  const db = new Sqlite(file, { readonly: true, fileMustExist: true, timeout: 1_000 });
  try {
    return { db, version: schemaVersion(db) };
  } catch (error) {
    db.close();
    if (/^SQLITE_(READONLY|CANTOPEN)/.test(codeOf(error) ?? "")) return undefined;
    throw error;
  }
}

/** The two bytes of SQLite's header that say whether there is a WAL: with none in memory, it is to look for none. */
const WRITE_VERSION_AT = 18;
const READ_VERSION_AT = 19;

function openInMemory(file: string): Opened {
  if ((sizeOf(`${file}-wal`) ?? 0) > 0) throw historyNotRecovered(file, dirname(file));
  const bytes = readFileSync(file);
  bytes[WRITE_VERSION_AT] = 1;
  bytes[READ_VERSION_AT] = 1;
  const db = new Sqlite(bytes, { readonly: true });
  return { db, version: schemaVersion(db) };
}

function sizeOf(file: string): number | undefined {
  try {
    return statSync(file).size;
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return undefined;
    throw error;
  }
}
