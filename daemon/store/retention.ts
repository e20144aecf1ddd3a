/**
 * Keeps history within bounds by taking away its oldest end, a little at a time and between turns of the event loop.
 * What is still under way is kept. Space that is freed is used again; the file does not shrink.
 */
import type { Database } from "better-sqlite3";

import { readMeta, writeMeta } from "./schema.ts";

export type RetentionLimits = {
  readonly maxInvocations: number;
  readonly maxEvents: number;
  readonly maxBytes: number;
};

/** One step's share: enough to outrun any recording, little enough to be no pause. */
const STEP_EVENTS = 1_000;
const STEP_BYTES = 4 * 1024 * 1024;

export class Retention {
  readonly #db: Database;
  readonly #limits: RetentionLimits;
  readonly #statements: ReturnType<typeof prepare>;
  #firstSeq: number;
  /** Counted once, and then kept: a count reads every row, and is asked for while events stream in. */
  #invocations: number;

  constructor(db: Database, limits: RetentionLimits) {
    this.#db = db;
    this.#limits = limits;
    this.#statements = prepare(db);
    this.#firstSeq = Number(readMeta(db, "firstSeq") ?? 1);
    this.#invocations = this.#statements.count.get() ?? 0;
  }

  /** Invocations that were committed. */
  added(invocations: number): void {
    this.#invocations += invocations;
  }

  /** The oldest seq that history still has, or will have. */
  get firstSeq(): number {
    return this.#firstSeq;
  }

  /** Takes one step; false when history is within its bounds, or all that could go is under way. */
  step(): boolean {
    const end = this.#end();
    if (end === undefined) return false;
    let gone = 0;
    this.#db.transaction(() => {
      const { payloads, invocations, events } = this.#statements;
      payloads.run(end);
      gone = invocations.run(end).changes;
      events.run(end);
      writeMeta(this.#db, "firstSeq", String(end));
    })();
    this.#invocations -= gone;
    this.#firstSeq = end;
    return true;
  }

  /** Where history is to begin after one step. */
  #end(): number | undefined {
    const { nth, unfinished } = this.#statements;
    if (!this.#isOver()) return undefined;
    const next = nth.get(this.#firstSeq, STEP_EVENTS) ?? undefined;
    const limit = Math.min(next ?? Infinity, unfinished.get() ?? Infinity, this.#firstOver(STEP_BYTES));
    return Number.isFinite(limit) && limit > this.#firstSeq ? limit : undefined;
  }

  #isOver(): boolean {
    const { eventCount } = this.#statements;
    if (this.#invocations > this.#limits.maxInvocations) return true;
    if ((eventCount.get() ?? 0) > this.#limits.maxEvents) return true;
    return this.#bytes() > this.#limits.maxBytes;
  }

  /** The invocation before which the oldest payloads come to more than `bytes`; one at least is before it. */
  #firstOver(bytes: number): number {
    let sum = 0;
    for (const [id, kept] of this.#statements.sizes.iterate(this.#firstSeq)) {
      if (sum > bytes && id > this.#firstSeq) return id;
      sum += kept;
    }
    return Infinity;
  }

  /** Of the pages that hold something. */
  #bytes(): number {
    const pages = (name: string) => this.#db.pragma(name, { simple: true }) as number;
    return (pages("page_count") - pages("freelist_count")) * pages("page_size");
  }
}

function prepare(db: Database) {
  const number = (sql: string) => db.prepare<unknown[], number | null>(sql).pluck();
  return {
    payloads: db.prepare("DELETE FROM payloads WHERE invocation_id < ?"),
    invocations: db.prepare("DELETE FROM invocations WHERE id < ?"),
    events: db.prepare("DELETE FROM events WHERE seq < ?"),
    nth: number("SELECT seq FROM events WHERE seq >= ? ORDER BY seq LIMIT 1 OFFSET ?"),
    unfinished: number("SELECT min(id) FROM invocations WHERE state IN ('received', 'begun', 'answered')"),
    count: number("SELECT count(*) FROM invocations"),
    // Each by the index's end: both in one SELECT would read every row.
    eventCount: number("SELECT (SELECT max(seq) FROM events) - (SELECT min(seq) FROM events) + 1"),
    sizes: db
      .prepare<[number], [number, number]>(
        "SELECT invocation_id, kept FROM payloads WHERE invocation_id >= ? ORDER BY invocation_id",
      )
      .raw(),
  };
}
