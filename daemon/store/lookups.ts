/**
 * The few reads that an arriving invocation waits for: by key, on the writing connection, each a single row of an
 * index. Everything else is read in another thread (reading.ts).
 */
import type { Database } from "better-sqlite3";

import type { Answer, BufferedAnswer } from "../../proto/answer.ts";
import type { InvocationKey } from "../../proto/frames.ts";
import type { PayloadRow } from "./queries.ts";
import { placeOf } from "./rows.ts";
import type { InvocationRow } from "./summary.ts";
import type { Vault } from "./vault.ts";

export type InvocationState = "received" | "begun" | "answered" | "delivered" | "undelivered";

export type KnownInvocation = {
  readonly id: number;
  readonly state: InvocationState;
  /** From `answered` on, where it was kept whole and can be unsealed. */
  readonly answer?: Answer;
};

export type UnfinishedInvocation = {
  readonly id: number;
  readonly key: InvocationKey;
  readonly functionName: string;
  readonly state: "received" | "begun" | "answered";
  readonly receivedAt: number;
  /** Run by a client: no stub comes back for its answer. */
  readonly local: boolean;
};

export class Lookups {
  readonly #vault: Vault;
  readonly #databaseId: string;
  readonly #statements: ReturnType<typeof prepareLookups>;

  constructor(db: Database, vault: Vault, databaseId: string) {
    this.#vault = vault;
    this.#databaseId = databaseId;
    this.#statements = prepareLookups(db);
  }

  lastSeq(): number {
    return this.#statements.lastSeq.get() ?? 0;
  }

  known({ requestId, nonce }: InvocationKey): KnownInvocation | undefined {
    const row = this.#statements.byKey.get(requestId, nonce);
    if (row === undefined) return undefined;
    const answer = this.#answer(row);
    return { id: row.id, state: row.state, ...(answer === undefined ? {} : { answer }) };
  }

  /** The newest invocation that Lambda sent with this request id. */
  latest(requestId: string): number | undefined {
    return this.#statements.latest.get(requestId);
  }

  unfinished(): UnfinishedInvocation[] {
    return this.#statements.unfinished.all().map((row) => ({
      id: row.id,
      key: { requestId: row.request_id, nonce: row.nonce },
      functionName: row.function_name,
      state: row.state as UnfinishedInvocation["state"],
      receivedAt: row.received_at,
      local: row.local === 1,
    }));
  }

  #answer(row: InvocationRow): Answer | undefined {
    const payload = this.#statements.answer.get(row.id);
    if (payload === undefined || row.status === null || payload.kept < payload.bytes) return undefined;
    const body = this.#vault.unseal(payload.sealed, placeOf(this.#databaseId, row.id, "answer"));
    if (body === undefined) return undefined;
    return answerOf({
      status: row.status,
      ...(row.error_type === null ? {} : { errorType: row.error_type }),
      ...(row.cause === null ? {} : { cause: row.cause }),
      contentType: payload.content_type,
      streamed: payload.streamed === 1,
      body,
    });
  }
}

/** An answer that was kept whole, to be delivered again. */
export function answerOf({
  status,
  contentType,
  streamed,
  body,
  errorType,
  cause,
}: Omit<BufferedAnswer, "kind"> & { readonly streamed: boolean }): Answer | undefined {
  // A stream that ended in an error has no answer that could be given as a whole.
  if (streamed) return status === "ok" ? { kind: "streamed", contentType, chunks: once(body) } : undefined;
  return {
    kind: "buffered",
    status,
    body,
    contentType,
    ...(errorType === undefined ? {} : { errorType }),
    ...(cause === undefined ? {} : { cause }),
  };
}

// oxlint-disable-next-line typescript/require-await -- a stream of one chunk
async function* once(chunk: Uint8Array): AsyncIterable<Uint8Array> {
  yield chunk;
}

export function prepareLookups(db: Database) {
  return {
    lastSeq: db.prepare<[], number>("SELECT coalesce(max(seq), 0) FROM events").pluck(),
    byKey: db.prepare<[string, string], InvocationRow>(
      "SELECT * FROM invocations WHERE request_id = ? AND nonce = ?",
    ),
    latest: db
      .prepare<[string], number>(
        "SELECT id FROM invocations WHERE request_id = ? AND local IS NULL ORDER BY id DESC LIMIT 1",
      )
      .pluck(),
    unfinished: db.prepare<[], InvocationRow>(
      "SELECT * FROM invocations WHERE state IN ('received', 'begun', 'answered') ORDER BY id",
    ),
    answer: db.prepare<[number], PayloadRow>(
      "SELECT * FROM payloads WHERE invocation_id = ? AND kind = 'answer'",
    ),
  };
}
