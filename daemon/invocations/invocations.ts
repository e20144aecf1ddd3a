/**
 * One invocation from event to outcome: recorded, run, answered, delivered; its deadline and its cancel.
 *
 *     received ──► begun ──► answered ──► delivered
 *        │           │           └──────► undelivered: nobody was there to take it
 *        │           └─ deadline, cancel, the daemon's end: answered with that cause
 *        ├─ its time was over before it could begin: answered as expired, never run
 *        └─ the daemon restarts: left to the next one, to which its stub sends it again
 *
 * What an earlier daemon left behind is taken up when its stub comes back (`#resumed`), and closed when it does not.
 */
import { randomUUID } from "node:crypto";

import { errorAnswer, type Answer, type BufferedAnswer } from "../../proto/answer.ts";
import type { LivedevEvent } from "../../proto/events.ts";
import { keyText, type InvocationKey } from "../../proto/frames.ts";
import { continuousMs, tookSince } from "../lib/clock.ts";
import { aloneAtBreakpoint, LivedevError, messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { deferred, Scope } from "../lib/scope.ts";
import { deadlocks } from "./deadlock.ts";
import type { UnderWay } from "./under-way.ts";
import { capture, Stopped, summaryOf } from "./outcome.ts";
import { OutputBound } from "./output-bound.ts";
import { Stopwatch } from "./stopwatch.ts";

/** An event as it comes over the bridge, or from a client of this machine. */
export type Incoming = {
  readonly key: InvocationKey;
  readonly functionName: string;
  readonly event: Uint8Array;
  /** By a clock that goes on while the machine sleeps and knows no jumps; may be negative. */
  remainingMs(): number;
  /** AWS's absolute deadline: shown, not trusted. */
  readonly deadlineAt: number;
  readonly functionArn: string;
  readonly traceId?: string;
  readonly clientContext?: string;
  readonly cognitoIdentity?: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Aborts with a LivedevError when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  position(state: "queued" | "building" | "running"): void;
  /** Resolves when whoever asked has the whole answer; rejects with a LivedevError when they never will. */
  deliver(answer: Answer): Promise<void>;
};

/** What runs a handler, as functions/ does. */
export type Run = (
  request: Omit<Incoming, "key" | "signal" | "deliver"> & {
    readonly requestId: string;
    begun(info: { readonly codeHash: string; readonly coldStart: boolean }): void;
    logged(line: { readonly stream: "stdout" | "stderr"; readonly text: string }): void | Promise<void>;
  },
  signal: AbortSignal,
) => Promise<Answer>;

type Context = {
  readonly functionArn: string;
  readonly deadlineAt: number;
  readonly traceId?: string;
  readonly clientContext?: string;
  readonly cognitoIdentity?: string;
};

/** What this part needs of history. */
export type InvocationsStore = {
  record(event: LivedevEvent): number;
  receive(received: {
    readonly event: {
      readonly functionName: string;
      readonly requestId: string;
      readonly nonce: string;
      readonly replayOf?: number;
      readonly local?: boolean;
    };
    readonly payload: Uint8Array;
    readonly context: Context;
  }): number;
  answer(answered: {
    readonly event: Omit<Extract<LivedevEvent, { type: "invocation.answered" }>, "type" | "bytes">;
    readonly body: Uint8Array;
    readonly contentType: string;
    readonly streamed: boolean;
    readonly bytes?: number;
  }): number;
  commit(): void;
  flushed(): Promise<void>;
  lookup(
    key: InvocationKey,
  ): { readonly id: number; readonly state: string; readonly answer?: Answer } | undefined;
  unfinished(): readonly {
    readonly id: number;
    readonly key: InvocationKey;
    readonly functionName: string;
    readonly state: "received" | "begun" | "answered";
    readonly local?: boolean;
  }[];
};

export type InvocationsOptions = {
  readonly store: InvocationsStore;
  readonly run: Run;
  /** As the function is configured: what a timeout is told as, whatever of it was left when the event came. */
  readonly timeoutMs?: (functionName: string) => number | undefined;
  /** Whether a function may run again from the start when the daemon died in the middle of it. */
  readonly retryable?: (functionName: string) => boolean;
  /** How long the stubs of an earlier daemon's invocations may take to come back. */
  readonly resumeMs?: number;
  readonly log: Log;
};

/** A stub comes back within its grace of 10 s, or never. */
const RESUME_MS = 15_000;
/**
 * We end a handler this much before AWS would, so that the caller reads our sentence and history knows that it was
 * told, rather than that nobody was there any more.
 */
const BEFORE_DEADLINE_MS = 100;
/** How long the stubs of what was interrupted may take to ack that. */
const TOLD_MS = 1_000;
/** Timers stop while the machine sleeps: how soon after waking what has expired meanwhile is found. */
const LOOK_EVERY_MS = 1_000;

type Left = { readonly id: number; readonly functionName: string; readonly state: string };

/** `leave`: nothing is answered, the next daemon takes it up. */
type Running = {
  readonly incoming: Incoming;
  began: number | undefined;
  queued: boolean;
  /** A stream has begun: no other daemon can go on with it. */
  streaming: boolean;
  readonly stop: (reason: Stopped | "leave") => void;
  readonly expire: () => void;
  /** Of the time at a breakpoint, by which the local deadline is later than AWS's. */
  readonly held: Stopwatch;
  /** Nobody waits for its answer any more, and it goes on since it was, or is, at a breakpoint. */
  alone: boolean;
  /** Looks again at its deadline. */
  rearm(): void;
};

export class Invocations implements AsyncDisposable {
  readonly #options: InvocationsOptions;
  readonly #scope = new Scope();
  readonly #running = new Map<number, Running>();
  /** Left by an earlier daemon, by key, until their stubs come back. */
  readonly #left = new Map<string, Left>();
  /** Told once for as long as it lasts. */
  #stuck: ReadonlySet<string> = new Set();
  /** What AWS does while a handler stands at a breakpoint was told. */
  #explained = false;
  #idle: (() => void)[] = [];
  /** Only while there is something to look at: a daemon at rest does not wake for it. */
  #looking: NodeJS.Timeout | undefined;
  #leaving: "restarting" | "stopping" | undefined;

  static async open(options: InvocationsOptions): Promise<Invocations> {
    return new Invocations(options);
  }

  private constructor(options: InvocationsOptions) {
    this.#options = options;
    for (const { id, key, functionName, state, local } of options.store.unfinished()) {
      // Nobody comes back for what a client ran here.
      if (local === true) this.#closeOne(keyText(key), { id, functionName, state });
      else this.#left.set(keyText(key), { id, functionName, state });
    }
    const timer = setTimeout(() => this.#closeLeft(), options.resumeMs ?? RESUME_MS);
    timer.unref();
    this.#scope.defer(() => clearTimeout(timer));
    this.#scope.defer(() => clearInterval(this.#looking));
  }

  /** Invocations in progress. */
  get count(): number {
    return this.#running.size;
  }

  underWay(): UnderWay[] {
    return [...this.#running.values()].map(({ incoming, began, queued }) => ({
      functionName: incoming.functionName,
      requestId: incoming.key.requestId,
      ...(incoming.traceId !== undefined && { traceId: incoming.traceId }),
      begun: began !== undefined,
      queued,
    }));
  }

  /** Its handler stands at a breakpoint: its time stands still here. AWS's goes on. */
  hold(requestId: string): void {
    for (const running of this.#of(requestId)) {
      running.held.start();
      running.rearm();
    }
  }

  /** It runs again, with what was left of its time. */
  goOn(requestId: string): void {
    for (const running of this.#of(requestId)) {
      running.held.stop();
      running.rearm();
    }
  }

  #of(requestId: string): Running[] {
    return [...this.#running.values()].filter(({ incoming }) => incoming.key.requestId === requestId);
  }

  /** From the bridge, once for each key. Resolves when it came to its end. */
  async receive(incoming: Incoming): Promise<void> {
    const known = this.#options.store.lookup(incoming.key);
    // One that is not begun yet is left to the daemon that comes: its stub sends it again there.
    if (this.#leaving === "restarting" && (known === undefined || known.state === "received")) {
      if (known === undefined) this.#record(incoming, {});
      return;
    }
    if (known !== undefined) return this.#resumed(incoming, known);
    await this.#carry(this.#record(incoming, {}), incoming);
  }

  /** For a client: on this machine alone. Gives the answer whole, and its row's id. */
  async runLocally(
    local: {
      readonly functionName: string;
      readonly event: Uint8Array;
      readonly timeoutMs: number;
      readonly functionArn: string;
      readonly replayOf?: number;
      readonly context?: Pick<Context, "traceId" | "clientContext" | "cognitoIdentity">;
      readonly environment: Readonly<Record<string, string>>;
    },
    signal: AbortSignal,
  ): Promise<{ readonly id: number; readonly answer: BufferedAnswer; readonly durationMs: number }> {
    const until = continuousMs() + local.timeoutMs;
    const stopped = new AbortController();
    const onAbort = () => stopped.abort(new LivedevError("bridge.cancelled", "The client gave it up."));
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    let answer: BufferedAnswer | undefined;
    const incoming: Incoming = {
      ...local.context,
      key: { requestId: randomUUID(), nonce: "" },
      functionName: local.functionName,
      event: local.event,
      remainingMs: () => until - continuousMs(),
      deadlineAt: Date.now() + local.timeoutMs,
      functionArn: local.functionArn,
      environment: local.environment,
      signal: stopped.signal,
      position: () => {},
      deliver: async (given) => {
        answer = await whole(given);
      },
    };
    const { replayOf } = local;
    const id = this.#record(incoming, { local: true, ...(replayOf !== undefined && { replayOf }) });
    const began = performance.now();
    try {
      await this.#carry(id, incoming);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
    signal.throwIfAborted();
    if (answer === undefined) throw new Error("a local invocation came to no answer");
    return { id, answer, durationMs: tookSince(began) };
  }

  /**
   * Waits for what runs, at most so long; then ends it as interrupted. Whoever does not take that answer either is not
   * waited for: it stands in history.
   */
  async drain(ms: number, leaving: "restarting" | "stopping", signal?: AbortSignal): Promise<void> {
    this.#leaving = leaving;
    const enough = deferred<void>();
    let last: NodeJS.Timeout | undefined;
    const interrupt = () => {
      this.#interrupt();
      last ??= setTimeout(enough.resolve, TOLD_MS);
    };
    const late = setTimeout(interrupt, ms);
    signal?.addEventListener("abort", interrupt, { once: true });
    if (signal?.aborted === true) interrupt();
    await Promise.race([this.#settled(), enough.promise]);
    clearTimeout(late);
    clearTimeout(last);
    signal?.removeEventListener("abort", interrupt);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope.close();
    await this.drain(0, this.#leaving ?? "stopping");
  }

  async #settled(): Promise<void> {
    while (this.#running.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #record(incoming: Incoming, more: { local?: boolean; replayOf?: number }): number {
    const { key, functionName, event, functionArn, deadlineAt, traceId, clientContext, cognitoIdentity } =
      incoming;
    return this.#options.store.receive({
      event: { functionName, ...key, ...more },
      payload: event,
      context: {
        functionArn,
        deadlineAt,
        ...(traceId !== undefined && { traceId }),
        ...(clientContext !== undefined && { clientContext }),
        ...(cognitoIdentity !== undefined && { cognitoIdentity }),
      },
    });
  }

  /** The same key as one that an earlier daemon had: what has begun is not begun again. */
  async #resumed(
    incoming: Incoming,
    known: { readonly id: number; readonly state: string; readonly answer?: Answer },
  ): Promise<void> {
    this.#left.delete(keyText(incoming.key));
    const { id, state, answer } = known;
    if (state === "received") return this.#carry(id, incoming);
    if (state === "begun" && this.#options.retryable?.(incoming.functionName) === true) {
      return this.#carry(id, incoming);
    }
    if (state === "begun") {
      const interrupted = interruptedAnswer(incoming.key.requestId, true);
      this.#answered(id, incoming, interrupted, 0, interrupted.body, interrupted.body.length);
      return this.#deliver(id, incoming, interrupted);
    }
    await this.#deliver(id, incoming, answer ?? unknownAnswer());
  }

  async #carry(id: number, incoming: Incoming): Promise<void> {
    const { requestId } = incoming.key;
    if (this.#leaving === "stopping") {
      const refused = errorAnswer(
        "interrupted",
        "Livedev.NotRun",
        "livedevd is stopping; the event was not run.",
      );
      this.#answered(id, incoming, refused, 0, refused.body, refused.body.length);
      return this.#deliver(id, incoming, refused);
    }
    if (incoming.remainingMs() <= 0) {
      const { answer } = expired(requestId, "came after its deadline");
      this.#answered(id, incoming, answer, 0, answer.body, answer.body.length);
      return this.#deliver(id, incoming, answer);
    }
    const controller = new AbortController();
    const timeoutMs = incoming.remainingMs();
    let deadline: NodeJS.Timeout | undefined;
    const running: Running = {
      incoming,
      began: undefined,
      queued: false,
      streaming: false,
      held: new Stopwatch(),
      alone: false,
      stop: (reason) => controller.abort(reason),
      rearm: () => {
        clearTimeout(deadline);
        if (running.held.runs) return;
        const leftMs = incoming.remainingMs() + running.held.ms;
        const before = Math.min(BEFORE_DEADLINE_MS, timeoutMs / 10);
        deadline = setTimeout(running.expire, Math.max(0, leftMs - before));
      },
      expire: () =>
        running.stop(
          running.began === undefined
            ? expired(requestId, `could not begin within ${seconds(timeoutMs)} seconds`)
            : timedOut(requestId, this.#options.timeoutMs?.(incoming.functionName) ?? timeoutMs),
        ),
    };
    this.#running.set(id, running);
    this.#looking ??= setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
    running.rearm();
    const onGone = () => {
      if (running.held.used && !isLocal(incoming)) this.#goesOnAlone(id, running);
      else running.stop(cancelled(incoming.signal.reason));
    };
    incoming.signal.addEventListener("abort", onGone, { once: true });
    if (incoming.signal.aborted) onGone();
    try {
      await this.#execute(id, running, controller.signal);
    } finally {
      clearTimeout(deadline);
      incoming.signal.removeEventListener("abort", onGone);
      this.#running.delete(id);
      if (this.#running.size === 0) this.#allOver();
    }
  }

  #allOver(): void {
    clearInterval(this.#looking);
    this.#looking = undefined;
    this.#stuck = new Set();
    for (const wake of this.#idle.splice(0)) wake();
  }

  async #execute(id: number, running: Running, signal: AbortSignal): Promise<void> {
    const { store, run } = this.#options;
    const { incoming } = running;
    const { functionName, key } = incoming;
    const { requestId } = key;
    const ids = { id, functionName, requestId };
    const received = performance.now();
    const output = new OutputBound(({ stream, text }) =>
      store.record({ type: "invocation.logged", ...ids, stream, text }),
    );
    let answer: Answer;
    try {
      answer = await run(
        {
          functionName,
          requestId,
          event: incoming.event,
          deadlineAt: incoming.deadlineAt,
          remainingMs: () => incoming.remainingMs(),
          functionArn: incoming.functionArn,
          ...(incoming.traceId !== undefined && { traceId: incoming.traceId }),
          ...(incoming.clientContext !== undefined && { clientContext: incoming.clientContext }),
          ...(incoming.cognitoIdentity !== undefined && { cognitoIdentity: incoming.cognitoIdentity }),
          environment: incoming.environment,
          position: (state) => {
            running.queued = state === "queued";
            incoming.position(state);
          },
          begun: (info) => {
            // Its time may have passed while the machine slept, before any timer could tell.
            if (isOver(running)) running.expire();
            if (signal.aborted) return;
            running.began = performance.now();
            running.queued = false;
            store.record({ type: "invocation.begun", ...ids, ...info });
            // Before the handler has the event: a daemon that is killed now must not run it a second time.
            store.commit();
          },
          logged: (line) => output.line(line),
        },
        signal,
      );
    } catch (error) {
      if (signal.reason === "leave") return;
      answer = signal.aborted ? (signal.reason as Stopped).answer : failureAnswer(error);
      if (!signal.aborted && !(error instanceof LivedevError)) {
        this.#options.log.error({ err: error, ...ids }, "an invocation failed inside livedevd");
      }
    }
    const tookMs = () => tookSince(running.began ?? received);
    if (answer.kind === "buffered") {
      this.#answered(id, incoming, answer, tookMs(), answer.body, answer.body.length);
      // On the disk before it is on its way: after a kill it can still be delivered. A full disk holds nobody up.
      await store.flushed().catch(() => undefined);
      return this.#deliver(id, incoming, answer);
    }
    running.streaming = true;
    const { contentType } = answer;
    let recorded = false;
    const recordEnd = () => {
      if (recorded) return;
      recorded = true;
      const { body, bytes, failure } = captured.outcome();
      const end = failure ?? { kind: "buffered" as const, status: "ok" as const, body };
      this.#answered(id, incoming, { ...end, contentType }, tookMs(), body, bytes, true);
    };
    // On the disk before the stub has the end: otherwise a kill just then leaves a row that says interrupted.
    const captured = capture(answer, signal, async () => {
      recordEnd();
      await store.flushed().catch(() => undefined);
    });
    const delivered = await settledOf(incoming.deliver(captured.answer));
    recordEnd();
    this.#told(id, incoming, delivered);
  }

  async #deliver(id: number, incoming: Incoming, answer: Answer): Promise<void> {
    this.#told(id, incoming, await settledOf(incoming.deliver(answer)));
  }

  #told(id: number, { functionName, key }: Incoming, failure: unknown): void {
    const ids = { id, functionName, requestId: key.requestId };
    if (failure === undefined) this.#options.store.record({ type: "invocation.delivered", ...ids });
    else this.#options.store.record({ type: "invocation.undelivered", ...ids, reason: messageOf(failure) });
  }

  #answered(
    id: number,
    { functionName, key }: Incoming,
    answer: BufferedAnswer,
    durationMs: number,
    body: Uint8Array,
    bytes: number,
    streamed = false,
  ): void {
    this.#options.store.answer({
      event: { id, functionName, requestId: key.requestId, ...summaryOf(answer), durationMs },
      body,
      contentType: answer.contentType,
      streamed,
      bytes,
    });
  }

  /**
   * The daemon ends, and so does what it runs; the stubs are told. Before a restart, what has not begun and what may
   * begin again is left to the next daemon.
   */
  #interrupt(): void {
    for (const { incoming, began, streaming, stop } of [...this.#running.values()]) {
      const { nonce, requestId } = incoming.key;
      const retryable = this.#options.retryable?.(incoming.functionName) === true;
      const again = began === undefined || (retryable && !streaming);
      // A client's own has no stub that sends it again.
      if (this.#leaving === "restarting" && again && nonce !== "") stop("leave");
      else stop(new Stopped(interruptedAnswer(requestId, began !== undefined)));
    }
  }

  /** Each second: what has expired unseen, and who waits for itself. */
  #look(): void {
    const stuck = deadlocks(this.underWay());
    for (const { functionName, chain, running } of stuck) {
      if (this.#stuck.has(functionName)) continue;
      this.#options.log.warn({ functionName, chain, running }, `${functionName} waits for itself`);
    }
    this.#stuck = new Set(stuck.map(({ functionName }) => functionName));
    this.#expire();
  }

  #expire(): void {
    for (const [id, running] of [...this.#running]) {
      if (isOver(running)) running.expire();
      else if (!isLocal(running.incoming) && running.incoming.remainingMs() <= 0)
        this.#goesOnAlone(id, running);
    }
  }

  /** AWS knows no breakpoints. Whoever stands at one is not thrown out for that; they are told once. */
  #goesOnAlone(id: number, running: Running): void {
    if (running.alone) return;
    running.alone = true;
    const { functionName, key } = running.incoming;
    this.#options.store.record({
      type: "invocation.logged",
      id,
      functionName,
      requestId: key.requestId,
      stream: "stderr",
      text: aloneAtBreakpoint(!this.#explained),
    });
    this.#explained = true;
  }

  /** Their stubs have not come back: what they were is all that will be known of them. */
  #closeLeft(): void {
    for (const [key, left] of this.#left) this.#closeOne(key, left);
    this.#left.clear();
  }

  #closeOne(key: string, { id, functionName, state }: Left): void {
    const { store } = this.#options;
    const [requestId = ""] = key.split(" ");
    const ids = { id, functionName, requestId };
    if (state !== "answered") {
      const answer = interruptedAnswer(requestId, state === "begun");
      store.answer({
        event: { ...ids, ...summaryOf(answer), durationMs: 0 },
        body: answer.body,
        contentType: answer.contentType,
        streamed: false,
      });
    }
    store.record({
      type: "invocation.undelivered",
      ...ids,
      reason: "livedevd ended before it knew that the stub had the answer",
    });
  }
}

/** What it was rejected with; undefined where it was fulfilled. */
async function settledOf(promise: Promise<void>): Promise<unknown> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    return error ?? new Error("unknown");
  }
}

/** Of a client of this machine: no stub waits for it, nor AWS. */
const isLocal = ({ key }: Incoming) => key.nonce === "";

/** Its own time: that at breakpoints does not count. */
function isOver({ incoming, held }: Running): boolean {
  return !held.runs && incoming.remainingMs() + held.ms <= 0;
}

const seconds = (ms: number) => (Math.round(ms / 10) / 100).toFixed(2);

/** In Lambda's words. @see https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html */
function timedOut(requestId: string, timeoutMs: number): Stopped {
  const sentence = `RequestId: ${requestId} Error: Task timed out after ${seconds(timeoutMs)} seconds`;
  return new Stopped(errorAnswer("timeout", "Sandbox.Timedout", sentence));
}

function expired(requestId: string, why: string): Stopped {
  const sentence = `RequestId: ${requestId} Error: the event ${why} and was not run`;
  return new Stopped(errorAnswer("expired", "Livedev.Expired", sentence));
}

function cancelled(reason: unknown): Stopped {
  return new Stopped(errorAnswer("cancelled", "Livedev.Cancelled", messageOf(reason)));
}

function interruptedAnswer(requestId: string, begun: boolean): BufferedAnswer {
  const sentence = begun
    ? "livedevd ended while the handler ran; it was not run again"
    : "livedevd ended before the handler had the event; it was not run";
  return errorAnswer("interrupted", "Livedev.Interrupted", `RequestId: ${requestId} Error: ${sentence}`);
}

function unknownAnswer(): BufferedAnswer {
  return errorAnswer(
    "interrupted",
    "Livedev.OutcomeUnknown",
    "The invocation ran, and its answer is not kept: its outcome is unknown.",
  );
}

function failureAnswer(error: unknown): BufferedAnswer {
  const hint = error instanceof LivedevError && error.hint !== undefined ? ` ${error.hint}` : "";
  const sentence =
    error instanceof LivedevError ? `${error.message}${hint}` : `livedevd failed: ${messageOf(error)}`;
  return errorAnswer("interrupted", "Livedev.NotRun", sentence);
}

/** A stream, read to its end. */
async function whole(answer: Answer): Promise<BufferedAnswer> {
  if (answer.kind === "buffered") return answer;
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer.chunks) chunks.push(chunk);
  return { kind: "buffered", status: "ok", body: Buffer.concat(chunks), contentType: answer.contentType };
}
