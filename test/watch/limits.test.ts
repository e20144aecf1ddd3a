import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { createInterface } from "node:readline";

import t, { type Test } from "tap";

import { Batches, type Batch } from "../../daemon/watch/batches.ts";
import { times } from "../support/counts.ts";
import { WatchRig } from "./rig.ts";

const PROGRAM = join(import.meta.dirname, "child.ts");

/** A watch in a process of its own, and what it prints. */
function watcher(t: Test, command: string, args: readonly string[]) {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  t.teardown(() => child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value as string) as Record<string, unknown>;
  return { child, next };
}

void t.test("more than a thousand paths at once are one overflow, without a list", async (t) => {
  const rig = new WatchRig(t, { "src/0.ts": "" });
  await rig.watch(t);
  // On a busy machine they are told in several batches: of so many, one at least is over the bound.
  for (let n = 0; n < times(4_000, 2_500); n += 1) rig.save(`src/${n}.ts`, "");
  const batch = await rig.next(({ overflow }) => overflow);
  t.same(batch.paths, []);
  // Another one may be on its way, in which a save would be one of many.
  for (let told: Batch | undefined, n = 0; told?.overflow !== false; n += 1) {
    const fence = rig.save(`fence-${n}.ts`, "");
    told = await rig.next(({ overflow, paths }) => overflow || paths.includes(fence));
  }
  rig.save("src/0.ts", "2");
  await rig.told(rig.path("src/0.ts"));
});

const QUEUE = "/proc/sys/fs/inotify/max_queued_events";
const noQueue = existsSync(QUEUE) ? false : "the kernel's queue is Linux's own";

void t.test(
  "F34: events that the kernel dropped: an overflow after the last of them, and new folders are found",
  { skip: noQueue },
  async (t) => {
    const rig = new WatchRig(t, { "src/api.ts": "", "src/b.ts": "", "moved/x.ts": "" });
    const { child, next } = watcher(t, process.execPath, ["--import=tsx", PROGRAM, rig.project]);
    t.match(await next(), { settled: true });
    // While it stands still nobody reads the queue, so that it really overflows; what comes after is dropped. Each
    // event differs from the one before, which the kernel would merge; and costs no writing to the disk.
    child.kill("SIGSTOP");
    while (!/\) T /.test(readFileSync(`/proc/${child.pid}/stat`, "utf8")));
    const length = Number(readFileSync(QUEUE, "utf8"));
    const now = new Date();
    for (let n = 0; n <= length; n += 1)
      utimesSync(rig.path(n % 2 === 0 ? "src/api.ts" : "src/b.ts"), now, now);
    rig.save("dropped/deep/y.ts", "");
    renameSync(rig.path("moved"), rig.path("moved-away"));
    mkdirSync(rig.path("moved"));
    writeFileSync(rig.path("moved/x.ts"), "another");
    child.kill("SIGCONT");

    let overflows = 0;
    const told = async (fits: (batch: Batch) => boolean) => {
      for (;;) {
        const batch = (await next()) as unknown as Batch;
        if (batch.overflow) overflows += 1;
        if (fits(batch)) return;
      }
    };
    await told(({ overflow }) => overflow);
    for (const path of ["dropped/deep/y.ts", "moved/x.ts", "moved-away/x.ts"]) {
      // The watches are placed anew after the overflow: that or the save's own event tells, whichever comes first.
      const saving = setInterval(() => rig.save(path, `${performance.now()}`), 20);
      await told(({ paths }) => paths.includes(rig.path(path)));
      clearInterval(saving);
    }
    t.equal(overflows, 1, "one overflow for one flood");
    child.stdin.end();
    await once(child, "exit");
  },
);

void t.test(
  "a flood is one overflow at its end, and half a second after its start at the latest",
  async (t) => {
    const given: Batch[] = [];
    const waiting: (() => void)[] = [];
    const batches = new Batches({
      give: (batch) => {
        given.push(batch);
        waiting.shift()?.();
      },
      flooded: () => {},
      floodEvents: 100,
    });
    t.teardown(() => batches.close());
    const one = () => new Promise<void>((resolve) => waiting.push(resolve));

    const first = one();
    for (let n = 0; n < 1_000; n += 1) {
      batches.count();
      batches.add("/same/path");
    }
    await first;
    t.match(given, [{ overflow: true, paths: [] }]);

    const began = performance.now();
    const second = one();
    const endless = setInterval(() => {
      for (let n = 0; n < 200; n += 1) batches.count();
    }, 5);
    await second;
    clearInterval(endless);
    t.ok(performance.now() - began >= 400, "not while it goes on");
    t.equal(given.length, 2);
  },
);

void t.test("a large project opens in milliseconds and does not hold up the event loop", async (t) => {
  const rig = new WatchRig(t);
  const count = times(1_000, 400);
  const one = join(rig.outside, "one.ts");
  writeFileSync(one, "");
  for (let n = 0; n < count; n += 1) {
    const folder = rig.path(`p${n % 20}/q${n}`);
    mkdirSync(folder, { recursive: true });
    // Links cost a tenth of what new files do.
    for (let file = 0; file < 10; file += 1) linkSync(one, join(folder, `${file}.ts`));
  }
  const lag = monitorEventLoopDelay({ resolution: 1 });
  lag.enable();
  const began = performance.now();
  const watch = await rig.open(t);
  const opened = performance.now() - began;
  await watch.settled();
  const walked = performance.now() - began;
  lag.disable();
  t.comment(
    `${10 * count} files in ${count + 20} folders: open in ${Math.round(opened)} ms, walked in ${Math.round(walked)} ms`,
  );
  t.comment(`longest lag ${Math.round(lag.max / 1e6)} ms`);
  t.ok(opened < walked / 4, "the walk goes on behind");
  t.ok(lag.percentile(99) / 1e6 < 50);
  rig.save("p7/q7/1.ts", "2");
  await rig.told(rig.path("p7/q7/1.ts"));
});

/** A user namespace has a limit of its own, which its root may lower: nobody else on the machine is touched. */
const LIMITED = ["--user", "--map-root-user", "sh", "-c"];
const LOWER = "echo 4 > /proc/sys/user/max_inotify_watches";
const noNamespace =
  process.platform !== "linux"
    ? "inotify's limit is Linux's own"
    : spawnSync("unshare", [...LIMITED, LOWER]).status !== 0 && "this machine gives no user namespaces";

void t.test(
  "no watches left: said once with the command that mends it, and saves are still told",
  { skip: noNamespace },
  async (t) => {
    const rig = new WatchRig(
      t,
      Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`src/${n}/x.ts`, "1"])),
    );
    const inputs = [0, 9].map((n) => rig.path(`src/${n}/x.ts`));
    const { child, next } = watcher(t, "unshare", [
      ...LIMITED,
      `${LOWER} && exec "$0" "$@"`,
      process.execPath,
      "--import=tsx",
      PROGRAM,
      rig.project,
      ...inputs,
    ]);

    t.match(await next(), {
      level: 40,
      msg: /no more file watches/,
      hint: /sudo sysctl fs\.inotify\.max_user_watches/,
    });
    t.match(await next(), { settled: true });
    for (const file of inputs) {
      const saving = setInterval(() => writeFileSync(file, `${performance.now()}`), 100);
      for (;;) {
        const line = await next();
        t.notOk("msg" in line, "said once");
        if ((line["paths"] as string[]).includes(file)) break;
      }
      clearInterval(saving);
    }
    child.stdin.end();
    await once(child, "exit");
  },
);
