/**
 * Ends processes whose daemon was killed: a shell that is told their process groups and marks and reads on until its
 * standard input closes, by our death too. It asks nothing of those processes, who may be busy, deaf or stopped. One
 * for all of them: a shim before each would cost a process apiece, a thread in each that looked for its parent 10 MB
 * and 30 ms.
 */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import type { Socket } from "node:net";
import type { Writable } from "node:stream";

import { deferred } from "../lib/scope.ts";
import { MARK } from "./marks.ts";

/**
 * A line that was cut by the kill is not read: the one before it stands. Groups go first, at once. Then who left them,
 * by the mark in its environment, where the system shows environments; again, for who was just being forked.
 */
const SCRIPT = `
while read -r line; do told=$line; done
groups=\${told%%|*} marks=\${told#*|}
[ -z "$groups" ] || kill -s KILL -- $groups
[ -n "$marks" ] && [ -r /proc/self/environ ] || exit 0
for round in 1 2 3; do
  found=$(printf '${MARK}=%s\\n' $marks | grep -lsFf - /proc/[0-9]*/environ)
  [ -n "$found" ] || exit 0
  for one in $found; do one=\${one#/proc/}; kill -s KILL "\${one%/environ}"; done
done`;

/** Who ends so soon after its start would be started without end. */
const SHORT_LIFE_MS = 100;

type Shell = ChildProcessByStdio<Writable, null, null>;

export class Watchdog {
  readonly #groups = new Set<number>();
  readonly #marks = new Set<string>();
  #shell: Shell | undefined;
  #closed: Promise<void> = Promise.resolve();

  /** A process with this mark is about to be started. */
  expect(mark: string): void {
    this.#marks.add(mark);
    this.#tell();
  }

  /** The leader of a process group, who has the mark in its environment. */
  add(pid: number, mark: string): void {
    this.#groups.add(pid);
    this.#marks.add(mark);
    this.#tell();
  }

  /** The group has ended: its number may be another's soon. Who left it may live. */
  ended(pid: number): void {
    if (this.#groups.delete(pid)) this.#tell();
  }

  /** Nobody has these marks any more. */
  forget(marks: readonly string[]): void {
    const known = marks.filter((mark) => this.#marks.delete(mark));
    if (known.length > 0) this.#tell();
  }

  /** Where it has nobody to watch, resolves when it is gone itself. */
  async settled(): Promise<void> {
    if (this.#idle) await this.#closed;
  }

  get #idle(): boolean {
    return this.#groups.size === 0 && this.#marks.size === 0;
  }

  #tell(): void {
    const line = `${[...this.#groups].map((pid) => `-${pid}`).join(" ")}|${[...this.#marks].join(" ")}\n`;
    if (!this.#idle) {
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
    const began = performance.now();
    try {
      // In a session of its own: what ends us by our terminal or our group must not end it.
      const shell: Shell = spawn("/bin/sh", ["-c", SCRIPT], {
        cwd: "/",
        env: { PATH: "/usr/bin:/bin" },
        detached: true,
        stdio: ["pipe", "ignore", "ignore"],
      });
      const over = () => {
        closed.resolve();
        if (this.#shell !== shell) return;
        this.#shell = undefined;
        // Somebody ended it: another takes its place, at once, unless it cannot live here.
        if (performance.now() - began > SHORT_LIFE_MS && !this.#idle) this.#tell();
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
