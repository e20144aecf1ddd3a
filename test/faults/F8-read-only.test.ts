/** F8: a state directory that cannot be written, as whoever starts the daemon is told. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";

import t, { type Test } from "tap";

import { ORDINARY } from "../store/processes.ts";
import { some } from "../support/counts.ts";
import { ROOT, Rig } from "../support/rig.ts";
import { FILES, open } from "./support.ts";

/** Root's own rights would open what modes close; a mount of this command alone closes it for root as well. */
const READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && cd "$1" && shift && exec "$@"';
const mounted = (folder: string, cwd: string) => ["unshare", "--mount", "sh", "-c", READ_ONLY, folder, cwd];

async function refused(
  t: Test,
  rig: Rig,
  before: readonly string[],
  folder: string,
  verbs = some(["start", "run"]),
): Promise<void> {
  const listed = () => new Set(readdirSync(rig.root, { recursive: true, encoding: "utf8" }));
  const there = listed();
  for (const verb of verbs) {
    const [command, ...args] = [...before, process.execPath, join(ROOT, "dist", "livedevd.js"), verb];
    const { status, stdout, stderr } = spawnSync(command, args, {
      cwd: rig.project,
      env: rig.env,
      encoding: "utf8",
    });
    t.equal(status, 1, verb);
    t.equal(stdout, "");
    t.match(stderr, `livedev cannot write to ${folder}`, "which one");
    t.match(stderr, /permission denied|read-only file system/, "why");
    t.match(stderr, /^Make .* writable for your user/m, "and what to do");
    t.notMatch(stderr, /^ +at /m, "it is no bug");
  }
  t.same(listed(), there, "nothing is made, here or elsewhere");
  t.same(await rig.processes(), []);
}

t.test("F8: `livedevd start` and `run` on a state directory that may not be written", async (t) => {
  await using rig = Rig.open({ files: FILES });
  const state = join(rig.project, ".livedev");
  const closed = async (folder: string, named: string, verbs?: readonly string[]) => {
    chmodSync(folder, 0o500);
    await refused(t, rig, ORDINARY, named, verbs);
    chmodSync(folder, 0o700);
  };
  rig.env["LIVEDEV_STAGE"] = "gone";
  await closed(rig.project, join(state, "gone"), ["start", "run"]);
  mkdirSync(state);
  await closed(state, join(state, "gone"));

  rig.env["LIVEDEV_STAGE"] = "there";
  t.equal((await open(rig)).pid, rig.daemonPid(), "as it was, it serves");
  t.equal((await rig.livedevd("stop")).code, 0);
  const [command = "", ...args] = mounted(state, rig.project);
  if (spawnSync(command, [...args, "true"]).status === 0)
    await refused(t, rig, mounted(state, rig.project), state);
  else t.comment("nobody may mount here: not tried on a read-only file system");
});
