/**
 * The lock of a state directory: a SQLite file held in an exclusive transaction. The system lets go of it when the
 * holder dies, whatever way it dies, so there is no stale lock to judge.
 */
import { chmodSync, closeSync, openSync, truncateSync } from "node:fs";

import Sqlite, { type Database } from "better-sqlite3";

import { codeOf } from "../lib/errors.ts";
import { explain } from "./database.ts";

export class StateLock {
  readonly #db: Database;

  private constructor(db: Database) {
    this.#db = db;
  }

  /**
   * `undefined` where another process holds it. The first file that a daemon opens: a missing binding and a state
   * directory without rights show here.
   */
  static acquire(file: string): StateLock | undefined {
    try {
      closeSync(openSync(file, "a", 0o600));
      chmodSync(file, 0o600);
      return StateLock.#lockOrEmpty(file);
    } catch (error) {
      throw explain(file, error);
    }
  }

  static #lockOrEmpty(file: string): StateLock | undefined {
    try {
      return StateLock.#lock(file);
    } catch (error) {
      if (codeOf(error) !== "SQLITE_NOTADB") throw error;
      // Something else wrote into it. Emptied in place rather than removed: whoever starts at the same moment locks
      // the same file, which stays empty while it is held.
      truncateSync(file);
      return StateLock.#lock(file);
    }
  }

  static #lock(file: string): StateLock | undefined {
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
