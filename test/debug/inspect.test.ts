/** Debugging asked for at the start: `--inspect`, and NODE_OPTIONS, which Node itself takes first. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import t from "tap";

import { some } from "../support/counts.ts";
import { freePort } from "../support/free-port.ts";
import { Terminal } from "../support/pty.ts";
import { Rig, ROOT, type Finished } from "../support/rig.ts";
import { Cdp } from "./cdp.ts";
import { filesOf } from "./support.ts";

const files = filesOf(["One"]);
const config = (files["livedev.config.ts"] ?? "")
  .replace("aws }", "aws, DevCommand }")
  .replace("run() {", 'run() {\n    new DevCommand("Web", { dev: { command: "true", autostart: false } });');
const rig = Rig.open({
  files: { ...files, "livedev.config.ts": config, "package.json": '{ "private": true }\n' },
});
t.teardown(() => rig[Symbol.asyncDispose]());

// As npm installs it.
rig.install();
const bin = join(rig.project, "node_modules", ".bin");
rmSync(bin);
mkdirSync(bin);
chmodSync(join(ROOT, "dist", "livedevd.js"), 0o755);
symlinkSync(join(ROOT, "dist", "livedevd.js"), join(bin, "livedevd"));

async function run(command: string, args: readonly string[], nodeOptions?: string): Promise<Finished> {
  const child = spawn(command, args, {
    cwd: rig.project,
    env: { ...rig.env, ...(nodeOptions !== undefined && { NODE_OPTIONS: nodeOptions }) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, stdout, stderr };
}

const livedevd = join(ROOT, "dist", "livedevd.js");

/** What listens there is ours, and knows the function. */
async function listening(port: number): Promise<string[]> {
  await using client = await rig.connect();
  for (;;) {
    // Until whoever had the port has gone.
    const status = await client.call("debug.status", {});
    if (status.state === "off" || status.port !== port) return [];
    if (status.waiting === undefined) break;
    await wait(10);
  }
  await using _target = await Cdp.ofFunction(port, "One");
  const version = await (await fetch(`http://127.0.0.1:${port}/json/version`)).json();
  return Object.keys(version as object);
}

const OURS = ["Browser", "Protocol-Version", "webSocketDebuggerUrl"];

t.test("through npx, which takes the port of NODE_OPTIONS first: ours once npx has ended", async (t) => {
  const port = await freePort();
  const { code, stderr } = await run("npx", ["livedevd", "start"], `--inspect=${port}`);
  t.equal(code, 0, stderr);
  t.match(stderr, `Port ${port} is not free yet`);
  t.same(await listening(port), OURS);
});

t.test("NODE_OPTIONS=--inspect means --inspect: the command and the daemon are not debugged", async (t) => {
  const port = await freePort();
  const { code, stderr } = await run(process.execPath, [livedevd, "start"], `--inspect=127.0.0.1:${port}`);
  t.equal(code, 0, stderr);
  t.match(stderr, `Debuggers attach to 127.0.0.1:${port}`);
  t.same(await listening(port), OURS);
});

t.test("--inspect=port at the start of a daemon; and it stays off where nobody asked", async (t) => {
  t.equal((await rig.livedevd("stop")).code, 0);
  const port = await freePort();
  const { code, stderr } = await rig.livedevd("start", `--inspect=${port}`);
  t.equal(code, 0, stderr);
  t.match(stderr, `Debuggers attach to 127.0.0.1:${port}`);
  t.same(await listening(port), OURS);
  t.equal((await rig.livedevd("stop")).code, 0);
  await rig.start();
  t.match(JSON.parse((await rig.livedev("debug", "status", "--json")).stdout), { state: "off" });
  // Another program may have that one: then it is waited for.
  t.match(JSON.parse((await rig.livedev("debug", "on", "--json")).stdout), { state: "on", port: 9229 });
});

t.test("livedev dev --inspect, also in panes and where a command runs in a frontend's place", async (t) => {
  const dev = async (port: number) => {
    const child = rig.spawn("livedev.js", ["dev", `--inspect=${port}`]);
    let [stderr, stdout] = ["", ""];
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const closed = once(child, "close");
    for await (const text of child.stdout?.setEncoding("utf8") ?? []) {
      stdout += text as string;
      if (!stdout.includes("is live")) continue;
      child.kill("SIGINT");
      break;
    }
    await closed;
    t.match(stderr, `Debuggers attach to 127.0.0.1:${port}`);
    t.same(await listening(port), OURS);
  };
  for (const runs of some([true, false])) {
    if (!runs) t.equal((await rig.livedevd("stop")).code, 0);
    await dev(await freePort());
  }

  const port = await freePort();
  const command = [process.execPath, join(ROOT, "dist", "livedev.js"), "dev", `--inspect=${port}`];
  const panes = new Terminal(command, {
    cwd: rig.project,
    env: { ...rig.env, TERM: "xterm-256color" },
  });
  await panes.until(new RegExp(`Debuggers attach to \\S*127\\.0\\.0\\.1:${port}[^]*quit`));
  t.same(await listening(port), OURS);
  panes.type("ql");
  t.equal(await panes.ended(), 0);

  const another = await freePort();
  const inItsPlace = await rig.livedev("dev", `--inspect=${another}`, "--as", "Web", "--", "true");
  t.equal(inItsPlace.code, 0, inItsPlace.stderr);
  t.same(await listening(another), OURS, "and where a command runs in a frontend's place");
});
