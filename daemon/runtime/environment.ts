/**
 * One execution environment: a Runtime API listener of its own on loopback, and the process behind it. One invocation
 * at a time, as Lambda's.
 */
import { randomUUID } from "node:crypto";

import type { Answer, BufferedAnswer } from "../../proto/answer.ts";
import { untilAborted } from "../lib/abort.ts";
import type { Log } from "../lib/log.ts";
import { Scope } from "../lib/scope.ts";
import { RuntimeApi } from "./api.ts";
import { exitAnswer } from "./exit.ts";
import { Inspector } from "./inspector.ts";
import { LastOutput } from "./last-output.ts";
import type { Leftovers } from "./leftovers.ts";
import { MARK } from "./marks.ts";
import { RuntimeProcess, type Exit, type Process, type Stream } from "./process.ts";
import type { Processes } from "./processes.ts";
import type { InitOutcome, RuntimeInvocation } from "./session.ts";

export type { Exit } from "./process.ts";
export type { InitOutcome, RuntimeInvocation } from "./session.ts";

const MAX_LINE_BYTES = 256 * 1024;

export type OutputLine = {
  /** The invocation in progress; undefined for init code and between invocations. */
  readonly requestId: string | undefined;
  readonly stream: Stream;
  readonly text: string;
};

export type EnvironmentOptions = {
  readonly command: readonly [string, ...string[]];
  readonly cwd: string;
  /** The whole environment of the process; AWS_LAMBDA_RUNTIME_API is added. */
  readonly env: Readonly<Record<string, string>>;
  /** A promise that it returns holds the process's output back until it settles. */
  onOutput(line: OutputLine): void | Promise<void>;
  /** An IPC channel, for `send()`. */
  readonly ipc?: boolean;
  /** A longer line is cut, with a marker. */
  readonly maxLineBytes?: number;
  /** Where its processes are on record, so that none of them outlives it, nor us. */
  readonly leftovers?: Leftovers;
  /** The thread that holds the process; this one, where absent. */
  readonly processes?: Processes;
  /** Told why the Runtime API refused a call that was not of the process. */
  readonly onRefused?: ((reason: string) => void) | undefined;
  readonly log: Log;
};

export class ExecutionEnvironment {
  /** Settles at the first /next, at /init/error, or at exit. Never rejects. */
  readonly ready: Promise<InitOutcome>;
  /** Settles when the process has ended and its output has been given. Never rejects. */
  readonly exited: Promise<Exit>;
  readonly #scope: Scope;
  readonly #api: RuntimeApi;
  readonly #process: Process;
  readonly #lastOutput: LastOutput;
  readonly #inspector: Inspector;
  #exit: Exit | undefined;
  #freezing = false;

  static async open(options: EnvironmentOptions): Promise<ExecutionEnvironment> {
    const scope = new Scope();
    const api = scope.use(await RuntimeApi.open(options));
    try {
      const mark = randomUUID();
      const { command, cwd, env, ipc = false, maxLineBytes = MAX_LINE_BYTES, leftovers } = options;
      const lastOutput = new LastOutput();
      const inspector = new Inspector();
      const marked = leftovers === undefined ? {} : { [MARK]: mark };
      const order = {
        command,
        cwd,
        env: { ...env, AWS_LAMBDA_RUNTIME_API: api.address, ...marked },
        ipc,
        maxLineBytes,
        log: options.log,
        onLines: (stream: Stream, texts: readonly string[]) => {
          const { requestId } = api;
          const printed = inspector.without(texts);
          for (const text of printed) lastOutput.add(requestId, text);
          const held = printed
            .map((text) => options.onOutput({ requestId, stream, text }))
            .filter((hold) => hold !== undefined);
          return held.length === 0 ? undefined : Promise.all(held).then(() => undefined);
        },
      };
      const child = await (options.processes?.start(order) ?? new RuntimeProcess(order));
      return new ExecutionEnvironment(scope, api, child, { mark, leftovers, lastOutput, inspector });
    } catch (error) {
      // An environment that is too long for the system (E2BIG), a zero byte in it: no process, and no listener either.
      await scope.close();
      throw error;
    }
  }

  private constructor(
    scope: Scope,
    api: RuntimeApi,
    child: Process,
    {
      mark,
      leftovers,
      lastOutput,
      inspector,
    }: {
      mark: string;
      leftovers: Leftovers | undefined;
      lastOutput: LastOutput;
      inspector: Inspector;
    },
  ) {
    this.#inspector = inspector;
    this.#lastOutput = lastOutput;
    this.#scope = scope;
    this.#api = api;
    this.#process = child;
    scope.defer(async () => {
      await child.stop();
      await leftovers?.ended(mark);
    });
    leftovers?.record(child.pid, mark);
    api.drain = () => child.drained();
    api.onIdle = () => this.#freezeIfAsked();
    api.onTorn = () => void this[Symbol.asyncDispose]();
    this.ready = api.ready;
    this.exited = child.exited.then((exit) => {
      this.#exit = exit;
      inspector.ended();
      api.end((requestId) =>
        exitAnswer(requestId === undefined ? "init" : "exit", exit, lastOutput.of(requestId), requestId),
      );
      return exit;
    });
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** False as soon as the process has ended, while its output may still be read. */
  get alive(): boolean {
    return this.#process.alive;
  }

  /** To the runner, over IPC. */
  send(message: unknown): void {
    this.#process.send(message);
  }

  /**
   * Has the runner open Node's inspector (runner/spare.ts), and gives its address: a secret, since whoever knows it
   * commands the process. Undefined where the process ended first.
   */
  inspect(): Promise<string | undefined> {
    this.send({ type: "inspect" });
    return this.#inspector.asked();
  }

  /**
   * Waits for `ready`. A buffered answer is given when it and all that was printed before it have been read; a
   * streamed one when it begins, and the environment takes the next invocation after its last chunk. The user's error,
   * an init error and an exit are answers. Rejects with the signal's reason when that aborts: the process may then
   * still be busy with the invocation, and whoever aborted closes the environment.
   */
  async invoke(invocation: RuntimeInvocation, signal: AbortSignal): Promise<Answer> {
    signal.throwIfAborted();
    this.thaw();
    const init = await untilAborted(this.ready, signal);
    // Aborted in the same tick as it became ready: no event will tell any more.
    signal.throwIfAborted();
    if (!init.ok) return init.answer;
    if (this.#exit !== undefined) return this.#exitAnswer(this.#exit, invocation.requestId);
    return this.#api.invoke(invocation, signal);
  }

  /**
   * Resolves when no invocation is in the process's hands. That is so when a buffered answer has been given or the
   * last chunk of a streamed one has been read; where the reader stopped early, this is how to know.
   */
  settled(): Promise<void> {
    return this.#api.settled();
  }

  /** Stops the process group (SIGSTOP) once it waits for its next invocation, as Lambda does. */
  freeze(): void {
    this.#freezing = true;
    this.#freezeIfAsked();
  }

  thaw(): void {
    if (!this.#freezing) return;
    this.#freezing = false;
    this.#process.signal("SIGCONT");
  }

  /** SIGTERM, after 500 ms SIGKILL, to the whole process group; frozen or not. Then what had left the group. */
  [Symbol.asyncDispose](): Promise<void> {
    // A freeze that still waits for its moment must not stop a process that handles its SIGTERM.
    this.#freezing = false;
    return this.#scope.close();
  }

  #freezeIfAsked(): void {
    if (this.#freezing && this.#api.idle) this.#process.signal("SIGSTOP");
  }

  #exitAnswer(exit: Exit, requestId: string): BufferedAnswer {
    return exitAnswer("exit", exit, this.#lastOutput.of(requestId), requestId);
  }
}
