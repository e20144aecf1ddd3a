import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Worker } from "node:worker_threads";

import t from "tap";

import { openLog, silentLog } from "../../daemon/lib/log.ts";
import { Folders } from "../../daemon/watch/folders.ts";
import { WatchRig } from "./rig.ts";

void t.test("a save is told within milliseconds, with the moment of its first change", async (t) => {
  const rig = new WatchRig(t, { "src/api.ts": "old" });
  await rig.watch(t);
  const took: number[] = [];
  for (let save = 0; save < 11; save += 1) {
    const savedAt = performance.now();
    const file = rig.save("src/api.ts", `save ${save}`);
    const batch = await rig.told(file);
    took.push(performance.now() - savedAt);
    t.ok(batch.at >= savedAt && batch.at <= performance.now());
    t.notOk(batch.overflow);
  }
  // The window is 5 ms; the median leaves out what the machine did meanwhile.
  t.ok((took.sort((a, b) => a - b)[5] ?? Infinity) < 30, `took ${took.map(Math.round).join(", ")} ms`);
});

void t.test("of two saves in quick succession the last is told, whatever lies between them", async (t) => {
  const rig = new WatchRig(t, { "src/api.ts": "" });
  await rig.watch(t);
  for (let pause = 0; pause < 60; pause += 3) {
    const file = rig.save("src/api.ts", `${pause}, first`);
    const until = performance.now() + pause;
    while (performance.now() < until) await new Promise(setImmediate);
    const savedAt = performance.now();
    rig.save("src/api.ts", `${pause}, second`);
    // Told after the second save: whoever reads the file then reads that.
    const read = new Promise<string>((resolve) => {
      void rig.told(file).then(function again(): unknown {
        const text = readFileSync(file, "utf8");
        return text.endsWith("second") ? resolve(text) : rig.told(file).then(again);
      });
    });
    t.equal(await read, `${pause}, second`);
    t.ok(performance.now() >= savedAt);
    await rig.toldUntilNow();
  }
});

void t.test(
  "an editor's ways to save: rename over the file, truncate then write, write in pieces",
  async (t) => {
    const rig = new WatchRig(t, { "src/api.ts": "old" });
    await rig.watch(t);
    const file = rig.path("src/api.ts");

    for (const text of ["renamed", "renamed again", "and again"]) {
      writeFileSync(`${file}.tmp`, text);
      renameSync(`${file}.tmp`, file);
      await rig.told(file);
      t.equal(readFileSync(file, "utf8"), text);
    }
    writeFileSync(file, "");
    await rig.told(file);
    writeFileSync(file, "whole");
    await rig.told(file);
    await writeFile(file, ["a", "b", "c"]);
    await rig.told(file);

    // vim: the old file is moved away, a new one written in its place.
    renameSync(file, `${file}~`);
    writeFileSync(file, "vim");
    unlinkSync(`${file}~`);
    await rig.told(file);
    writeFileSync(file, "and by hand");
    await rig.told(file);
    const told = await rig.toldUntilNow();
    t.notOk(told.has(`${file}~`), "an editor's backup is of no interest");
  },
);

void t.test("a file deleted and restored is told twice", async (t) => {
  const rig = new WatchRig(t, { "src/lib/money.ts": "1" });
  const file = rig.path("src/lib/money.ts");
  await rig.watch(t, { files: [file] });
  unlinkSync(file);
  await rig.told(file);
  writeFileSync(file, "1");
  await rig.told(file);
  rmSync(rig.path("src"), { recursive: true });
  await rig.told(file);
  await rig.toldUntilNow();
  rig.save("src/lib/money.ts", "2");
  await rig.told(file);
  await rig.toldUntilNow();
  rig.save("src/lib/money.ts", "3");
  await rig.told(file);
});

void t.test(
  "a renamed folder: the inputs under its old name and the files under the new one are told",
  async (t) => {
    const rig = new WatchRig(t, { "src/a/deep/x.ts": "1", "src/other.ts": "" });
    await rig.watch(t, { files: [rig.path("src/a/deep/x.ts")] });
    renameSync(rig.path("src/a"), rig.path("src/b"));
    const told = await rig.toldUntilNow();
    t.ok(told.has(rig.path("src/a/deep/x.ts")));
    if (!told.has(rig.path("src/b/deep/x.ts"))) await rig.told(rig.path("src/b/deep/x.ts"));
    rig.save("src/b/deep/x.ts", "2");
    await rig.told(rig.path("src/b/deep/x.ts"));
    renameSync(rig.path("src/b"), rig.path("src/a"));
    await rig.told(rig.path("src/a/deep/x.ts"));
  },
);

void t.test("files in folders made this moment are told, however deep", async (t) => {
  const rig = new WatchRig(t);
  await rig.watch(t);
  const missing = new Set<string>();
  for (let n = 0; n < 50; n += 1) missing.add(rig.save(`new${n}/a/b/c/x.ts`, ""));
  while (missing.size > 0) for (const path of (await rig.next(() => true)).paths) missing.delete(path);
  rig.save("new7/a/b/c/x.ts", "again");
  await rig.told(rig.path("new7/a/b/c/x.ts"));
});

void t.test(
  "a project reached through a symbolic link is told under the name it was opened by",
  async (t) => {
    const rig = new WatchRig(t, { "src/api.ts": "1" });
    const link = join(rig.outside, "link");
    symlinkSync(rig.project, link);
    await rig.watch(t, { root: link });
    rig.save("src/api.ts", "2");
    await rig.told(join(link, "src/api.ts"));
  },
);

void t.test("an input outside the root is watched, its neighbours are not", async (t) => {
  const rig = new WatchRig(t, { "../shared/lib/money.ts": "1", "../shared/lib/noise.ts": "1" });
  const file = rig.path("../shared/lib/money.ts");
  const watch = await rig.watch(t, { files: [file] });
  rig.save("../shared/lib/noise.ts", "2");
  rig.save("../shared/lib/money.ts", "2");
  const batch = await rig.told(file);
  t.same(batch.paths, [file]);

  rmSync(join(rig.outside, "shared"), { recursive: true });
  await rig.told(file);
  await rig.toldUntilNow();
  rig.save("../shared/lib/money.ts", "3");
  await rig.told(file);
  await rig.toldUntilNow();
  rig.save("../shared/lib/money.ts", "4");
  await rig.told(file);

  watch.apply({ folders: ["."], files: [] });
  rig.save("../shared/lib/money.ts", "5");
  t.notOk((await rig.toldUntilNow()).has(file), "no longer asked for");
});

void t.test(
  "an input that does not exist yet is told when it appears, also with the folders above it",
  async (t) => {
    const rig = new WatchRig(t);
    const wanted = ["src/new.ts", "lib/deep/er/x.json", "../elsewhere/a/b/y.ts", ".env.ann", "dist/made.js"];
    await rig.watch(t, { files: wanted.map((path) => rig.path(path)) });
    for (const path of wanted) {
      const file = rig.save(path, "1");
      await rig.told(file);
      rig.save(path, "2");
      await rig.told(file);
    }
  },
);

void t.test(
  "of a folder above the project only what is expected there is told, and it is never read whole",
  async (t) => {
    const rig = new WatchRig(t);
    const missing = rig.path("../package.json");
    const told: string[] = [];
    const folders = new Folders({
      log: silentLog,
      told: (paths) => told.push(...paths),
      placed: () => {},
      blind: () => {},
      refused: (error) => t.fail(String(error)),
    });
    t.teardown(() => folders.close());
    await folders.apply({ trees: [rig.project], places: [rig.outside], expected: [missing] });
    const { atimeMs: readAt } = statSync(rig.outside);
    for (let n = 0; n < 100; n += 1) {
      rig.save(`../noise-${n}/x`, "");
      rig.save(`../noise-${n}.txt`, "");
    }
    rig.save("../package.json", "{}");
    while (!told.includes(missing)) await new Promise((resolve) => setImmediate(resolve));
    t.same([...new Set(told)], [missing]);
    t.equal(statSync(rig.outside).atimeMs, readAt, "nobody has read it");
    readdirSync(rig.outside);
    if (statSync(rig.outside).atimeMs === readAt) t.comment("times of reading are not kept here");
  },
);

void t.test("what is ignored is not told, unless somebody asked for it", async (t) => {
  const ignored = [
    "node_modules/p/index.js",
    ".git/index",
    ".livedev/dev/log",
    ".next/a.js",
    ".turbo/x",
    ".cache/x",
    "dist/a.js",
  ];
  const rig = new WatchRig(t, Object.fromEntries(ignored.map((path) => [path, ""])));
  const asked = rig.save("dist/asked.js", "");
  const watch = await rig.watch(t, { files: [asked] });
  for (const path of ignored) rig.save(path, "changed");
  t.same([...(await rig.toldUntilNow())], []);
  rig.save("dist/asked.js", "changed");
  await rig.told(asked);
  rig.save(".env", "A=1");
  await rig.told(rig.path(".env"));
  watch.apply({ folders: ["."], files: [] });
  rig.save("dist/asked.js", "once more");
  t.same([...(await rig.toldUntilNow())], []);
});

void t.test(
  "folders of the config: only these are watched, and they may lie outside or come later",
  async (t) => {
    const rig = new WatchRig(t, { "src/a.ts": "", "other/b.ts": "", "../shared/c.ts": "" });
    const watch = await rig.watch(t);
    watch.apply({ folders: ["src", "../shared", "later/on"], files: [] });
    await watch.settled();
    rig.save("other/b.ts", "2");
    rig.save("src/a.ts", "2");
    t.same((await rig.told(rig.path("src/a.ts"))).paths, [rig.path("src/a.ts")]);
    rig.save("../shared/c.ts", "2");
    await rig.told(rig.path("../shared/c.ts"));
    rig.save("later/on/d.ts", "1");
    await rig.told(rig.path("later/on/d.ts"));

    watch.apply({ folders: ["."], files: [] });
    watch.apply({ folders: ["."], files: [] });
    await watch.settled();
    rig.save("other/b.ts", "3");
    await rig.told(rig.path("other/b.ts"));
  },
);

void t.test("a save before its watch stood, by which a build has just come, is told", async (t) => {
  const rig = new WatchRig(t, { "src/api.ts": "", "../shared/money.ts": "read by the build" });
  const watch = await rig.watch(t);
  const opened = Date.now() + 1;
  const file = rig.path("../shared/money.ts");
  // Time stamps of files move in steps of the kernel's clock.
  while (statSync(file).ctimeMs <= opened) rig.save("../shared/money.ts", "saved");
  watch.apply({ folders: ["."], files: [file] });
  await rig.told(file);
});

void t.test("a save while the walk through the project is still under way is told", async (t) => {
  const files = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`z${n}/y/x.ts`, ""]));
  const rig = new WatchRig(t, files);
  const last = rig.path("z99/y/x.ts");
  const watch = await rig.open(t);
  const opened = Date.now() + 1;
  watch.apply({ folders: ["."], files: [last] });
  // Time stamps of files move in steps of the kernel's clock.
  while (statSync(last).ctimeMs <= opened) rig.save("z99/y/x.ts", "saved");
  await rig.told(last);
});

void t.test("a project that goes away is told once", async (t) => {
  for (const away of [
    (project: string) => rmSync(project, { recursive: true }),
    (project: string) => renameSync(project, `${project}-renamed`),
    (project: string) => {
      renameSync(project, `${project}-old`);
      mkdirSync(project);
    },
  ]) {
    const rig = new WatchRig(t, { "src/api.ts": "" });
    let times = 0;
    const gone = new Promise<void>((resolve) => {
      void rig
        .watch(t, {
          onGone: () => {
            times += 1;
            resolve();
          },
        })
        .then(() => away(rig.project));
    });
    await gone;
    t.equal(times, 1);
  }
});

void t.test("a root that does not exist is refused", async (t) => {
  const rig = new WatchRig(t);
  await t.rejects(rig.watch(t, { root: join(rig.outside, "none") }), { code: "ENOENT" });
  t.notOk(existsSync(join(rig.outside, "none")));
});

void t.test("closed, it tells nothing and holds no watch", async (t) => {
  const threads: Worker[] = [];
  const started = (thread: Worker) => threads.push(thread);
  process.on("worker", started);
  t.teardown(() => process.off("worker", started));
  const rig = new WatchRig(t, { "src/api.ts": "" });
  const watch = await rig.watch(t);
  const second = await rig.watch(t);
  await watch[Symbol.asyncDispose]();
  await second[Symbol.asyncDispose]();
  rig.batches.length = 0;
  const third = new WatchRig(t);
  await third.watch(t);
  rig.save("src/api.ts", "2");
  await third.toldUntilNow();
  t.same(rig.batches, []);
  t.same(
    threads.map(({ threadId }) => threadId === -1),
    [true, true, false],
  );
  if (process.platform !== "linux") return;
  const held = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "closed meanwhile";
    }
  });
  t.equal(held.filter((file) => file === "anon_inode:inotify").length, 1);
});

void t.test(
  "a watching thread that dies is replaced, with one overflow; when it dies again, inputs are asked for by stat",
  async (t) => {
    const threads: Worker[] = [];
    let ready = () => {};
    const started = (thread: Worker) => {
      threads.push(thread);
      ready();
    };
    process.on("worker", started);
    t.teardown(() => process.off("worker", started));
    const logged: string[] = [];
    const log = openLog({ write: (line) => logged.push(String(JSON.parse(line).msg)) }, "info");
    const rig = new WatchRig(t, { "src/api.ts": "1" });
    const file = rig.path("src/api.ts");
    await rig.watch(t, { files: [file], log });

    const restarted = new Promise<void>((resolve) => (ready = resolve));
    await threads[0]?.terminate();
    await restarted;
    await rig.next(({ overflow }) => overflow);
    rig.save("src/api.ts", "2");
    await rig.told(file);
    t.notOk(rig.batches.some(({ overflow }) => overflow));
    t.match(logged, [/thread that watches files ended/]);

    await threads[1]?.terminate();
    const told = rig.told(file);
    const saving = setInterval(() => rig.save("src/api.ts", `${performance.now()}`), 100);
    await told;
    clearInterval(saving);
    t.match(logged.slice(1), [/thread that watches files ended/, /looked for twice a second/]);
    t.equal(threads.length, 2);
  },
);
