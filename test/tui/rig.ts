/**
 * The multiplexer as a person has it: the bundled program at a terminal of tmux, driven by keys, read from the screen.
 * One tmux server per rig, which tells of every output, so that a test waits for what it shows and for nothing else.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { Test } from "tap";

import { TMUX } from "../support/parts.ts";
import { Rig, ROOT } from "../support/rig.ts";

export const LIVEDEV = `'${process.execPath}' '${join(ROOT, "dist", "livedev.js")}'`;

export type ScreenOptions = {
  readonly columns?: number;
  readonly rows?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** What is typed at the shell; none where empty. */
  readonly command?: string;
};

/** With other tests beside it, a start alone takes ten seconds at times. */
const PATIENCE_MS = 90_000;

export class TuiRig {
  readonly rig: Rig;
  readonly #screens: Screen[] = [];
  #count = 0;

  private constructor(rig: Rig) {
    this.rig = rig;
  }

  static open(t: Pick<Test, "teardown">, files: Readonly<Record<string, string>>): TuiRig {
    const made = new TuiRig(Rig.open({ files }));
    t.teardown(() => made.#close());
    return made;
  }

  /** Another terminal, with a shell in it that runs the multiplexer. */
  async screen(options: ScreenOptions = {}): Promise<Screen> {
    const { columns = 110, rows = 30, command = `${LIVEDEV} dev` } = options;
    const { NO_COLOR: _, ...env } = this.rig.env;
    // A server each: it has the environment of whoever starts it.
    const socket = join(this.rig.root, `tmux-${(this.#count += 1)}`);
    const screen = await Screen.open({
      socket,
      columns,
      rows,
      cwd: this.rig.project,
      env: { ...env, SHELL: "/bin/sh", PS1: "$ ", TERM: "xterm-256color", ...options.env },
    });
    this.#screens.push(screen);
    if (command !== "") await screen.type(command, "Enter");
    return screen;
  }

  async #close(): Promise<void> {
    for (const screen of this.#screens) await screen.close();
    await this.rig[Symbol.asyncDispose]();
  }
}

type Place = {
  readonly socket: string;
  readonly columns: number;
  readonly rows: number;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
};

export class Screen {
  readonly #control: ChildProcess;
  readonly #answers: ((lines: readonly string[], failed: boolean) => void)[] = [];
  readonly #socket: string;
  #wake = () => {};
  #outputs = 0;

  private constructor(control: ChildProcess, socket: string) {
    this.#control = control;
    this.#socket = socket;
  }

  static async open({ socket, columns, rows, cwd, env }: Place): Promise<Screen> {
    // Its own terminal says what it can as xterm does, and lets programs reach the clipboard.
    const config = `${socket}.conf`;
    writeFileSync(
      config,
      [
        "set -g default-terminal tmux-256color",
        "set -s set-clipboard on",
        "set -s escape-time 0",
        "set -g remain-on-exit on",
        "set -g status off",
      ].join("\n"),
    );
    const args = [
      "-S",
      socket,
      "-f",
      config,
      "-C",
      "new-session",
      "-x",
      String(columns),
      "-y",
      String(rows),
      "sh",
    ];
    const control = spawn(TMUX, args, { cwd, env, stdio: ["pipe", "pipe", "inherit"] });
    const screen = new Screen(control, socket);
    screen.#listen();
    // The answer to new-session itself.
    await new Promise<void>((resolve) => screen.#answers.push(() => resolve()));
    await screen.command("set -g window-size manual");
    await screen.resize(columns, rows);
    return screen;
  }

  /** Keys by tmux's names (`Enter`, `C-z`, `PageUp`), one after the other; anything else is typed as it stands. */
  async type(...keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      if (/^(?:[CMS]-.+|Enter|Escape|Up|Down|Left|Right|Home|End|NPage|PPage|Tab|BSpace|Space)$/.test(key))
        await this.command(`send-keys ${key}`);
      else await this.bytes(key);
    }
  }

  /** As the terminal sends them: for the mouse, and text. */
  async bytes(text: string): Promise<void> {
    const hex = [...Buffer.from(text, "latin1")].map((byte) => byte.toString(16).padStart(2, "0"));
    await this.command(`send-keys -H ${hex.join(" ")}`);
  }

  /** By places from 0, as the screen's text has them. */
  async mouse(
    does: "press" | "drag" | "release" | "wheelUp" | "wheelDown",
    x: number,
    y: number,
  ): Promise<void> {
    const code = { press: 0, drag: 32, release: 0, wheelUp: 64, wheelDown: 65 }[does];
    await this.bytes(`\u001B[<${code};${x + 1};${y + 1}${does === "release" ? "m" : "M"}`);
  }

  async click(x: number, y: number): Promise<void> {
    await this.mouse("press", x, y);
    await this.mouse("release", x, y);
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.command(`resize-window -x ${columns} -y ${rows}`);
  }

  /** Its rows; with colours and styles as escape sequences where asked for. */
  async rows({ styles = false } = {}): Promise<string[]> {
    return [...(await this.command(`capture-pane -p${styles ? " -e" : ""}`))];
  }

  async text(): Promise<string> {
    return (await this.rows()).join("\n");
  }

  /** Of the row that holds the text, and the column. */
  async find(text: string): Promise<{ x: number; y: number }> {
    const rows = await this.until(text);
    const y = rows.findIndex((row) => row.includes(text));
    return { x: rows[y]?.indexOf(text) ?? -1, y };
  }

  /** Waits for what it shows; gives its rows then. */
  async until(wanted: string | RegExp | ((text: string) => boolean)): Promise<string[]> {
    const fits = (text: string) =>
      typeof wanted === "string"
        ? text.includes(wanted)
        : wanted instanceof RegExp
          ? wanted.test(text)
          : wanted(text);
    const end = performance.now() + PATIENCE_MS;
    for (;;) {
      const seen = this.#outputs;
      const rows = await this.rows();
      if (fits(rows.join("\n"))) return rows;
      const left = end - performance.now();
      if (left < 0) throw new Error(`It never showed ${String(wanted)}:\n${rows.join("\n")}`);
      if (seen === this.#outputs) await this.#output(left);
    }
  }

  /** From now on every byte that is written to it, as it was written; gives how to read them. */
  async record(): Promise<() => string> {
    const file = `${this.#socket}.raw`;
    await this.command(`pipe-pane -O "exec cat > '${file}'"`);
    return () => readFileSync(file, "utf8");
  }

  /** Waits for what a format of tmux comes to: what becomes of the terminal itself is told by no row of it. */
  async became(format: string, wanted: string): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    for (;;) {
      const seen = this.#outputs;
      const now = await this.ask(format);
      if (now === wanted) return;
      const left = end - performance.now();
      if (left < 0) throw new Error(`${format} is ${now}, and never became ${wanted}`);
      if (seen === this.#outputs) await this.#output(left);
    }
  }

  /** In one format of tmux: `#{cursor_x}`, `#{pane_pid}`. */
  async ask(format: string): Promise<string> {
    return (await this.command(`display-message -p '${format}'`))[0] ?? "";
  }

  /** What was copied, which is asked once for each copy: it comes by OSC 52, and by tmux's own command. */
  async copied(): Promise<string> {
    const file = `${this.#socket}.copied`;
    let buffers: readonly string[];
    do buffers = await this.command("list-buffers -F '#{buffer_name}'");
    while (buffers.length < 2);
    const texts: string[] = [];
    for (const name of buffers) {
      await this.command(`save-buffer -b ${name} '${file}'`);
      await this.command(`delete-buffer -b ${name}`);
      texts.push(readFileSync(file, "utf8"));
    }
    if (texts.some((text) => text !== texts[0]))
      throw new Error(`Two texts at once: ${texts.join("\n--\n")}`);
    return texts[0] ?? "";
  }

  command(text: string): Promise<readonly string[]> {
    return new Promise((resolve, reject) => {
      this.#answers.push((lines, failed) =>
        failed ? reject(new Error(`tmux ${text}: ${lines.join("\n")}`)) : resolve(lines),
      );
      this.#control.stdin?.write(`${text}\n`);
    });
  }

  async close(): Promise<void> {
    if (this.#control.exitCode !== null) return;
    const closed = once(this.#control, "close");
    spawn(TMUX, ["-S", this.#socket, "kill-server"], { stdio: "ignore" });
    await closed;
  }

  #output(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #listen(): void {
    let rest = "";
    let answer: string[] | undefined;
    this.#control.stdout?.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (answer === undefined && line.startsWith("%begin")) answer = [];
        else if (answer !== undefined && /^%(?:end|error) \d+ \d+ \d$/.test(line)) {
          const lines = answer;
          answer = undefined;
          this.#answers.shift()?.(lines, line.startsWith("%error"));
        } else if (answer !== undefined) answer.push(line);
        else if (/^%(?:output|extended-output|layout-change|exit|pane-mode-changed)/.test(line)) {
          this.#outputs += 1;
          this.#wake();
        }
      }
    });
    this.#control.stdin?.on("error", () => {});
  }
}
