/**
 * One sandbox, over any number of connections.
 *
 *                    hello ▼
 *     ┌──────────┐  closed   ┌──────────┐  grace over   what it waited for is abandoned;
 *     │ attached │──────────►│ detached │─────────────► the session itself stays: a silent
 *     │          │◄──────────│          │               stub is frozen, which is normal
 *     └──────────┘   hello   └──────────┘
 *
 * Two connections at once: the stub no longer trusts the older one, so the newer wins.
 */
import { BRIDGE_PROTOCOL } from "../../proto/version.ts";
import {
  type Decoded,
  type DownFrame,
  encodeFrame,
  type Goodbye,
  type Hello,
  type Invoke,
  type InvocationKey,
  type UpFrame,
  FrameError,
  keyText,
} from "../../proto/frames.ts";
import { Link } from "../../proto/link.ts";
import { continuousMs } from "../lib/clock.ts";
import { type LivedevError, sandboxLost, stubCancelled } from "../lib/errors.ts";
import { type Log } from "../lib/log.ts";
import { CLOSE, type Connection } from "./connection.ts";
import { Exchange, unknownOutcome } from "./exchange.ts";

type State =
  | { readonly is: "attached"; readonly connection: Connection; readonly since: number }
  | { readonly is: "detached"; readonly since: number; readonly grace?: NodeJS.Timeout };

export type SessionOptions = {
  hello: Hello;
  epoch: string;
  graceMs: number;
  /** True once: from now on the key is known to this daemon instance. */
  claim(key: InvocationKey): boolean;
  receive(exchange: Exchange): void;
  /** How long what is read now may have lain unread. */
  unreadMs(): number;
  detached(reason: string): void;
  log: Log;
};

export class Session {
  readonly sandbox: string;
  readonly functionName: string;
  /** As the stub knows this session: not the daemon's own where the daemon had forgotten the sandbox. */
  readonly epoch: string;
  readonly #options: SessionOptions;
  readonly #log: Log;
  readonly #link = new Link<DownFrame>();
  readonly #exchanges = new Map<string, Exchange>();
  #environment: Readonly<Record<string, string>> = {};
  #state: State = { is: "detached", since: performance.now() };

  constructor(options: SessionOptions) {
    this.sandbox = options.hello.sandbox;
    this.functionName = options.hello.functionName;
    this.epoch = options.epoch;
    this.#options = options;
    this.#log = options.log;
  }

  get attached(): boolean {
    return this.#state.is === "attached";
  }

  /** By which its connection was made; undefined where it has none. */
  get key(): Uint8Array | undefined {
    return this.#state.is === "attached" ? this.#state.connection.key : undefined;
  }

  /** Since when nobody is connected and nothing is under way; undefined where the session is needed. */
  get idleSince(): number | undefined {
    return this.#state.is === "detached" && this.#exchanges.size === 0 ? this.#state.since : undefined;
  }

  /** Since when its connection has said nothing, by `continuousMs()`; undefined where it has none, or is needed. */
  get silentSince(): number | undefined {
    return this.#state.is === "attached" && this.#exchanges.size === 0
      ? this.#state.connection.heardAt
      : undefined;
  }

  /** Its connection goes; the session stays, and a stub that is there after all comes back to it. */
  drop(reason: string): void {
    if (this.#state.is !== "attached") return;
    const { connection } = this.#state;
    this.#detach(reason);
    connection.terminate();
  }

  attach(connection: Connection, hello: Hello): void {
    this.#environment = hello.environment;
    // A stub that has not taken this session's welcome yet counts the frames of another one.
    const theirs = hello.epoch === this.epoch ? hello.received : 0;
    const before = this.#state;
    switch (before.is) {
      case "attached":
        this.#link.detach();
        before.connection.close(CLOSE.replaced, "a newer connection of this sandbox has the session");
        break;
      case "detached":
        clearTimeout(before.grace);
        break;
    }
    this.#state = { is: "attached", connection, since: continuousMs() };
    connection.handle({
      frame: (decoded) => {
        if (this.#has(connection)) this.#frame(connection, decoded);
      },
      closed: (reason) => {
        if (this.#has(connection)) this.#detach(reason);
      },
    });
    connection.send({
      type: "welcome",
      protocol: BRIDGE_PROTOCOL,
      epoch: this.epoch,
      received: this.#link.received,
    });
    this.#link.attach(theirs, (bytes) => connection.write(bytes));
  }

  async goodbye(reason: Goodbye["reason"]): Promise<void> {
    if (this.#state.is !== "attached") return;
    this.#link.send({ type: "goodbye", reason });
    await this.#state.connection.flushed();
  }

  /** The daemon closes: what is under way ends for `reason`. The listener closes the connections. */
  close(reason: LivedevError): void {
    if (this.#state.is === "detached") clearTimeout(this.#state.grace);
    this.#link.close(reason);
    this.#abandon(reason);
  }

  /** What comes over a connection was sent after it was made: a new one's events are new, however long we slept. */
  #unreadMs(): number {
    const unread = this.#options.unreadMs();
    return this.#state.is === "attached" ? Math.min(unread, continuousMs() - this.#state.since) : unread;
  }

  #has(connection: Connection): boolean {
    return this.#state.is === "attached" && this.#state.connection === connection;
  }

  #frame(connection: Connection, { seq, frame, payload }: Decoded<UpFrame>): void {
    if (frame.type === "ack") {
      this.#link.acked(frame.received);
      return;
    }
    if (frame.type === "hello") throw new FrameError("a second hello");
    if (frame.type !== "invoke" && frame.type !== "cancel") {
      throw new FrameError(`a frame that only a daemon sends`);
    }
    const fresh = this.#link.receive(seq);
    // First of all: the stub takes a late ack for a dead connection.
    connection.write(encodeFrame(0, { type: "ack", received: this.#link.received }));
    if (!fresh) return;
    switch (frame.type) {
      case "invoke":
        this.#invoke(frame, payload);
        break;
      case "cancel":
        this.#cancel(frame.key, frame.reason);
        break;
    }
  }

  #invoke(frame: Invoke, event: Uint8Array): void {
    const key = keyText(frame.key);
    if (this.#exchanges.has(key)) return;
    if (!this.#options.claim(frame.key)) {
      // Its answer has been delivered or given up, so it is not here any more; and it is never run twice.
      this.#log.warn({ requestId: frame.key.requestId }, "an invocation came again after its end");
      const { errorType, body } = unknownOutcome();
      this.#link.send(
        { type: "answer", key: frame.key, status: "error", contentType: "application/json", errorType },
        body,
      );
      return;
    }
    const exchange = new Exchange({
      frame,
      event,
      functionName: this.functionName,
      environment: this.#environment,
      link: this.#link,
      unreadMs: this.#unreadMs(),
      finished: () => this.#exchanges.delete(key),
    });
    this.#exchanges.set(key, exchange);
    this.#options.receive(exchange);
  }

  #cancel(key: InvocationKey, reason: string): void {
    const exchange = this.#exchanges.get(keyText(key));
    if (exchange === undefined) {
      this.#log.debug({ requestId: key.requestId }, "a cancel for an invocation that is not under way");
      return;
    }
    exchange.abandon(stubCancelled(reason));
  }

  #detach(reason: string): void {
    this.#link.detach();
    const since = performance.now();
    this.#state = { is: "detached", since };
    if (this.#exchanges.size > 0) {
      const { graceMs } = this.#options;
      const grace = setTimeout(() => this.#abandon(sandboxLost(graceMs)), graceMs);
      this.#state = { is: "detached", since, grace };
    }
    this.#options.detached(reason);
  }

  #abandon(reason: LivedevError): void {
    for (const exchange of this.#exchanges.values()) exchange.abandon(reason);
  }
}
