/**
 * The Runtime API's states, without sockets: which call of the runtime is right at which moment, and what an
 * invocation in progress comes to.
 *
 *                        ┌──────────── /next ───────────┐
 *                        ▼                              │
 *   starting ──/next──▶ idle ──invoke()──▶ running ──/response──▶ answering ──body read──▶ between
 *      │                 │ ▲                  │  or /error                                  │  ▲
 *  /init/error           │ └─────/next────────┼─────────────────────────────────────────────┘  │
 *      ▼                 └─poll lost──────────┼────────────────────────────────────────────────┤
 *   failed                                    └──given up (timeout, cancelled)─────────────────┘
 *
 *   between ──invoke()──▶ waiting ──/next──▶ running            any state ──exit──▶ ended
 */
import type { Answer, BufferedAnswer } from "../../proto/answer.ts";
import { deferred, type Deferred } from "../lib/scope.ts";

export type RuntimeInvocation = {
  readonly requestId: string;
  readonly event: Uint8Array;
  /** Epoch milliseconds, as the runtime is told; whoever invokes keeps the deadline. */
  readonly deadlineAt: number;
  readonly functionArn: string;
  readonly traceId?: string;
  readonly clientContext?: string;
  readonly cognitoIdentity?: string;
  /** What is another in its environment than at the invocation before: renewed credentials. For our own runner. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Told just before the process is given it. Where it is not told, the process ended without having seen it. */
  readonly handed?: () => void;
};

export type InitOutcome =
  | { readonly ok: true }
  /** In Lambda's shape: what the runtime posted to /init/error, or `Runtime.ExitError`. */
  | { readonly ok: false; readonly answer: BufferedAnswer };

/** An invocation and who waits for its answer. */
export type Turn = {
  readonly invocation: RuntimeInvocation;
  readonly answer: Deferred<Answer>;
  /** The runtime has it no longer in hand. */
  readonly over: Deferred<void>;
};

/** A runtime's `/next` that waits. */
export type Poll = { deliver(invocation: RuntimeInvocation): void };

/** Why a call of the runtime was refused, in AWS's words; nothing changed. */
export type Refusal = {
  readonly status: 400 | 403;
  readonly errorType: string;
  readonly errorMessage: string;
};

type State =
  | { readonly name: "starting" }
  | { readonly name: "idle"; readonly poll: Poll }
  | { readonly name: "waiting"; readonly turn: Turn }
  | { readonly name: "running"; readonly turn: Turn }
  | { readonly name: "answering"; readonly turn: Turn }
  | { readonly name: "between" }
  | { readonly name: "failed" }
  | { readonly name: "ended" };

export class Session {
  readonly #ready = deferred<InitOutcome>();
  readonly #onIdle: () => void;
  #state: State = { name: "starting" };

  constructor(onIdle: () => void) {
    this.#onIdle = onIdle;
  }

  /** Settles at the first /next, at /init/error, or at exit. */
  get ready(): Promise<InitOutcome> {
    return this.#ready.promise;
  }

  get idle(): boolean {
    return this.#state.name === "idle";
  }

  /** The invocation that the runtime has in hand. */
  get current(): Turn | undefined {
    switch (this.#state.name) {
      case "running":
      case "answering":
        return this.#state.turn;
      case "starting":
      case "idle":
      case "waiting":
      case "between":
      case "failed":
      case "ended":
        return undefined;
      default:
        return impossible(this.#state);
    }
  }

  /** Only after `ready` said ok, and one at a time: anything else is a bug of the caller. */
  invoke(invocation: RuntimeInvocation): Turn {
    const turn: Turn = { invocation, answer: deferred<Answer>(), over: deferred<void>() };
    switch (this.#state.name) {
      case "idle":
        this.#hand(this.#state.poll, turn);
        return turn;
      case "between":
        this.#state = { name: "waiting", turn };
        return turn;
      case "starting":
      case "waiting":
      case "running":
      case "answering":
      case "failed":
      case "ended":
        throw new Error(`invoke() while the runtime is ${this.#state.name}`);
      default:
        return impossible(this.#state);
    }
  }

  /** Nobody waits for the answer any more: a later one is a stray. */
  giveUp(turn: Turn): void {
    switch (this.#state.name) {
      case "waiting":
      case "running":
      case "answering":
        if (this.#state.turn !== turn) return;
        this.#state = { name: "between" };
        turn.over.resolve();
        return;
      case "starting":
      case "idle":
      case "between":
      case "failed":
      case "ended":
        return;
    }
  }

  next(poll: Poll): Refusal | undefined {
    switch (this.#state.name) {
      case "starting":
        this.#state = { name: "idle", poll };
        this.#ready.resolve({ ok: true });
        this.#onIdle();
        return undefined;
      case "between":
        this.#state = { name: "idle", poll };
        this.#onIdle();
        return undefined;
      case "waiting":
        this.#hand(poll, this.#state.turn);
        return undefined;
      case "idle":
      case "running":
      case "answering":
      case "failed":
      case "ended":
        return this.#refuse("Ready");
      default:
        return impossible(this.#state);
    }
  }

  /** The connection of a waiting `/next` is gone. */
  lost(poll: Poll): void {
    if (this.#state.name === "idle" && this.#state.poll === poll) this.#state = { name: "between" };
  }

  /** The runtime begins to post the answer of this request. */
  begin(requestId: string): Turn | Refusal {
    switch (this.#state.name) {
      case "running": {
        const { turn } = this.#state;
        if (turn.invocation.requestId !== requestId) return INVALID_REQUEST_ID;
        this.#state = { name: "answering", turn };
        return turn;
      }
      case "starting":
      case "idle":
      case "waiting":
      case "answering":
      case "between":
      case "failed":
      case "ended":
        return this.#refuse("InvocationResponse");
      default:
        return impossible(this.#state);
    }
  }

  /** The body of the answer has been read whole. */
  finish(turn: Turn): void {
    if (this.#state.name === "answering" && this.#state.turn === turn) this.#state = { name: "between" };
    turn.over.resolve();
  }

  initError(answer: BufferedAnswer): Refusal | undefined {
    switch (this.#state.name) {
      case "starting":
        this.#state = { name: "failed" };
        this.#ready.resolve({ ok: false, answer });
        return undefined;
      case "idle":
      case "waiting":
      case "running":
      case "answering":
      case "between":
      case "failed":
      case "ended":
        return this.#refuse("InitError");
      default:
        return impossible(this.#state);
    }
  }

  /** The process is gone: `answer` is what that means for the invocation in progress, or for init. */
  end(answer: (requestId: string | undefined) => BufferedAnswer): void {
    const state = this.#state;
    this.#state = { name: "ended" };
    switch (state.name) {
      case "starting":
        this.#ready.resolve({ ok: false, answer: answer(undefined) });
        return;
      case "waiting":
      case "running":
      case "answering":
        // Settles nothing where the head of a streamed answer was already given: its chunks fail instead.
        state.turn.answer.resolve(answer(state.turn.invocation.requestId));
        state.turn.over.resolve();
        return;
      case "idle":
      case "between":
      case "failed":
      case "ended":
        return;
    }
  }

  #hand(poll: Poll, turn: Turn): void {
    this.#state = { name: "running", turn };
    turn.invocation.handed?.();
    poll.deliver(turn.invocation);
  }

  #refuse(wanted: string): Refusal {
    return {
      status: 403,
      errorType: "InvalidStateTransition",
      errorMessage: `State transition from ${this.#state.name} to ${wanted} failed for runtime.`,
    };
  }
}

function impossible(state: never): never {
  throw new Error(`unknown state ${JSON.stringify(state)}`);
}

const INVALID_REQUEST_ID: Refusal = {
  status: 400,
  errorType: "InvalidRequestID",
  errorMessage: "Invalid request ID",
};
