/**
 * What one recorded event does to the tables. Invocations are a projection of their events, written in the same
 * transaction, so that history never shows a state that no event tells.
 */
import type { Database } from "better-sqlite3";

import type { LivedevEvent, RecordedEvent } from "../../proto/events.ts";
import { redact } from "../../proto/redact.ts";
import type { LineRedactor } from "./redact-lines.ts";
import type { Vault } from "./vault.ts";

export type PayloadKind = "event" | "answer" | "context";

/** Bytes that belong to an event's row. */
export type Attachment = {
  readonly kind: PayloadKind;
  readonly content: Uint8Array;
  readonly contentType: string;
  readonly streamed: boolean;
  /** Of the original, where `content` was cut. */
  readonly bytes: number;
};

/** One event on its way into the database. */
export type Row = RecordedEvent & { readonly attachments: readonly Attachment[] };

/** The invocation that an event belongs to. */
export function invocationIdOf(event: LivedevEvent, seq: number): number | null {
  if (event.type === "invocation.received") return seq;
  return "id" in event ? event.id : null;
}

/** Of a process's lines, roughly: characters. */
export function printedBytes(event: LivedevEvent): number {
  return event.type === "process.logged" ? event.lines.reduce((sum, line) => sum + line.length + 3, 0) : 0;
}

/** The function or the process that it tells of; no two components of an app have the same name. */
export function componentOf(event: LivedevEvent): string | undefined {
  if ("functionName" in event) return event.functionName;
  return "processName" in event ? event.processName : undefined;
}

/** Text that a user's code wrote is stored in clear: what looks like a credential in it is not stored at all. */
// oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
export function withoutSecrets(event: LivedevEvent, lines: LineRedactor): LivedevEvent {
  switch (event.type) {
    case "invocation.logged":
      return { ...event, text: lines.redact(`${event.id}/${event.stream}`, event.text) };
    case "function.logged":
      return { ...event, text: lines.redact(`${event.functionName}/${event.stream}`, event.text) };
    case "process.logged":
      return {
        ...event,
        lines: event.lines.map((line) => lines.redact(`${event.processName}/terminal`, line)),
      };
    case "process.exited":
      return { ...event, how: redact(event.how) };
    case "invocation.answered":
      return {
        ...event,
        ...(event.errorType === undefined ? {} : { errorType: redact(event.errorType) }),
        ...(event.errorMessage === undefined ? {} : { errorMessage: redact(event.errorMessage) }),
      };
    case "invocation.undelivered":
    case "sandbox.disconnected":
      return { ...event, reason: redact(event.reason) };
    case "config.failed":
    case "stage.lost":
    case "tunnel.failed":
    case "deploy.failed":
      return { ...event, message: redact(event.message) };
    case "tunnel.portTaken":
      return { ...event, by: redact(event.by) };
    case "build.failed":
      return {
        ...event,
        errors: event.errors.map((error) => ({
          ...error,
          text: redact(error.text),
          ...(error.lineText === undefined ? {} : { lineText: redact(error.lineText) }),
        })),
      };
    case "daemon.started":
    case "daemon.stopped":
    case "config.loaded":
    case "build.finished":
    case "worker.started":
    case "worker.ready":
    case "worker.exited":
    case "process.started":
    case "process.ready":
    case "process.waiting":
    case "sandbox.connected":
    case "invocation.received":
    case "invocation.begun":
    case "invocation.delivered":
    case "deploy.started":
    case "deploy.stepped":
    case "deploy.finished":
    case "secret.changed":
    case "tunnel.connected":
    case "tunnel.lost":
      return event;
  }
}

/** Gives the function that writes a row, inside a transaction that the caller has begun. */
export function rowWriter(db: Database, vault: Vault, databaseId: string): (row: Row) => void {
  const insertEvent = db.prepare(
    "INSERT INTO events (seq, at, type, function_name, invocation_id, json) VALUES (?, ?, ?, ?, ?, ?)",
  );
  const insertInvocation = db.prepare(
    `INSERT INTO invocations (id, request_id, nonce, function_name, state, received_at, retry_of, replay_of, local)
     VALUES (?, ?, ?, ?, 'received', ?, ?, ?, ?)`,
  );
  const begin = db.prepare(
    "UPDATE invocations SET state = 'begun', code_hash = ?, cold_start = ? WHERE id = ? AND state IN ('received', 'begun')",
  );
  const answer = db.prepare(
    `UPDATE invocations SET state = 'answered', status = ?, cause = ?, error_type = ?, error_message = ?, duration_ms = ?
     WHERE id = ?`,
  );
  const finish = db.prepare("UPDATE invocations SET state = ? WHERE id = ?");
  const attach = db.prepare("INSERT OR REPLACE INTO payloads VALUES (?, ?, ?, ?, ?, ?, ?)");

  return ({ seq, at, event, attachments }) => {
    const id = invocationIdOf(event, seq);
    insertEvent.run(seq, at, event.type, componentOf(event) ?? null, id, JSON.stringify(event));
    switch (event.type) {
      case "invocation.received":
        insertInvocation.run(
          seq,
          event.requestId,
          event.nonce,
          event.functionName,
          at,
          event.retryOf ?? null,
          event.replayOf ?? null,
          event.local === true ? 1 : null,
        );
        break;
      case "invocation.begun":
        begin.run(event.codeHash, event.coldStart ? 1 : 0, event.id);
        break;
      case "invocation.answered":
        answer.run(
          event.status,
          event.cause ?? null,
          event.errorType ?? null,
          event.errorMessage ?? null,
          event.durationMs,
          event.id,
        );
        break;
      case "invocation.delivered":
        finish.run("delivered", event.id);
        break;
      case "invocation.undelivered":
        finish.run("undelivered", event.id);
        break;
      case "daemon.started":
      case "daemon.stopped":
      case "config.loaded":
      case "config.failed":
      case "build.finished":
      case "build.failed":
      case "worker.started":
      case "worker.ready":
      case "worker.exited":
      case "function.logged":
      case "process.started":
      case "process.ready":
      case "process.waiting":
      case "process.logged":
      case "process.exited":
      case "sandbox.connected":
      case "sandbox.disconnected":
      case "invocation.logged":
      case "deploy.started":
      case "deploy.stepped":
      case "deploy.finished":
      case "secret.changed":
      case "stage.lost":
      case "tunnel.connected":
      case "tunnel.lost":
      case "tunnel.failed":
      case "tunnel.portTaken":
      case "deploy.failed":
        break;
    }
    for (const { kind, content, contentType, streamed, bytes } of attachments) {
      const sealed = vault.seal(content, placeOf(databaseId, id ?? 0, kind));
      attach.run(id, kind, contentType, streamed ? 1 : 0, bytes, content.length, sealed);
    }
  };
}

/** What a sealed payload is bound to. */
export const placeOf = (databaseId: string, id: number, kind: PayloadKind) => `${databaseId}/${id}/${kind}`;
