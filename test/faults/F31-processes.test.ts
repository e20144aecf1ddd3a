/**
 * F31 and F32, the part of frontends and services: a daemon is killed, or asked to end one, while trees of processes
 * run that ignore signals, whose parents are gone, that have a session of their own.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";

import t, { type Test } from "tap";

import { alive, until } from "../processes/rig.ts";
import { Rig } from "../support/rig.ts";
import { killDaemon } from "./support.ts";

/** In the environment of all of a tree, and of nobody else. */
const SIGN = `LD_TEST_TREE=${process.pid}-${Date.now()}`;
const [NAME = "", VALUE = ""] = SIGN.split("=");

const command = (script: string) => JSON.stringify(`node ${script}`);

const FILES = {
  "livedev.config.ts": `
import { $config, aws, DevCommand } from "livedev";
export default $config({
  app: () => ({ name: "trees", home: "local" }),
  async run() {
    const environment = { ${NAME}: ${JSON.stringify(VALUE)} };
    new aws.Function("Hello", { handler: "src/hello.handler" });
    new DevCommand("Deaf", { environment, dev: { command: "sh deaf.sh" } });
    new DevCommand("Orphans", { environment, dev: { command: "sh orphans.sh" } });
    new DevCommand("Apart", { environment, dev: { command: ${command("apart.mjs")} } });
    new DevCommand("Leaves", { environment, dev: { command: "sh leaves.sh", autostart: false } });
  },
});
`,
  "src/hello.ts": "export const handler = async () => 1;",
  // A shell whose children ignore SIGTERM and SIGHUP, as it does itself; one of them holds a port.
  "deaf.sh": `
trap '' TERM HUP INT
node server.mjs &
sh -c "trap '' TERM HUP INT; while :; do sleep 1; done" &
echo deaf is up
while :; do sleep 1; done
`,
  "server.mjs": `
import { createServer } from "node:http";
import { writeFileSync } from "node:fs";
for (const signal of ["SIGTERM", "SIGHUP", "SIGINT"]) process.on(signal, () => {});
const server = createServer().listen(0, "127.0.0.1", () => writeFileSync("port", String(server.address().port)));
`,
  // Forks, and the parent in between is gone; standard input closed.
  "orphans.sh": `
(sh -c 'trap "" HUP TERM INT; while :; do sleep 1; done' <&- >/dev/null 2>&1 & )
(setsid sh -c 'trap "" HUP TERM INT; while :; do sleep 1; done' <&- >/dev/null 2>&1 & )
echo orphans are up
sleep 1000
`,
  // A session of its own, deaf, with a child in another group; the parent stays.
  "apart.mjs": `
import { spawn } from "node:child_process";
spawn("sh", ["-c", "trap '' TERM HUP INT; setsid sh -c 'trap \\"\\" TERM HUP INT; while :; do sleep 1; done' & while :; do sleep 1; done"], { detached: true, stdio: "ignore" });
for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => {});
console.log("apart is up");
setInterval(() => {}, 1000);
`,
  // Its first process ends by itself, and leaves others.
  "leaves.sh": `
(setsid sh -c 'trap "" HUP TERM INT; while :; do sleep 1; done' & )
sh -c 'trap "" HUP TERM INT; while :; do sleep 1; done' &
echo leaving
`,
};

async function up(t: Test, rig: Rig): Promise<{ port: number }> {
  await rig.start();
  await using client = await rig.connect();
  const missing = new Set(["deaf is up", "orphans are up", "apart is up"]);
  await using _following = await client.subscribe(
    { types: ["process.logged"], after: { database: client.hello.database, seq: 0 } },
    (events) => {
      for (const { event } of events) {
        if (event.type === "process.logged") for (const line of event.lines) missing.delete(line.trim());
      }
    },
  );
  await until(() => missing.size === 0 && existsSync(join(rig.project, "port")), [...missing].join(", "));
  const trees = alive(SIGN);
  t.ok(trees.length >= 12, `${trees.length} processes run`);
  return { port: Number(rig.read("port")) };
}

const free = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });

t.test("F31: the next start after kill -9 leaves none of the frontends' processes alive", async (t) => {
  await using rig = Rig.open({ files: FILES });
  const { port } = await up(t, rig);
  const before = alive(SIGN).length;

  // A stranger is not touched, though an old record names its number.
  const stranger = spawn("sleep", ["1000"], { stdio: "ignore" });
  t.teardown(() => stranger.kill("SIGKILL"));
  const records = join(rig.project, ".livedev", rig.stage, "processes");
  mkdirSync(records, { recursive: true });
  writeFileSync(
    join(records, "reused.json"),
    JSON.stringify({ pid: stranger.pid, identity: "boot:1", mark: "reused" }),
  );

  // What starts with the next daemon is not what the killed one left.
  rig.edit("livedev.config.ts", VALUE, `${VALUE}-next`);
  const of = () => alive(SIGN).filter((one) => !alive(`${SIGN}-next`).includes(one));
  await killDaemon(rig);
  const began = performance.now();
  const start = rig.start();
  await until(() => of().length === 0, "none of the old trees is alive");
  const tookMs = Math.round(performance.now() - began);
  t.comment(`${before} processes; survivors: ${of().length}, ${tookMs} ms after the next start began`);
  t.ok(tookMs < 5_000, `${tookMs} ms`);
  t.ok(await free(port), "the port is free");
  t.equal(stranger.exitCode ?? stranger.signalCode, null, "the stranger lives");
  await start;
});

t.test(
  "F32: who forks and exits, closes its input or calls setsid ends with its process all the same",
  async (t) => {
    await using rig = Rig.open({ files: FILES });
    const { port } = await up(t, rig);
    const before = alive(SIGN).length;
    const { code, stdout } = await rig.livedev("stop", "Deaf", "Orphans", "Apart");
    t.equal(code, 0);
    t.match(stdout, "Deaf is stopped");
    t.comment(`${before} processes; survivors: ${alive(SIGN).length}`);
    t.same(alive(SIGN), []);
    t.ok(await free(port), "the port is free");

    await using client = await rig.connect();
    await rig.livedev("start", "Leaves");
    const ended = await new Promise((resolve) => {
      void client.subscribe(
        {
          types: ["process.exited"],
          functionName: "Leaves",
          after: { database: client.hello.database, seq: 0 },
        },
        (events) => resolve(events[0]?.event),
      );
    });
    t.match(ended, { reason: "ended", survivors: 0 });
    t.same(alive(SIGN), [], "what a process leaves behind ends with it");
  },
);

t.test("F31: a daemon that is asked to stop ends all of them first", async (t) => {
  await using rig = Rig.open({ files: FILES });
  await up(t, rig);
  t.equal((await rig.livedevd("stop")).code, 0);
  t.comment(`survivors: ${alive(SIGN).length}`);
  t.same(alive(SIGN), []);
});
