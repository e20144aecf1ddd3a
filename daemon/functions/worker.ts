/**
 * A process that runs one function's code, one invocation at a time.
 *
 *     ┌──────────┐ ready ┌──────┐  invoke   ┌──────┐
 *     │ starting │──────►│ idle │──────────►│ busy │
 *     └────┬─────┘       └──┬───┘◄──────────└──┬───┘
 *          │ init failed    │       settled    │ exit, or given up
 *          ▼                ▼                  ▼
 *         ended ◄───────────┴──────────────────┘
 */
import type { Answer } from "../../proto/answer.ts";
import type { ExecutionEnvironment, InitOutcome, OutputLine } from "../runtime/environment.ts";
import type { Program } from "./code.ts";
import type { FunctionRequest } from "./types.ts";

/** Why a worker ended, as `worker.exited` tells it. */
export type EndReason = "idle" | "replaced" | "crashed" | "stopped" | "closed";

type State =
  | { readonly is: "starting" }
  | { readonly is: "idle" }
  | { readonly is: "busy"; readonly request: FunctionRequest }
  | { readonly is: "ended"; readonly reason: EndReason };

export type WorkerOptions = {
  readonly environment: ExecutionEnvironment;
  /** Its bundle is held by the worker until it has ended. */
  readonly program: Program;
  /** Which settings the process was started with; others need another process. */
  readonly settings: string;
  readonly startedAt: number;
  /** AWS's variables as the process has them. */
  readonly aws: Readonly<Record<string, string>>;
  /** What was printed outside of any invocation. */
  logged(line: OutputLine): void | Promise<void>;
  ended(worker: Worker, exit: { code: number | null; signal: string | null; reason: EndReason }): void;
};

export class Worker {
  readonly program: Program;
  readonly settings: string;
  readonly pid: number;
  /** Its process, from when it was asked for until it had loaded its code, by `performance.now()`. */
  readonly startedAt: number;
  readyAt = Number.POSITIVE_INFINITY;
  /** Settles when its process is gone and its end was told. */
  readonly gone: Promise<void>;
  readonly #options: WorkerOptions;
  readonly #environment: ExecutionEnvironment;
  #aws: Readonly<Record<string, string>>;
  #state: State = { is: "starting" };
  #initialized = false;
  #closing: Promise<void> | undefined;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#environment = options.environment;
    this.#aws = options.aws;
    this.program = options.program;
    this.settings = options.settings;
    this.startedAt = options.startedAt;
    this.pid = options.environment.pid;
    void this.ready.then(({ ok }) => {
      this.#initialized = true;
      this.readyAt = performance.now();
      if (ok && this.#state.is === "starting") this.#state = { is: "idle" };
    });
    this.gone = options.environment.exited.then((exit) => {
      const reason = this.#state.is === "ended" ? this.#state.reason : "crashed";
      this.#state = { is: "ended", reason };
      options.program.bundle.release();
      options.ended(this, { ...exit, reason });
      // The listener of its Runtime API.
      return this.end(reason);
    });
  }

  get ready(): Promise<InitOutcome> {
    return this.#environment.ready;
  }

  get idle(): boolean {
    return this.#state.is === "idle" && this.alive;
  }

  /** Of the invocation that it runs. */
  get requestId(): string | undefined {
    return this.#state.is === "busy" ? this.#state.request.requestId : undefined;
  }

  /** False as soon as its process has ended, while its last output may still be read. */
  get alive(): boolean {
    return this.#environment.alive;
  }

  /**
   * From `starting` or `idle`. When the signal aborts the process ends, in mid-stream too: what it was doing is not
   * wanted any more. `released` settles when it can take another invocation, or has ended. Not `handed`: the process
   * ended without having seen the event.
   */
  async invoke(
    request: FunctionRequest,
    aws: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<{ readonly answer: Answer; readonly handed: boolean; readonly released: Promise<void> }> {
    this.#state = { is: "busy", request };
    const renewed = this.#renewed(aws);
    let handed = false;
    const { requestId, event, functionArn, traceId, clientContext, cognitoIdentity } = request;
    const stop = () => void this.end("stopped");
    signal.addEventListener("abort", stop, { once: true });
    try {
      const answer = await this.#environment.invoke(
        {
          requestId,
          event,
          functionArn,
          // By our own clock: AWS's may differ from this machine's.
          deadlineAt: Date.now() + request.remainingMs(),
          handed: () => (handed = true),
          ...(renewed !== undefined && { environment: renewed }),
          ...(traceId !== undefined && { traceId }),
          ...(clientContext !== undefined && { clientContext }),
          ...(cognitoIdentity !== undefined && { cognitoIdentity }),
        },
        signal,
      );
      const released = this.#release(request).finally(() => signal.removeEventListener("abort", stop));
      return { answer, handed, released };
    } catch (error) {
      signal.removeEventListener("abort", stop);
      // Not waited for: whoever gave it up is told at once.
      void this.end("stopped");
      throw error;
    }
  }

  /** Whose output a line is. What init code prints belongs to the invocation that waits for it. */
  print(line: OutputLine): void | Promise<void> {
    if (this.#state.is !== "busy") return this.#options.logged(line);
    const { request } = this.#state;
    const its = line.requestId === undefined ? !this.#initialized : line.requestId === request.requestId;
    return its ? request.logged(line) : this.#options.logged(line);
  }

  /** SIGTERM, then SIGKILL. The first reason stands. */
  end(reason: EndReason): Promise<void> {
    if (this.#state.is !== "ended") this.#state = { is: "ended", reason };
    this.#closing ??= this.#environment[Symbol.asyncDispose]();
    return this.#closing;
  }

  async #release(request: FunctionRequest): Promise<void> {
    await this.#environment.settled();
    const init = await this.ready;
    if (this.#state.is !== "busy" || this.#state.request !== request) return;
    if (init.ok) this.#state = { is: "idle" };
    else await this.end("crashed");
  }

  /** Credentials rotate while the process stays: the runner puts them into its environment before the event. */
  #renewed(aws: Readonly<Record<string, string>>): Readonly<Record<string, string>> | undefined {
    const changed = Object.entries(aws).filter(([name, value]) => this.#aws[name] !== value);
    if (changed.length === 0) return undefined;
    this.#aws = { ...this.#aws, ...aws };
    return Object.fromEntries(changed);
  }
}
