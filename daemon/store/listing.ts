/**
 * The list of invocations, newest first. What stands in columns is asked of SQLite; a text is looked for in slices of
 * the rows that are left, each slice one short transaction: a search that goes through all of history pins no old
 * state in the WAL, and can be told to stop in between.
 */
import type { Database } from "better-sqlite3";

import type { InvocationSummary } from "../../proto/rpc.ts";
import { SEALED } from "../../proto/redact.ts";
import type { PayloadKind } from "./rows.ts";
import { Term } from "./search.ts";
import { SHOWN_STATUS, summaryOf, type InvocationRow, type ShownStatus } from "./summary.ts";

export type InvocationQuery = {
  readonly functionName?: string | undefined;
  /** Any of these. */
  readonly status?: readonly ShownStatus[] | undefined;
  readonly minDurationMs?: number | undefined;
  /** Received at or after, by the wall clock. */
  readonly since?: number | undefined;
  /** Stands in what is shown of it: event, answer, log lines, error message, request id, function name. */
  readonly text?: string | undefined;
  readonly before?: number | undefined;
  readonly limit?: number | undefined;
};

/** What a listing needs of the queries. */
export type ListingSource = {
  readonly db: Database;
  /** Runs it in one transaction. */
  read<T>(query: () => T): T;
  /** Undefined where there is no such payload; its bytes are, where our key does not open it. */
  original(id: number, kind: PayloadKind): { readonly bytes: Uint8Array | undefined } | undefined;
};

const SLICE = 250;

/** `stopped` is asked between slices; what was found until then is given. */
export function listInvocations(
  source: ListingSource,
  query: InvocationQuery,
  stopped: () => boolean = () => false,
): InvocationSummary[] {
  const { text, before, limit = 100 } = query;
  const { where, values } = conditions(query);
  const select = `SELECT * FROM invocations WHERE id < ?${where} ORDER BY id DESC LIMIT ?`;
  const rowsBefore = (id: number, count: number) =>
    source.db.prepare<unknown[], InvocationRow>(select).all(id, ...values, count);

  const newest = before ?? Number.MAX_SAFE_INTEGER;
  if (text === undefined) return source.read(() => rowsBefore(newest, limit).map(summaryOf));

  const term = new Term(text);
  const found: InvocationRow[] = [];
  for (let end = newest; found.length < limit && !stopped();) {
    const slice = source.read(() => {
      const rows = rowsBefore(end, SLICE);
      return { rows, matching: holding(source, term, rows, limit - found.length) };
    });
    found.push(...slice.matching);
    const last = slice.rows.at(-1);
    if (last === undefined || slice.rows.length < SLICE) break;
    end = last.id;
  }
  return found.map(summaryOf);
}

/** Those of the rows, at most `limit`, that hold the term: the cheap places first. */
function holding(
  source: ListingSource,
  term: Term,
  rows: readonly InvocationRow[],
  limit: number,
): InvocationRow[] {
  const logged = inLogLines(source.db, term, rows);
  const found: InvocationRow[] = [];
  for (const row of rows) {
    if (found.length === limit) break;
    const holds =
      term.in(row.request_id) ||
      term.in(row.function_name) ||
      term.in(row.error_message) ||
      logged.has(row.id) ||
      inPayload(source, term, row.id, "event") ||
      inPayload(source, term, row.id, "answer");
    if (holds) found.push(row);
  }
  return found;
}

/** In one pass over the index, since to ask for each invocation's lines takes longer. */
function inLogLines(db: Database, term: Term, rows: readonly InvocationRow[]): ReadonlySet<number> {
  const found = new Set<number>();
  const first = rows.at(-1)?.id;
  const last = rows[0]?.id;
  if (first === undefined || last === undefined) return found;
  const lines = db
    .prepare<[number, number], [number, string]>(
      `SELECT invocation_id, json FROM events
       WHERE invocation_id BETWEEN ? AND ? AND type = 'invocation.logged'`,
    )
    .raw();
  for (const [id, json] of lines.iterate(first, last)) {
    if (!found.has(id) && term.inLogLine(json)) found.add(id);
  }
  return found;
}

function inPayload(source: ListingSource, term: Term, id: number, kind: PayloadKind): boolean {
  const payload = source.original(id, kind);
  if (payload === undefined) return false;
  return payload.bytes === undefined ? term.in(SEALED) : term.inPayload(payload.bytes);
}

function conditions(query: InvocationQuery): { where: string; values: unknown[] } {
  const { functionName, status, minDurationMs, since } = query;
  let where = "";
  const values: unknown[] = [];
  const add = (condition: string, ...given: readonly unknown[]) => {
    where += ` AND ${condition}`;
    values.push(...given);
  };
  if (functionName !== undefined) add("function_name = ?", functionName);
  if (status !== undefined) add(`${SHOWN_STATUS} IN (${status.map(() => "?").join(", ")})`, ...status);
  if (minDurationMs !== undefined) add("duration_ms >= ?", minDurationMs);
  if (since !== undefined) add("received_at >= ?", since);
  return { where, values };
}
