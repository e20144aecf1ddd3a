/** One client's WebSocket: requests in, answers and notifications out, its subscriptions. */
import type { JSONRPCID } from "json-rpc-2.0";
import type { WebSocket } from "ws";

import { tooManySubscriptions } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { Scope } from "../lib/scope.ts";

import type { Caller, Dispatcher } from "./dispatch.ts";
import type { Follow, FollowRequest } from "./methods.ts";
import { Subscription, type Outlet } from "./subscription.ts";

/** What may lie unread in a connection before its subscriptions wait for the reader. */
const HIGH_WATER_BYTES = 1024 * 1024;
/** What may lie unread in answers before no more requests are read. */
const MAX_UNREAD_ANSWERS = 8 * 1024 * 1024;
const MAX_SUBSCRIPTIONS = 100;
/** How long a closing daemon lets answers in progress go out; the same as for HTTP. */
const ANSWERING_MS = 1_000;
/**
 * How often in `slowMs` a reader's progress is looked at. More than once, since a timer is the first to run after the
 * machine slept or the event loop was held up, before what the reader read meanwhile has been noticed.
 */
const LOOKS = 4;

export class Connection implements AsyncDisposable {
  readonly id: number;
  readonly #socket: WebSocket;
  readonly #log: Log;
  readonly #follow: Follow;
  readonly #slowMs: number;
  readonly #scope = new Scope();
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #inProgress = new Map<JSONRPCID, AbortController>();
  readonly #answering = new Set<Promise<void>>();
  #subscriptionCount = 0;
  /** Resolves when the socket is closed and nothing of it is left. */
  readonly closed: Promise<void>;

  constructor(options: {
    id: number;
    socket: WebSocket;
    dispatcher: Dispatcher;
    follow: Follow;
    slowMs: number;
    log: Log;
  }) {
    this.id = options.id;
    this.#socket = options.socket;
    this.#log = options.log;
    this.#follow = options.follow;
    this.#slowMs = options.slowMs;
    this.#scope.defer(() => {
      for (const subscription of this.#subscriptions.values()) subscription.end();
      this.#subscriptions.clear();
    });

    const caller: Caller = {
      signal: this.#scope.signal,
      inProgress: this.#inProgress,
      connection: { id: this.id },
    };
    this.#socket.on("message", (data: Buffer, isBinary) => {
      if (isBinary) this.#socket.close(1003, "text messages only");
      else this.#answer(data.toString(), options.dispatcher, caller);
    });
    // A close event always follows; what broke is of no use to anybody but a developer of livedev.
    this.#socket.on("error", (error) => this.#log.debug({ connection: this.id }, error.message));
    this.closed = new Promise((resolve) => {
      this.#socket.once("close", () => {
        void this.#scope.close();
        resolve();
      });
    });
  }

  async subscribe(request: FollowRequest, afterAnswer: (then: () => void) => void) {
    if (this.#subscriptions.size >= MAX_SUBSCRIPTIONS) throw tooManySubscriptions(MAX_SUBSCRIPTIONS);
    const id = `s${(this.#subscriptionCount += 1)}`;
    const subscription = new Subscription({ id, request, follow: this.#follow, outlet: this.#outlet });
    this.#subscriptions.set(id, subscription);
    void subscription.ended
      .catch((error: unknown) => {
        this.#log.error({ err: error }, "following history failed");
        this.#socket.close(1011, "following history failed");
      })
      .finally(() => this.#subscriptions.delete(id));
    const cursor = await subscription.begun;
    // No notification may arrive before the answer that names its subscription.
    afterAnswer(() => subscription.open());
    return { subscription: id, cursor };
  }

  unsubscribe(id: string): void {
    this.#subscriptions.get(id)?.end();
    this.#subscriptions.delete(id);
  }

  /**
   * Answers in progress may still go out: an invocation that was drained has a client that waits for it. Then lets
   * the client know, and waits a moment for it to have read what was sent.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    await within(ANSWERING_MS, Promise.all(this.#answering));
    const end = setTimeout(() => this.#socket.terminate(), 500);
    this.#socket.close(1001, "livedevd is closing");
    await this.closed;
    clearTimeout(end);
    await this.#scope.close();
  }

  readonly #outlet: Outlet = {
    notify: (method, params) => this.#send(JSON.stringify({ jsonrpc: "2.0", method, params })),
    room: (signal) => this.#room(signal),
  };

  #answer(text: string, dispatcher: Dispatcher, caller: Caller): void {
    const answering = this.#receive(text, dispatcher, caller).finally(() =>
      this.#answering.delete(answering),
    );
    this.#answering.add(answering);
  }

  async #receive(text: string, dispatcher: Dispatcher, caller: Caller): Promise<void> {
    const reply = await dispatcher.receive(text, caller);
    const { text: answer } = reply;
    if (answer !== undefined) this.#send(answer);
    for (const then of reply.afterwards) then();
    // A client that asks without reading the answers is not read either.
    if (this.#socket.bufferedAmount > MAX_UNREAD_ANSWERS && !this.#socket.isPaused) {
      this.#socket.pause();
      await this.#drained(this.#scope.signal);
      this.#socket.resume();
    }
  }

  #send(text: string): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(text, noop);
  }

  async #room(signal: AbortSignal): Promise<boolean> {
    if (this.#socket.bufferedAmount <= HIGH_WATER_BYTES) return !signal.aborted;
    return this.#drained(signal);
  }

  /**
   * Whether everything unread until now was read; `false` when nothing at all was for `slowMs`. An empty ping's
   * callback tells it: its bytes leave behind all that was sent before.
   */
  #drained(signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      let before = this.#socket.bufferedAmount;
      let idle = 0;
      const settle = (read: boolean) => {
        clearInterval(timer);
        signal.removeEventListener("abort", onAbort);
        resolve(read);
      };
      const onAbort = () => settle(false);
      const timer = setInterval(() => {
        const now = this.#socket.bufferedAmount;
        idle = now < before ? 0 : idle + 1;
        before = now;
        if (idle === LOOKS) settle(false);
      }, this.#slowMs / LOOKS);
      signal.addEventListener("abort", onAbort);
      if (signal.aborted || this.#socket.readyState !== this.#socket.OPEN) settle(false);
      else this.#socket.ping(undefined, false, (error) => settle(error === undefined || error === null));
    });
  }
}

/** Resolves when the work is done, at the latest after that long. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([work, late]);
  clearTimeout(timer);
}

function noop(): void {
  // A send to a socket that closes meanwhile fails; the close event tells.
}
