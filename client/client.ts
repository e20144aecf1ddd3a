/**
 * A typed client of one daemon, over restarts of it:
 *
 *     connected ──lost, with subscriptions──► reconnecting (backoff) ──► connected
 *         │  └────lost, without──► idle ──call()──► connected, or "not running"
 *         └──────close(), or a daemon of another protocol──► closed
 *
 * It never opens a daemon again: who stops a daemon while others watch it wants it stopped.
 */
import { setMaxListeners } from "node:events";
import { setTimeout as wait } from "node:timers/promises";

import type { RecordedEvent } from "../proto/events.ts";
import type { RpcMethod, RpcParams, RpcResult } from "../proto/rpc.ts";

import type { Connection } from "./connection.ts";
import { clientClosed, LivedevError, notRunning } from "./errors.ts";
import type { Greeted, Hello } from "./greet.ts";
import { iterate } from "./iterate.ts";
import { Subscription, type OnEvents, type OnReset, type SubscribeRequest } from "./subscription.ts";

export type ConnectionState = "connected" | "disconnected";

export type ClientOptions = {
  readonly project: string;
  readonly stage: string;
  readonly greeted: Greeted;
  /** Another connection to the daemon of the same place; `undefined`: nobody listens. */
  readonly dial: (signal: AbortSignal) => Promise<Greeted | undefined>;
  readonly onConnection?: ((state: ConnectionState) => void) | undefined;
};

const FIRST_RETRY_MS = 25;
const MAX_RETRY_MS = 2_000;

export class LivedevClient implements AsyncDisposable {
  readonly project: string;
  readonly stage: string;
  readonly #options: ClientOptions;
  readonly #controller = new AbortController();
  readonly #subscriptions = new Set<Subscription>();
  #hello: Hello;
  #connection: Connection;
  #dialling: Promise<Connection | undefined> | undefined;
  #reconnecting = false;
  #settle!: (error: LivedevError | undefined) => void;
  /** Resolves when the client is closed: with the error where it was not closed by its owner. */
  readonly closed: Promise<LivedevError | undefined>;

  constructor(options: ClientOptions) {
    this.project = options.project;
    this.stage = options.stage;
    this.#options = options;
    this.closed = new Promise((resolve) => {
      this.#settle = resolve;
    });
    setMaxListeners(0, this.#controller.signal);
    this.#hello = options.greeted.hello;
    this.#connection = options.greeted.connection;
    this.#watch(this.#connection);
  }

  /** What the daemon said of itself when it was last connected. */
  get hello(): Hello {
    return this.#hello;
  }

  get connected(): boolean {
    return this.#connection.isOpen;
  }

  /** Aborting `signal` cancels it in the daemon as well. */
  async call<M extends RpcMethod>(
    method: M,
    params: RpcParams<M>,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<RpcResult<M>> {
    const connection = await this.#connected();
    return connection.call(method, params, options.signal);
  }

  /**
   * Hands over what is recorded after the cursor, then what happens, none missed or doubled, also over restarts of
   * the daemon. `onReset`: the history is another one now, or what was wanted was pruned away.
   */
  async subscribe(
    request: SubscribeRequest,
    onEvents: OnEvents,
    onReset: OnReset = () => {},
  ): Promise<Subscription> {
    const subscription = new Subscription(request, onEvents, onReset, (ended) => {
      this.#subscriptions.delete(ended);
    });
    for (;;) {
      const connection = await this.#connected();
      try {
        await subscription.attach(connection);
        // Only now is it part of what a reconnect attaches: until here the caller hears of a failure itself.
        this.#subscriptions.add(subscription);
        if (!connection.isOpen) this.#reconnect();
        return subscription;
      } catch (error) {
        if (!isLost(error)) throw error;
      }
    }
  }

  /** The same as an iterator; a slow reader holds up nobody and misses nothing. */
  events(request: SubscribeRequest & { readonly signal?: AbortSignal } = {}): AsyncIterable<RecordedEvent> {
    return iterate(this, request);
  }

  close(): Promise<void> {
    return this.#close(undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // ---- the connection

  async #connected(): Promise<Connection> {
    if (this.#controller.signal.aborted) throw clientClosed();
    if (this.#connection.isOpen) return this.#connection;
    const connection = await this.#dial();
    if (connection === undefined) throw notRunning(this.project, this.stage);
    return connection;
  }

  /** One attempt at a time, whoever asks. */
  #dial(): Promise<Connection | undefined> {
    this.#dialling ??= this.#adopt().finally(() => {
      this.#dialling = undefined;
    });
    return this.#dialling;
  }

  async #adopt(): Promise<Connection | undefined> {
    const greeted = await this.#options.dial(this.#controller.signal);
    if (greeted === undefined) return undefined;
    if (this.#controller.signal.aborted) {
      await greeted.connection.close();
      throw clientClosed();
    }
    this.#hello = greeted.hello;
    this.#connection = greeted.connection;
    this.#watch(greeted.connection);
    await Promise.all(
      [...this.#subscriptions].map((subscription) =>
        subscription.attach(greeted.connection).catch((error: unknown) => {
          if (!isLost(error)) subscription.end(error as LivedevError);
        }),
      ),
    );
    this.#options.onConnection?.("connected");
    return greeted.connection;
  }

  #watch(connection: Connection): void {
    void connection.closed.then(() => {
      if (this.#controller.signal.aborted) return;
      this.#options.onConnection?.("disconnected");
      if (this.#subscriptions.size > 0) this.#reconnect();
    });
  }

  #reconnect(): void {
    if (this.#reconnecting) return;
    this.#reconnecting = true;
    void this.#retry().finally(() => {
      this.#reconnecting = false;
      // Lost again between the last attempt and now.
      if (!this.#connection.isOpen && this.#subscriptions.size > 0 && !this.#controller.signal.aborted) {
        this.#reconnect();
      }
    });
  }

  async #retry(): Promise<void> {
    const { signal } = this.#controller;
    for (
      let ceiling = FIRST_RETRY_MS;
      !this.#connection.isOpen;
      ceiling = Math.min(ceiling * 2, MAX_RETRY_MS)
    ) {
      try {
        if ((await this.#dial()) !== undefined) return;
      } catch (error) {
        if (signal.aborted) return;
        // Another protocol, another profile, a socket that is not ours: trying again mends none of these.
        if (error instanceof LivedevError && error.code !== "daemon.unresponsive") {
          await this.#close(error);
          return;
        }
      }
      await wait(ceiling / 2 + (Math.random() * ceiling) / 2, undefined, { signal }).catch(() => {});
      if (signal.aborted || this.#subscriptions.size === 0) return;
    }
  }

  async #close(error: LivedevError | undefined): Promise<void> {
    this.#controller.abort(new Error("the client is closed"));
    for (const subscription of this.#subscriptions) subscription.end(error);
    await this.#connection.close();
    this.#settle(error);
  }
}

function isLost(error: unknown): boolean {
  return error instanceof LivedevError && error.code === "connection.lost";
}
