/**
 * The bridge's protocol core, without sockets; both ends use it. Sequenced frames are kept until the peer's cumulative
 * ack and written again on the next connection; what has been seen is dropped. A connection may die at any byte: each
 * frame still arrives exactly once and in order, as long as both ends keep their Link.
 *
 *     send(frame) ──► kept ──► write ~~~ the wire ~~~ receive() ──► fresh: act on it, ack it
 *                      ▲  │                              └──────► seen: ack it again, drop it
 *          attach() ───┘  └──◄── acked(n): all up to n leave
 *
 * Within one connection frames cannot be lost or reordered (TCP), so a gap is a fault of the peer, not of the network.
 */
import { encodeFrame, type Frame, FrameError } from "./frames.ts";

/** The bound for streams; a buffered answer (6 MB) is one frame and may pass it. */
export const MAX_UNACKED_BYTES = 1024 * 1024;

/** What a frame costs beside its payload: without it, a stream of one-byte chunks would not be bounded. */
const FRAME_COST = 256;

/** `frame` as a function is made anew at each writing: for what depends on the time of writing (`remainingMs`). */
type Kept<Out extends Frame> = {
  readonly seq: number;
  frame: Out | (() => Out);
  payload: Uint8Array;
};

type Waiter = {
  readonly ready: () => boolean;
  readonly resolve: () => void;
  readonly reject: (reason: Error) => void;
};

const EMPTY = new Uint8Array(0);

/** `Out`: the sequenced frames that this end sends. */
export class Link<Out extends Frame = Frame> {
  readonly #maxUnackedBytes: number;
  #sent = 0;
  #acked = 0;
  #received = 0;
  #kept: Kept<Out>[] = [];
  #unackedBytes = 0;
  #write: ((bytes: Uint8Array) => void) | undefined;
  #waiters: Waiter[] = [];
  #closed: Error | undefined;

  constructor(options: { maxUnackedBytes?: number } = {}) {
    this.#maxUnackedBytes = options.maxUnackedBytes ?? MAX_UNACKED_BYTES;
  }

  /** The highest seq that has arrived: what an ack, a hello and a welcome carry. */
  get received(): number {
    return this.#received;
  }

  get attached(): boolean {
    return this.#write !== undefined;
  }

  get unackedBytes(): number {
    return this.#unackedBytes;
  }

  /** Keeps the frame and writes it, now or on the next connection. Gives its seq. */
  send(frame: Out | (() => Out), payload: Uint8Array = EMPTY): number {
    if (this.#closed) throw this.#closed;
    this.#sent += 1;
    const kept = { seq: this.#sent, frame, payload };
    this.#kept.push(kept);
    this.#unackedBytes += FRAME_COST + payload.length;
    this.#write?.(encode(kept));
    return kept.seq;
  }

  /**
   * A connection stands, and the peer says what it has: that leaves, the rest is written again. Throws FrameError when
   * the peer claims what was never sent.
   */
  attach(peerReceived: number, write: (bytes: Uint8Array) => void): void {
    this.acked(peerReceived);
    this.#write = write;
    for (const kept of this.#kept) write(encode(kept));
  }

  /** The connection is gone; frames are kept for the next one. */
  detach(): void {
    this.#write = undefined;
  }

  /** True: new, act on it. False: seen before, only ack it again. Throws FrameError on a gap. */
  receive(seq: number): boolean {
    if (seq <= this.#received) return false;
    if (seq !== this.#received + 1) throw new FrameError(`frame ${seq} came after frame ${this.#received}`);
    this.#received = seq;
    return true;
  }

  /** The peer has everything up to `seq`. Throws FrameError when that was never sent. */
  acked(seq: number): void {
    if (seq > this.#sent) throw new FrameError(`an ack of ${seq}, but only ${this.#sent} were sent`);
    if (seq <= this.#acked) return;
    this.#acked = seq;
    const left = this.#kept.findIndex((kept) => kept.seq > seq);
    for (const kept of this.#kept.splice(0, left === -1 ? this.#kept.length : left)) {
      this.#unackedBytes -= FRAME_COST + kept.payload.length;
    }
    this.#wake();
  }

  /** Resolves when the peer has acked `seq`; rejects when the link is closed before. */
  acknowledged(seq: number): Promise<void> {
    return this.#wait(() => this.#acked >= seq);
  }

  /** Resolves when the unacked bytes are under the bound: before each chunk of a stream. */
  room(): Promise<void> {
    return this.#wait(() => this.#unackedBytes < this.#maxUnackedBytes);
  }

  /**
   * Puts something smaller in place of kept frames, under the same seq: nobody waits for these payloads any more, and
   * a sandbox that never comes back would hold their memory.
   */
  replace(change: (frame: Out) => { frame: Out; payload?: Uint8Array } | undefined): void {
    for (const kept of this.#kept) {
      const changed = change(resolved(kept.frame));
      if (changed === undefined) continue;
      const payload = changed.payload ?? EMPTY;
      this.#unackedBytes += payload.length - kept.payload.length;
      kept.frame = changed.frame;
      kept.payload = payload;
    }
    this.#wake();
  }

  /** Nothing more is sent; all who wait are rejected with `reason`. */
  close(reason: Error): void {
    this.#closed ??= reason;
    this.#write = undefined;
    this.#kept = [];
    this.#unackedBytes = 0;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(reason);
  }

  #wait(ready: () => boolean): Promise<void> {
    if (ready()) return Promise.resolve();
    if (this.#closed) return Promise.reject(this.#closed);
    return new Promise((resolve, reject) => this.#waiters.push({ ready, resolve, reject }));
  }

  #wake(): void {
    const waiting = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiting) {
      if (waiter.ready()) waiter.resolve();
      else this.#waiters.push(waiter);
    }
  }
}

const resolved = <Out extends Frame>(frame: Out | (() => Out)): Out =>
  typeof frame === "function" ? frame() : frame;

const encode = <Out extends Frame>(kept: Kept<Out>): Uint8Array =>
  encodeFrame(kept.seq, resolved(kept.frame), kept.payload);
