/** Deployments that are killed, each a process of its own (child.ts), and which moments of them are tried. */
import { rmSync } from "node:fs";
import { join } from "node:path";

import { buildSync } from "esbuild";
import type { Test } from "tap";

import { finished, plainEnvironment } from "../cloud/rig.ts";
import type { ChildOrder } from "./child.ts";

const ROOT = join(import.meta.dirname, "../..");
/** So many in each story, or `all`: then after calls that only look too. */
const STEPS = process.env["LIVEDEV_KILL_STEPS"];
const ALL = STEPS === "all";

export type Moment = { readonly name: string; readonly killAt: number };

export class Killed {
  readonly #program: string;

  private constructor(program: string) {
    this.#program = program;
  }

  static open(t: Test): Killed {
    // Inside the repository, where what is native is found.
    const outdir = join(ROOT, ".tap", `deploy-child-${process.pid}`);
    t.teardown(() => rmSync(outdir, { recursive: true, force: true }));
    // In pieces, as the daemon is: it starts in half the time that it takes file by file.
    buildSync({
      entryPoints: [join(import.meta.dirname, "child.ts")],
      outdir,
      bundle: true,
      splitting: true,
      platform: "node",
      format: "esm",
      outExtension: { ".js": ".mjs" },
      mainFields: ["module", "main"],
      external: ["better-sqlite3", "esbuild"],
      banner: {
        js: 'import { createRequire as testRequire } from "node:module"; const require = testRequire(import.meta.url);',
      },
    });
    return new Killed(join(outdir, "child.mjs"));
  }

  /** To its end: the moments that it has. */
  async whole(order: Omit<ChildOrder, "killAt" | "looks">): Promise<string[]> {
    const { code, stdout, stderr } = await this.#run({ ...order, looks: ALL });
    if (code !== 0) throw new Error(`the child ended with ${code}: ${stderr}`);
    return JSON.parse(stdout) as string[];
  }

  /** False where it came to its end before that moment. */
  async killedAt(killAt: number, order: Omit<ChildOrder, "killAt" | "looks">): Promise<boolean> {
    const { code, stderr } = await this.#run({ ...order, killAt, looks: ALL });
    if (code === null) return true;
    if (code === 0) return false;
    throw new Error(`the child ended with ${code}: ${stderr}`);
  }

  #run(order: ChildOrder) {
    return finished(process.execPath, [this.#program, JSON.stringify(order)], { env: plainEnvironment() });
  }
}

/** All of them, or so many, spread evenly from the first to the last; of one alone, the middle. */
export function tried(moments: readonly string[], usually = moments.length): Moment[] {
  const all = moments.map((name, index) => ({ name, killAt: index + 1 }));
  const count = Math.min(ALL ? all.length : Number(STEPS ?? usually), all.length);
  const last = all.length - 1;
  const picked = new Set(
    Array.from({ length: count }, (_, at) => Math.round(count === 1 ? last / 2 : (at * last) / (count - 1))),
  );
  return all.filter((_, index) => picked.has(index));
}
