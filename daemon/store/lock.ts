/**
 * The lock of a state directory: a SQLite file held in an exclusive transaction. The system lets go of it when the
 * holder dies, whatever way it dies, so there is no stale lock to judge.
 */
import { chmodSync, closeSync, openSync } from "node:fs";

import Sqlite, { type Database } from "better-sqlite3";

import { codeOf } from "../lib/errors.ts";

export class StateLock {
  readonly #db: Database;

  private constructor(db: Database) {
    this.#db = db;
  }

  /** `undefined` where another process holds it. */
  static acquire(file: string): StateLock | undefined {
    closeSync(openSync(file, "a", 0o600));
    chmodSync(file, 0o600);
    const db = new Sqlite(file, { timeout: 0 });
    try {
      db.exec("BEGIN EXCLUSIVE");
      return new StateLock(db);
    } catch (error) {
      db.close();
      if (codeOf(error) === "SQLITE_BUSY") return undefined;
      throw error;
    }
  }

  release(): void {
    this.#db.close();
  }
}
