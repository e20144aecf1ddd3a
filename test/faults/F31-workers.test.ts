/** F31, the part of workers: a daemon is killed while handlers and what they started are running. */
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import t from "tap";

import type { LivedevClient } from "../../client/connect.ts";
import { processIdentity } from "../../daemon/lib/process-identity.ts";
import { Rig } from "../support/rig.ts";
import { gone, killDaemon, printed } from "./support.ts";

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

const rig = Rig.open({ files: FILES });
t.teardown(() => rig[Symbol.asyncDispose]());

/** What the handler that is called now says of its processes; it answers to nobody, since its daemon is killed. */
async function calledFor(client: LivedevClient, functionName: string, event: object): Promise<Pids> {
  const next = await printed(client);
  client.call("function.invokeLocal", { functionName, event: JSON.stringify(event) }).catch(() => {});
  return JSON.parse(await next()) as Pids;
}

t.test(
  "F31: after kill -9 of the daemon the next start leaves none of its workers' processes alive",
  async (t) => {
    await rig.start();
    const before = await rig.connect();
    const answered = await before.call("function.invoke", { functionName: "Parent", event: "{}" });
    // The same worker, with the children of its first invocation still there.
    const forever = await calledFor(before, "Parent", { forever: true });
    const pids = [...Object.values(JSON.parse(answered.payload) as Pids), ...Object.values(forever)];
    t.equal(new Set(pids).size, 9);

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
    await before.close();
    const survivors = [...new Set(pids)].filter((pid) => processIdentity(pid) !== undefined).length;
    const began = performance.now();
    await rig.start();
    await gone(pids, 5_000 - (performance.now() - began));
    t.comment(
      `${pids.length} processes, ${survivors} outlived the daemon; none was alive ${Math.round(performance.now() - began)} ms after the next start began`,
    );
    t.equal(stranger.exitCode, null, "the stranger lives");
    t.equal(stranger.signalCode, null, "the stranger lives");
  },
);

t.test("F31: a handler that spins does not outlive kill -9 of its daemon, nor what it started", async (t) => {
  const client = await rig.connect();
  const pids = Object.values(await calledFor(client, "Spins", {}));
  t.equal(pids.length, 2);
  await killDaemon(rig);
  await client.close();
  await gone(pids, 5_000);
});

t.test(
  "F31: what a worker's handler left running ends with the worker, also when the daemon stops",
  async (t) => {
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
