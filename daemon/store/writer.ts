/**
 * Rows on their way to the disk: one transaction per turn of the event loop, in order.
 *
 *     ┌──────┐  push   ┌───────────┐  next turn: committed  ┌──────┐
 *     │ idle │────────▶│ scheduled │───────────────────────▶│ idle │
 *     └──────┘         └─────┬─────┘                        └──────┘
 *                            │ the disk refuses         ▲ committed
 *                            ▼                          │
 *                      ┌───────────┐  retry, backed off │
 *                      │  failing  │────────────────────┘
 *                      └───────────┘
 *
 * While failing, rows wait in memory up to a bound; beyond it payloads go first, then log lines, then the rest, and
 * what was lost is counted and told. A transaction is all or nothing, so no half row ever stands in the file.
 */
import type { Database } from "better-sqlite3";

import { Backoff } from "../lib/backoff.ts";
import { codeOf, messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { deferred, type Deferred } from "../lib/scope.ts";
import { explain, isStorageError } from "./database.ts";
import { printedBytes, type Row } from "./rows.ts";

export type Health =
  | { readonly state: "ok" }
  | {
      readonly state: "failing";
      readonly since: number;
      /** SQLite's: SQLITE_FULL, SQLITE_IOERR_WRITE … */
      readonly code: string;
      readonly message: string;
      /** Rows that wait in memory. */
      readonly waiting: number;
      /** Rows and payloads that found no room there. */
      readonly dropped: number;
    };

type State =
  | { readonly name: "idle" }
  | { readonly name: "scheduled"; readonly turn: NodeJS.Immediate }
  | {
      readonly name: "failing";
      readonly since: number;
      readonly error: unknown;
      readonly timer: NodeJS.Timeout;
    };

/** One transaction holds at most this, so that a flood does not hold up the event loop. */
const BATCH_ROWS = 1_000;
const BATCH_BYTES = 4 * 1024 * 1024;
/** And takes no more rows once it has lasted so long: on a busy machine that is far fewer. */
const BATCH_MS = 1;
/** How often that is looked at. */
const ROWS_BETWEEN_LOOKS = 8;

export type WriterOptions = {
  readonly db: Database;
  readonly file: string;
  /** Writes one row, in a transaction of ours. */
  readonly write: (row: Row) => void;
  /** Called with what was committed, in order. */
  readonly committed: (rows: readonly Row[]) => void;
  readonly log: Log;
  readonly maxWaitingBytes: number;
  readonly retry: { readonly firstMs: number; readonly maxMs: number };
};

export class Writer {
  readonly #options: WriterOptions;
  /** Gives how many of them it took. */
  readonly #transaction: (rows: readonly Row[]) => number;
  readonly #backoff: Backoff;
  #state: State = { name: "idle" };
  #queue: Row[] = [];
  #queueBytes = 0;
  #dropped = 0;
  /** Every row up to this seq is in the file, or was dropped. */
  #settled: number;
  #waiters: { readonly seq: number; readonly done: Deferred<void> }[] = [];
  readonly #toAnnounce: (readonly Row[])[] = [];
  #announcing = false;

  constructor(options: WriterOptions, lastSeq: number) {
    this.#options = options;
    this.#settled = lastSeq;
    this.#backoff = new Backoff(options.retry);
    this.#transaction = options.db.transaction((rows: readonly Row[]) => {
      const until = performance.now() + BATCH_MS;
      let taken = 0;
      for (const row of rows) {
        options.write(row);
        taken += 1;
        if (taken % ROWS_BETWEEN_LOOKS === 0 && performance.now() > until) break;
      }
      return taken;
    });
  }

  /** The highest seq that a reader of the file can see. */
  get committedSeq(): number {
    return this.#settled;
  }

  get waiting(): readonly Row[] {
    return this.#queue;
  }

  health(): Health {
    if (this.#state.name !== "failing") return { state: "ok" };
    const { since, error } = this.#state;
    return {
      state: "failing",
      since,
      code: codeOf(error) ?? "SQLITE_ERROR",
      message: messageOf(error),
      waiting: this.#queue.length,
      dropped: this.#dropped,
    };
  }

  push(row: Row): void {
    const kept = this.#state.name === "failing" ? this.#fitting(row) : row;
    if (kept === undefined) return;
    this.#queue.push(kept);
    this.#queueBytes += sizeOf(kept);
    if (this.#state.name === "idle") this.#schedule();
  }

  /** Commits what waits, now, on the caller's stack; while failing it waits for the retry instead. */
  commit(): void {
    if (this.#state.name === "failing") return;
    if (this.#state.name === "scheduled") clearImmediate(this.#state.turn);
    this.#state = { name: "idle" };
    while (this.#queue.length > 0 && this.#commitBatch()) {}
  }

  /**
   * Resolves when all that was pushed so far is committed.
   * @throws LivedevError at the first attempt that the disk refuses; the rows are kept and tried again.
   */
  flushed(): Promise<void> {
    if (this.#state.name === "failing") return Promise.reject(explain(this.#options.file, this.#state.error));
    const last = this.#queue.at(-1);
    if (last === undefined) return Promise.resolve();
    const done = deferred<void>();
    this.#waiters.push({ seq: last.seq, done });
    return done.promise;
  }

  /** A last attempt; what the disk still refuses is lost, and told. */
  close(): void {
    if (this.#stopRetrying()) this.#state = { name: "idle" };
    this.commit();
    this.#stopRetrying();
    if (this.#queue.length > 0)
      this.#options.log.error({ rows: this.#queue.length }, "history lost its last rows");
  }

  #isIdle(): boolean {
    return this.#state.name === "idle";
  }

  #stopRetrying(): boolean {
    if (this.#state.name !== "failing") return false;
    clearTimeout(this.#state.timer);
    return true;
  }

  #schedule(): void {
    this.#state = { name: "scheduled", turn: setImmediate(() => this.#turn()) };
  }

  #turn(): void {
    this.#state = { name: "idle" };
    // The rest in the next turn: between the two, sockets are served.
    if (!this.#commitBatch()) return;
    // A listener may have recorded something, which has scheduled the next turn already.
    if (this.#queue.length > 0 && this.#isIdle()) this.#schedule();
  }

  /** False when the disk refused; then the state is `failing`. */
  #commitBatch(): boolean {
    const batch = this.#nextBatch();
    let taken: number;
    try {
      taken = this.#transaction(batch);
    } catch (error) {
      if (isStorageError(error)) {
        this.#fail(error);
        return false;
      }
      return this.#oneByOne(batch, error);
    }
    const written = batch.slice(0, taken);
    this.#done(written, written);
    return true;
  }

  /** A row that the tables refuse is a bug of ours: it is told and left out, and takes no other row with it. */
  #oneByOne(batch: readonly Row[], cause: unknown): boolean {
    this.#options.log.error({ err: cause }, "a batch of history was refused; its rows are tried one by one");
    for (const row of batch) {
      try {
        this.#transaction([row]);
        this.#done([row], [row]);
      } catch (error) {
        if (isStorageError(error)) {
          this.#fail(error);
          return false;
        }
        this.#options.log.error({ err: error, seq: row.seq, type: row.event.type }, "history refused a row");
        this.#done([row], []);
      }
    }
    return true;
  }

  #nextBatch(): readonly Row[] {
    let bytes = 0;
    let count = 0;
    for (const row of this.#queue) {
      bytes += sizeOf(row);
      if (count > 0 && bytes > BATCH_BYTES) break;
      count += 1;
      if (count === BATCH_ROWS) break;
    }
    return this.#queue.slice(0, count);
  }

  #done(left: readonly Row[], written: readonly Row[]): void {
    this.#queue.splice(0, left.length);
    for (const row of left) this.#queueBytes -= sizeOf(row);
    this.#settled = left.at(-1)?.seq ?? this.#settled;
    this.#announce(written);
    while (this.#waiters[0] !== undefined && this.#waiters[0].seq <= this.#settled) {
      this.#waiters.shift()?.done.resolve();
    }
  }

  /** A listener may record and commit in turn: its rows are told after these, to everybody. */
  #announce(rows: readonly Row[]): void {
    if (rows.length > 0) this.#toAnnounce.push(rows);
    if (this.#announcing) return;
    this.#announcing = true;
    for (let next = this.#toAnnounce.shift(); next !== undefined; next = this.#toAnnounce.shift()) {
      this.#options.committed(next);
    }
    this.#announcing = false;
  }

  #fail(error: unknown): void {
    const { log, file } = this.#options;
    const since = this.#state.name === "failing" ? this.#state.since : Date.now();
    const inMs = this.#backoff.next();
    log.warn({ err: error, file, rows: this.#queue.length, inMs }, "history cannot be written; trying again");
    const timer = setTimeout(() => this.#retry(), inMs);
    this.#state = { name: "failing", since, error, timer };
    const refused = explain(file, error);
    for (const { done } of this.#waiters.splice(0)) done.reject(refused);
  }

  #retry(): void {
    while (this.#queue.length > 0) if (!this.#commitBatch()) return;
    this.#options.log.info({ dropped: this.#dropped }, "history is written again");
    this.#state = { name: "idle" };
    this.#backoff.reset();
    this.#dropped = 0;
  }

  /** What of a row is kept while the disk refuses. */
  #fitting(row: Row): Row | undefined {
    const { maxWaitingBytes } = this.#options;
    if (this.#queueBytes + sizeOf(row) <= maxWaitingBytes) return row;
    this.#dropped += 1;
    const isLine = row.event.type.endsWith(".logged");
    if (isLine || this.#queueBytes > 2 * maxWaitingBytes) return undefined;
    return { ...row, attachments: [] };
  }
}

function sizeOf(row: Row): number {
  const text = "text" in row.event ? row.event.text.length : 0;
  const own = 400 + text + printedBytes(row.event);
  return row.attachments.reduce((sum, { content }) => sum + content.length, own);
}
