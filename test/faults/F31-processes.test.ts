/**
 * F31 and F32, the part of frontends and services: a daemon is killed, or asked to end one, while trees of processes
 * run that ignore signals, whose parents are gone, that have a session of their own.
 */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";

import t, { type Test } from "tap";

import { alive, open, until, wanted } from "../processes/rig.ts";
import { counted, inFull } from "../support/counts.ts";
import { Rig } from "../support/rig.ts";
import { killDaemon, NAME, SIGN, slowness, VALUE } from "./support.ts";

const command = (script: string) => JSON.stringify(`node ${script}`);

const TREES = {
  // A shell whose children ignore SIGTERM and SIGHUP, as it does itself; one of them holds a port.
  "deaf.sh": `
trap '' TERM HUP INT
node server.mjs &
sh -c "trap '' TERM HUP INT; while :; do sleep 1000; done" &
echo deaf is up
while :; do sleep 1000; done
`,
  "server.mjs": `
import { createServer } from "node:http";
import { writeFileSync } from "node:fs";
for (const signal of ["SIGTERM", "SIGHUP", "SIGINT"]) process.on(signal, () => {});
const server = createServer().listen(0, "127.0.0.1", () => writeFileSync("port", String(server.address().port)));
`,
  // Forks, and the parent in between is gone; standard input closed.
  "orphans.sh": `
(sh -c 'trap "" HUP TERM INT; while :; do sleep 1000; done' <&- >/dev/null 2>&1 & )
(setsid sh -c 'trap "" HUP TERM INT; while :; do sleep 1000; done' <&- >/dev/null 2>&1 & )
echo orphans are up
sleep 1000
`,
  // A session of its own, deaf, with a child in another group; the parent stays.
  "apart.mjs": `
import { spawn } from "node:child_process";
spawn("sh", ["-c", "trap '' TERM HUP INT; setsid sh -c 'trap \\"\\" TERM HUP INT; while :; do sleep 1000; done' & while :; do sleep 1000; done"], { detached: true, stdio: "ignore" });
for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => {});
console.log("apart is up");
setInterval(() => {}, 1000);
`,
  // Its first process ends by itself, and leaves others.
  "leaves.sh": `
(setsid sh -c 'trap "" HUP TERM INT; while :; do sleep 1000; done' & )
sh -c 'trap "" HUP TERM INT; while :; do sleep 1000; done' &
echo leaving
`,
};

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
  },
});
`,
  "src/hello.ts": "export const handler = async () => 1;",
  ...TREES,
};

/** Resolves when all of the trees stand; gives how many processes that is. */
async function up(rig: Rig, sign: string): Promise<number> {
  rmSync(join(rig.project, "port"), { force: true });
  await rig.start();
  const standing = () => existsSync(join(rig.project, "port")) && alive(sign).length >= LEAST;
  await until(standing, `${LEAST} processes`, LOOK_MS);
  return alive(sign).length;
}

/** Six or seven of each command, none of which ends by itself. */
const LEAST = 19;

/** A look reads something of each process of the machine. */
const LOOK_MS = 100;

const free = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });

async function withinBound(t: Test, tookMs: number): Promise<void> {
  t.ok(tookMs < 5_000 * (await slowness()), `${tookMs} ms`);
}

/** The shells by which a daemon's processes end with it. */
const watchdogs = (daemon: number): number[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        const [, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        return (
          Number(parent) === daemon && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("read -r line")
        );
      } catch {
        return false;
      }
    });

t.test("F31: none of the frontends' processes outlives the daemon, however it ends", async (t) => {
  await using rig = Rig.open({ files: FILES });
  const began = () => {
    const at = performance.now();
    return () => Math.round(performance.now() - at);
  };
  let generation = 0;
  /** What starts from now on has this in its environment, and nobody else. */
  const next = (): string => {
    const sign = (n: number) => (n === 0 ? VALUE : `${VALUE}-${n}.`);
    rig.edit("livedev.config.ts", `"${sign(generation)}"`, `"${sign(generation + 1)}"`);
    generation += 1;
    return `${NAME}=${sign(generation)}`;
  };

  await t.test("killed: they end with it, and no other daemon is needed", async (t) => {
    const sign = next();
    const before = await up(rig, sign);
    const port = Number(rig.read("port"));
    const took = began();
    await killDaemon(rig);
    await until(() => alive(sign).length === 0, "none is alive", LOOK_MS);
    counted(t, `F31: ${before} processes; survivors: ${alive(sign).length}, ${took()} ms after kill -9`);
    await withinBound(t, took());
    t.ok(await free(port), "the port is free");
  });

  await t.test("killed while it was frozen", { skip: inFull }, async (t) => {
    const sign = next();
    const before = await up(rig, sign);
    const pid = rig.daemonPid();
    process.kill(pid, "SIGSTOP");
    t.equal(alive(sign).length, before, "a frozen daemon goes on one day");
    const took = began();
    await killDaemon(rig);
    await until(() => alive(sign).length === 0, "none is alive", LOOK_MS);
    counted(t, `F31: ${before} processes; survivors: ${alive(sign).length}, ${took()} ms after kill -9`);
    await withinBound(t, took());
  });

  let last = "";
  await t.test(
    "killed with all that watched over them: the next start ends them, and nobody else",
    async (t) => {
      const sign = next();
      const before = await up(rig, sign);
      const port = Number(rig.read("port"));
      // A stranger is not touched, though an old record names its number.
      const stranger = spawn("sleep", ["1000"], { stdio: "ignore" });
      t.teardown(() => stranger.kill("SIGKILL"));
      writeFileSync(
        join(rig.project, ".livedev", rig.stage, "processes", "reused.json"),
        JSON.stringify({ pid: stranger.pid, identity: "boot:1", mark: "reused" }),
      );
      const pid = rig.daemonPid();
      const shells = watchdogs(pid);
      t.ok(shells.length > 0);
      process.kill(pid, "SIGSTOP");
      for (const shell of shells) process.kill(shell, "SIGKILL");
      await killDaemon(rig);
      const left = alive(sign).length;
      t.ok(left > 0, "they ignore that their terminal hung up");
      // What starts with the next daemon is not what the killed one left.
      last = next();
      const took = began();
      const start = up(rig, last);
      await until(() => alive(sign).length === 0, "none is alive", LOOK_MS);
      counted(
        t,
        `F31: ${before} processes, ${left} left; survivors: ${alive(sign).length}, ${took()} ms after the next start began`,
      );
      await withinBound(t, took());
      t.ok(await free(port), "the port is free");
      t.equal(stranger.exitCode ?? stranger.signalCode, null, "the stranger lives");
      await start;
    },
  );

  await t.test("asked to stop: it ends all of them first", async (t) => {
    const before = alive(last).length;
    t.equal((await rig.livedevd("stop")).code, 0);
    counted(t, `F31: ${before} processes; survivors: ${alive(last).length}`);
    t.same(alive(last), []);
  });
});

t.test(
  "F32: who forks and exits, closes its input or calls setsid ends with its process all the same",
  async (t) => {
    const rig = await open(t);
    for (const [path, text] of Object.entries(TREES)) writeFileSync(join(rig.project, path), text);
    const environment = { [NAME]: VALUE };
    rig.processes.apply([
      wanted("Deaf", "sh deaf.sh", { environment }),
      wanted("Orphans", "sh orphans.sh", { environment }),
      wanted("Apart", "node apart.mjs", { environment }),
      wanted("Leaves", "sh leaves.sh", { environment, autostart: false }),
    ]);
    await Promise.all([
      rig.line("Deaf", "deaf is up"),
      rig.line("Orphans", "orphans are up"),
      rig.line("Apart", "apart is up"),
    ]);
    const port = join(rig.project, "port");
    await until(() => existsSync(port) && alive(SIGN).length >= LEAST, "all stand", LOOK_MS);
    const before = alive(SIGN).length;
    const ended = await Promise.all(["Deaf", "Orphans", "Apart"].map((name) => rig.processes.stop(name)));
    t.match(
      ended.map(({ state }) => state),
      ["stopped", "stopped", "stopped"],
    );
    counted(t, `F32: ${before} processes; survivors: ${alive(SIGN).length}`);
    t.same(alive(SIGN), []);
    t.ok(await free(Number(readFileSync(port, "utf8"))), "the port is free");

    rig.processes.start("Leaves");
    const left = await rig.event("process.exited", ({ processName }) => processName === "Leaves");
    t.match(left, { reason: "ended", survivors: 0 });
    counted(t, `F32: leaves; survivors: ${alive(SIGN).length}`);
    t.same(alive(SIGN), [], "what a process leaves behind ends with it");
  },
);
