/**
 * History: what happened, recorded once, in SQLite. `record` gives the event its sequence number at once and writes
 * it with all others of the same turn of the event loop (writer.ts); watchers are told after the commit; whoever
 * reads does so in another thread (reading.ts), or from the file where no daemon runs (reader.ts).
 */
import { randomUUID } from "node:crypto";
import { statSync } from "node:fs";
import { dirname, join } from "node:path";

import type { Database } from "better-sqlite3";

import type { LivedevEvent, RecordedEvent } from "../../proto/events.ts";
import type { InvocationKey } from "../../proto/frames.ts";
import type { InvocationDetail, InvocationSummary } from "../../proto/rpc.ts";
import { codeOf, messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { PROGRAMS } from "../lib/programs.ts";
import { Scope } from "../lib/scope.ts";
import { Concealed } from "./concealed.ts";
import {
  CHECK_AT_ONCE_BYTES,
  explain,
  isDamage,
  isStorageError,
  openDatabase,
  quickCheck,
  type MovedAside,
} from "./database.ts";
import { follow, type FollowOptions, type FollowSink } from "./follow.ts";
import { Journal } from "./journal.ts";
import type { InvocationQuery } from "./listing.ts";
import { Lookups, prepareLookups, type KnownInvocation, type UnfinishedInvocation } from "./lookups.ts";
import type { DetailQuery, EventPage, EventQuery, UnsealedInvocation } from "./queries.ts";
import type { ReaderMethod, ReaderParams, ReaderResult } from "./reader.ts";
import { Reading } from "./reading.ts";
import { OutputBound } from "./output-bound.ts";
import { Retention, type RetentionLimits } from "./retention.ts";
import { LineRedactor } from "./redact-lines.ts";
import { printedBytes, rowWriter, withoutSecrets, type Attachment, type Row } from "./rows.ts";
import { migrate, readMeta, SCHEMA_VERSION, schemaVersion, writeMeta } from "./schema.ts";
import { keyFileOf, Vault } from "./vault.ts";
import { withWaiting } from "./waiting.ts";
import { Writer, type Health } from "./writer.ts";

export type StoreOptions = {
  /** `…/history.db`; its key and the deployment journal lie beside it. */
  readonly file: string;
  readonly log: Log;
  readonly limits?: Partial<StoreLimits>;
};

export type StoreLimits = RetentionLimits & {
  /** Of what one process printed. */
  readonly maxOutputBytes: number;
  /** What waits in memory while the disk refuses. */
  readonly maxWaitingBytes: number;
  readonly retryFirstMs: number;
  readonly retryMaxMs: number;
};

const LIMITS: StoreLimits = {
  maxInvocations: 50_000,
  maxEvents: 2_000_000,
  maxBytes: 1024 * 1024 * 1024,
  maxOutputBytes: 16 * 1024 * 1024,
  maxWaitingBytes: 64 * 1024 * 1024,
  retryFirstMs: 100,
  retryMaxMs: 5_000,
};

/** What is known of an invocation beside its event's bytes. Sealed, since client contexts carry what they like. */
export type InvocationContext = {
  readonly functionArn: string;
  readonly deadlineAt: number;
  readonly traceId?: string;
  readonly clientContext?: string;
  readonly cognitoIdentity?: string;
};

export type Received = {
  readonly event: Omit<Extract<LivedevEvent, { type: "invocation.received" }>, "type" | "retryOf" | "bytes">;
  readonly payload: Uint8Array;
  readonly context: InvocationContext;
};

export type Answered = {
  readonly event: Omit<Extract<LivedevEvent, { type: "invocation.answered" }>, "type" | "bytes">;
  readonly body: Uint8Array;
  readonly contentType: string;
  readonly streamed: boolean;
  /** Of the whole answer, where `body` was cut. */
  readonly bytes?: number;
};

/**
 * After a power cut the last commits may be gone, though clients saw them. The next history begins this much later,
 * so that none of their numbers is given to something else.
 */
const SEQS_SKIPPED = 10_000;
const PRUNE_EVERY_ROWS = 2_000;
const PRUNE_EVERY_BYTES = 16 * 1024 * 1024;
/**
 * The WAL is carried over into the file by a reader thread, since that waits for the disk. It cannot begin the WAL anew
 * while we write on; beyond the second bound SQLite does so in a commit of ours, with little left to carry over.
 */
const CHECKPOINT_EVERY_BYTES = 4 * 1024 * 1024;
const CHECKPOINT_OURSELVES_PAGES = 16_384;
/** What a commit adds to the WAL beside its rows: pages of tables and indexes, whole. */
const COMMIT_BYTES = 16 * 1024;
const ROW_BYTES = 400;

export class Store {
  readonly databaseId: string;
  readonly journal: Journal;
  /** Set when the last file was damaged: where it lies now. */
  readonly movedAside: MovedAside | undefined;

  readonly #file: string;
  readonly #log: Log;
  readonly #db: Database;
  readonly #writer: Writer;
  readonly #reading: Reading;
  /** What may take long has a thread of its own, so that no page, detail or replay waits for it. */
  readonly #searching: Reading;
  readonly #retention: Retention;
  readonly #outputBound: OutputBound;
  readonly #lookups: Lookups;
  readonly #lines = new LineRedactor();
  readonly #concealed = new Concealed();
  readonly #scope = new Scope();
  readonly #watchers = new Set<(events: readonly RecordedEvent[]) => void>();
  /** Newest invocation of each request id whose row is not committed yet. */
  readonly #receiving = new Map<string, number>();
  #lastSeq: number;
  #boundingOutput = false;
  #unpruned = { rows: Infinity, bytes: 0 };
  /** About what the WAL has grown by. */
  #unchecked = 0;

  /** @throws LivedevError where the place cannot be written, or the file is a newer livedev's. */
  // oxlint-disable-next-line typescript/require-await -- a part opens asynchronously, whatever it does inside
  static async open(options: StoreOptions): Promise<Store> {
    const { file, log } = options;
    const lastClose: LastClose = { clean: true, checkLater: false };
    const { db, movedAside } = openDatabase({
      file,
      log,
      prepare: (db) => prepareDatabase(db, file, lastClose),
    });
    try {
      const vault = Vault.open(keyFileOf(file), log);
      const journal = Journal.open({ file: join(dirname(file), "deploy.db"), log });
      return new Store(options, { db, vault, journal, movedAside, lastClose });
    } catch (error) {
      db.close();
      throw explain(file, error);
    }
  }

  private constructor(
    options: StoreOptions,
    parts: {
      db: Database;
      vault: Vault;
      journal: Journal;
      movedAside: MovedAside | undefined;
      lastClose: LastClose;
    },
  ) {
    const { db, vault, journal, movedAside, lastClose } = parts;
    const limits = { ...LIMITS, ...options.limits };
    this.#file = options.file;
    this.#log = options.log;
    this.#db = db;
    this.journal = journal;
    this.movedAside = movedAside;
    this.databaseId = readMeta(db, "id") ?? "";
    this.#retention = new Retention(db, limits);
    this.#outputBound = new OutputBound(db, limits.maxOutputBytes);
    this.#lookups = new Lookups(db, vault, this.databaseId);
    const found = Math.max(this.#lookups.lastSeq(), this.#retention.firstSeq - 1);
    this.#lastSeq = lastClose.clean ? found : found + SEQS_SKIPPED;
    const writer = {
      db,
      file: options.file,
      log: options.log,
      write: rowWriter(db, vault, this.databaseId),
      committed: (rows: readonly Row[]) => this.#committed(rows),
      maxWaitingBytes: limits.maxWaitingBytes,
      retry: { firstMs: limits.retryFirstMs, maxMs: limits.retryMaxMs },
    };
    this.#writer = new Writer(writer, this.#lastSeq);
    this.#reading = new Reading({ program: PROGRAMS.historyReader, file: options.file });
    this.#searching = new Reading({ program: PROGRAMS.historyReader, file: options.file });
    // In reverse, once the signal has ended the followers: the rest is written, the readers let go of the file, then it is closed for good.
    this.#scope.defer(() => db.close());
    this.#scope.defer(() => journal.close());
    this.#scope.defer(() => this.#markClean());
    this.#scope.use(this.#reading);
    this.#scope.use(this.#searching);
    this.#scope.defer(() => this.#writer.close());
    if (lastClose.checkLater) this.#checkLater();
  }

  /** The number of the newest event, committed or not. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** The newest event that a reader can see. */
  get committedSeq(): number {
    return this.#writer.committedSeq;
  }

  /** The oldest that was not pruned. */
  get firstSeq(): number {
    return this.#retention.firstSeq;
  }

  health(): Health {
    return this.#writer.health();
  }

  // ---- recording: never throws for the disk's sake, never waits for it

  record(event: LivedevEvent): number {
    return this.#push(event, []);
  }

  /** A new invocation; links Lambda's own retries, which what a client runs on this machine is none of. Gives its id. */
  receive({ event, payload, context }: Received): number {
    const { requestId, local = false } = event;
    const retryOf = local ? undefined : (this.#receiving.get(requestId) ?? this.#lookups.latest(requestId));
    const full: LivedevEvent = {
      type: "invocation.received",
      ...event,
      bytes: payload.length,
      ...(retryOf === undefined ? {} : { retryOf }),
    };
    const contextBytes = Buffer.from(JSON.stringify(context));
    const id = this.#push(full, [
      { kind: "event", content: payload, contentType: JSON_TYPE, streamed: false, bytes: payload.length },
      {
        kind: "context",
        content: contextBytes,
        contentType: JSON_TYPE,
        streamed: false,
        bytes: contextBytes.length,
      },
    ]);
    if (!local) this.#receiving.set(requestId, id);
    return id;
  }

  answer({ event, body, contentType, streamed, bytes = body.length }: Answered): number {
    const full: LivedevEvent = { type: "invocation.answered", ...event, bytes };
    return this.#push(full, [{ kind: "answer", content: body, contentType, streamed, bytes }]);
  }

  /** Commits what was recorded, before it returns: for what must be known after a kill before anything else happens. */
  commit(): void {
    this.#writer.commit();
  }

  /**
   * Resolves when everything recorded so far is committed.
   * @throws LivedevError while the disk refuses; what was recorded waits and is tried again.
   */
  flushed(): Promise<void> {
    return this.#writer.flushed();
  }

  // ---- at once, from the main thread: what an arriving invocation needs

  /** What history has of this key, also of what the disk has not taken yet. */
  lookup(key: InvocationKey): KnownInvocation | undefined {
    return withWaiting(this.#lookups.known(key), key, this.#writer.waiting);
  }

  /** What the last daemon left behind. To be asked before anything is received. */
  unfinished(): readonly UnfinishedInvocation[] {
    return this.#lookups.unfinished();
  }

  // ---- reading, in the reader threads

  events(query: EventQuery = {}): Promise<EventPage> {
    return this.#read(this.#reading, "events", query);
  }

  /** Newest first. */
  invocations(query: InvocationQuery = {}, signal?: AbortSignal): Promise<InvocationSummary[]> {
    const reading = query.text === undefined ? this.#reading : this.#searching;
    return this.#read(reading, "invocations", query, signal);
  }

  /** By id, or the latest one of a request id. */
  async invocation(
    id: number | string,
    options: Omit<DetailQuery, "id"> = {},
  ): Promise<InvocationDetail | undefined> {
    const found = await this.#read(this.#reading, "invocation", { ...options, id });
    if (found === undefined || options.reveal === true) return found;
    const { event, answer } = this.#concealed.from({ event: found.event, answer: found.answer });
    return {
      ...found,
      event: { ...event, sealed: event.sealed || event.text !== found.event.text },
      ...(answer !== undefined && {
        answer: { ...answer, sealed: answer.sealed || answer.text !== found.answer?.text },
      }),
    };
  }

  /** The original bytes, for a replay. Undefined where they are gone, or another key sealed them. */
  unseal(id: number | string): Promise<UnsealedInvocation | undefined> {
    return this.#read(this.#reading, "unseal", { id });
  }

  /** From now on these values stand in no row in clear, and are not shown. */
  conceal(values: readonly string[]): void {
    this.#concealed.add(values);
  }

  /** A text without them: what a failed command printed is told to clients, too. */
  concealed(text: string): string {
    return this.#concealed.from(text);
  }

  // ---- watching

  /** Told of everything after its commit, in order. */
  watch(listener: (events: readonly RecordedEvent[]) => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  /** Replays what came after the cursor, then follows, until the signal aborts or the store closes. */
  follow(options: FollowOptions, sink: FollowSink, signal: AbortSignal): Promise<void> {
    return follow(this, options, sink, AbortSignal.any([signal, this.#scope.signal]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope.close();
  }

  #push(event: LivedevEvent, attachments: readonly Attachment[]): number {
    this.#lastSeq += 1;
    this.#writer.push({
      seq: this.#lastSeq,
      at: Date.now(),
      event: withoutSecrets(this.#concealed.from(event), this.#lines),
      attachments,
    });
    return this.#lastSeq;
  }

  #committed(rows: readonly Row[]): void {
    const events = rows.map(({ seq, at, event }) => ({ seq, at, event }));
    for (const { seq, event } of events) {
      if (event.type !== "invocation.received") continue;
      this.#retention.added(1);
      if (this.#receiving.get(event.requestId) === seq) this.#receiving.delete(event.requestId);
    }
    for (const watcher of this.#watchers) {
      try {
        watcher(events);
      } catch (error) {
        this.#log.error({ err: error }, "a watcher of history failed");
      }
    }
    let added = 0;
    for (const { attachments } of rows) for (const { content } of attachments) added += content.length;
    const printed = rows.reduce((sum, { event }) => sum + printedBytes(event), 0);
    this.#checkpointAfter(COMMIT_BYTES + rows.length * ROW_BYTES + added + printed);
    if (this.#outputBound.added(rows) && !this.#boundingOutput) {
      this.#boundingOutput = true;
      setImmediate(() => this.#boundOutput());
    }
    this.#unpruned.bytes += added;
    this.#unpruned.rows += rows.length;
    const { rows: count, bytes } = this.#unpruned;
    if (count < PRUNE_EVERY_ROWS && bytes < PRUNE_EVERY_BYTES) return;
    this.#unpruned = { rows: 0, bytes: 0 };
    setImmediate(() => this.#prune());
  }

  /** A little per turn of the event loop. */
  #boundOutput(): void {
    this.#boundingOutput = false;
    if (this.#scope.closed || this.health().state === "failing") return;
    try {
      if (!this.#outputBound.step()) return;
      this.#boundingOutput = true;
      setImmediate(() => this.#boundOutput());
    } catch (error) {
      if (!isStorageError(error)) throw error;
      this.#log.warn({ err: error, file: this.#file }, "the processes' output could not be pruned");
    }
  }

  #checkpointAfter(bytes: number): void {
    this.#unchecked += bytes;
    if (this.#unchecked < CHECKPOINT_EVERY_BYTES || this.#scope.closed) return;
    this.#unchecked = 0;
    // Where it fails, a commit of ours does it in the end, and tells what is wrong with the disk.
    this.#read(this.#reading, "checkpoint", undefined as never).catch((error: unknown) => {
      if (!this.#scope.closed) this.#log.debug({ reason: messageOf(error) }, "the WAL was not carried over");
    });
  }

  /** A step per turn of the event loop. While the disk refuses, there is no room to make room in. */
  #prune(): void {
    if (this.#scope.closed || this.health().state === "failing") return;
    try {
      if (this.#retention.step()) setImmediate(() => this.#prune());
    } catch (error) {
      if (!isStorageError(error)) throw error;
      this.#log.warn({ err: error, file: this.#file }, "history could not be pruned");
    }
  }

  /** Damage that a read comes upon is noted: a file that was closed cleanly is not checked at the next start. */
  async #read<M extends ReaderMethod>(
    reading: Reading,
    method: M,
    params: ReaderParams<M>,
    signal?: AbortSignal,
  ): Promise<ReaderResult<M>> {
    try {
      return await reading.ask(method, params, signal);
    } catch (error) {
      if (codeOf(error) === "store.damaged" && !this.#scope.closed) this.#noteDamage(messageOf(error));
      throw error;
    }
  }

  #noteDamage(reason: string): void {
    this.#log.error({ file: this.#file, reason }, "history is damaged; moved aside at the next start");
    try {
      writeMeta(this.#db, "closed", "damaged");
    } catch (error) {
      this.#log.warn({ err: error, file: this.#file }, "its damage could not be noted in it");
    }
  }

  /** A large file that was not closed cleanly; damage is dealt with at the next start. */
  #checkLater(): void {
    // What it finds is noted; that the store closes in between is nobody's concern.
    this.#read(this.#searching, "check", undefined as never).catch(() => {});
  }

  #markClean(): void {
    const health = this.health();
    if (health.state === "failing" && isDamage(health)) return this.#noteDamage(health.message);
    if (health.state === "failing") return;
    try {
      if (readMeta(this.#db, "closed") === "no") writeMeta(this.#db, "closed", "clean");
    } catch (error) {
      this.#log.warn({ err: error, file: this.#file }, "history is checked at the next start");
    }
  }
}

const JSON_TYPE = "application/json";

type LastClose = { clean: boolean; checkLater: boolean };

/** Checks, migrates, and notes that the file is open: whoever finds that note was not closed cleanly before. */
function prepareDatabase(db: Database, file: string, lastClose: LastClose): void {
  db.pragma("synchronous = NORMAL");
  db.pragma(`wal_autocheckpoint = ${CHECKPOINT_OURSELVES_PAGES}`);
  const version = schemaVersion(db);
  if (version > 0 && version <= SCHEMA_VERSION) {
    const closed = readMeta(db, "closed");
    lastClose.clean = closed === "clean";
    lastClose.checkLater = closed === "no" && statSync(file).size > CHECK_AT_ONCE_BYTES;
    if (!lastClose.clean && !lastClose.checkLater) quickCheck(db);
  }
  migrate(db, file);
  readAsAStartDoes(db);
  db.transaction(() => {
    if (readMeta(db, "id") === undefined) writeMeta(db, "id", randomUUID());
    writeMeta(db, "closed", "no");
  })();
}

/** A file that was closed cleanly is not checked: damage where the start itself reads must show here, not later. */
function readAsAStartDoes(db: Database): void {
  const reads = prepareLookups(db);
  reads.lastSeq.get();
  reads.unfinished.all();
}
