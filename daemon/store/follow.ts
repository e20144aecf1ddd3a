/**
 * One subscriber's way through history: replay from the file, then follow, without gap or duplicate.
 *
 *                  ┌───────────┐ caught up ┌──────┐  event   ┌────────────┐
 *     after? ─────▶│ replaying │──────────▶│ live │─────────▶│ delivering │
 *                  └───────────┘           └──────┘◀─────────└─────┬──────┘
 *                        ▲                           sink ready    │ the tail outgrew its bound
 *                        └─────────────────────────────────────────┘
 *                  ───────────▶ ended (the signal, a reset, the sink's error), from any of them
 *
 * What happens meanwhile waits in a short tail in memory. When the sink is slower than that, the tail is let go and
 * its events are read from the file later: a slow subscriber costs no memory.
 *
 * Why there is no gap: rows are committed in the order of their seq, the tail begins before the page is asked for,
 * and a page tells up to which seq its snapshot reaches. Why no duplicate: nothing at or below `#position` passes.
 */
import type { Cursor, RecordedEvent } from "../../proto/events.ts";
import { deferred } from "../lib/scope.ts";
import { matches, type EventFilter, type EventPage, type EventQuery } from "./queries.ts";

/** Where a follower's events go. */
export type FollowSink = {
  /** Once, before anything else: the place in history after which the events come. */
  begun(cursor: Cursor): void;
  /** In order, never while an earlier call's promise is pending. `cursor` is the place after these events. */
  events(events: readonly RecordedEvent[], cursor: Cursor): Promise<void> | void;
  /** The wanted place is not in this history; following ends with it. `cursor`: where history begins now. */
  reset(reason: "database" | "pruned", cursor: Cursor): void;
};

export type FollowOptions = EventFilter & {
  /** What was seen last. Only what is recorded from now on, where absent. */
  readonly after?: Cursor | undefined;
};

/** What following needs of the store. */
export type FollowSource = {
  readonly databaseId: string;
  readonly firstSeq: number;
  readonly committedSeq: number;
  events(query: EventQuery): Promise<EventPage>;
  watch(listener: (events: readonly RecordedEvent[]) => void): () => void;
};

const PAGE = 500;
const MAX_TAIL = 1_000;

/** What was committed since a known seq, in order; `overflown` when it was let go. */
type Tail = { readonly events: RecordedEvent[]; overflown: boolean };

type State =
  | { readonly name: "replaying"; tail: Tail }
  | { readonly name: "live" }
  | { readonly name: "delivering"; tail: Tail }
  | { readonly name: "ended" };

/** Ends when the signal aborts or after a reset. Rejects with what the sink or the reading threw. */
export async function follow(
  source: FollowSource,
  options: FollowOptions,
  sink: FollowSink,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) return;
  const follower = new Follower(source, options, sink);
  const onAbort = () => follower.close();
  signal.addEventListener("abort", onAbort);
  try {
    follower.begin();
    await follower.ended;
  } finally {
    follower.close();
    signal.removeEventListener("abort", onAbort);
  }
}

class Follower {
  readonly #source: FollowSource;
  readonly #options: FollowOptions;
  readonly #sink: FollowSink;
  readonly #end = deferred<void>();
  #unwatch = () => {};
  #state: State = { name: "live" };
  /** All up to here was given to the sink, or is none of its business. */
  #position: number;

  constructor(source: FollowSource, options: FollowOptions, sink: FollowSink) {
    this.#source = source;
    this.#options = options;
    this.#sink = sink;
    this.#position = options.after?.seq ?? source.committedSeq;
  }

  begin(): void {
    const { databaseId, committedSeq } = this.#source;
    const { after } = this.#options;
    this.#sink.begun(after ?? this.#cursorAt(this.#position));
    // A cursor ahead of us is one of a history that was lost with the machine's power: not ours any more.
    const foreign = after !== undefined && (after.database !== databaseId || after.seq > committedSeq);
    if (foreign) return this.#reset("database");
    this.#unwatch = this.#source.watch((events) => this.#committed(events));
    if (this.#position < committedSeq) this.#replay();
  }

  get ended(): Promise<void> {
    return this.#end.promise;
  }

  close(): void {
    this.#stop();
    this.#end.resolve();
  }

  #committed(events: readonly RecordedEvent[]): void {
    switch (this.#state.name) {
      case "live":
        this.#deliver(events);
        break;
      case "replaying":
      case "delivering":
        append(this.#state.tail, events);
        break;
      case "ended":
        break;
    }
  }

  /** From `live`. The state says so before the sink is called, since a sink may record and commit in turn. */
  #deliver(events: readonly RecordedEvent[]): void {
    const last = events.at(-1);
    if (last === undefined) return;
    const tail = emptyTail();
    this.#state = { name: "delivering", tail };
    const pending = this.#give(events, last.seq);
    if (pending === undefined) this.#ready(tail);
    else pending.then(() => this.#ready(tail)).catch((error: unknown) => this.#fail(error));
  }

  /** The sink is ready again after a delivery. */
  #ready(tail: Tail): void {
    if (this.#isOver()) return;
    this.#state = { name: "live" };
    if (tail.overflown) this.#replay();
    else this.#deliver(tail.events);
  }

  #replay(): void {
    this.#state = { name: "replaying", tail: emptyTail() };
    this.#pages().catch((error: unknown) => this.#fail(error));
  }

  async #pages(): Promise<void> {
    const { types, functionName } = this.#options;
    while (this.#state.name === "replaying") {
      // Asked for first, read after: whatever the snapshot does not hold comes into this tail.
      const tail = emptyTail();
      this.#state.tail = tail;
      const page = await this.#source.events({ after: this.#position, limit: PAGE, types, functionName });
      if (this.#isOver()) return;
      if (page.firstSeq > this.#position + 1) {
        this.#reset("pruned");
        return;
      }
      await this.#give(page.events, page.cursor.seq);
      if (this.#isOver()) return;
      if (page.last && !tail.overflown) {
        this.#state = { name: "live" };
        this.#deliver(tail.events);
        return;
      }
    }
  }

  /** Undefined where the sink took them at once. */
  #give(events: readonly RecordedEvent[], upTo: number): Promise<void> | undefined {
    const from = this.#position;
    this.#position = Math.max(from, upTo);
    const wanted = events.filter(({ seq, event }) => seq > from && matches(this.#options, event));
    if (wanted.length === 0) return undefined;
    try {
      return this.#sink.events(wanted, this.#cursorAt(this.#position)) ?? undefined;
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  #isOver(): boolean {
    return this.#state.name === "ended";
  }

  #reset(reason: "database" | "pruned"): void {
    this.#sink.reset(reason, this.#cursorAt(this.#source.firstSeq - 1));
    this.close();
  }

  #fail(error: unknown): void {
    if (this.#isOver()) return;
    this.#stop();
    this.#end.reject(error);
  }

  #stop(): void {
    this.#state = { name: "ended" };
    this.#unwatch();
  }

  #cursorAt(seq: number): Cursor {
    return { database: this.#source.databaseId, seq };
  }
}

const emptyTail = (): Tail => ({ events: [], overflown: false });

function append(tail: Tail, events: readonly RecordedEvent[]): void {
  if (tail.overflown) return;
  if (tail.events.length + events.length > MAX_TAIL) {
    tail.overflown = true;
    tail.events.length = 0;
    return;
  }
  tail.events.push(...events);
}
