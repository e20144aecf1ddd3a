/**
 * One process's terminal, in the thread of them all: the PTY that its programs write to, the screen as it stands, the
 * last of the raw output, and lines for history. It outlives a run: the next one goes on below.
 *
 * A program that floods is held back, as by a slow terminal, at the PTY: when it wrote its share of this moment, when
 * the screen is behind, or when the daemon has not taken the lines yet.
 */
import { constants } from "node:os";
import { StringDecoder } from "node:string_decoder";

import type { IPty } from "@lydell/node-pty";
import { SerializeAddon } from "@xterm/addon-serialize";
import { Unicode11Addon } from "@xterm/addon-unicode11";
import headless from "@xterm/headless";

import { Lines } from "./text.ts";
import { PrivateModes } from "./private-modes.ts";
import { Ring, type Read } from "./ring.ts";

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

export type Order = {
  /** For the shell. */
  readonly command: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
};

export type Screen = {
  /** What makes another terminal of this size look the same. */
  readonly text: string;
  readonly columns: number;
  readonly rows: number;
  /** The place in the output that it shows. */
  readonly cursor: number;
};

/** What was read, of a terminal of which size. */
export type Output = Read & { readonly columns: number; readonly rows: number };

type Fork = (typeof import("@lydell/node-pty"))["spawn"];

export type TerminalOptions = {
  onLines(lines: readonly string[]): void;
};

const COLUMNS = 120;
const ROWS = 30;
const SCROLLBACK = 1_000;
/** Lines wait so long for company. */
const LINES_MS = 20;
const LINES_CHARACTERS = 32 * 1024;
/** A program's share, 4 MB a second: what is beyond waits in its PTY. */
const WINDOW_MS = 50;
const WINDOW_BYTES = 200 * 1024;
const MAX_UNPARSED = 512 * 1024;
const MAX_UNTAKEN = 256 * 1024;

/**
 * A new run begins in a sane terminal: main screen, cursor shown, no mouse, no colours, no bracketed paste. Who leaves
 * the other screen finds the cursor where it was saved: so that it stays where it is, it is saved first.
 */
const SANE =
  "\u001B7\u001B[?1049l\u001B[?25h\u001B[?1000l\u001B[?1002l\u001B[?1003l\u001B[?1006l\u001B[?2004l\u001B[!p\u001B[0m";

type Hold = "window" | "screen" | "lines";

export class Terminal {
  readonly #options: TerminalOptions;
  readonly #screen = new headless.Terminal({
    cols: COLUMNS,
    rows: ROWS,
    scrollback: SCROLLBACK,
    allowProposedApi: true,
  });
  readonly #serialize = new SerializeAddon();
  readonly #modes = new PrivateModes(this.#screen.parser);
  readonly #ring = new Ring();
  readonly #lines = new Lines();
  readonly #holds = new Set<Hold>();
  readonly #readers = new Set<() => void>();
  #pty: IPty | undefined;
  #untold: string[] = [];
  #untoldCharacters = 0;
  #telling: NodeJS.Timeout | undefined;
  /** The daemon has lines of ours in its hands. */
  #taking = false;
  #unparsed = 0;
  #window: NodeJS.Timeout | undefined;
  #windowBytes = 0;

  constructor(options: TerminalOptions) {
    this.#options = options;
    this.#screen.loadAddon(this.#serialize);
    // Emoji are two cells wide, as programs take them to be.
    this.#screen.loadAddon(new Unicode11Addon());
    this.#screen.unicode.activeVersion = "11";
    // Programs ask their terminal what it is and where its cursor stands.
    this.#screen.onData((answer) => this.write(answer));
  }

  /** Throws where the system refuses. Gives the first process's number; its end comes behind its output. */
  start(fork: Fork, { command, cwd, env }: Order, ended: (exit: Exit) => void): number {
    if (this.#ring.end > 0) this.#show(`${SANE}\r\n`);
    const { cols, rows } = this.#screen;
    const pty = fork("/bin/sh", ["-c", command], {
      cols,
      rows,
      cwd,
      env,
      encoding: null,
      name: "xterm-256color",
    });
    const decoder = new StringDecoder("utf8");
    this.#pty = pty;
    this.#holds.clear();
    // Without an encoding it gives bytes, whatever its types say.
    pty.onData((chunk) => this.#read(decoder.write(chunk)));
    pty.onExit(({ exitCode, signal }) => {
      this.#read(decoder.end());
      if (this.#pty === pty) this.#pty = undefined;
      this.#keep(this.#lines.flush());
      this.#tell();
      ended(signal === undefined || signal === 0 ? { code: exitCode, signal: null } : byNumber(signal));
    });
    return pty.pid;
  }

  write(data: string): void {
    try {
      this.#pty?.write(data);
    } catch {
      // It ended in this moment.
    }
  }

  resize(columns: number, rows: number): void {
    const { cols, rows: before } = this.#screen;
    if (cols === columns && before === rows) return;
    this.#screen.resize(columns, rows);
    try {
      this.#pty?.resize(columns, rows);
    } catch {
      // It ended in this moment.
    }
    // Who draws it along draws it of this size from here on.
    this.#wake();
  }

  /** Empties it, and what is kept above it; the line of the cursor stays. A program that has the whole screen keeps it. */
  clear(): Promise<void> {
    return new Promise((resolve) => {
      this.#screen.write("", () => {
        if (this.#screen.buffer.active.type === "normal") {
          this.#screen.clear();
          this.#ring.clear();
          this.#wake();
        }
        resolve();
      });
    });
  }

  /** As it stands when all that was read before has been drawn. */
  screen(scrollback: number): Promise<Screen> {
    const cursor = this.#ring.end;
    return new Promise((resolve) => {
      this.#screen.write("", () => {
        const { cols: columns, rows } = this.#screen;
        const text = this.#serialize.serialize({ scrollback }) + this.#modes.serialize();
        resolve({ text, columns, rows, cursor });
      });
    });
  }

  /** What came after the place; where nothing did, waits for it so long. */
  async output(after: number, waitMs: number): Promise<Output> {
    if (after === this.#ring.end && waitMs > 0) await this.#more(waitMs);
    const { cols: columns, rows } = this.#screen;
    return { ...this.#ring.after(after), columns, rows };
  }

  /** The daemon made use of the lines that it was told. */
  taken(): void {
    this.#taking = false;
    if (this.#untold.length > 0) this.#tellSoon();
    this.#letGo("lines");
  }

  close(): void {
    clearTimeout(this.#telling);
    clearTimeout(this.#window);
    this.#pty = undefined;
    this.#wake();
    this.#screen.dispose();
  }

  #more(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#readers.delete(done);
        resolve();
      };
      const timer = setTimeout(done, waitMs);
      this.#readers.add(done);
    });
  }

  #read(text: string): void {
    if (text === "") return;
    this.#keep(this.#lines.push(text));
    this.#show(text);
    this.#windowBytes += text.length;
    this.#window ??= setTimeout(() => {
      this.#window = undefined;
      this.#windowBytes = 0;
      this.#letGo("window");
    }, WINDOW_MS);
    if (this.#windowBytes > WINDOW_BYTES) this.#hold("window");
  }

  #show(text: string): void {
    this.#ring.push(text);
    this.#unparsed += text.length;
    this.#screen.write(text, () => {
      this.#unparsed -= text.length;
      if (this.#unparsed <= MAX_UNPARSED) this.#letGo("screen");
    });
    if (this.#unparsed > MAX_UNPARSED) this.#hold("screen");
    this.#wake();
  }

  #wake(): void {
    for (const reader of [...this.#readers]) reader();
  }

  #keep(lines: readonly string[]): void {
    if (lines.length === 0) return;
    for (const line of lines) {
      this.#untold.push(line);
      this.#untoldCharacters += line.length + 1;
    }
    if (this.#untoldCharacters > MAX_UNTAKEN) this.#hold("lines");
    if (!this.#taking) this.#tellSoon();
  }

  #tellSoon(): void {
    if (this.#untoldCharacters > LINES_CHARACTERS) this.#tell();
    else this.#telling ??= setTimeout(() => this.#tell(), LINES_MS);
  }

  #tell(): void {
    clearTimeout(this.#telling);
    this.#telling = undefined;
    // At its end everything is told, taken or not: nothing more will come.
    while (this.#untold.length > 0 && (!this.#taking || this.#pty === undefined)) {
      const lines = this.#next();
      this.#taking = true;
      this.#options.onLines(lines);
    }
  }

  #next(): string[] {
    let count = 0;
    let characters = 0;
    while (count < this.#untold.length && (count === 0 || characters < LINES_CHARACTERS)) {
      characters += this.#untold[count]!.length + 1;
      count += 1;
    }
    this.#untoldCharacters -= characters;
    return this.#untold.splice(0, count);
  }

  #hold(why: Hold): void {
    if (this.#holds.size === 0) this.#pty?.pause();
    this.#holds.add(why);
  }

  #letGo(why: Hold): void {
    if (!this.#holds.delete(why) || this.#holds.size > 0) return;
    this.#pty?.resume();
  }
}

function byNumber(signal: number): Exit {
  const name = SIGNALS.get(signal);
  return { code: null, signal: name ?? "SIGKILL" };
}

const SIGNALS = new Map(
  Object.entries(constants.signals).map(([name, number]) => [number, name as NodeJS.Signals]),
);
