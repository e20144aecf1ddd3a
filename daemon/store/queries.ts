/**
 * What is read from history: by the reader thread of a running daemon, or by a program of its own where none runs.
 * The connection is read-only (but for `checkpoint`), each query sees one committed state, and payloads come out redacted.
 */
import Sqlite, { type Database, type Statement } from "better-sqlite3";

import type { Cursor, LivedevEvent, RecordedEvent } from "../../proto/events.ts";
import { SEALED } from "../../proto/redact.ts";
import type { InvocationDetail, InvocationSummary } from "../../proto/rpc.ts";
import { codeOf, historyDamaged, historyUnreadable, LivedevError, sqliteMissing } from "../lib/errors.ts";
import { isBindingMissing, isDamage, quickCheck } from "./database.ts";
import { listInvocations, type InvocationQuery } from "./listing.ts";
import { openForReading } from "./read-only.ts";
import { componentOf, placeOf, type PayloadKind } from "./rows.ts";
import { readMeta } from "./schema.ts";
import { revealed, shown } from "./shown.ts";
import { summaryOf, type InvocationRow } from "./summary.ts";
import { keyFileOf, Vault } from "./vault.ts";

export type EventFilter = {
  /** Exact types, or families: `invocation.*`. All where absent. */
  readonly types?: readonly string[] | undefined;
  readonly functionName?: string | undefined;
};
export type EventQuery = EventFilter & {
  readonly after?: number | undefined;
  readonly limit?: number | undefined;
};
export type EventPage = {
  /** After this page: where the next one begins. */
  readonly cursor: Cursor;
  readonly firstSeq: number;
  readonly events: readonly RecordedEvent[];
  /** Nothing more was recorded when this was read. */
  readonly last: boolean;
};
/** Which invocation, by its id or the latest one of a request id, and how. */
export type DetailQuery = {
  readonly id: number | string;
  /** Event and answer as they were, nothing redacted. */
  readonly reveal?: boolean | undefined;
};

/** The original bytes, for a replay. */
export type UnsealedInvocation = {
  readonly id: number;
  readonly functionName: string;
  readonly event: Uint8Array;
  readonly answer?: Uint8Array;
  /** What was known beside the event (InvocationContext), as JSON text. */
  readonly context?: string;
};

const MAX_LOGS = 10_000;

export class Queries {
  readonly #db: Database;
  readonly #file: string;
  readonly #databaseId: string;
  #vault: Vault | undefined;
  /** A search asks for a hundred thousand. */
  #payloads: Statement<[number, PayloadKind], Pick<PayloadRow, "bytes" | "kept" | "sealed">> | undefined;

  /** @throws LivedevError where there is no history, or none that we can read. */
  constructor(file: string) {
    this.#file = file;
    try {
      this.#db = openForReading(file);
      this.#databaseId = readMeta(this.#db, "id") ?? "";
    } catch (error) {
      throw this.#explained(error);
    }
  }

  close(): void {
    this.#db.close();
  }

  /** Throws where the file is damaged. */
  check(): void {
    try {
      quickCheck(this.#db);
    } catch (error) {
      throw this.#explained(error);
    }
  }

  /** Carries the WAL over into the file, as far as that goes beside a writer: here it may wait for the disk. */
  checkpoint(): void {
    const db = new Sqlite(this.#file, { fileMustExist: true });
    try {
      db.pragma("wal_checkpoint(PASSIVE)");
    } finally {
      db.close();
    }
  }

  events(query: EventQuery): EventPage {
    const { after = 0, limit = 1_000 } = query;
    const { where, values } = eventConditions(query);
    return this.#read(() => {
      const lastSeq = this.#number("SELECT max(seq) FROM events") ?? 0;
      const rows = this.#db
        .prepare<unknown[], EventRow>(
          `SELECT seq, at, json FROM events WHERE seq > ?${where} ORDER BY seq LIMIT ?`,
        )
        .all(after, ...values, limit);
      const last = rows.length < limit;
      const seq = Math.max(after, last ? lastSeq : (rows.at(-1)?.seq ?? 0));
      return {
        cursor: { database: this.#databaseId, seq },
        firstSeq: Number(readMeta(this.#db, "firstSeq") ?? 1),
        events: rows.map(({ seq, at, json }) => ({ seq, at, event: JSON.parse(json) as LivedevEvent })),
        last,
      };
    });
  }

  /** Newest first. `stopped` is asked now and then during a search. */
  invocations(query: InvocationQuery, stopped?: () => boolean): InvocationSummary[] {
    const source = {
      db: this.#db,
      read: <T>(query: () => T) => this.#read(query),
      original: (id: number, kind: PayloadKind) => this.#original(id, kind),
    };
    return listInvocations(source, query, stopped);
  }

  invocation({ id, reveal = false }: DetailQuery): InvocationDetail | undefined {
    return this.#read(() => {
      const row = this.#row(id);
      if (row === undefined) return undefined;
      const answer = this.#payload(row.id, "answer", reveal);
      return {
        ...summaryOf(row),
        event: this.#payload(row.id, "event", reveal) ?? { text: "", bytes: 0, sealed: false },
        ...(answer === undefined ? {} : { answer }),
        logs: this.#logs(row.id),
      };
    });
  }

  unseal({ id: which }: Pick<DetailQuery, "id">): UnsealedInvocation | undefined {
    return this.#read(() => {
      const row = this.#row(which);
      const event = row && this.#original(row.id, "event");
      if (row === undefined || event?.bytes === undefined) return undefined;
      const answer = this.#original(row.id, "answer");
      const context = this.#original(row.id, "context")?.bytes;
      return {
        id: row.id,
        functionName: row.function_name,
        event: event.bytes,
        ...(answer?.bytes === undefined ? {} : { answer: answer.bytes }),
        ...(context === undefined ? {} : { context: Buffer.from(context).toString() }),
      };
    });
  }

  /** @throws LivedevError for what SQLite throws. */
  #read<T>(query: () => T): T {
    try {
      return this.#db.transaction(query)();
    } catch (error) {
      throw this.#explained(error);
    }
  }

  #explained(error: unknown): unknown {
    if (error instanceof LivedevError) return error;
    if (isBindingMissing(error)) return sqliteMissing(error);
    // SQLITE_ERROR: tables that are not what the file's version says.
    if (isDamage(error) || codeOf(error) === "SQLITE_ERROR") return historyDamaged(this.#file, error);
    return codeOf(error) === undefined ? error : historyUnreadable(this.#file, error);
  }

  #number(sql: string): number | null | undefined {
    return this.#db.prepare<[], number | null>(sql).pluck().get();
  }

  #row(which: number | string): InvocationRow | undefined {
    const column = typeof which === "number" ? "id" : "request_id";
    return this.#db
      .prepare<[number | string], InvocationRow>(
        `SELECT * FROM invocations WHERE ${column} = ? ORDER BY id DESC LIMIT 1`,
      )
      .get(which);
  }

  #logs(id: number): InvocationDetail["logs"] {
    return this.#db
      .prepare<[number, number], EventRow>(
        `SELECT seq, at, json FROM events WHERE invocation_id = ? AND type = 'invocation.logged'
         ORDER BY seq LIMIT ?`,
      )
      .all(id, MAX_LOGS)
      .map(({ seq, at, json }) => {
        const { stream, text } = JSON.parse(json) as { stream: "stdout" | "stderr"; text: string };
        return { seq, at, stream, text };
      });
  }

  #payload(id: number, kind: PayloadKind, reveal: boolean): InvocationDetail["answer"] {
    const found = this.#original(id, kind);
    if (found === undefined) return undefined;
    const { bytes: original, size, kept } = found;
    if (original === undefined) return { text: SEALED, bytes: size, sealed: true };
    const { text, sealed } = reveal ? revealed(original) : shown(original);
    const cut = kept < size ? `${text}… (cut: ${kept} of ${size} bytes are kept)` : text;
    return { text: cut, bytes: size, sealed };
  }

  /** `bytes` is undefined where our key does not open it. */
  #original(id: number, kind: PayloadKind) {
    this.#payloads ??= this.#db.prepare(
      "SELECT bytes, kept, sealed FROM payloads WHERE invocation_id = ? AND kind = ?",
    );
    const row = this.#payloads.get(id, kind);
    if (row === undefined) return undefined;
    this.#vault ??= Vault.read(keyFileOf(this.#file));
    const bytes = this.#vault?.unseal(row.sealed, placeOf(this.#databaseId, id, kind));
    return { bytes, size: row.bytes, kept: row.kept };
  }
}

type EventRow = { readonly seq: number; readonly at: number; readonly json: string };

export type PayloadRow = {
  readonly content_type: string;
  readonly streamed: number;
  readonly bytes: number;
  readonly kept: number;
  readonly sealed: Uint8Array;
};

function eventConditions({ types, functionName }: EventFilter): { where: string; values: unknown[] } {
  let where = "";
  const values: unknown[] = [];
  if (types !== undefined) {
    const each = types.map((type) => (type.endsWith(".*") ? "substr(type, 1, ?) = ?" : "type = ?"));
    where += ` AND (${each.join(" OR ") || "0"})`;
    for (const type of types)
      values.push(...(type.endsWith(".*") ? [type.length - 1, type.slice(0, -1)] : [type]));
  }
  if (functionName !== undefined) {
    where += " AND function_name = ?";
    values.push(functionName);
  }
  return { where, values };
}

/** The same question as `eventConditions`, asked of an event in memory. */
export function matches({ types, functionName }: EventFilter, event: LivedevEvent): boolean {
  if (functionName !== undefined && componentOf(event) !== functionName) return false;
  if (types === undefined) return true;
  return types.some((type) =>
    type.endsWith(".*") ? event.type.startsWith(type.slice(0, -1)) : event.type === type,
  );
}
