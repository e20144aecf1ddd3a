/**
 * One execution environment of one revision of a function: frozen between invocations, with credentials and a log
 * stream of its own.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";

import { errorAnswer, StreamError, type Answer } from "../../proto/answer.ts";
import type { Log } from "../lib/log.ts";
import { ExecutionEnvironment } from "../runtime/environment.ts";
import type { Leftovers } from "../runtime/leftovers.ts";
import { commandOf, variablesOf } from "./environment-variables.ts";
import type { Invocation, Invoked } from "./lambda-invoke.ts";
import { LogTail } from "./log-tail.ts";
import type { SessionCredentials } from "./sessions.ts";
import type { LambdaFunction } from "./state.ts";

export type SandboxOptions = {
  readonly lambda: LambdaFunction;
  readonly taskRoot: string;
  readonly leftovers: Leftovers;
  readonly session: SessionCredentials;
  readonly endpoint: string;
  /** Of the function's log; a promise holds its output back. */
  write(line: string): void | Promise<void>;
  readonly onRefused: (reason: string) => void;
  readonly log: Log;
};

const TIMED_OUT = Symbol("timed out");

export class Sandbox {
  readonly lambda: LambdaFunction;
  readonly bornAt = performance.now();
  readonly #environment: ExecutionEnvironment;
  readonly #options: SandboxOptions;
  readonly #ready: Promise<void>;
  #tail: LogTail;
  #initMs: number | undefined;
  #exited = false;
  #runs = 0;

  static async open(options: SandboxOptions): Promise<Sandbox> {
    const { lambda, taskRoot, session, endpoint } = options;
    const [day = ""] = new Date().toISOString().split("T");
    const logStream = `${day.replaceAll("-", "/")}/[$LATEST]${randomBytes(16).toString("hex")}`;
    const setting = { lambda, taskRoot, session, endpoint, logStream };
    // What init code prints belongs to the first invocation, as in Lambda.
    const log = { tail: new LogTail() };
    const environment = await ExecutionEnvironment.open({
      command: commandOf(setting),
      cwd: taskRoot,
      env: variablesOf(setting),
      onOutput: ({ text }) => {
        log.tail.add(text);
        return options.write(text);
      },
      leftovers: options.leftovers,
      onRefused: options.onRefused,
      log: options.log,
    });
    return new Sandbox(options, environment, log);
  }

  private constructor(options: SandboxOptions, environment: ExecutionEnvironment, log: { tail: LogTail }) {
    this.lambda = options.lambda;
    this.#options = options;
    this.#environment = environment;
    this.#tail = log.tail;
    this.#startTail = () => (this.#tail = log.tail = new LogTail());
    this.#ready = environment.ready.then(() => {
      this.#initMs = performance.now() - this.bornAt;
    });
    void environment.exited.then(() => {
      this.#exited = true;
    });
  }

  readonly #startTail: () => void;

  get pid(): number {
    return this.#environment.pid;
  }

  /** Whether its process has ended by itself. */
  get exited(): boolean {
    return this.#exited;
  }

  onExit(listener: () => void): void {
    void this.#environment.exited.then(listener);
  }

  /** Whether init came to an end, good or bad, within its time. */
  async initialised(limitMs: number): Promise<boolean> {
    const left = limitMs - (performance.now() - this.bornAt);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(resolve, Math.max(0, left), false);
    });
    const inTime = await Promise.race([this.#ready.then(() => true as const), late]);
    clearTimeout(timer);
    if (!inTime)
      this.#print(`INIT_REPORT Init Duration: ${limitMs.toFixed(2)} ms\tPhase: init\tStatus: timeout`);
    return inTime;
  }

  /**
   * The function's timeout counts from here. `done` is called once, when the environment may take the next
   * invocation (`reusable`) or must be ended; for a streamed answer that is after its last chunk.
   */
  async run(invocation: Invocation, done: (reusable: boolean) => void): Promise<Invoked> {
    const { requestId } = invocation;
    const timeoutMs = this.lambda.configuration.timeout * 1000;
    if (this.#runs > 0) this.#startTail();
    this.#runs += 1;
    const tail = this.#tail;
    const startedAt = performance.now();
    const timeout = new AbortController();
    const end = once((reusable: boolean) => {
      clearTimeout(timer);
      this.#report(requestId, performance.now() - startedAt);
      done(reusable && !this.#exited);
    });
    const timer = setTimeout(() => {
      this.#print(`${new Date().toISOString()} ${requestId} ${timedOut(timeoutMs)}`);
      timeout.abort(TIMED_OUT);
      // Also where a stream's reader has long gone.
      end(false);
    }, timeoutMs);
    this.#print(`START RequestId: ${requestId} Version: $LATEST`);
    const { event, traceId, clientContext } = invocation;
    const answer = await this.#environment
      .invoke(
        {
          requestId,
          event,
          deadlineAt: Date.now() + timeoutMs,
          functionArn: this.lambda.arn,
          traceId,
          ...(clientContext !== undefined && { clientContext }),
        },
        timeout.signal,
      )
      .catch((error: unknown): Answer => {
        if (error === TIMED_OUT) return timeoutAnswer(requestId, timeoutMs);
        end(false);
        throw error;
      });
    if (answer.kind === "buffered") {
      end(answer.cause !== "init" && answer.cause !== "exit" && answer.cause !== "timeout");
      return { answer, log: () => tail.bytes() };
    }
    const chunks = this.#chunks(answer.chunks, requestId, timeout.signal, end);
    return { answer: { ...answer, chunks }, log: () => tail.bytes() };
  }

  /** After the answer; the process stops when it polls for its next invocation. */
  freeze(): void {
    this.#environment.freeze();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#environment[Symbol.asyncDispose]();
  }

  /** A reader that leaves does not end the invocation: the rest is read and dropped. */
  async *#chunks(
    chunks: AsyncIterable<Uint8Array>,
    requestId: string,
    timeout: AbortSignal,
    end: (reusable: boolean) => void,
  ): AsyncGenerator<Uint8Array> {
    const source = chunks[Symbol.asyncIterator]();
    let over = false;
    try {
      for (;;) {
        const next = await source.next();
        if (next.done === true) {
          over = true;
          return;
        }
        yield next.value;
      }
    } catch (error) {
      over = true;
      if (!timeout.aborted) throw error;
      const { body } = timeoutAnswer(requestId, this.lambda.configuration.timeout * 1000);
      throw new StreamError("Sandbox.Timedout", body);
    } finally {
      if (over) end(true);
      else void drain(source).then(() => end(true));
    }
  }

  #report(requestId: string, durationMs: number): void {
    const { memorySize } = this.lambda.configuration;
    const init = this.#runs === 1 && this.#initMs !== undefined ? this.#initMs : undefined;
    const billed = Math.ceil(durationMs + (init ?? 0));
    this.#print(`END RequestId: ${requestId}`);
    this.#print(
      [
        `REPORT RequestId: ${requestId}`,
        `Duration: ${durationMs.toFixed(2)} ms`,
        `Billed Duration: ${billed} ms`,
        `Memory Size: ${memorySize} MB`,
        `Max Memory Used: ${peakMemoryMb(this.pid) ?? memorySize} MB`,
        ...(init === undefined ? [] : [`Init Duration: ${init.toFixed(2)} ms`]),
      ].join("\t") + "\t",
    );
  }

  #print(line: string): void {
    this.#tail.add(line);
    void this.#options.write(line);
  }
}

const timedOut = (timeoutMs: number) => `Task timed out after ${(timeoutMs / 1000).toFixed(2)} seconds`;

function timeoutAnswer(requestId: string, timeoutMs: number) {
  const message = `RequestId: ${requestId} Error: ${timedOut(timeoutMs)}`;
  // Without a stack: Lambda's own has none.
  const body = new TextEncoder().encode(
    JSON.stringify({ errorType: "Sandbox.Timedout", errorMessage: message }),
  );
  return { ...errorAnswer("timeout", "Sandbox.Timedout", message), body };
}

async function drain(source: AsyncIterator<unknown>): Promise<void> {
  try {
    while ((await source.next()).done !== true);
  } catch {
    // The stream's error has no reader any more.
  }
}

function peakMemoryMb(pid: number): number | undefined {
  try {
    const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return kilobytes === undefined ? undefined : Math.round(Number(kilobytes) / 1024);
  } catch {
    return undefined;
  }
}

function once(call: (reusable: boolean) => void): (reusable: boolean) => void {
  let called = false;
  return (reusable) => {
    if (called) return;
    called = true;
    call(reusable);
  };
}
