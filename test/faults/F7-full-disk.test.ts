/** F7: the disk that a project's state lies on is full, and has room again; the whole way. */
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import t from "tap";

import { LiveStub, runsOf, Watched, withHandlers } from "../support/live-stub.ts";
import { Rig } from "../support/rig.ts";

const rig = Rig.open();
const state = join(rig.project, ".livedev");
mkdirSync(state);
const sh = (script: string) => spawnSync("sh", ["-c", script, state]).status === 0;
const mounted = sh('mount -t tmpfs -o size=24m,mode=700 tmpfs "$0"');
t.teardown(async () => {
  await rig.livedevd("stop");
  await rig.livedev("cloud", "stop");
  if (mounted) sh('umount "$0"');
  await rig[Symbol.asyncDispose]();
});

const json = (value: Record<string, unknown>) => JSON.stringify(value);

/** Gives what makes room again. */
function fillUp(): () => void {
  const ballast = join(rig.project, ".livedev", "ballast");
  mkdirSync(ballast);
  // The last of it in small pieces, so that no page is left.
  for (const bytes of [1024 * 1024, 4_096]) {
    try {
      for (let n = 0; ; n += 1) writeFileSync(join(ballast, `${bytes}-${n}`), Buffer.alloc(bytes));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    }
  }
  return () => rmSync(ballast, { recursive: true });
}

// What needs no mount of its own is in test/store/disk.test.ts.
t.test(
  "F7: on a full disk events are answered, and commands say that it is full; with room all is recorded",
  { skip: mounted ? false : "only who may mount a file system can try this" },
  async (t) => {
    withHandlers(rig);
    await rig.start();
    await using watched = await Watched.open(rig);
    await using stub = await LiveStub.open(rig, "Plain");
    const answerOf = async (one: LiveStub, name: string) =>
      JSON.parse((await one.runtime.invoke(json({ name }), { requestId: name })).body.toString()) as unknown;
    t.same(await answerOf(stub, "before"), { ran: "before" });
    await watched.next("invocation.delivered");

    const makeRoom = fillUp();
    const names = ["full-0", "full-1", "full-2"];
    for (const name of names) t.same(await answerOf(stub, name), { ran: name });
    {
      await using another = await LiveStub.open(rig, "Again");
      t.same(await answerOf(another, "again"), { ran: "again" }, "in a process of its own");
    }
    rig.save("src/handlers.ts", `${rig.read("src/handlers.ts")}\n// saved`);
    t.same(await answerOf(stub, "saved"), { ran: "saved" });

    for (const args of [["deploy"], ["remove", "--yes"]]) {
      const { code, stdout, stderr } = await rig.livedev(...args);
      t.equal(code, 1, args.join(" "));
      t.equal(stdout, "");
      // The state, or what is made of the config before it.
      t.match(stderr, /The disk is full: \S+\.(?:json|mjs) could not be written\.\nFree some space/);
      t.match(stderr, state);
    }
    const secret = await rig.run("livedev.js", ["secret", "set", "Token"], "abc");
    t.equal(secret.code, 1);
    t.match(secret.stderr, /The disk is full: .*\nFree some space/);
    t.match((await rig.livedev("doctor")).stdout, /✗ History cannot be written \(SQLITE_FULL\)/);
    t.match(
      (await rig.livedev("status")).stdout,
      /^live +yes, since/m,
      "what could not be done has changed nothing",
    );

    makeRoom();
    const all = [...names, "again", "saved"];
    for (const name of all) await watched.next("invocation.delivered", ({ requestId }) => requestId === name);
    for (const name of all) t.match(await watched.row(name), { status: "ok" }, name);
    t.notMatch((await rig.livedev("doctor")).stdout, /History cannot be written/);
    t.same(runsOf(rig), Object.fromEntries(["before", ...all].map((name) => [name, 1])));
    t.equal((await rig.run("livedev.js", ["secret", "set", "Token"], "abc")).code, 0);
    t.equal((await rig.livedev("deploy")).code, 0);
  },
);
