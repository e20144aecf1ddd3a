/** A process that was started before anyone knew what it would run: it is told over IPC. */
import { open } from "node:inspector";

import { exit } from "./taken.ts";

export type Load = {
  readonly type: "load";
  readonly cwd: string;
  /** The whole environment, but for the Runtime API's address. */
  readonly env: Readonly<Record<string, string>>;
  readonly handler: { readonly file: string; readonly export: string };
  /** Files that are loaded before the handler. */
  readonly preload?: readonly string[];
};

/** A debugger is attached: it wants to be there before the code is. */
type Inspect = { readonly type: "inspect" };

/** Whoever started this process is gone when the channel closes, and so is the reason to run. */
export function openChannel(): { readonly load: Promise<Load> } {
  process.once("disconnect", () => exit(0));
  const load = new Promise<Load>((resolve) => {
    process.on("message", function told(message: Load | Inspect) {
      // Loopback, and a port that nobody knows before. Its address goes to stderr (runtime/inspector.ts).
      if (message.type === "inspect") open(0, "127.0.0.1");
      else {
        process.off("message", told);
        resolve(message);
      }
    });
  });
  return { load };
}

/** User code sees a process without a parent to talk to, and without a channel that keeps it alive. */
export function hideChannel(): void {
  process.channel?.unref();
  delete process.send;
}

/** What it was started with and keeps: its Runtime API, and what its own children are known by (runtime/leftovers.ts). */
const KEPT = new Set(["AWS_LAMBDA_RUNTIME_API", "_LIVEDEV_MARK"]);

export function become({ cwd, env }: Load): void {
  const kept = Object.entries(process.env).filter(([name]) => KEPT.has(name));
  for (const name of Object.keys(process.env)) delete process.env[name];
  Object.assign(process.env, env, Object.fromEntries(kept));
  process.chdir(cwd);
}
