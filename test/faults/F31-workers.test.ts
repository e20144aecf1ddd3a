/** F31, the part of workers: a daemon is killed while handlers and what they started are running. */
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import t from "tap";

import { processIdentity } from "../../daemon/lib/process-identity.ts";
import { Rig } from "../support/rig.ts";
import { gone, killDaemon } from "./support.ts";

const FILES = {
  "livedev.config.ts": `
import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "children", home: "local" }),
  async run() {
    new aws.Function("Parent", { handler: "src/parent.handler", timeout: "5 minutes" });
    new aws.Function("Spins", { handler: "src/spins.handler", timeout: "5 minutes" });
  },
});
`,
  "src/spins.ts": `
import { spawn } from "node:child_process";

export async function handler() {
  const child = spawn(process.execPath, ["-e", "process.on('SIGTERM', () => {}); for (;;);"], { stdio: "ignore" });
  console.log(JSON.stringify({ worker: process.pid, child: child.pid }));
  for (;;);
}
`,
  // Each of the children tells its own pid when it stands.
  "src/parent.ts": `
import { spawn } from "node:child_process";
import { once } from "node:events";

const SLEEPS = "console.log(process.pid); setInterval(() => {}, 1000);";
const DEAF = "process.on('SIGTERM', () => {}); process.on('SIGHUP', () => {});" + SLEEPS;

async function child(program: string, detached: boolean): Promise<number> {
  const started = spawn(process.execPath, ["-e", program], { detached, stdio: ["ignore", "pipe", "ignore"] });
  started.unref();
  const [line] = await once(started.stdout, "data");
  return Number(line);
}

export async function handler(event: { forever?: boolean }) {
  const pids = {
    worker: process.pid,
    plain: await child(SLEEPS, false),
    deaf: await child(DEAF, false),
    setsid: await child(SLEEPS, true),
    deafSetsid: await child(DEAF, true),
  };
  console.log(JSON.stringify(pids));
  if (event.forever) await new Promise((resolve) => setTimeout(resolve, 280_000));
  return pids;
}
`,
};

type Pids = Record<string, number>;

t.test(
  "F31: after kill -9 of the daemon the next start leaves none of its workers' processes alive",
  async (t) => {
    await using rig = Rig.open({ files: FILES });
    await rig.start();
    const before = await rig.connect();
    const answered = await before.call("function.invoke", { functionName: "Parent", event: "{}" });
    let running = (_pids: Pids) => {};
    const forever = new Promise<Pids>((resolve) => (running = resolve));
    await before.subscribe({ types: ["invocation.logged"] }, (events) => {
      for (const { event } of events) if (event.type === "invocation.logged") running(JSON.parse(event.text));
    });
    // The same worker, with the children of its first invocation still there.
    const hanging = rig.livedev("invoke", "Parent", "--event", '{"forever":true}');
    const pids = [...Object.values(JSON.parse(answered.payload) as Pids), ...Object.values(await forever)];
    t.equal(new Set(pids).size, 9);
    await before.close();

    // Neither may a stranger be touched, though an old record names its number.
    const stranger = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
    t.teardown(() => stranger.kill("SIGKILL"));
    const workers = join(rig.project, ".livedev", rig.stage, "workers");
    mkdirSync(workers, { recursive: true });
    writeFileSync(
      join(workers, "reused.json"),
      JSON.stringify({ pid: stranger.pid, identity: "boot:1", mark: "reused" }),
    );
    writeFileSync(join(workers, "cut.json"), '{"pid":');

    await killDaemon(rig);
    const survivors = [...new Set(pids)].filter((pid) => processIdentity(pid) !== undefined).length;
    const began = performance.now();
    await rig.start();
    await gone(pids, 5_000 - (performance.now() - began));
    t.comment(
      `${pids.length} processes, ${survivors} outlived the daemon; none was alive ${Math.round(performance.now() - began)} ms after the next start began`,
    );
    t.equal(stranger.exitCode, null, "the stranger lives");
    t.equal(stranger.signalCode, null, "the stranger lives");
    await hanging;
  },
);

t.test("F31: a handler that spins does not outlive kill -9 of its daemon, nor what it started", async (t) => {
  await using rig = Rig.open({ files: FILES });
  await rig.start();
  const client = await rig.connect();
  let spinning = (_pids: Pids) => {};
  const begun = new Promise<Pids>((resolve) => (spinning = resolve));
  await client.subscribe({ types: ["invocation.logged"] }, (events) => {
    for (const { event } of events) if (event.type === "invocation.logged") spinning(JSON.parse(event.text));
  });
  const hanging = rig.livedev("invoke", "Spins", "--local", "--event", "{}");
  const pids = Object.values(await begun);
  await client.close();
  t.equal(pids.length, 2);
  await killDaemon(rig);
  await gone(pids, 5_000);
  await hanging;
});

t.test(
  "F31: what a worker's handler left running ends with the worker, also when the daemon stops",
  async (t) => {
    await using rig = Rig.open({ files: FILES });
    await rig.start();
    await using client = await rig.connect();
    const { payload } = await client.call("function.invokeLocal", { functionName: "Parent", event: "{}" });
    const pids = Object.values(JSON.parse(payload) as Pids);
    t.equal((await rig.livedevd("stop")).code, 0);
    t.same(
      pids.filter((pid) => processIdentity(pid) !== undefined),
      [],
    );
  },
);
