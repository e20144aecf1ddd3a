/**
 * An invocation's row and what of it is shown in a list. Columns that came with a later schema are absent in a file
 * that no daemon of this version has migrated yet, and read as not set.
 */
import type { FailureCause } from "../../proto/answer.ts";
import type { InvocationSummary } from "../../proto/rpc.ts";

export type InvocationRow = {
  readonly id: number;
  readonly request_id: string;
  readonly nonce: string;
  readonly function_name: string;
  readonly state: "received" | "begun" | "answered" | "delivered" | "undelivered";
  readonly status: "ok" | "error" | null;
  readonly cause: FailureCause | null;
  readonly received_at: number;
  readonly duration_ms: number | null;
  readonly code_hash: string | null;
  readonly cold_start: number | null;
  readonly error_type: string | null;
  readonly error_message: string | null;
  readonly retry_of: number | null;
  readonly replay_of?: number | null;
  readonly local?: number | null;
};

export type ShownStatus = InvocationSummary["status"];

export function summaryOf(row: InvocationRow): InvocationSummary {
  const optional = {
    durationMs: row.duration_ms,
    coldStart: row.cold_start === null ? null : row.cold_start === 1,
    codeHash: row.code_hash,
    errorType: row.error_type,
    errorMessage: row.error_message,
    retryOf: row.retry_of,
    replayOf: row.replay_of ?? null,
    local: row.local === 1 ? true : null,
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

export function shownStatus({
  state,
  status,
  cause,
}: Pick<InvocationRow, "state" | "status" | "cause">): ShownStatus {
  if (cause === "interrupted" || cause === "expired") return cause;
  if (state === "begun") return "running";
  return state === "delivered" ? (status ?? "error") : state;
}

/** `shownStatus` in SQL's words; a test holds the two together over every row that the table takes. */
export const SHOWN_STATUS = `
  CASE WHEN cause IN ('interrupted', 'expired') THEN cause
       WHEN state = 'begun' THEN 'running'
       WHEN state = 'delivered' THEN coalesce(status, 'error')
       ELSE state END`;
