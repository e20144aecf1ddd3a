/**
 * One place in history that is followed over any number of connections:
 *
 *     detached ──attach(connection)──► attached ──reset: slow────────────► attached, from where it stopped
 *         ▲                               │ └────reset: another history──► onReset, attached from its beginning
 *         └───────connection lost─────────┘
 *
 * The cursor moves with each batch that was handed over, so that attaching again continues behind it.
 */
import type { Cursor, RecordedEvent } from "../proto/events.ts";

import type { Connection } from "./connection.ts";
import { LivedevError } from "./errors.ts";

export type SubscribeRequest = {
  /** Absent: only what is recorded from now on. */
  readonly after?: Cursor | undefined;
  /** `invocation.*` matches a family. */
  readonly types?: readonly string[] | undefined;
  readonly functionName?: string | undefined;
};

/** The cursor is not of this history: events between the last one seen and `cursor` cannot be had. */
export type HistoryReset = { readonly reason: "database" | "pruned"; readonly cursor: Cursor };

export type OnEvents = (events: readonly RecordedEvent[], cursor: Cursor) => void;
export type OnReset = (reset: HistoryReset) => void;

export class Subscription implements AsyncDisposable {
  readonly #request: SubscribeRequest;
  readonly #onEvents: OnEvents;
  readonly #onReset: OnReset;
  readonly #forget: (subscription: Subscription) => void;
  #cursor: Cursor | undefined;
  #attached: { readonly connection: Connection; readonly id: string } | undefined;
  #ended = false;
  #settle!: (error: LivedevError | undefined) => void;
  /** Resolves when it has ended: with the error where it was not closed by its owner. */
  readonly closed: Promise<LivedevError | undefined>;

  constructor(
    request: SubscribeRequest,
    onEvents: OnEvents,
    onReset: OnReset,
    forget: (subscription: Subscription) => void,
  ) {
    this.#request = request;
    this.#onEvents = onEvents;
    this.#onReset = onReset;
    this.#forget = forget;
    this.#cursor = request.after;
    this.closed = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /** Behind the last event that was handed over: where to resume. */
  get cursor(): Cursor | undefined {
    return this.#cursor;
  }

  async attach(connection: Connection): Promise<void> {
    if (this.#ended) return;
    const { types, functionName } = this.#request;
    const { subscription, cursor } = await connection.subscribe(
      {
        ...(this.#cursor === undefined ? {} : { after: this.#cursor }),
        ...(types === undefined ? {} : { types: [...types] }),
        ...(functionName === undefined ? {} : { functionName }),
      },
      {
        recorded: (batch) => {
          if (this.#ended) return;
          this.#cursor = batch.cursor;
          this.#onEvents(batch.events, batch.cursor);
        },
        reset: ({ reason, cursor: at }) => {
          if (this.#ended) return;
          this.#cursor = at;
          this.#attached = undefined;
          if (reason !== "slow") this.#onReset({ reason, cursor: at });
          void this.attach(connection).catch((error: unknown) => this.#failed(error));
        },
      },
    );
    // Events may have come before this line ran; their cursor is the later one.
    this.#cursor ??= cursor;
    this.#attached = { connection, id: subscription };
    if (this.#ended) await this.#detach();
  }

  async close(): Promise<void> {
    this.end(undefined);
    await this.#detach();
  }

  /** Nothing more is handed over. */
  end(error: LivedevError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#forget(this);
    this.#settle(error);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #detach(): Promise<void> {
    const attached = this.#attached;
    this.#attached = undefined;
    if (attached === undefined || !attached.connection.isOpen) return;
    // Where the connection ends meanwhile, so does the subscription.
    await attached.connection.unsubscribe(attached.id).catch(() => {});
  }

  /** A lost connection is no end: the client attaches again on the next one. */
  #failed(error: unknown): void {
    if (error instanceof LivedevError && error.code === "connection.lost") return;
    if (!(error instanceof LivedevError)) throw error;
    this.end(error);
  }
}
