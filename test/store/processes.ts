/** Processes that have a store, and the ways to start them. */
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";

import { build } from "esbuild";
import type { Test } from "tap";

import { folderOf } from "./support.ts";

/** child.ts as a bundle: it lies in the repository, where it finds the packages. */
export async function childProgram(t: Test): Promise<string> {
  const outfile = join(folderOf(t), "child.mjs");
  await build({
    entryPoints: [join(import.meta.dirname, "child.ts")],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    // All but the native part inside: it starts a hundred times.
    external: ["better-sqlite3"],
    banner: {
      js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
    },
    logLevel: "error",
  });
  return outfile;
}

export type Line = Readonly<Record<string, unknown>>;

/** A process whose lines are JSON; it is ended with the test at the latest. */
export class Child {
  readonly process: ChildProcessWithoutNullStreams;
  /** All whole lines so far. */
  readonly lines: Line[] = [];
  readonly ended: Promise<unknown>;
  readonly #reader: Interface;

  constructor(t: Test, command: string, args: readonly string[]) {
    this.process = spawn(command, args, { stdio: "pipe" });
    this.process.stderr.pipe(process.stderr);
    this.#reader = createInterface({ input: this.process.stdout });
    this.#reader.on("line", (line) => {
      // Killed in the middle of a line: that promise was not made.
      try {
        this.lines.push(JSON.parse(line) as Line);
      } catch {}
    });
    this.ended = Promise.all([once(this.process, "exit"), once(this.#reader, "close")]);
    t.teardown(() => this.process.kill("SIGKILL"));
  }

  /** Resolves when it has said so many lines. */
  async said(count: number): Promise<void> {
    while (this.lines.length < count) {
      const ended = await Promise.race([once(this.#reader, "line"), this.ended.then(() => true)]);
      if (ended === true && this.lines.length < count) throw new Error("the child ended before it said that");
    }
  }
}

/** What a child says, from its start to its end. */
export async function run(t: Test, command: string, args: readonly string[]): Promise<readonly Line[]> {
  const child = new Child(t, command, args);
  await child.ended;
  return child.lines;
}

/**
 * The words before a command that take root's rights away: what is left is an ordinary user, for whom the modes of
 * its own files count. (Another user could not even read this repository, where it lies in a private folder.)
 */
export const ORDINARY: readonly string[] =
  process.geteuid?.() === 0 ? ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] : ["env"];
