/**
 * One invocation on its way to livedevd and back.
 *
 *     ┌─────────┐ open ┌──────┐  answer   ┌──────┐
 *     │ seeking │─────►│ sent │──────────►│ done │
 *     └────┬────┘      └─┬──▲─┘           └──────┘
 *          │ refused     │  │ open again     ▲
 *          ▼        lost ▼  │                │ end, or lost for good: a mid-stream error
 *        away          ┌────┴─┐         ┌────┴──────┐
 *     (no frame was    │ lost │         │ streaming │◄── stream.start in `sent`
 *      ever sent)      └──┬───┘         └───────────┘
 *                         ▼ grace over: the outcome is unknown
 *
 * Nothing is ever sent again to a daemon that has it; only `seeking` may end as away.
 */
import { randomBytes } from "node:crypto";

import { StreamError, errorAnswer } from "../proto/answer.ts";
import type { AnswerFrame, Invoke, InvocationKey } from "../proto/frames.ts";
import type { RuntimeEvent } from "./runtime-api.ts";
import { ERROR, away, refused, unknown, unreachable } from "./sentences.ts";
import type { Received, Session } from "./session.ts";
import type { Settings } from "./settings.ts";

export type Reply =
  | { readonly is: "answer"; readonly frame: AnswerFrame; readonly body: Uint8Array }
  | {
      readonly is: "stream";
      readonly contentType: string;
      readonly chunks: AsyncIterable<Uint8Array>;
      /** The caller left: the chunks end, and livedevd is told. */
      leave(): void;
    }
  /** No frame of this invocation was ever sent. */
  | { readonly is: "away"; readonly sentence: string }
  | { readonly is: "refused"; readonly sentence: string }
  | { readonly is: "unknown"; readonly sentence: string };

type State =
  | { readonly is: "seeking"; readonly limit: NodeJS.Timeout }
  | { readonly is: "sent" }
  | { readonly is: "lost"; readonly grace: NodeJS.Timeout }
  | { readonly is: "streaming"; readonly grace?: NodeJS.Timeout }
  | { readonly is: "done" };

type Part = Received | { readonly lost: StreamError } | { readonly left: true };

const GRACE_MS = 10_000;
/** A connection that comes to nothing within this time is nobody. */
const SEEK_MS = 3_000;
/** So many connections in a row that break while they are made are nobody as well. */
const MAX_FAILURES = 3;
/** Kept back from the time that remains, to post what we know before Lambda ends us. */
const POST_MS = 150;
/** How long an answer is kept back to tell livedevd that it has arrived. */
const TELL_MS = 500;
/**
 * How often a connection is asked for a sign of life while an answer is awaited, and how long it may take. Where livedevd
 * has seen its end and we have not, it waits for us as long as GRACE_MS: we must know well before that.
 */
const PROBE_EVERY_MS = 2_000;
const PROBE_MS = 3_000;
const NO_DEADLINE_MS = 15 * 60 * 1_000;

export class Call {
  readonly #settings: Settings;
  readonly #session: Session;
  readonly #event: RuntimeEvent;
  readonly #key: InvocationKey;
  readonly #deadline: number;
  readonly #resolve: (reply: Reply) => void;
  readonly #probes: NodeJS.Timeout;
  #state: State;
  #failures = 0;
  #position = "on its way";
  #parts: Part[] = [];
  #wake: (() => void) | undefined;

  /** Resolves when there is something to post; an answer has been acked by then. */
  static carry(settings: Settings, session: Session, event: RuntimeEvent): Promise<Reply> {
    return new Promise((resolve) => {
      const call = new Call(settings, session, event, resolve);
      void call.#seek();
    });
  }

  private constructor(
    settings: Settings,
    session: Session,
    event: RuntimeEvent,
    resolve: (reply: Reply) => void,
  ) {
    this.#settings = settings;
    this.#session = session;
    this.#event = event;
    this.#resolve = resolve;
    this.#key = { requestId: event.requestId, nonce: randomBytes(16).toString("hex") };
    const remainingMs = Number.isFinite(event.deadlineAt) ? event.deadlineAt - Date.now() : NO_DEADLINE_MS;
    this.#deadline = performance.now() + remainingMs;
    this.#probes = setInterval(() => this.#session.probe(PROBE_MS), PROBE_EVERY_MS);
    const limit = setTimeout(
      () => this.#seekFailed(`no answer within ${SEEK_MS} ms`, true),
      this.#within(Math.max(SEEK_MS, session.restartingMs)),
    );
    this.#state = { is: "seeking", limit };
  }

  async #seek(): Promise<void> {
    this.#session.carry({
      opened: (fresh) => this.#opened(fresh),
      lost: () => this.#lost(),
      failed: (message) => this.#seekFailed(message, false),
      refused: (message) => this.#refused(message),
      received: (received) => this.#received(received),
    });
    // A freeze may lie behind us: what the kernel knows of the connection's end comes with the next turns of the
    // event loop, and a connection known dead must not cost a frame.
    for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    if (this.#state.is !== "seeking") return;
    if (this.#session.open) this.#send();
    else this.#session.hurry();
  }

  #send(): void {
    if (this.#state.is === "seeking") clearTimeout(this.#state.limit);
    this.#state = { is: "sent" };
    // Before the frame: the pong does not wait for an event of 6 MB.
    this.#session.probe();
    this.#session.send(() => this.#invoke(), this.#event.event);
  }

  #invoke(): Invoke {
    const { deadlineAt, functionArn, traceId, clientContext, cognitoIdentity } = this.#event;
    return {
      type: "invoke",
      key: this.#key,
      remainingMs: this.#deadline - performance.now(),
      deadlineAt: Number.isFinite(deadlineAt) ? deadlineAt : 0,
      functionArn,
      ...(traceId !== undefined && { traceId }),
      ...(clientContext !== undefined && { clientContext }),
      ...(cognitoIdentity !== undefined && { cognitoIdentity }),
    };
  }

  #opened(fresh: boolean): void {
    switch (this.#state.is) {
      case "seeking":
        this.#send();
        break;
      case "lost":
        clearTimeout(this.#state.grace);
        this.#state = { is: "sent" };
        // The link sends again what the same daemon lacks; another daemon lacks all, and decides by its history.
        if (fresh) this.#session.send(() => this.#invoke(), this.#event.event);
        break;
      case "streaming":
        clearTimeout(this.#state.grace);
        this.#state = { is: "streaming" };
        if (fresh) this.#streamLost("livedevd has been restarted");
        break;
      case "sent":
      case "done":
        break;
    }
  }

  #lost(): void {
    switch (this.#state.is) {
      case "seeking":
        this.#session.hurry();
        break;
      case "sent":
        this.#state = { is: "lost", grace: this.#grace(() => this.#unknown("it did not come back in time")) };
        break;
      case "streaming":
        this.#state = {
          is: "streaming",
          grace: this.#grace(() => this.#streamLost("it did not come back in time")),
        };
        break;
      case "lost":
      case "done":
        break;
    }
  }

  #seekFailed(message: string, final: boolean): void {
    if (this.#state.is !== "seeking") return;
    const nobody = message.includes("ECONNREFUSED");
    if (!final) {
      // The daemon said that it would be back; the session keeps dialling, the limit ends it.
      if (this.#session.restartingMs > 0) return;
      // Somebody took the connection, and it broke: that may be the network's mishap.
      this.#failures += 1;
      if (!nobody && this.#failures < MAX_FAILURES) return;
    }
    this.#finish({
      is: "away",
      sentence: nobody ? away(this.#settings) : unreachable(this.#settings, message),
    });
  }

  #refused(message: string): void {
    switch (this.#state.is) {
      case "seeking":
        this.#finish({ is: "refused", sentence: refused(this.#settings, message) });
        break;
      case "lost":
        this.#unknown(`it now refuses this stub (${message})`);
        break;
      case "streaming":
        this.#streamLost("it now refuses this stub");
        break;
      case "sent":
      case "done":
        break;
    }
  }

  #received(received: Received): void {
    const { frame, payload } = received;
    if (frame.key.nonce !== this.#key.nonce || this.#state.is === "done") {
      void received.ack();
      return;
    }
    switch (frame.type) {
      case "position":
        this.#position = frame.state;
        void received.ack();
        break;
      case "answer":
        void this.#answered(frame, payload, received);
        break;
      case "stream.start":
        void received.ack();
        this.#state = { is: "streaming" };
        this.#resolve({
          is: "stream",
          contentType: frame.contentType,
          chunks: this.#chunks(),
          leave: () => this.#push({ left: true }),
        });
        break;
      case "stream.chunk":
      case "stream.end":
        this.#push(received);
        break;
    }
  }

  /**
   * The ack leaves before the post: the freeze follows the post. Where the connection broke under it, the next one's
   * hello tells; the caller waits a little for that, so that history knows what the caller knows.
   */
  async #answered(frame: AnswerFrame, body: Uint8Array, received: Received): Promise<void> {
    const acked = received.ack();
    this.#stop();
    if (!(await acked)) await this.#session.reopened(this.#within(TELL_MS));
    this.#resolve({ is: "answer", frame, body });
  }

  /** Acks each chunk when it is asked for the next one: this is the backpressure that reaches the handler. */
  async *#chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    let over = false;
    try {
      for (;;) {
        const part = this.#parts.shift();
        if (part === undefined) {
          await new Promise<void>((resolve) => (this.#wake = resolve));
          continue;
        }
        if ("left" in part) return;
        if ("lost" in part) {
          over = true;
          throw part.lost;
        }
        if (part.frame.type === "stream.end") {
          over = true;
          if (!(await part.ack())) await this.#session.reopened(this.#within(TELL_MS));
          if (part.frame.errorType === undefined) return;
          throw new StreamError(part.frame.errorType, part.payload);
        }
        yield part.payload;
        void part.ack();
      }
    } finally {
      this.#stop();
      if (!over) this.#session.cancel(this.#key, "the caller left in the middle of the stream");
    }
  }

  #push(part: Part): void {
    this.#parts.push(part);
    this.#wake?.();
    this.#wake = undefined;
  }

  #streamLost(why: string): void {
    const sentence = unknown(this.#settings, "streaming", why);
    this.#push({
      lost: new StreamError(ERROR.unknown, errorAnswer("interrupted", ERROR.unknown, sentence).body),
    });
    this.#session.cancel(this.#key, why);
  }

  #unknown(why: string): void {
    this.#session.cancel(this.#key, why);
    this.#finish({ is: "unknown", sentence: unknown(this.#settings, this.#position, why) });
  }

  #finish(reply: Reply): void {
    this.#stop();
    this.#resolve(reply);
  }

  #stop(): void {
    if (this.#state.is === "seeking") clearTimeout(this.#state.limit);
    if (this.#state.is === "lost" || this.#state.is === "streaming") clearTimeout(this.#state.grace);
    clearInterval(this.#probes);
    this.#state = { is: "done" };
    this.#session.carry(undefined);
  }

  #grace(over: () => void): NodeJS.Timeout {
    return setTimeout(over, this.#within(GRACE_MS));
  }

  /** `ms`, or less where less remains. */
  #within(ms: number): number {
    return Math.max(0, Math.min(ms, this.#deadline - performance.now() - POST_MS));
  }
}
