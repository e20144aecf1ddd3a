/**
 * The deployment journal: what was about to be created, changed or removed, and that it was. Each entry is on the
 * disk before `append` returns (synchronous=FULL), so that a kill at any moment leaves nothing behind that the next
 * deploy does not know of. Append-only, in a file of its own.
 */
import type { Database } from "better-sqlite3";

import { historyNewer } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { explain, openDatabase, type MovedAside } from "./database.ts";
import { APPLICATION_ID, schemaVersion } from "./schema.ts";

export type NewJournalEntry = {
  readonly deployId: string;
  /** The resource in the app's words, for example `function/api/role`. */
  readonly resource: string;
  /** `create`, `update`, `remove` … */
  readonly action: string;
  readonly phase: "before" | "after";
  /** Plain data: ARNs, names, hashes. Never a secret. */
  readonly data: unknown;
};
export type JournalEntry = NewJournalEntry & { readonly id: number; readonly at: number };

const SCHEMA = `
  CREATE TABLE entries (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    at        INTEGER NOT NULL,
    deploy_id TEXT NOT NULL,
    resource  TEXT NOT NULL,
    action    TEXT NOT NULL,
    phase     TEXT NOT NULL CHECK (phase IN ('before', 'after')),
    data      TEXT NOT NULL
  ) STRICT;
  CREATE INDEX entries_by_resource ON entries (resource, id);
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = 1;
`;

export class Journal {
  readonly #db: Database;
  readonly #file: string;
  /** Set when the file was damaged: then only the resources' tags tell what is deployed. */
  readonly movedAside: MovedAside | undefined;

  private constructor(db: Database, file: string, movedAside: MovedAside | undefined) {
    this.#db = db;
    this.#file = file;
    this.movedAside = movedAside;
  }

  static open(options: { file: string; log: Log }): Journal {
    const { db, movedAside } = openDatabase({
      ...options,
      prepare(db) {
        const version = schemaVersion(db);
        if (version > 1) throw historyNewer(options.file, version, 1);
        db.pragma("synchronous = FULL");
        if (version === 0) db.transaction(() => db.exec(SCHEMA))();
      },
    });
    return new Journal(db, options.file, movedAside);
  }

  /** @throws LivedevError where the disk refuses: the step that was to follow must not be taken. */
  append({ deployId, resource, action, phase, data }: NewJournalEntry): number {
    try {
      const { lastInsertRowid } = this.#db
        .prepare(
          "INSERT INTO entries (at, deploy_id, resource, action, phase, data) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .run(Date.now(), deployId, resource, action, phase, JSON.stringify(data ?? null));
      return Number(lastInsertRowid);
    } catch (error) {
      throw explain(this.#file, error);
    }
  }

  /** Oldest first. */
  entries(filter: { deployId?: string; resource?: string; after?: number } = {}): JournalEntry[] {
    const { deployId, resource, after = 0 } = filter;
    return this.#db
      .prepare<unknown[], JournalRow>(
        `SELECT * FROM entries WHERE id > ? AND (? IS NULL OR deploy_id = ?) AND (? IS NULL OR resource = ?) ORDER BY id`,
      )
      .all(after, deployId ?? null, deployId ?? null, resource ?? null, resource ?? null)
      .map(({ deploy_id: deployId, data, ...row }) => ({
        ...row,
        deployId,
        data: JSON.parse(data) as unknown,
      }));
  }

  close(): void {
    this.#db.close();
  }
}

type JournalRow = {
  readonly id: number;
  readonly at: number;
  readonly deploy_id: string;
  readonly resource: string;
  readonly action: string;
  readonly phase: "before" | "after";
  readonly data: string;
};
