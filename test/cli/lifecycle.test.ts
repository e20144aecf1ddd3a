/** `livedevd start | stop | restart | run` with the real daemon: what is up afterwards, and what the exit code says. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import t from "tap";

import { isAlive, startTimeOfProcess } from "../../client/discovery.ts";
import { Terminal } from "../support/pty.ts";
import { ROOT, Rig } from "../support/rig.ts";
import { CONFIG } from "./fake-daemon.ts";

const FILES = {
  "livedev.config.ts": CONFIG.replace("url: true", "url: true, timeout: '60 seconds'"),
  "src/api.ts": `
import { existsSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
export async function handler(event: { until?: string }) {
  console.log("asked");
  while (event.until !== undefined && !existsSync(event.until)) await wait(10);
  return "answered";
}
`,
};

const processOf = (pid: number) => ({ pid, startTime: startTimeOfProcess(pid) ?? "" });

const rig = Rig.open({ files: FILES });
t.teardown(() => rig[Symbol.asyncDispose]());

t.test("start says where it is, again says the same; each exit code is the documented one", async (t) => {
  t.equal((await rig.livedevd("status")).code, 3, "none runs yet");
  t.equal((await rig.livedevd("stop")).code, 3);

  const first = await rig.livedevd("start");
  t.equal(first.code, 0, first.stderr);
  t.match(
    first.stdout,
    /^shop is live \(stage \w+, pid \d+, \d+ steps? in [\d.]+ m?s\)\n {2}MyApi {2}http:\/\/127\.0\.0\.1:\d+\/\n$/,
  );
  const again = JSON.parse((await rig.livedevd("start", "--json")).stdout) as Record<string, unknown>;
  t.match(again, { pid: rig.daemonPid(), steps: 0, project: rig.project, urls: { MyApi: /^http/ } });
});

t.test("stop waits for a running invocation, says so, and leaves nothing", async (t) => {
  const daemon = processOf(rig.daemonPid());
  await using client = await rig.connect();
  const logged = new Promise<void>(
    (resolve) => void client.subscribe({ types: ["invocation.logged"] }, () => resolve()),
  );
  const gate = join(rig.root, "gate");
  const invoked = rig.livedev("invoke", "MyApi", "--event", JSON.stringify({ until: gate }));
  await logged;

  const stop = rig.spawn("livedevd.js", ["stop", "--json"]);
  let said = "";
  let printed = "";
  stop.stdout?.setEncoding("utf8").on("data", (text: string) => (printed += text));
  const told = new Promise<void>((resolve) => {
    stop.stderr?.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (said.includes("\n")) resolve();
    });
  });
  const closed = new Promise<number | null>((resolve) => stop.on("close", resolve));
  await told;
  t.equal(said, "Waiting for 1 running invocation to finish, 10 s at most …\n");
  writeFileSync(gate, "");
  t.equal(await closed, 0);
  t.match(JSON.parse(printed), { pid: daemon.pid, killed: false });
  t.match(await invoked, { stdout: '"answered"\n' }, "it was answered");
  t.notOk(isAlive(daemon), "it is gone when stop says so");
  t.match(await rig.livedevd("status", "--json"), { code: 3, stderr: "" });
});

t.test("a config that does not load: the error with its place, and no stack of ours", async (t) => {
  const good = rig.read("livedev.config.ts");
  rig.edit("livedev.config.ts", "src/api.handler", "src/api");
  const { code, stdout, stderr } = await rig.livedevd("start");
  t.equal(code, 1);
  t.equal(stdout, "");
  t.match(stderr, /livedev\.config\.ts:6/);
  t.notMatch(stderr, /\n\s+at /);
  rig.save("livedev.config.ts", good);
});

const liveNow = async () => {
  await using client = await rig.connect({ open: false });
  const { pid, live } = await client.call("daemon.status", {});
  return { pid, live };
};

t.test("restart: another process, live as before; off stays off", async (t) => {
  const off = await rig.livedevd("restart");
  t.equal(off.code, 0, off.stderr);
  t.match(off.stdout, /was not live, and is not now/);
  t.match(await liveNow(), { live: { state: "off" } });

  await rig.start();
  const before = rig.daemonPid();
  const restarted = await rig.livedevd("restart", "--json");
  t.equal(restarted.code, 0);
  const { pid } = JSON.parse(restarted.stdout) as { pid: number };
  t.not(pid, before);
  t.match(await liveNow(), { pid, live: { state: "live" } });
});

t.test("a daemon that hangs is told from one that is away, and is ended by stop all the same", async (t) => {
  const daemon = processOf(rig.daemonPid());
  process.kill(daemon.pid, "SIGSTOP");
  const [stopped, status] = await Promise.all([rig.livedevd("stop", "--json"), rig.livedevd("status")]);
  t.equal(stopped.code, 0);
  t.match(JSON.parse(stopped.stdout), { pid: daemon.pid, killed: true });
  t.match(status, { code: 1, stderr: /does not answer.*\nRun `livedevd restart`/ });
  t.notOk(isAlive(daemon));
});

t.test("a pid in daemon.json that is another program's by now is left alone", async (t) => {
  await using rig = Rig.open({ files: { ...FILES, ".livedev/stage": "dev\n" } });
  mkdirSync(join(rig.project, ".livedev/dev"), { mode: 0o700 });
  const socket = join(rig.root, "run", "gone.sock");
  const file = {
    version: 1,
    pid: process.pid,
    startTime: "long ago",
    socket,
    epoch: "e",
    startedAt: 1,
    livedevVersion: "0",
    project: rig.project,
    stage: "dev",
  };
  rig.save(".livedev/dev/daemon.json", JSON.stringify(file));
  t.equal((await rig.livedevd("stop")).code, 3);
  t.match((await rig.livedev("doctor")).stdout, /! A daemon \(pid \d+\) was killed and left its file\./);
});

function atTerminal(...args: readonly string[]): Terminal {
  return new Terminal([process.execPath, join(ROOT, "dist", "livedevd.js"), ...args], {
    cwd: rig.project,
    env: rig.env,
  });
}

t.test("run stays in the foreground, live, with its log; Ctrl-C ends it in order", async (t) => {
  const screen = atTerminal("run");
  await screen.until(/shop is live/);
  const daemon = processOf(rig.daemonPid());

  const taken = await rig.livedevd("run");
  t.equal(taken.code, 1);
  t.match(taken.stderr, new RegExp(`already runs for .*pid ${daemon.pid}\\)\\.\nRun \`livedevd stop\``));

  screen.type("\u0003");
  t.equal(await screen.ended(), 0);
  t.match(screen.shown, /Ctrl-C again ends it at once/);
  t.match(screen.shown, /\d\d:\d\d:\d\d\.\d{3} {2}info {3}.*stopped/, "its log is readable");
  t.notMatch(screen.shown, '{"level"');
  t.notOk(isAlive(daemon));
  t.match((await rig.livedev("logs", "--daemon")).stdout, /stopped/, "and stands in the log file as well");
});

t.test("a second Ctrl-C does not wait for what runs", async (t) => {
  const screen = atTerminal("run");
  await screen.until(/shop is live/);
  const daemon = processOf(rig.daemonPid());
  await using client = await rig.connect();
  const logged = new Promise<void>(
    (resolve) => void client.subscribe({ types: ["invocation.logged"] }, () => resolve()),
  );
  const invoked = rig.livedev(
    "invoke",
    "MyApi",
    "--event",
    JSON.stringify({ until: join(rig.root, "never") }),
  );
  await logged;
  screen.type("\u0003");
  await screen.until(/Ctrl-C again/);
  screen.type("\u0003");
  t.equal(await screen.ended(), 130, "one Ctrl-C that waited would have been 0");
  t.notOk(isAlive(daemon));
  t.not((await invoked).code, 0);
});
