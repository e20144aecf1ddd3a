/**
 * What is read from history: by the reader thread of a running daemon, or by a program of its own where none runs.
 * The connection is read-only, each query sees one committed state, and payloads come out redacted.
 */
import { existsSync } from "node:fs";

import Sqlite, { type Database } from "better-sqlite3";

import type { Answer } from "../../proto/answer.ts";
import type { Cursor, LivedevEvent, RecordedEvent } from "../../proto/events.ts";
import type { InvocationDetail, InvocationSummary } from "../../proto/rpc.ts";
import { codeOf, historyMissing, historyNewer, historyUnreadable, LivedevError } from "../lib/errors.ts";
import { explain, quickCheck } from "./database.ts";
import { SEALED } from "./redact.ts";
import { placeOf, type PayloadKind } from "./rows.ts";
import { readMeta, SCHEMA_VERSION, schemaVersion } from "./schema.ts";
import { shown } from "./shown.ts";
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
export type InvocationQuery = {
  readonly functionName?: string | undefined;
  readonly before?: number | undefined;
  readonly limit?: number | undefined;
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

  /** @throws LivedevError where there is no history, or none that we can read. */
  constructor(file: string) {
    if (!existsSync(file)) throw historyMissing(file);
    this.#file = file;
    try {
      this.#db = new Sqlite(file, { readonly: true, fileMustExist: true, timeout: 1_000 });
      const version = schemaVersion(this.#db);
      if (version > SCHEMA_VERSION) throw historyNewer(file, version, SCHEMA_VERSION);
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

  /** Newest first. */
  invocations({ functionName, before, limit = 100 }: InvocationQuery): InvocationSummary[] {
    const conditions = ["1"];
    const values: unknown[] = [];
    if (functionName !== undefined) {
      conditions.push("function_name = ?");
      values.push(functionName);
    }
    if (before !== undefined) {
      conditions.push("id < ?");
      values.push(before);
    }
    return this.#read(() =>
      this.#db
        .prepare<unknown[], InvocationRow>(
          `SELECT * FROM invocations WHERE ${conditions.join(" AND ")} ORDER BY id DESC LIMIT ?`,
        )
        .all(...values, limit)
        .map(summaryOf),
    );
  }

  /** By its id, or the latest one of a request id. */
  invocation(which: number | string): InvocationDetail | undefined {
    return this.#read(() => {
      const row = this.#row(which);
      if (row === undefined) return undefined;
      const answer = this.#payload(row.id, "answer");
      return {
        ...summaryOf(row),
        event: this.#payload(row.id, "event") ?? { text: "", bytes: 0, sealed: false },
        ...(answer === undefined ? {} : { answer }),
        logs: this.#logs(row.id),
      };
    });
  }

  unseal(which: number | string): UnsealedInvocation | undefined {
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
    if (!(codeOf(error) ?? "").startsWith("SQLITE_")) return explain(this.#file, error);
    return historyUnreadable(this.#file, error);
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

  #payload(id: number, kind: PayloadKind): InvocationDetail["answer"] {
    const found = this.#original(id, kind);
    if (found === undefined) return undefined;
    const { bytes: original, size, kept } = found;
    if (original === undefined) return { text: SEALED, bytes: size, sealed: true };
    const { text, sealed } = shown(original);
    const cut = kept < size ? `${text}… (cut: ${kept} of ${size} bytes are kept)` : text;
    return { text: cut, bytes: size, sealed };
  }

  /** `bytes` is undefined where our key does not open it. */
  #original(id: number, kind: PayloadKind) {
    const row = this.#db
      .prepare<[number, string], PayloadRow>("SELECT * FROM payloads WHERE invocation_id = ? AND kind = ?")
      .get(id, kind);
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

export type InvocationRow = {
  readonly id: number;
  readonly request_id: string;
  readonly nonce: string;
  readonly function_name: string;
  readonly state: "received" | "begun" | "answered" | "delivered" | "undelivered";
  readonly status: "ok" | "error" | null;
  readonly cause: NonNullable<Extract<Answer, { kind: "buffered" }>["cause"]> | null;
  readonly received_at: number;
  readonly duration_ms: number | null;
  readonly code_hash: string | null;
  readonly cold_start: number | null;
  readonly error_type: string | null;
  readonly error_message: string | null;
  readonly retry_of: number | null;
};

function summaryOf(row: InvocationRow): InvocationSummary {
  const optional = {
    durationMs: row.duration_ms,
    coldStart: row.cold_start === null ? null : row.cold_start === 1,
    codeHash: row.code_hash,
    errorType: row.error_type,
    errorMessage: row.error_message,
    retryOf: row.retry_of,
  };
  return {
    id: row.id,
    requestId: row.request_id,
    functionName: row.function_name,
    status: shownStatus(row),
    receivedAt: row.received_at,
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== null)),
  };
}

function shownStatus({ state, status, cause }: InvocationRow): InvocationSummary["status"] {
  if (cause === "interrupted" || cause === "expired") return cause;
  if (state === "begun") return "running";
  return state === "delivered" ? (status ?? "error") : state;
}

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
  if (functionName !== undefined && (!("functionName" in event) || event.functionName !== functionName))
    return false;
  if (types === undefined) return true;
  return types.some((type) =>
    type.endsWith(".*") ? event.type.startsWith(type.slice(0, -1)) : event.type === type,
  );
}
