/**
 * Ends processes whose daemon was killed and that do not notice, busy as they are (a handler that never gives its event
 * loop a turn): a shell that is told their process groups and reads on until its standard input closes, by our death
 * too. One for all of them: a thread in each that looked for its parent would cost 10 MB and 30 ms apiece.
 */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import type { Socket } from "node:net";
import type { Writable } from "node:stream";

import { deferred } from "../lib/scope.ts";

/** A line that was cut by the kill is not read: the one before it stands. */
const SCRIPT = `while read -r line; do groups=$line; done; [ -z "$groups" ] || kill -s KILL -- $groups`;

type Shell = ChildProcessByStdio<Writable, null, null>;

export class Watchdog {
  readonly #groups = new Set<number>();
  #shell: Shell | undefined;
  #closed: Promise<void> = Promise.resolve();

  /** The leader of a process group. */
  add(pid: number): void {
    this.#groups.add(pid);
    this.#tell();
  }

  delete(pid: number): void {
    if (this.#groups.delete(pid)) this.#tell();
  }

  /** Where it has nobody to watch, resolves when it is gone itself. */
  async settled(): Promise<void> {
    if (this.#groups.size === 0) await this.#closed;
  }

  #tell(): void {
    const line = `${[...this.#groups].map((pid) => `-${pid}`).join(" ")}\n`;
    if (this.#groups.size > 0) {
      this.#shell ??= this.#open();
      this.#shell?.stdin.write(line);
    } else {
      // Whoever closes waits for its end, perhaps with nothing else left to wait for.
      this.#shell?.ref();
      this.#shell?.stdin.end(line);
      this.#shell = undefined;
    }
  }

  /** Undefined where there can be none (no shell, no descriptor left): the next start ends what stays. */
  #open(): Shell | undefined {
    const closed = deferred<void>();
    try {
      // In a session of its own: what ends us by our terminal or our group must not end it.
      const shell: Shell = spawn("/bin/sh", ["-c", SCRIPT], {
        cwd: "/",
        env: {},
        detached: true,
        stdio: ["pipe", "ignore", "ignore"],
      });
      const over = () => {
        // Somebody ended it: the next line opens another.
        if (this.#shell === shell) this.#shell = undefined;
        closed.resolve();
      };
      shell.once("error", over);
      shell.once("exit", over);
      shell.stdin.on("error", () => undefined);
      shell.unref();
      (shell.stdin as Socket).unref();
      this.#closed = closed.promise;
      return shell;
    } catch {
      return undefined;
    }
  }
}
