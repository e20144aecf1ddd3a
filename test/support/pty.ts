/** A program at a terminal: what it shows, and what a person types. By Python's pty, which every machine here has. */
import { spawn, type ChildProcess } from "node:child_process";

/** Runs the command at a terminal of its own and passes bytes both ways; its exit code is the command's. */
const PROGRAM = `
import os, pty, select, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
sources = [0, terminal]
while sources:
    for ready in select.select(sources, [], [])[0]:
        try:
            data = os.read(ready, 65536)
        except OSError:
            data = b""
        if not data:
            # The program ended; or who runs this did, and hanging up ends the program.
            sources = []
        elif ready == terminal:
            os.write(1, data)
        else:
            os.write(terminal, data)
os.close(terminal)
status = os.waitpid(pid, 0)[1]
sys.exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
`;

export class Terminal {
  readonly #child: ChildProcess;
  #shown = "";
  #wake = () => {};
  readonly #ended: Promise<number | null>;

  constructor(command: readonly string[], options: { cwd: string; env: Record<string, string> }) {
    this.#child = spawn("python3", ["-c", PROGRAM, ...command], {
      ...options,
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#shown += text;
      this.#wake();
    });
    this.#ended = new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("close", (code) => {
        resolve(code);
        this.#wake();
      });
    });
  }

  get shown(): string {
    return this.#shown;
  }

  /** As keys: "\u0003" is Ctrl-C. */
  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Waits for what it shows, past or to come. */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.#shown);
      if (found !== null) return found;
      const woken = new Promise<"woken">((resolve) => (this.#wake = () => resolve("woken")));
      const ended = this.#ended.then(() => "ended" as const);
      if ((await Promise.race([woken, ended])) === "ended" && pattern.exec(this.#shown) === null) {
        throw new Error(`It ended, and never showed ${pattern}:\n${this.#shown}`);
      }
    }
  }

  ended(): Promise<number | null> {
    return this.#ended;
  }
}
