/** What is left of a daemon that was opened and closed in this very process: nothing. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import { stop } from "esbuild";
import t from "tap";

import { Daemon } from "../../daemon/daemon.ts";
import { silentLog } from "../../daemon/lib/log.ts";
import { times } from "../support/counts.ts";
import { Rig } from "../support/rig.ts";
import { FILES } from "./support.ts";

t.test(
  "a daemon that is opened and closed again and again leaves no child, no handle and no listener",
  async (t) => {
    await using rig = Rig.open({ files: FILES });
    const environment = { ...process.env };
    Object.assign(process.env, rig.env);
    t.teardown(() => {
      for (const name of Object.keys(process.env)) if (!(name in environment)) delete process.env[name];
      Object.assign(process.env, environment);
    });
    const round = async () => {
      const daemon = await Daemon.open({ project: rig.project, stage: "dev", log: silentLog });
      const client = await rig.connect({ stage: "dev" });
      const { payload } = await client.call("function.invokeLocal", {
        functionName: "Echo",
        event: '"here"',
      });
      t.equal(payload, '"here"');
      await client.subscribe({}, () => {});
      daemon.stop("the test is over");
      await daemon.ended;
      await client.close();
    };
    // What is made once in a process (esbuild's service, thread pools) is made by the first two.
    await round();
    await round();
    const before = await standing();
    for (let n = 0; n < times(10, 1); n++) await round();
    const after = await standing();
    t.comment(JSON.stringify(after));
    t.same(after, before);
    // It stays for the next build of this process, and would end with it.
    await stop();
  },
);

type Standing = {
  readonly handles: Readonly<Record<string, number>>;
  readonly descriptors: number;
  readonly children: number;
  readonly listeners: Readonly<Record<string, number>>;
};

/** When nothing of it has changed for a while: what was closed ends within some turns of the loop. */
async function standing(): Promise<Standing> {
  let last = "";
  for (let quiet = 0; quiet < 10;) {
    await wait(50);
    const now = JSON.stringify(look());
    quiet = now === last ? quiet + 1 : 0;
    last = now;
  }
  return JSON.parse(last) as Standing;
}

function look(): Standing {
  const handles: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo().sort()) {
    // Our own waiting, and what idle connections of `fetch` count down.
    if (kind !== "Timeout") handles[kind] = (handles[kind] ?? 0) + 1;
  }
  const listeners: Record<string, number> = {};
  for (const name of process.eventNames()) listeners[String(name)] = process.listenerCount(name);
  const tasks = readdirSync("/proc/self/task");
  const children = tasks.flatMap((task) =>
    readFileSync(`/proc/self/task/${task}/children`, "utf8").split(" ").filter(Boolean),
  );
  return { handles, descriptors: readdirSync("/proc/self/fd").length, children: children.length, listeners };
}

t.test("everything in the state folders of daemon and cloud is its user's alone", async (t) => {
  await using rig = Rig.open({ files: FILES });
  // As permissive as a user's shell may be.
  const before = process.umask(0);
  try {
    await rig.start();
    await rig.livedev("invoke", "Echo", "--event", "1");
  } finally {
    process.umask(before);
  }
  const open: string[] = [];
  let files = 0;
  const walk = (folder: string) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      const { mode } = statSync(path);
      files += 1;
      if (entry.isDirectory()) walk(path);
      if ((mode & 0o077) !== 0) open.push(`${(mode & 0o777).toString(8)} ${path.slice(rig.root.length)}`);
    }
  };
  const state = join(rig.project, ".livedev");
  for (const stage of readdirSync(state)) {
    // The folder that closes them to others; what a function's package holds has the modes that Lambda gives it.
    const path = join(state, stage);
    if (statSync(path).isDirectory()) t.equal(statSync(path).mode & 0o777, 0o700, stage);
  }
  walk(join(state, rig.stage));
  walk(join(rig.root, "home/.local/state/livedev"));
  walk(join(rig.root, "run"));
  walk(join(state, "cloud"));
  t.comment(`${files} files and folders`);
  t.same(open, []);
});
