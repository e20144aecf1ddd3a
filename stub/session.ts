/**
 * The stub's side of the session: one link over any number of connections.
 *
 *                ┌────────────── failed, refused ──────────────┐
 *                ▼                                             │
 *     ┌─────────────────┐   time is up, hurry()   ┌────────────┴──┐   welcome   ┌──────┐
 *     │     waiting     │────────────────────────►│    dialling   │────────────►│ open │
 *     └─────────────────┘                         └───────────────┘             └───┬──┘
 *                ▲                        closed                                    │
 *                └──────────────────────────────────────────────────────────────────┘
 *
 * It connects by itself and stays connected; while an invocation is under way it tries again within half a second.
 */
import { randomUUID } from "node:crypto";

import {
  type Cancel,
  type Decoded,
  type DownFrame,
  encodeFrame,
  type Invoke,
  type InvocationKey,
  type Welcome,
} from "../proto/frames.ts";
import { Link } from "../proto/link.ts";
import { Connection, type Dialled } from "./connection.ts";
import type { Settings } from "./settings.ts";

type State =
  | { readonly is: "waiting"; readonly timer: NodeJS.Timeout }
  /** `id` tells this dial's outcome from that of one that was given up. */
  | { readonly is: "dialling"; readonly id: number; readonly since: number }
  | { readonly is: "open"; readonly connection: Connection; readonly since: number };

/** Who carries the invocation that is under way. */
export type Carrier = {
  /** A session stands. `fresh`: the daemon instance is another, it has nothing of what was sent before. */
  opened(fresh: boolean): void;
  lost(): void;
  failed(message: string): void;
  refused(message: string): void;
  received(received: Received): void;
};

/** Everything that comes down for an invocation; acked by whoever has made use of it. */
export type Received = {
  readonly frame: Extract<DownFrame, { key: InvocationKey }>;
  readonly payload: Uint8Array;
  /** Resolves when the ack has left this process, or cannot. */
  ack(): Promise<boolean>;
};

/** A second one gets twice the time. */
const DIAL_TIMEOUT_MS = 3_000;
const MAX_PATIENCE_MS = 5_000;
/** A dial that is older began before a freeze, or into a void: a new event gets a new one. */
const STALE_DIAL_MS = 500;
const RESTART_GRACE_MS = 5_000;
/** Together with a dial into a void that has just begun, under the 5 s within which a laptop that wakes is found. */
const MAX_WAIT_MS = { busy: 500, idle: 2_000 };
/** A connection that lived no longer than this counts as a failed dial: otherwise it would be dialled without pause. */
const SHORT_LIFE_MS = 500;

export class Session {
  readonly #settings: Settings;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #sandbox = randomUUID();
  #link = new Link<Invoke | Cancel>();
  #epoch: string | null = null;
  #state: State;
  #dials = 0;
  #failures = 0;
  /** Connections in a row that were given up: perhaps the other end is but slow, and dialling makes it slower. */
  #silences = 0;
  /** Dials in a row that came to nothing in their time. */
  #slowDials = 0;
  #restartingUntil = 0;
  #carrier: Carrier | undefined;

  constructor(settings: Settings, environment: Readonly<Record<string, string>>) {
    this.#settings = settings;
    this.#environment = environment;
    this.#state = this.#dial();
  }

  get open(): boolean {
    return this.#state.is === "open";
  }

  /** How long a goodbye that said "restarting" is still believed. */
  get restartingMs(): number {
    return Math.max(0, this.#restartingUntil - performance.now());
  }

  /** From now on `carrier` is told; undefined when its invocation is over. */
  carry(carrier: Carrier | undefined): void {
    this.#carrier = carrier;
  }

  /** Somebody waits: dial now, unless a connection stands or is being made. */
  hurry(): void {
    switch (this.#state.is) {
      case "open":
        return;
      case "waiting":
        clearTimeout(this.#state.timer);
        break;
      case "dialling":
        if (performance.now() - this.#state.since < STALE_DIAL_MS) return;
        break;
    }
    this.#failures = 0;
    this.#state = this.#dial();
  }

  send(frame: Invoke | Cancel | (() => Invoke), payload?: Uint8Array): void {
    this.#link.send(frame, payload);
  }

  /** Nobody waits for `key` any more: the event's bytes are let go, and the daemon is told when it can be. */
  cancel(key: InvocationKey, reason: string): void {
    const cancel: Cancel = { type: "cancel", key, reason };
    this.#link.replace((frame) =>
      frame.type === "invoke" && frame.key.nonce === key.nonce ? { frame: cancel } : undefined,
    );
    // The daemon may have had that frame before it became a cancel.
    this.#link.send(cancel);
  }

  /** Resolves when the next connection stands and its hello has told what arrived, when that fails, or after `ms`. */
  reopened(ms: number): Promise<void> {
    if (this.#state.is === "open" && this.#state.connection.open) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(late);
        this.#carrier = undefined;
        resolve();
      };
      const late = setTimeout(done, ms);
      this.#carrier = {
        opened: done,
        failed: done,
        refused: done,
        lost: () => this.hurry(),
        received: (received) => void received.ack(),
      };
      this.hurry();
    });
  }

  /** Asks for a sign of life; without one the connection is replaced. */
  probe(patienceMs?: number): void {
    if (this.#state.is !== "open") return;
    const { connection } = this.#state;
    connection.probe(patienceMs ?? Math.min(connection.patienceMs * 2 ** this.#silences, MAX_PATIENCE_MS));
  }

  #dial(): State {
    this.#dials += 1;
    const id = this.#dials;
    let connection: Connection | undefined;
    Connection.dial({
      settings: this.#settings,
      hello: {
        sandbox: this.#sandbox,
        epoch: this.#epoch,
        received: this.#link.received,
        environment: this.#environment,
      },
      timeoutMs: this.#slowDials > 0 && this.#carrier ? 2 * DIAL_TIMEOUT_MS : DIAL_TIMEOUT_MS,
      settled: (dialled) => {
        if (dialled.is === "open") connection = dialled.connection;
        this.#settled(id, dialled);
      },
      events: {
        frame: (decoded) => {
          if (this.#has(connection)) this.#frame(connection as Connection, decoded);
        },
        alive: () => (this.#silences = 0),
        closed: (silent) => {
          if (silent) this.#silences += 1;
          if (this.#has(connection)) this.#lost();
        },
      },
    });
    return { is: "dialling", id, since: performance.now() };
  }

  #has(connection: Connection | undefined): boolean {
    return this.#state.is === "open" && this.#state.connection === connection;
  }

  #settled(id: number, dialled: Dialled): void {
    if (this.#state.is !== "dialling" || this.#state.id !== id) {
      if (dialled.is === "open") dialled.connection.terminate();
      return;
    }
    switch (dialled.is) {
      case "open":
        this.#slowDials = 0;
        this.#opened(dialled.connection, dialled.welcome);
        break;
      case "refused":
      case "failed":
        this.#failures += 1;
        if (performance.now() - this.#state.since > DIAL_TIMEOUT_MS - 100) this.#slowDials += 1;
        else this.#slowDials = 0;
        this.#state = this.#wait();
        if (dialled.is === "refused") this.#carrier?.refused(dialled.message);
        else this.#carrier?.failed(dialled.message);
        break;
    }
  }

  #opened(connection: Connection, { epoch, received }: Welcome): void {
    const fresh = epoch !== this.#epoch;
    // Another daemon instance: both directions count from 1 again, and what was for the old one is void.
    if (fresh) this.#link = new Link();
    this.#epoch = epoch;
    this.#restartingUntil = 0;
    this.#state = { is: "open", connection, since: performance.now() };
    try {
      this.#link.attach(received, (bytes) => connection.write(bytes));
    } catch {
      connection.terminate();
      return;
    }
    this.#carrier?.opened(fresh);
  }

  #lost(): void {
    this.#link.detach();
    const lived = this.#state.is === "open" ? performance.now() - this.#state.since : 0;
    this.#failures = lived < SHORT_LIFE_MS ? this.#failures + 1 : 0;
    this.#state = this.#wait();
    this.#carrier?.lost();
  }

  #wait(): State {
    const ceiling = this.#carrier ? MAX_WAIT_MS.busy : MAX_WAIT_MS.idle;
    const waitMs = this.#failures === 0 ? 0 : Math.min(ceiling, 50 * 2 ** (this.#failures - 1));
    const timer = setTimeout(() => (this.#state = this.#dial()), waitMs / 2 + (Math.random() * waitMs) / 2);
    return { is: "waiting", timer };
  }

  #frame(connection: Connection, { seq, frame, payload }: Decoded<DownFrame>): void {
    const link = this.#link;
    const ack = () => this.#ack(link, seq);
    switch (frame.type) {
      case "welcome":
      case "refuse":
        connection.terminate();
        break;
      case "ack":
        if (!attempt(() => link.acked(frame.received))) connection.terminate();
        break;
      case "goodbye":
        if (frame.reason === "restarting") this.#restartingUntil = performance.now() + RESTART_GRACE_MS;
        if (this.#fresh(connection, seq)) void ack();
        break;
      case "position":
      case "answer":
      case "stream.start":
      case "stream.chunk":
      case "stream.end":
        if (!this.#fresh(connection, seq)) break;
        if (this.#carrier) this.#carrier.received({ frame, payload, ack });
        else void ack();
        break;
    }
  }

  /** False for a frame that was seen before, which is acked again, and for one that breaks the protocol. */
  #fresh(connection: Connection, seq: number): boolean {
    const link = this.#link;
    let fresh = false;
    if (!attempt(() => (fresh = link.receive(seq)))) connection.terminate();
    else if (!fresh) void this.#ack(link, seq);
    return fresh;
  }

  /** Where the connection has changed since, its hello has told; where the daemon has, there is nobody to tell. */
  #ack(link: Link<Invoke | Cancel>, seq: number): Promise<boolean> {
    if (this.#state.is !== "open" || link !== this.#link) return Promise.resolve(false);
    return this.#state.connection.flush(encodeFrame(0, { type: "ack", received: seq }));
  }
}

/** False: the peer broke the protocol. */
function attempt(step: () => void): boolean {
  try {
    step();
    return true;
  } catch {
    return false;
  }
}
