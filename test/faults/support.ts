/** What several faults have in common: real signals, and looking at processes from outside. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import type { LivedevClient } from "../../client/connect.ts";
import { processIdentity } from "../../daemon/lib/process-identity.ts";
import { ROOT, type Rig } from "../support/rig.ts";

/** `Gate` runs until the file that its event names is there; `Echo` answers at once. */
export const FILES = {
  "livedev.config.ts": `
import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "faults", home: "local" }),
  async run() {
    new aws.Function("Gate", { handler: "src/gate.handler", timeout: "60 seconds" });
    new aws.Function("Echo", { handler: "src/echo.handler" });
  },
});
`,
  "src/gate.ts": `
import { existsSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";

export async function handler(event: { until: string }) {
  console.log("begins");
  while (!existsSync(event.until)) await wait(10);
  return "through";
}
`,
  "src/echo.ts": "export const handler = async (event: unknown) => event;",
};

/** In the environment of all of a tree, and of nobody else. */
export const SIGN = `LD_TEST_TREE=${process.pid}-${Date.now()}`;
export const [NAME = "", VALUE = ""] = SIGN.split("=");

const OPENER = `
const { connect } = await import(process.argv[1]);
const began = performance.now();
const client = await connect();
console.log(JSON.stringify({ ...client.hello, ms: performance.now() - began }));
await client.close();
`;

export type Opened = {
  readonly pid: number;
  readonly epoch: string;
  readonly database: string;
  readonly ms: number;
};

/** What a client of the rig's user finds, or opens, within `ms` of its first call. Throws what it printed. */
export async function open(rig: Rig): Promise<Opened> {
  const client = join(ROOT, "dist/client.js");
  const child = spawn(process.execPath, ["--input-type=module", "-e", OPENER, client], {
    cwd: rig.project,
    env: rig.env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Opened;
}

/** The daemon's program as a child of ours, so that its exit code is seen. Resolves when its socket answers. */
export async function foreground(rig: Rig): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(ROOT, "dist/daemon.js"), "--project", rig.project], {
    cwd: rig.project,
    env: rig.env,
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  child.stderr?.resume();
  const [message] = (await once(child, "message")) as [{ type: string }];
  if (message.type !== "ready") throw new Error(JSON.stringify(message));
  return child;
}

/** `code`, or the signal's name. */
export async function exitOf(child: ChildProcess): Promise<number | string | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return child.signalCode ?? child.exitCode;
}

/** Resolves with the next line that a function prints. */
export async function printed(client: LivedevClient): Promise<() => Promise<string>> {
  const lines: string[] = [];
  let wake = () => {};
  await client.subscribe({ types: ["invocation.logged"] }, (events) => {
    for (const { event } of events) if (event.type === "invocation.logged") lines.push(event.text);
    wake();
  });
  return async () => {
    for (;;) {
      const line = lines.shift();
      if (line !== undefined) return line;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
}

/** `kill -9` of the rig's daemon; resolves when it is gone. */
export async function killDaemon(rig: Rig): Promise<void> {
  const pid = rig.daemonPid();
  process.kill(pid, "SIGKILL");
  await gone([pid], 5_000);
}

/** Nobody but its parent is told of a process's end, so this looks. Throws where one is alive after so long. */
export async function gone(pids: readonly number[], withinMs: number): Promise<void> {
  const until = performance.now() + withinMs;
  for (;;) {
    const alive = pids.filter((pid) => processIdentity(pid) !== undefined);
    if (alive.length === 0) return;
    if (performance.now() > until) throw new Error(`alive after ${withinMs} ms: ${alive.join(", ")}`);
    await wait(10);
  }
}

/** How many descriptors a process has open. */
export function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** How much slower than a quiet laptop this machine is now (1: as fast): bounds in time are multiplied by it. */
export async function slowness(): Promise<number> {
  const began = performance.now();
  await exitOf(spawn(process.execPath, ["-e", "0"], { stdio: "ignore" }));
  return Math.max(1, (performance.now() - began) / 60);
}
