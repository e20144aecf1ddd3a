/** F15, F16: what a daemon's clients find it by, its state and its project are deleted or renamed while it runs. */
import { existsSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import t from "tap";

import { some } from "../support/counts.ts";
import { Rig } from "../support/rig.ts";
import { exitOf, FILES, foreground, gone, open, printed } from "./support.ts";

/** Live, with a local cloud. */
const rig = Rig.open({ files: FILES });
t.teardown(() => rig[Symbol.asyncDispose]());
await rig.start();

t.test(
  "F15: a daemon whose socket and files are deleted makes them again; who follows stays connected",
  async (t) => {
    const pid = rig.daemonPid();
    await using client = await rig.connect();
    const next = await printed(client);
    const files = [
      `.livedev/${rig.stage}/daemon.json`,
      ...registered(rig).map((name) => `../home/.local/state/livedev/daemons/${name}`),
    ].map((path) => join(rig.project, path));
    t.equal(files.length, 2);
    const socket = (JSON.parse(rig.read(`.livedev/${rig.stage}/daemon.json`)) as { socket: string }).socket;
    for (const path of [socket, ...files]) rmSync(path);

    const began = performance.now();
    while (![socket, ...files].every((path) => existsSync(path))) await wait(20);
    t.comment(
      `socket and ${files.length} files were there again after ${Math.round(performance.now() - began)} ms`,
    );
    t.ok(performance.now() - began < 5_000);
    await using another = await rig.connect();
    const { payload } = await another.call("function.invoke", {
      functionName: "Gate",
      event: '{"until":"/"}',
    });
    t.equal(payload, '"through"');
    t.equal(await next(), "begins");
    t.ok(client.connected);
    t.equal(rig.daemonPid(), pid, "the same daemon");
  },
);

t.test("F15: a client that comes while the files are gone starts no second daemon", async (t) => {
  const pid = rig.daemonPid();
  rmSync(join(rig.project, `.livedev/${rig.stage}/daemon.json`));
  t.equal((await open(rig)).pid, pid);
});

t.test(
  "F15: a daemon whose whole state folder is deleted closes, and the next client starts another",
  async (t) => {
    await using rig = Rig.open({ files: FILES });
    const daemon = await foreground(rig);
    const first = await rig.connect();
    remove(join(rig.project, ".livedev"));
    const began = performance.now();
    t.equal(await exitOf(daemon), 0);
    t.comment(`ended after ${Math.round(performance.now() - began)} ms`);
    await first.close();
    const second = await open(rig);
    t.not(second.pid, daemon.pid);
    t.not(second.database, first.hello.database);
  },
);

for (const [what, disappear] of some([
  ["deleted", (rig: Rig) => remove(rig.project)],
  ["renamed", (rig: Rig) => renameSync(rig.project, join(rig.root, "elsewhere"))],
] as const)) {
  t.test(`F16: the project's folder is ${what}: the daemon and its children end within 10 s`, async (t) => {
    await using rig = Rig.open({ files: FILES });
    const daemon = await foreground(rig);
    const client = await rig.connect();
    const next = await printed(client);
    // One that would run on for a minute.
    const event = JSON.stringify({ until: join(rig.root, "never") });
    const invoked = client.call("function.invokeLocal", { functionName: "Gate", event });
    invoked.catch(() => {});
    await next();
    const children = (await rig.processes()).map(({ pid }) => pid).filter((pid) => pid !== daemon.pid);
    const began = performance.now();
    disappear(rig);
    t.equal(await exitOf(daemon), 0);
    t.match(await invoked, { status: "error", errorType: "Livedev.Interrupted" });
    await gone(children, 1_000);
    const tookMs = Math.round(performance.now() - began);
    t.comment(`${children.length} children and the daemon ended after ${tookMs} ms`);
    t.ok(tookMs < 10_000);
    await client.close();
    t.same(registered(rig), [], "and the list of daemons does not name it");
    // The rig's own end needs a project to stand in.
    rig.save("livedev.config.ts", FILES["livedev.config.ts"]);
  });
}

t.test("F16: the local cloud of a project that is deleted ends too", async (t) => {
  const pids = (await rig.processes()).map(({ pid }) => pid);
  const began = performance.now();
  remove(rig.project);
  await gone(pids, 10_000);
  t.comment(`${pids.length} processes ended after ${Math.round(performance.now() - began)} ms`);
  rig.save("livedev.config.ts", FILES["livedev.config.ts"]);
});

/**
 * As `rm -rf` does, again where the daemon writes meanwhile: Node's own retries try the folder again without what has
 * come into it.
 */
function remove(folder: string): void {
  for (;;) {
    try {
      rmSync(folder, { recursive: true, force: true });
      return;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOTEMPTY")) throw error;
    }
  }
}

function registered(rig: Rig): string[] {
  return readdirSync(join(rig.root, "home/.local/state/livedev/daemons"));
}
