/** The process behind an environment: a process group of its own, its output as lines, and how it ends. */
import { spawn, type ChildProcess } from "node:child_process";
import type { Readable } from "node:stream";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";

import { codeOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { deferred } from "../lib/scope.ts";
import { LineSplitter } from "./lines.ts";

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };
export type Stream = "stdout" | "stderr";

/** What is to be started, as plain data. */
export type ProcessOrder = {
  readonly command: readonly [string, ...string[]];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly ipc: boolean;
  readonly maxLineBytes: number;
};

export type RuntimeProcessOptions = ProcessOrder & {
  readonly log: Log;
  /** A promise holds the stream back until it settles: backpressure down to the process that prints. */
  onLines(stream: Stream, texts: readonly string[]): void | Promise<void>;
  /** It has ended; what it printed may still be read. */
  onReaped?(): void;
};

/** A process, wherever it is held: in this thread (below), or in one for all of them (processes.ts). */
export type Process = Pick<
  RuntimeProcess,
  "pid" | "alive" | "exited" | "send" | "signal" | "drained" | "stop"
>;

/** From SIGTERM to SIGKILL. */
const TERM_MS = 500;
/** What still holds the output pipes after the process and its group are gone has left the group: not waited for. */
const PIPES_MS = 250;
/** Turns of the event loop that `drained()` waits at most, for a process that never stops printing. */
const MAX_TURNS = 200;
/** Of what was read at once, so much is cut into lines and told in one turn: some 1 ms of work. */
const PIECE_BYTES = 4 * 1024;

export class RuntimeProcess {
  readonly #child: ChildProcess;
  readonly #log: Log;
  readonly #exited = deferred<Exit>();
  readonly #gone = deferred<void>();
  /** Each tells what stands without a newline, of one stream. */
  readonly #rests: (() => void)[] = [];
  #reaped = false;
  #read = 0;
  /** Lines that were told and are held back. */
  readonly #held = new Set<Promise<void>>();

  constructor(options: RuntimeProcessOptions) {
    this.#log = options.log;
    const [file, ...args] = options.command;
    this.#child = spawn(file, args, {
      cwd: options.cwd,
      env: options.env,
      detached: true,
      stdio: options.ipc ? ["ignore", "pipe", "pipe", "ipc"] : ["ignore", "pipe", "pipe"],
      windowsHide: true,
    });
    const { stdout, stderr } = this.#child;
    const output = [this.#follow(stdout!, "stdout", options), this.#follow(stderr!, "stderr", options)];
    const drained = Promise.all(output);
    this.#child.once("error", (error) => {
      if (this.#child.pid !== undefined) return;
      void options.onLines("stderr", [`${options.command[0]}: ${codeOf(error) ?? error.message}`]);
      end({ code: 127, signal: null });
    });
    this.#child.once("exit", (code, signal) => end({ code, signal }));
    const end = (exit: Exit) => {
      this.#reaped = true;
      options.onReaped?.();
      this.#sweep();
      this.#gone.resolve();
      void Promise.race([drained, sleep(PIPES_MS, undefined, { ref: false })]).then(() => {
        stdout?.destroy();
        stderr?.destroy();
        this.#flush();
        this.#exited.resolve(exit);
      });
    };
  }

  /** 0 where the program could not be started. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get alive(): boolean {
    return this.pid !== 0 && !this.#reaped;
  }

  /** Settles when the process has ended and its output has been read. */
  get exited(): Promise<Exit> {
    return this.#exited.promise;
  }

  send(message: unknown): void {
    if (!this.#child.connected) return;
    this.#child.send(message as object, (error) => {
      if (error !== null) this.#log.debug({ pid: this.pid, error: error.message }, "ipc message not sent");
    });
  }

  /** To the whole process group. */
  signal(signal: NodeJS.Signals): void {
    this.#signal(signal);
  }

  /**
   * Waits until what was printed before now has been read: it is in the pipes already, so two turns of the event loop
   * that read nothing are proof. A line without a newline is given too.
   */
  async drained(): Promise<void> {
    let quiet = 0;
    let read = this.#read;
    for (let turns = 0; quiet < 2 && turns < MAX_TURNS; turns++) {
      // Held back, it reads nothing, whatever there is.
      await Promise.all(this.#held);
      await turn();
      quiet = this.#read === read ? quiet + 1 : 0;
      read = this.#read;
    }
    this.#flush();
  }

  /** Ends the process group: SIGTERM, after half a second SIGKILL. */
  async stop(): Promise<void> {
    this.#signal("SIGCONT");
    if (this.#signal("SIGTERM")) {
      const patience = new AbortController();
      await Promise.race([
        this.#gone.promise,
        sleep(TERM_MS, undefined, { signal: patience.signal }).catch(() => undefined),
      ]);
      patience.abort();
      this.#signal("SIGKILL");
    }
    await this.#exited.promise;
  }

  /** False where it is gone. */
  #signal(signal: NodeJS.Signals): boolean {
    const { pid } = this.#child;
    // Once it has been reaped, its number may be another's.
    if (pid === undefined || pid <= 1 || this.#reaped) return false;
    return killGroup(pid, signal);
  }

  /** What the process left behind in its group. */
  #sweep(): void {
    const { pid } = this.#child;
    if (pid === undefined || pid <= 1) return;
    // While any of the group lives, the system gives its number to no new process: a process with this number now
    // is a stranger, and so may be its group.
    if (exists(pid)) return;
    killGroup(pid, "SIGKILL");
  }

  async #follow(stream: Readable, name: Stream, options: RuntimeProcessOptions): Promise<void> {
    let texts: string[] = [];
    const splitter = new LineSplitter({
      maxBytes: options.maxLineBytes,
      onLine: (text) => texts.push(text),
    });
    const tell = async () => {
      if (texts.length === 0) return;
      const told = texts;
      texts = [];
      const hold = options.onLines(name, told);
      if (hold === undefined) return;
      this.#held.add(hold);
      await hold.catch(() => undefined);
      this.#held.delete(hold);
    };
    this.#rests.push(() => {
      splitter.flush();
      void tell();
    });
    try {
      for await (const chunk of stream) {
        for (const piece of pieces(chunk as Buffer)) {
          this.#read += piece.length;
          splitter.push(piece);
          await tell();
          // One piece a turn: a process that floods its output must not hold the event loop.
          await turn();
        }
      }
    } catch {
      // Destroyed at the end, or the pipe broke: the exit tells the story.
    }
  }

  #flush(): void {
    for (const rest of this.#rests) rest();
  }
}

function* pieces(chunk: Buffer): Iterable<Buffer> {
  for (let at = 0; at < chunk.length; at += PIECE_BYTES) yield chunk.subarray(at, at + PIECE_BYTES);
}

function killGroup(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}

function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return codeOf(error) !== "ESRCH";
  }
}
