/**
 * The user's terminal: taken whole, and given back as it was, however this ends. What is between is drawn by
 * `Painter`; nothing else may write there.
 *
 * A process that is killed gives nothing back. So a shell waits at the end of a pipe, which costs a megabyte: where
 * the pipe ends without a word, it restores what we left behind.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { writeSync } from "node:fs";
import { once } from "node:events";

import { InputParser, type Input } from "./input.ts";
import type { Depth } from "./style.ts";

/** The other screen; the title stays ours to keep off. No autowrap: a row that is one too long moves nothing. */
const ENTER =
  "\u001B[?1049h\u001B[?7l\u001B[?25l\u001B[?1000h\u001B[?1002h\u001B[?1006h\u001B[?2004h\u001B[0m\u001B[2J";
const LEAVE =
  "\u001B[?2026l\u001B[?2004l\u001B[?1006l\u001B[?1003l\u001B[?1002l\u001B[?1000l\u001B[0m\u001B[?7h\u001B[?25h\u001B[?1049l";

/** Nothing that a person types follows an Escape so fast, but the rest of a sequence does, over SSH too. */
const ESCAPE_MS = 40;

/** Where only the raw mode is still ours the settings are restored: a shell that has the terminal again has its own. */
const GUARDIAN = `
trap '' INT TERM HUP QUIT TSTP TTIN TTOU
saved=$(stty -g <&3)
echo
read -r word
[ "$word" = done ] && exit 0
case "$(stty -a <&3)" in *-isig*) stty "$saved" <&3 ;; esac
printf '%b' '${LEAVE.replaceAll("\u001B", String.raw`\0033`)}' >&3
`;

export type Size = { readonly columns: number; readonly rows: number };

export type TerminalOptions = {
  readonly onInput: (input: readonly Input[]) => void;
  readonly onResize: () => void;
  /** It is there again, and holds nothing of what was drawn. */
  readonly onReturn: () => void;
  /** It is gone for good. */
  readonly onGone: () => void;
};

export class Terminal {
  readonly #options: TerminalOptions;
  readonly #parser = new InputParser();
  #guardian: ChildProcess | undefined;
  #escape: NodeJS.Timeout | undefined;
  #taken = false;
  #moves = false;

  constructor(options: TerminalOptions) {
    this.#options = options;
  }

  /** Bits of a colour; 1: none. */
  get depth(): Depth {
    const { NO_COLOR, TERM, COLORTERM } = process.env;
    if ((NO_COLOR ?? "") !== "" || TERM === "dumb") return 1;
    // Node takes tmux to have 256 at most.
    if (COLORTERM === "truecolor" || COLORTERM === "24bit") return 24;
    const depth = process.stdout.getColorDepth();
    return depth === 24 || depth === 8 || depth === 4 ? depth : 1;
  }

  get size(): Size {
    // A terminal that nobody measured says 0.
    return { columns: process.stdout.columns || 80, rows: process.stdout.rows || 24 };
  }

  get taken(): boolean {
    return this.#taken;
  }

  async take(): Promise<void> {
    await this.#guard();
    process.stdin.setEncoding("utf8");
    process.on("exit", this.giveBack);
    process.stdout.on("resize", this.#options.onResize);
    process.stdout.on("error", this.#options.onGone);
    process.stdin.on("error", this.#options.onGone);
    process.stdin.on("end", this.#options.onGone);
    process.stdin.on("data", this.#read);
    process.on("SIGTSTP", this.#stop);
    process.on("SIGCONT", this.#continue);
    this.#enter();
  }

  write(bytes: string): void {
    if (this.#taken && bytes !== "") process.stdout.write(bytes);
  }

  /** Whether every move of the mouse is told, for a program that wants to hear of it. */
  tellMoves(moves: boolean): void {
    if (moves === this.#moves) return;
    this.#moves = moves;
    this.write(moves ? "\u001B[?1003h" : "\u001B[?1003l\u001B[?1002h");
  }

  /** Somebody else has it until `during` settles. */
  async lend<T>(during: () => Promise<T>): Promise<T> {
    this.#leave();
    try {
      return await during();
    } finally {
      this.#enter();
      this.#options.onReturn();
    }
  }

  /** The other way round: ours for a moment, while it is lent. */
  async borrow<T>(during: () => Promise<T>): Promise<T> {
    this.#enter();
    this.#options.onReturn();
    try {
      return await during();
    } finally {
      this.#leave();
    }
  }

  /** Twice does no harm. Synchronous: it is the last thing that a process may do. */
  readonly giveBack = (): void => {
    this.#leave();
    clearTimeout(this.#escape);
    process.off("exit", this.giveBack);
    process.stdout.off("resize", this.#options.onResize);
    process.stdin.off("data", this.#read);
    process.off("SIGTSTP", this.#stop);
    process.off("SIGCONT", this.#continue);
    this.#guardian?.stdin?.end("done\n");
    this.#guardian = undefined;
  };

  #enter(): void {
    if (this.#taken) return;
    this.#taken = true;
    process.stdin.setRawMode(true);
    process.stdin.resume();
    this.write(ENTER + (this.#moves ? "\u001B[?1003h" : ""));
  }

  #leave(): void {
    if (!this.#taken) return;
    this.#taken = false;
    process.stdin.pause();
    try {
      process.stdin.setRawMode(false);
      writeSync(process.stdout.fd, LEAVE);
    } catch {
      // It is gone, or takes nothing just now.
    }
  }

  readonly #read = (text: string): void => {
    clearTimeout(this.#escape);
    this.#heard(this.#parser.push(text));
    if (this.#parser.waits) this.#escape = setTimeout(() => this.#heard(this.#parser.flush()), ESCAPE_MS);
  };

  #heard(input: readonly Input[]): void {
    if (input.length > 0) this.#options.onInput(input);
  }

  /** From outside: raw mode makes Ctrl-Z a key like any other. */
  readonly #stop = (): void => {
    this.#leave();
    process.kill(process.pid, "SIGSTOP");
  };

  readonly #continue = (): void => {
    this.#enter();
    this.#options.onReturn();
  };

  async #guard(): Promise<void> {
    const guardian = spawn("/bin/sh", ["-c", GUARDIAN], {
      stdio: ["pipe", "pipe", "ignore", process.stdin.fd],
    });
    guardian.on("error", () => {});
    guardian.stdin?.on("error", () => {});
    this.#guardian = guardian;
    // It knows the settings as they are before ours; without a shell there is no guardian.
    await Promise.race([
      once(guardian, "exit").catch(() => {}),
      once(guardian.stdout ?? guardian, "data").catch(() => {}),
    ]);
    guardian.stdout?.destroy();
    guardian.unref();
    (guardian.stdin as unknown as { unref?: () => void } | null)?.unref?.();
  }
}
