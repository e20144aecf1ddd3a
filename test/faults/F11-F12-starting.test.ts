/** F11, F12: fifty clients at once, and whatever an earlier daemon may have left behind. */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";

import t from "tap";

import { processIdentity } from "../../daemon/lib/process-identity.ts";
import { some, times } from "../support/counts.ts";
import { ROOT, Rig } from "../support/rig.ts";
import { FILES, killDaemon, open, slowness } from "./support.ts";

const CLIENT = `
import { connect } from ${JSON.stringify(join(ROOT, "dist/client.js"))};
console.log("ready");
process.stdin.once("data", async () => {
  const began = performance.now();
  const client = await connect();
  await client.call("daemon.status", {});
  console.log(JSON.stringify({ pid: client.hello.pid, epoch: client.hello.epoch, ms: performance.now() - began }));
  await client.close();
  process.exit(0);
});
`;

const CLIENTS = times(50, 8);

/** One after the other they find in it what the one before left. */
const rig = Rig.open({ files: { ...FILES, "client.mjs": CLIENT } });
t.teardown(() => rig[Symbol.asyncDispose]());

t.test(
  `F11: ${CLIENTS} clients at the same instant, no daemon running: one daemon, all connected`,
  async (t) => {
    const clients = Array.from({ length: CLIENTS }, () => {
      const child = spawn(process.execPath, ["client.mjs"], {
        cwd: rig.project,
        env: rig.env,
        stdio: ["pipe", "pipe", "pipe"],
      });
      let stdout = "";
      let stderr = "";
      let ready = () => {};
      const waits = new Promise<void>((resolve) => (ready = resolve));
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        stdout += text;
        ready();
      });
      child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
      // With the last of what it said.
      const closed = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
      return { child, waits, closed, said: () => stdout.split("\n")[1] ?? "", stderr: () => stderr };
    });
    // All of them have loaded and wait for one word.
    await Promise.all(clients.map(({ waits }) => waits));
    for (const { child } of clients) child.stdin.write("go\n");
    const ends = await Promise.all(clients.map(({ closed }) => closed));
    const codes = ends.map(([code, signal]) => signal ?? code);
    t.same(
      codes.filter((code) => code !== 0),
      [],
      clients.map(({ stderr }) => stderr()).join(""),
    );
    const answers = clients.map(
      ({ said }) => JSON.parse(said()) as { pid: number; epoch: string; ms: number },
    );
    t.equal(answers.length, CLIENTS);
    t.equal(new Set(answers.map(({ epoch }) => epoch)).size, 1, "one daemon");
    const slowest = Math.max(...answers.map(({ ms }) => ms));
    t.comment(`${CLIENTS} clients connected to one daemon, the slowest after ${Math.round(slowest)} ms`);

    const pid = answers[0]?.pid ?? 0;
    const daemons = (await rig.processes()).filter(({ command }) => command.includes("dist/daemon.js"));
    t.same(
      daemons.map((one) => one.pid),
      [pid],
      "no other daemon",
    );
  },
);

/** What a killed daemon leaves: a socket, a file, a lock. */
async function killed(): Promise<{ file: string; text: string }> {
  const file = join(rig.project, ".livedev", rig.stage, "daemon.json");
  const text = readFileSync(file, "utf8");
  await killDaemon(rig);
  return { file, text };
}

t.test("F12: the pid of a killed daemon is another program's now: it is not touched", async (t) => {
  const { file, text } = await killed();
  const stranger = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
  t.teardown(() => stranger.kill("SIGKILL"));
  writeFileSync(file, JSON.stringify({ ...JSON.parse(text), pid: stranger.pid }));
  t.equal((await rig.livedevd("stop")).code, 3, "nothing runs, as far as a client can tell");
  t.not((await open(rig)).pid, stranger.pid);
  t.equal((await rig.livedevd("stop")).code, 0);
  t.ok(processIdentity(stranger.pid ?? 0), "the stranger lives");
});

t.test(
  "F12: an opening file of a client that hangs, or whose pid is another's, is stepped over",
  async (t) => {
    writeFileSync(
      join(rig.project, ".livedev", `${rig.stage}.opening`),
      JSON.stringify({ pid: process.pid, startTime: "boot:1" }),
    );
    t.equal((await open(rig)).pid, rig.daemonPid());
  },
);

for (const [what, text] of some([
  ["empty", ""],
  ["cut", '{"version":1,"pid":'],
  ["of another program", "hello\n"],
] as const)) {
  t.test(`F12: a discovery file, a lock and an opening file that are ${what} hold nobody up`, async (t) => {
    const { file } = await killed();
    writeFileSync(file, text);
    writeFileSync(join(rig.project, ".livedev", `${rig.stage}.opening`), text);
    writeFileSync(join(rig.project, ".livedev", rig.stage, "lock"), text);
    const { pid, ms } = await open(rig);
    t.equal(pid, rig.daemonPid());
    t.comment(`connected after ${Math.round(ms)} ms`);
  });
}

t.test(
  "F12: after kill -9 the next start takes the stale socket, file and lock over, in under 2 s, and is live again",
  async (t) => {
    await rig.start();
    t.equal((await rig.livedev("invoke", "Echo", "--event", "1")).stdout.trim(), "1");
    const before = rig.daemonPid();
    await killed();
    const { pid, ms } = await open(rig);
    t.not(pid, before);
    t.comment(`connected ${Math.round(ms)} ms after the client was asked to`);
    const bound = 2_000 * (await slowness());
    t.ok(ms < bound, `${Math.round(ms)} of ${Math.round(bound)} ms`);
    await using client = await rig.connect();
    let wake = () => {};
    await client.subscribe({}, () => wake());
    for (;;) {
      const told = new Promise<void>((resolve) => (wake = resolve));
      const { live } = await client.call("daemon.status", {});
      if (live.state === "live") break;
      await told;
    }
    t.pass("live, though nobody asked again");
    const { payload } = await client.call("function.invoke", { functionName: "Echo", event: "2" });
    t.equal(payload, "2");
  },
);

t.test("F12: a socket path at which another program answers is not taken from it", async (t) => {
  const { text } = await killed();
  const { socket } = JSON.parse(text) as { socket: string };
  rmSync(socket);
  const other = createServer((connection) => connection.destroy()).listen(socket);
  await once(other, "listening");
  const { code, stderr } = await rig.livedevd("start");
  t.equal(code, 1);
  t.match(stderr, `The control socket ${socket} cannot be made: another program answers on it.`);
  t.ok(existsSync(socket));
  await new Promise((resolve) => other.close(resolve));
});
