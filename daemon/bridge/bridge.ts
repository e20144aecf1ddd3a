/** The bridge: stub connections in, invocations out. */
import { setTimeout as wait } from "node:timers/promises";

import type { WantedUrlWay } from "../../proto/app.ts";
import type { LivedevEvent } from "../../proto/events.ts";
import { keyText, type Goodbye, type Hello } from "../../proto/frames.ts";
import { BRIDGE_PROTOCOL } from "../../proto/version.ts";
import { errorAnswer } from "../../proto/answer.ts";
import { untilAborted } from "../lib/abort.ts";
import { Backoff } from "../lib/backoff.ts";
import { bridgeClosed, messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { Scope } from "../lib/scope.ts";
import { CLOSE, type Connection } from "./connection.ts";
import type { BridgeInvocation, Exchange } from "./exchange.ts";
import { refusalOf } from "./hello.ts";
import { Session } from "./session.ts";
import { Stillness } from "./stillness.ts";
import { listen, type Listener, type StageKey } from "./listener.ts";
import { listenSealed } from "./sealed.ts";
import { UrlWay, type Door } from "./url.ts";

export type { BridgeInvocation } from "./exchange.ts";
export type { StageKey } from "./listener.ts";

export type BridgeEvent = Extract<LivedevEvent, { type: "sandbox.connected" | "sandbox.disconnected" }>;

export type BridgeDown = { readonly since: number; readonly reason: string };

export type BridgeOptions = {
  readonly host: string;
  /** 0: any. Stubs have it in their settings, so it must be the same after a restart. */
  readonly port: number;
  /** This daemon instance. */
  readonly epoch: string;
  /** Asked at each hello: a config may give it another name. */
  app(): string;
  readonly stage: string;
  /** The current key first; on rotation the previous one stays for a while. */
  keys(): readonly StageKey[];
  /** Absent: every function is known. */
  functionKnown?(name: string): boolean;
  /** A stub's environment, at each hello. */
  greeted?(hello: Pick<Hello, "functionName" | "sandbox" | "ageMs" | "environment">): void;
  /** Called once per invocation key; its rejection is a bug, and the stub is told. */
  receive(invocation: BridgeInvocation): Promise<void>;
  record(event: BridgeEvent): void;
  /** How long a lost stub may take to come back for what it waits for. */
  readonly graceMs?: number;
  /** Told why somebody did not get through. */
  readonly onRefused?: (reason: string) => void;
  /** More than any account's concurrency needs: beyond it, who was silent for longest makes room. */
  readonly maxConnections?: number;
  readonly log: Log;
};

const GRACE_MS = 10_000;
const MAX_CONNECTIONS = 5_000;
const HELLO_MS = 5_000;
const RELISTEN = { firstMs: 100, maxMs: 5_000 };
/** How long the arrivals of one turn may hold up the next. */
const TURN_MS = 4;
/** Sandboxes that are not connected: more are forgotten, the longest gone first. */
const MAX_DETACHED = 2_000;
/** Lambda recycles an environment long before. */
const MAX_DETACHED_MS = 24 * 60 * 60 * 1_000;
/** Keys of invocations that came to their end. A stub asks again only while it waits, so few would do. */
const MAX_KEYS = 20_000;

export class Bridge {
  readonly #options: BridgeOptions;
  readonly #log: Log;
  readonly #scope = new Scope();
  readonly #stillness = new Stillness();
  readonly #sessions = new Map<string, Session>();
  readonly #greeting = new Set<Connection>();
  /** Every key that this instance has taken, the oldest first. */
  readonly #keys = new Set<string>();
  readonly #arrivals: Exchange[] = [];
  #forgotten = 0;
  /** The last one takes connections; those before it have lost their port, and what is connected to them stays. */
  readonly #listeners = new Set<Listener>();
  #address = "";
  #down: BridgeDown | undefined;
  #url: UrlWay | undefined;
  #applying: Promise<void> = Promise.resolve();

  private constructor(options: BridgeOptions) {
    this.#options = options;
    this.#log = options.log;
  }

  static async open(options: BridgeOptions): Promise<Bridge> {
    const bridge = new Bridge(options);
    const listener = await bridge.#listen(options.port);
    bridge.#address = listener.address;
    void bridge.#keepListening(listener);
    bridge.#scope.defer(() => bridge.#stillness.close());
    bridge.#scope.defer(async () => {
      await Promise.all([...bridge.#listeners].map((one) => one.close()));
    });
    bridge.#scope.defer(() => {
      for (const session of bridge.#sessions.values()) session.close(bridgeClosed());
    });
    bridge.#scope.defer(async () => {
      await bridge.#applying;
      await bridge.#url?.[Symbol.asyncDispose]();
    });
    return bridge;
  }

  /** Of this machine's loopback. */
  get address(): string {
    return this.#address;
  }

  /** Nobody can connect; what is connected already is served. A silent stub is none of this: it is frozen. */
  get down(): BridgeDown | undefined {
    return this.#down ?? this.#url?.down;
  }

  /** The address of the user's own that leads here; undefined: none. Does nothing where all is as before. */
  apply(url: WantedUrlWay | undefined): Promise<void> {
    this.#applying = this.#applying.then(async () => {
      if (this.#scope.closed || JSON.stringify(url) === JSON.stringify(this.#url?.wanted)) return;
      await this.#url?.[Symbol.asyncDispose]();
      this.#url = undefined;
      if (url === undefined) return;
      const sealed = url.address.startsWith("wss:");
      this.#url = await UrlWay.open({
        wanted: url,
        listen: (port) => (sealed ? this.#listenSealed(port) : this.#listenToo(port)),
        key: () => this.#options.keys()[0] as StageKey,
        log: this.#log,
      });
    });
    return this.#applying;
  }

  /** How many stubs are connected. */
  get sandboxes(): number {
    let attached = 0;
    for (const session of this.#sessions.values()) if (session.attached) attached += 1;
    return attached;
  }

  /** Whoever came by a key that counts no more is let go, and is refused when it comes again. */
  keysChanged(): void {
    const accepted = new Set(this.#options.keys().map(({ key }) => key));
    for (const session of this.#sessions.values()) {
      if (session.key !== undefined && !accepted.has(session.key)) {
        session.drop("its key counts no more: another one was drawn");
      }
    }
  }

  /** Tells every stub that the daemon leaves; resolves when that is written. */
  async goodbye(reason: Goodbye["reason"]): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((session) => session.goodbye(reason)));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }

  async #listen(port: number): Promise<Listener> {
    const options = this.#options;
    const listener = await listen({
      host: options.host,
      port,
      maxConnections: options.maxConnections ?? MAX_CONNECTIONS,
      keys: () => options.keys(),
      connected: (connection) => this.#greet(connection),
      onRefused: options.onRefused,
      log: options.log,
    });
    this.#listeners.add(listener);
    return listener;
  }

  async #listenToo(port: number): Promise<Door> {
    const listener = await this.#listen(port);
    return {
      lost: listener.lost,
      close: async () => {
        this.#listeners.delete(listener);
        await listener.close();
      },
    };
  }

  #listenSealed(port: number): Promise<Door> {
    const { host, maxConnections, onRefused } = this.#options;
    return listenSealed({
      host,
      port,
      maxConnections: maxConnections ?? MAX_CONNECTIONS,
      take: (way) => [...this.#listeners].at(-1)?.take(way),
      onRefused,
    });
  }

  /** On the same port again, as soon as that goes: stubs have it in their settings. */
  async #keepListening(first: Listener): Promise<void> {
    const { signal } = this.#scope;
    const backoff = new Backoff(RELISTEN);
    const port = Number(new URL(first.address).port);
    for (let listener: Listener | undefined = first; !signal.aborted;) {
      try {
        if (listener === undefined) {
          await wait(backoff.next(), undefined, { signal });
          listener = await this.#listen(port);
          backoff.reset();
          this.#down = undefined;
          this.#log.info("stubs can connect again");
        }
        const lost = await untilAborted(listener.lost, signal);
        listener = undefined;
        this.#isDown(lost);
      } catch (error) {
        if (!signal.aborted) this.#isDown(error);
      }
    }
  }

  #isDown(error: unknown): void {
    const reason = messageOf(error);
    if (this.#down === undefined) this.#log.error({ reason }, "stubs cannot connect");
    this.#down = { since: this.#down?.since ?? Date.now(), reason };
  }

  /** A connection has five seconds to say hello, and says nothing else before. */
  #greet(connection: Connection): void {
    if (this.#scope.closed) {
      connection.close(CLOSE.leaving, "livedevd is leaving");
      return;
    }
    if (!this.#makeRoom()) {
      connection.close(CLOSE.full, "livedevd has too many connections");
      return;
    }
    this.#greeting.add(connection);
    const late = setTimeout(() => connection.close(CLOSE.silent, "no hello came"), HELLO_MS);
    connection.handle({
      frame: ({ frame }) => {
        if (!this.#greeting.delete(connection)) return;
        clearTimeout(late);
        if (frame.type === "hello") this.#hello(connection, frame);
        else connection.close(CLOSE.malformed, `${frame.type} before hello`);
      },
      closed: () => {
        clearTimeout(late);
        this.#greeting.delete(connection);
      },
    });
  }

  /**
   * A sandbox that vanished without a word (AWS ends them so) keeps its connection for as long as nobody notices. False
   * where everybody has something under way.
   */
  #makeRoom(): boolean {
    if (this.sandboxes + this.#greeting.size < (this.#options.maxConnections ?? MAX_CONNECTIONS)) return true;
    let silent: Session | undefined;
    for (const session of this.#sessions.values()) {
      if (session.silentSince === undefined) continue;
      if (silent === undefined || session.silentSince < (silent.silentSince ?? Infinity)) silent = session;
    }
    silent?.drop("it made room for another: it was silent for longest");
    return silent !== undefined;
  }

  #hello(connection: Connection, hello: Hello): void {
    const refusal = refusalOf(hello, {
      protocol: BRIDGE_PROTOCOL,
      app: this.#options.app(),
      stage: this.#options.stage,
      key: connection.key,
      exported: connection.exported,
      functionKnown: (name) => this.#options.functionKnown?.(name) ?? true,
    });
    if (refusal !== undefined) {
      this.#log.warn(
        { code: refusal.code, functionName: hello.functionName },
        `refused a stub: ${refusal.message}`,
      );
      connection.send({
        type: "refuse",
        code: refusal.code,
        message: [refusal.message, refusal.hint].filter(Boolean).join(" "),
      });
      this.#options.onRefused?.(`a stub's hello (${refusal.code})`);
      connection.close(CLOSE.refused, refusal.code);
      return;
    }
    const known = this.#sessions.get(hello.sandbox);
    const session = known?.functionName === hello.functionName ? known : this.#session(hello);
    const replaces = session.attached;
    this.#options.greeted?.(hello);
    session.attach(connection, hello);
    this.#stillness.watch(true);
    if (replaces) return;
    this.#options.record({
      type: "sandbox.connected",
      functionName: session.functionName,
      sandbox: session.sandbox,
      resumed: known === session,
    });
  }

  #session(hello: Hello): Session {
    const { sandbox, functionName } = hello;
    this.#sessions.get(sandbox)?.close(bridgeClosed());
    this.#forget();
    // A stub that knew this instance, whom this instance has forgotten: both count from 1 again, which the stub
    // only does for an epoch that is new to it.
    let { epoch } = this.#options;
    if (hello.epoch?.startsWith(epoch) === true) {
      this.#forgotten += 1;
      epoch = `${epoch}+${this.#forgotten}`;
    }
    const session = new Session({
      hello,
      epoch,
      graceMs: this.#options.graceMs ?? GRACE_MS,
      claim: (key) => this.#claim(keyText(key)),
      receive: (exchange) => this.#arrived(exchange),
      unreadMs: () => this.#stillness.unreadMs(),
      detached: (reason) => {
        this.#stillness.watch(this.sandboxes > 0);
        if (this.#scope.closed) return;
        this.#options.record({ type: "sandbox.disconnected", functionName, sandbox, reason });
      },
      log: this.#log,
    });
    this.#sessions.set(sandbox, session);
    return session;
  }

  /**
   * Frames are acked in the turn that reads them; what an event sets off (rows, workers) comes after, a little in each
   * turn: of 500 at once none waits for its ack until the others have their processes.
   */
  #arrived(exchange: Exchange): void {
    this.#arrivals.push(exchange);
    if (this.#arrivals.length === 1) setImmediate(() => this.#begin());
  }

  #begin(): void {
    const until = performance.now() + TURN_MS;
    do {
      const exchange = this.#arrivals[0];
      if (exchange === undefined) return;
      void this.#receive(exchange);
      this.#arrivals.shift();
    } while (performance.now() < until);
    if (this.#arrivals.length > 0) setImmediate(() => this.#begin());
  }

  async #receive(exchange: Exchange): Promise<void> {
    try {
      await this.#options.receive(exchange);
    } catch (error) {
      this.#log.error(
        { err: error, requestId: exchange.key.requestId },
        "an invocation failed inside livedevd",
      );
      const sentence = `livedevd failed: ${messageOf(error)}. Its log has the stack.`;
      // Rejects where an answer is already on its way, or nobody waits: either is told elsewhere.
      await exchange.deliver(errorAnswer("interrupted", "Livedev.InternalError", sentence)).catch(() => {});
    }
  }

  #claim(key: string): boolean {
    if (this.#keys.has(key)) return false;
    this.#keys.add(key);
    if (this.#keys.size > MAX_KEYS) {
      for (const oldest of this.#keys) {
        this.#keys.delete(oldest);
        break;
      }
    }
    return true;
  }

  /** Keeps the number of remembered sandboxes bounded. Who is connected or waited for is never forgotten. */
  #forget(): void {
    const idle = [...this.#sessions.values()]
      .map((session) => ({ session, since: session.idleSince }))
      .filter((entry): entry is { session: Session; since: number } => entry.since !== undefined)
      .sort((one, other) => one.since - other.since);
    const now = performance.now();
    for (const [index, { session, since }] of idle.entries()) {
      if (idle.length - index < MAX_DETACHED && now - since < MAX_DETACHED_MS) break;
      session.close(bridgeClosed());
      this.#sessions.delete(session.sandbox);
    }
  }
}
