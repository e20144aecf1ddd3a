/**
 * One subscriber's way out: batches cut to a bounded size, one at a time, the next only when the reader has room.
 *
 *     waiting (the answer to events.subscribe is not sent yet) ──open()──► following ──► ended
 *                                         signal aborted, reset by history, or reader too slow ──┘
 */
import type { Cursor, RecordedEvent } from "../../proto/events.ts";
import type { RpcNotification, RpcNotificationParams } from "../../proto/rpc.ts";
import { deferred } from "../lib/scope.ts";

import type { Follow, FollowRequest, FollowSink } from "./methods.ts";

/** A message of more than this is cut between events. */
const MAX_BATCH_BYTES = 256 * 1024;

/** Where notifications go. */
export type Outlet = {
  notify<N extends RpcNotification>(name: N, params: RpcNotificationParams<N>): void;
  /** Resolves `false` where the reader read nothing for `slowMs`. */
  room(signal: AbortSignal): Promise<boolean>;
};

export class Subscription {
  readonly id: string;
  readonly #outlet: Outlet;
  readonly #controller = new AbortController();
  readonly #opened = deferred<void>();
  readonly #begun = deferred<Cursor>();
  /** Settles when nothing more will be sent; rejects for a bug in `follow`. */
  readonly ended: Promise<void>;

  constructor(options: { id: string; request: FollowRequest; follow: Follow; outlet: Outlet }) {
    this.id = options.id;
    this.#outlet = options.outlet;
    const sink: FollowSink = {
      begun: (cursor) => this.#begun.resolve(cursor),
      events: (events, cursor) => this.#events(events, cursor),
      reset: (reason, cursor) => this.#reset(reason, cursor),
    };
    this.ended = this.#run(options.follow, options.request, sink);
    // Told through `begun` where it failed before it began; the connection looks at `ended`.
    this.ended.catch(() => {});
    this.#begun.promise.catch(() => {});
  }

  /** Where it begins. */
  get begun(): Promise<Cursor> {
    return this.#begun.promise;
  }

  /** From now on notifications may be sent: the caller knows the subscription's id. */
  open(): void {
    this.#opened.resolve();
  }

  end(): void {
    this.#controller.abort(new Error("the subscription ended"));
    this.#opened.resolve();
  }

  async #run(follow: Follow, request: FollowRequest, sink: FollowSink): Promise<void> {
    try {
      await follow(request, sink, this.#controller.signal);
    } catch (error) {
      this.#begun.reject(error);
      if (!this.#controller.signal.aborted) throw error;
    } finally {
      this.#begun.reject(new Error("the history ended before it began"));
      this.#controller.abort(new Error("the subscription ended"));
    }
  }

  async #events(events: readonly RecordedEvent[], cursor: Cursor): Promise<void> {
    const { signal } = this.#controller;
    await this.#opened.promise;
    let from = 0;
    while (from < events.length && !signal.aborted) {
      const to = endOfBatch(events, from);
      const last = events[to - 1];
      const at = to === events.length || last === undefined ? cursor : { ...cursor, seq: last.seq };
      this.#outlet.notify("events.recorded", {
        subscription: this.id,
        cursor: at,
        events: events.slice(from, to),
      });
      from = to;
      if (!(await this.#outlet.room(signal))) {
        if (!signal.aborted) this.#reset("slow", at);
        return;
      }
    }
  }

  /** Behind everything already sent, so that a slow reader who reads on resumes exactly there. */
  #reset(reason: "database" | "pruned" | "slow", cursor: Cursor): void {
    void this.#opened.promise.then(() => {
      this.#outlet.notify("events.reset", { subscription: this.id, reason, cursor });
      this.end();
    });
  }
}

function endOfBatch(events: readonly RecordedEvent[], from: number): number {
  let bytes = 0;
  let to = from;
  while (to < events.length) {
    bytes += JSON.stringify(events[to]).length;
    if (bytes > MAX_BATCH_BYTES && to > from) break;
    to += 1;
  }
  return to;
}
