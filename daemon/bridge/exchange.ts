/**
 * One invocation between a stub and the daemon.
 *
 *               deliver()                ack of the last frame
 *     running ───────────► delivering ──────────────────────► delivered
 *        │                     │
 *        │ cancel, grace over, │ the same, and deadline passed
 *        ▼                     ▼
 *     abandoned: `signal` aborts, deliver() rejects with the reason
 *
 * Whatever happens, exactly one final frame (an answer, or a stream's end) goes to the stub: a stub that comes back
 * just after the grace is told that the outcome is unknown, and does not wait for its timeout.
 */
import {
  type Answer,
  type BufferedAnswer,
  errorAnswer,
  tooLarge,
  StreamError,
  type StreamedAnswer,
} from "../../proto/answer.ts";
import type { DownFrame, Invoke, InvocationKey, Position } from "../../proto/frames.ts";
import type { Link } from "../../proto/link.ts";
import { untilAborted } from "../lib/abort.ts";
import { continuousMs } from "../lib/clock.ts";
import { deadlinePassed, deliveryFailed, LivedevError } from "../lib/errors.ts";

/** What the bridge hands to whom carries out invocations. */
export type BridgeInvocation = {
  readonly key: InvocationKey;
  readonly functionName: string;
  /** The event's bytes, as Lambda gave them to the stub. */
  readonly event: Uint8Array;
  /** By a clock that goes on while the machine sleeps and knows no jumps; may be negative. */
  remainingMs(): number;
  /** AWS's absolute deadline: shown, and not trusted but within bounds (see `timeLeft`). */
  readonly deadlineAt: number;
  readonly functionArn: string;
  readonly traceId?: string;
  readonly clientContext?: string;
  readonly cognitoIdentity?: string;
  /** AWS's own variables of the sandbox, from its hello; credentials among them. */
  readonly environment: Readonly<Record<string, string>>;
  /** Aborts with a LivedevError when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  position(state: Position["state"]): void;
  /** Resolves when the stub has acked the whole answer; rejects with a LivedevError (`bridge.…`) when it never will. */
  deliver(answer: Answer): Promise<void>;
};

type State =
  | { readonly is: "running"; readonly position?: Position["state"] }
  | { readonly is: "delivering"; readonly final: boolean; readonly streaming: boolean }
  | { readonly is: "delivered" }
  | { readonly is: "abandoned"; readonly reason: LivedevError };

/** Chunks are cut to this, so that the link's bound on unacked bytes holds whatever a handler writes at once. */
const MAX_CHUNK_BYTES = 256 * 1024;
/** Lambda takes 6 MB in one piece; a frame above the stub's own limit would only break the connection, again and again. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;
/** The deadline was rebased when the event arrived, so it is late by the event's way here; an ack has its way too. */
const DEADLINE_MARGIN_MS = 500;

export class Exchange implements BridgeInvocation {
  readonly key: InvocationKey;
  readonly functionName: string;
  readonly event: Uint8Array;
  readonly deadlineAt: number;
  readonly functionArn: string;
  readonly traceId?: string;
  readonly clientContext?: string;
  readonly cognitoIdentity?: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly #deadline: number;
  readonly #link: Link<DownFrame>;
  readonly #controller = new AbortController();
  readonly #finished: () => void;
  #state: State = { is: "running" };

  constructor(options: {
    frame: Invoke;
    event: Uint8Array;
    functionName: string;
    environment: Readonly<Record<string, string>>;
    link: Link<DownFrame>;
    /** How long the frame may have lain unread. */
    unreadMs: number;
    /** Called once, when the exchange is delivered or abandoned. */
    finished(): void;
  }) {
    const { frame } = options;
    this.key = frame.key;
    this.functionName = options.functionName;
    this.event = options.event;
    this.deadlineAt = frame.deadlineAt;
    this.functionArn = frame.functionArn;
    if (frame.traceId !== undefined) this.traceId = frame.traceId;
    if (frame.clientContext !== undefined) this.clientContext = frame.clientContext;
    if (frame.cognitoIdentity !== undefined) this.cognitoIdentity = frame.cognitoIdentity;
    this.environment = options.environment;
    this.#deadline = continuousMs() + timeLeft(frame, options.unreadMs);
    this.#link = options.link;
    this.#finished = () => options.finished();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  remainingMs(): number {
    return this.#deadline - continuousMs();
  }

  position(state: Position["state"]): void {
    if (this.#state.is !== "running" || this.#state.position === state) return;
    this.#state = { is: "running", position: state };
    this.#link.send({ type: "position", key: this.key, state });
  }

  async deliver(answer: Answer): Promise<void> {
    switch (this.#state.is) {
      case "abandoned":
        await discard(answer);
        throw this.#state.reason;
      case "delivering":
      case "delivered":
        throw new Error(`${this.key.requestId} is answered twice`);
      case "running":
        break;
    }
    this.#state = { is: "delivering", final: false, streaming: answer.kind === "streamed" };
    const last = answer.kind === "buffered" ? this.#sendWhole(answer) : await this.#sendStream(answer);
    const late = setTimeout(
      () => this.abandon(deadlinePassed()),
      Math.max(0, this.remainingMs()) + DEADLINE_MARGIN_MS,
    );
    try {
      await this.#unlessAbandoned(this.#link.acknowledged(last));
    } finally {
      clearTimeout(late);
    }
    this.#state = { is: "delivered" };
    this.#finished();
  }

  /** Nobody waits any more; the first reason stands. */
  abandon(reason: LivedevError): void {
    const before = this.#state;
    if (before.is === "delivered" || before.is === "abandoned") return;
    this.#state = { is: "abandoned", reason };
    this.#sendEnd(before);
    this.#controller.abort(reason);
    this.#finished();
  }

  /** What still lies in the link becomes small, and a final frame stands behind it. */
  #sendEnd(before: Extract<State, { is: "running" | "delivering" }>): void {
    const { errorType, body } = unknownOutcome();
    this.#link.replace((frame) => {
      if (!("key" in frame) || !sameKey(frame.key, this.key)) return undefined;
      if (frame.type === "answer") {
        return {
          frame: {
            type: "answer",
            key: this.key,
            status: "error",
            contentType: "application/json",
            errorType,
          },
          payload: body,
        };
      }
      return { frame };
    });
    if (before.is === "delivering" && before.final) return;
    if (before.is === "delivering" && before.streaming) {
      this.#trySend({ type: "stream.end", key: this.key, errorType }, body);
      return;
    }
    this.#trySend(
      { type: "answer", key: this.key, status: "error", contentType: "application/json", errorType },
      body,
    );
  }

  #sendWhole(answer: BufferedAnswer): number {
    const { status, contentType, errorType, body } =
      answer.body.length > MAX_ANSWER_BYTES ? tooLarge(answer.body.length) : answer;
    const seq = this.#link.send(
      { type: "answer", key: this.key, status, contentType, ...(errorType !== undefined && { errorType }) },
      body,
    );
    this.#state = { is: "delivering", final: true, streaming: false };
    return seq;
  }

  async #sendStream(answer: StreamedAnswer): Promise<number> {
    const { key } = this;
    this.#link.send({ type: "stream.start", key, contentType: answer.contentType });
    const chunks = answer.chunks[Symbol.asyncIterator]();
    let failure: { errorType: string; body: Uint8Array } | undefined;
    let bug: unknown;
    try {
      for (;;) {
        const next = await this.#unlessAbandoned(chunks.next());
        if (next.done === true) break;
        for (const piece of pieces(next.value)) {
          await this.#unlessAbandoned(this.#link.room());
          this.#link.send({ type: "stream.chunk", key }, piece);
        }
      }
    } catch (error) {
      // Whoever writes the chunks is told to stop; it may hang, so it is not awaited.
      if (!(error instanceof StreamError)) void chunks.return?.().catch(() => {});
      if (this.#state.is === "abandoned") throw this.#state.reason;
      if (error instanceof StreamError) failure = error;
      else {
        bug = error;
        failure = streamFailed(error);
      }
    }
    const seq = this.#link.send(
      { type: "stream.end", key, ...(failure && { errorType: failure.errorType }) },
      failure?.body,
    );
    this.#state = { is: "delivering", final: true, streaming: true };
    if (bug !== undefined) {
      const reason = deliveryFailed(bug);
      this.abandon(reason);
      throw reason;
    }
    return seq;
  }

  #trySend(frame: DownFrame, payload: Uint8Array): void {
    try {
      this.#link.send(frame, payload);
    } catch {
      // The link is closed with the bridge: there is nobody to tell.
    }
  }

  #unlessAbandoned<T>(promise: Promise<T>): Promise<T> {
    return untilAborted(promise, this.#controller.signal);
  }
}

/**
 * A frame that was read late has less time left than it says, by some part of the time in which nobody read. By which
 * part, AWS's wall clock tells, and only that: within these bounds it may be wrong without harm.
 */
function timeLeft({ remainingMs, deadlineAt }: Invoke, unreadMs: number): number {
  if (unreadMs === 0 || deadlineAt === 0) return remainingMs;
  return Math.max(remainingMs - unreadMs, Math.min(remainingMs, deadlineAt - Date.now()));
}

export const sameKey = (one: InvocationKey, other: InvocationKey): boolean =>
  one.requestId === other.requestId && one.nonce === other.nonce;

/** Also for a key whose answer is no longer here. */
export function unknownOutcome(): { errorType: string; body: Uint8Array } {
  return errorOf(
    "Livedev.OutcomeUnknown",
    "The connection to livedevd was lost while the event was there: whether it ran to its end is unknown.",
  );
}

function errorOf(errorType: string, message: string): { errorType: string; body: Uint8Array } {
  return { errorType, body: errorAnswer("interrupted", errorType, message).body };
}

const streamFailed = (error: unknown) =>
  errorOf(
    "Livedev.StreamFailed",
    `livedevd could not read the stream: ${error instanceof Error ? error.message : String(error)}.`,
  );

function* pieces(chunk: Uint8Array): Iterable<Uint8Array> {
  for (let at = 0; at < chunk.length; at += MAX_CHUNK_BYTES) yield chunk.subarray(at, at + MAX_CHUNK_BYTES);
}

async function discard(answer: Answer): Promise<void> {
  if (answer.kind === "streamed") await answer.chunks[Symbol.asyncIterator]().return?.();
}
