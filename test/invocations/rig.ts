/** Invocations over a real history; what runs the handler is the test's own, or functions/ itself. */
import type { Test } from "tap";

import {
  Invocations,
  type Incoming,
  type InvocationsOptions,
  type Run,
} from "../../daemon/invocations/invocations.ts";
import { LivedevError } from "../../daemon/lib/errors.ts";
import { silentLog } from "../../daemon/lib/log.ts";
import { deferred, type Deferred } from "../../daemon/lib/scope.ts";
import type { Store } from "../../daemon/store/store.ts";
import type { Answer, BufferedAnswer } from "../../proto/answer.ts";
import type { InvocationDetail } from "../../proto/rpc.ts";
import { openStore, stateFile } from "../store/support.ts";

/** What `run` was called with, and what it comes to. */
export type Call = {
  readonly request: Parameters<Run>[0];
  readonly signal: AbortSignal;
  readonly outcome: Deferred<Answer>;
};

export type Sent = {
  readonly incoming: Incoming;
  readonly positions: string[];
  /** What was given to the stub; it takes it, unless `takes` was another. */
  readonly given: Answer[];
  /** The stub gives it up. */
  giveUp(): void;
  /** When all is done. */
  readonly done: Promise<void>;
};

export const CODE = { codeHash: "0123456789abcdef", coldStart: false };

export class Rig {
  readonly file: string;
  readonly store: Store;
  readonly invocations: Invocations;
  readonly #calls: Call[];
  readonly #wakers: Set<() => void>;
  /** As the bridge does when it closes: whoever has not taken its answer never will. */
  readonly #closed = deferred<never>();
  #count = 0;

  private constructor(options: {
    file: string;
    store: Store;
    invocations: Invocations;
    calls: Call[];
    wakers: Set<() => void>;
  }) {
    this.file = options.file;
    this.store = options.store;
    this.invocations = options.invocations;
    this.#calls = options.calls;
    this.#wakers = options.wakers;
  }

  static async open(
    t: Test,
    { file = stateFile(t), ...options }: Partial<Omit<InvocationsOptions, "store">> & { file?: string } = {},
  ): Promise<Rig> {
    const store = await openStore(t, file);
    const calls: Call[] = [];
    const wakers = new Set<() => void>();
    const run: Run = (request, signal) => {
      const outcome = deferred<Answer>();
      signal.addEventListener("abort", () => outcome.reject(signal.reason), { once: true });
      if (signal.aborted) outcome.reject(signal.reason);
      calls.push({ request, signal, outcome });
      for (const wake of wakers) wake();
      return outcome.promise;
    };
    const invocations = await Invocations.open({ store, run, log: silentLog, ...options });
    const rig = new Rig({ file, store, invocations, calls, wakers });
    t.teardown(() => rig.close());
    return rig;
  }

  /** The next call of `run`. */
  async call(): Promise<Call> {
    for (;;) {
      const call = this.#calls.shift();
      if (call !== undefined) return call;
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#wakers.delete(wake);
          resolve();
        };
        this.#wakers.add(wake);
      });
    }
  }

  get uncalled(): boolean {
    return this.#calls.length === 0;
  }

  /** An event of a stub's. */
  send(
    more: Partial<Omit<Incoming, "signal" | "deliver" | "remainingMs">> & {
      timeoutMs?: number;
      takes?: (answer: Answer) => Promise<void>;
    } = {},
  ): Sent {
    const { timeoutMs = 30_000, takes = async () => {}, ...fields } = more;
    const n = (this.#count += 1);
    const until = performance.now() + timeoutMs;
    const gone = new AbortController();
    const given: Answer[] = [];
    const positions: string[] = [];
    const incoming: Incoming = {
      key: { requestId: `request-${n}`, nonce: `nonce-${n}` },
      functionName: "Api",
      event: Buffer.from(`{"n":${n}}`),
      deadlineAt: Date.now() + timeoutMs,
      functionArn: "arn:aws:lambda:eu-west-1:123456789012:function:shop-ada-Api",
      environment: {},
      remainingMs: () => until - performance.now(),
      signal: gone.signal,
      position: (state) => positions.push(state),
      deliver: async (answer) => {
        given.push(answer);
        await Promise.race([takes(answer), this.#closed.promise]);
      },
      ...fields,
    };
    return {
      incoming,
      positions,
      given,
      giveUp: () => gone.abort(new LivedevError("bridge.cancelled", "The caller is gone.")),
      done: this.invocations.receive(incoming),
    };
  }

  async close(): Promise<void> {
    this.#closed.promise.catch(() => {});
    this.#closed.reject(new Error("the bridge was closed"));
    await this.invocations[Symbol.asyncDispose]();
  }

  async row(sent: Sent | number): Promise<InvocationDetail> {
    await this.store.flushed();
    const id = typeof sent === "number" ? sent : sent.incoming.key.requestId;
    const found = await this.store.invocation(id, { reveal: true });
    if (found === undefined) throw new Error(`there is no row of ${id}`);
    return found;
  }

  /** What happened to it, in order. */
  async story(sent: Sent): Promise<string[]> {
    await this.store.flushed();
    const { events } = await this.store.events();
    return events.flatMap(({ event }) =>
      "requestId" in event && event.requestId === sent.incoming.key.requestId
        ? [event.type.replace("invocation.", "")]
        : [],
    );
  }

  /** Closed, and opened again on the same history: what a restart is to this part. */
  async again(t: Test, options: Partial<Omit<InvocationsOptions, "store">> = {}): Promise<Rig> {
    await this.close();
    await this.store[Symbol.asyncDispose]();
    return Rig.open(t, { file: this.file, ...options });
  }
}

export function ok(value: unknown): BufferedAnswer {
  return {
    kind: "buffered",
    status: "ok",
    body: Buffer.from(JSON.stringify(value)),
    contentType: "application/json",
  };
}

export function shown(answer: Answer | undefined): { errorType?: string; cause?: string; value: unknown } {
  if (answer?.kind !== "buffered") throw new Error("no buffered answer");
  const { errorType, cause, body } = answer;
  return {
    ...(errorType !== undefined && { errorType }),
    ...(cause !== undefined && { cause }),
    value: JSON.parse(Buffer.from(body).toString()),
  };
}
