/**
 * Runs dist/config-runner.mjs on a bundled config, within a time limit, and ends it and whatever it started. Its
 * result comes by IPC, what it prints is captured beside it.
 */
import { spawn } from "node:child_process";

import { PROGRAMS } from "../lib/programs.ts";
import type { Evaluate, Evaluated } from "./messages.ts";

export type OutputText = { readonly stream: "stdout" | "stderr"; readonly text: string };

export type ChildResult = { readonly output: readonly OutputText[] } & (
  | { readonly ended: "evaluated"; readonly result: Evaluated }
  | { readonly ended: "tooSlow" }
  | { readonly ended: "died"; readonly code: number | null; readonly signal: NodeJS.Signals | null }
);

/** A config that prints without end should not fill the daemon. */
const OUTPUT_LIMIT = 64 * 1024;

/** Its pipes are waited for, though not for ever: a process that left the group may hold them. */
const DRAIN_MS = 250;

export async function evaluate(options: {
  readonly order: Evaluate;
  readonly limitMs: number;
  /** Of the program itself; the config gets the order's. */
  readonly environment: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}): Promise<ChildResult> {
  const output: OutputText[] = [];
  let printed = 0;
  // A process group of its own, so that what the config starts ends with it.
  const child = spawn(process.execPath, ["--enable-source-maps", PROGRAMS.configRunner], {
    cwd: options.order.project,
    env: options.environment,
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    serialization: "advanced",
    detached: true,
  });
  const endGroup = () => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // Nobody is left in it.
    }
  };

  for (const stream of ["stdout", "stderr"] as const) {
    child[stream]?.setEncoding("utf8").on("data", (text: string) => {
      const kept = text.slice(0, Math.max(0, OUTPUT_LIMIT - printed));
      printed += text.length;
      if (kept !== "") output.push({ stream, text: kept });
    });
  }

  let tooSlow = false;
  const limit = setTimeout(() => {
    tooSlow = true;
    endGroup();
  }, options.limitMs);
  options.signal.addEventListener("abort", endGroup);
  if (options.signal.aborted) endGroup();

  let result: Evaluated | undefined;
  child.once("message", (message) => (result = message as Evaluated));
  const closed = new Promise<void>((resolve) => void child.once("close", () => resolve()));
  try {
    const exit = await new Promise<{ code: number | null; signal: NodeJS.Signals | null }>(
      (resolve, reject) => {
        child.once("error", reject);
        child.once("exit", (code, signal) => resolve({ code, signal }));
        // Gone already: its exit says so.
        child.send(options.order, () => {});
      },
    );
    endGroup();
    const drained = setTimeout(() => {
      child.stdout?.destroy();
      child.stderr?.destroy();
    }, DRAIN_MS);
    await closed;
    clearTimeout(drained);
    if (result !== undefined) return { ended: "evaluated", result, output };
    if (tooSlow) return { ended: "tooSlow", output };
    return { ended: "died", ...exit, output };
  } finally {
    clearTimeout(limit);
    options.signal.removeEventListener("abort", endGroup);
  }
}
