import { execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";

import t from "tap";

import { Watchdog } from "../../daemon/runtime/watchdog.ts";
import { alive } from "./rig.ts";

const unix = process.platform === "win32" ? { skip: "process groups" } : {};

/** Shells of this process. */
function shells(): number[] {
  return execFileSync("ps", ["-o", "pid=,ppid=,args=", "-A"], { encoding: "utf8" })
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, parent, command]) => parent === String(process.pid) && command === "/bin/sh")
    .map(([pid]) => Number(pid));
}

void t.test("one shell watches all, goes with the last of them, and ends nobody", unix, async (t) => {
  const watchdog = new Watchdog();
  const watched = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { detached: true });
  t.teardown(() => watched.kill("SIGKILL"));
  const pid = watched.pid ?? 0;
  for (let round = 0; round < 3; round++) {
    watchdog.expect("one");
    watchdog.add(pid, "one");
    watchdog.add(2 ** 30, "other");
    t.equal(shells().length, 1);
    watchdog.ended(2 ** 30);
    watchdog.forget(["other"]);
    watchdog.ended(pid);
    await watchdog.settled();
    t.equal(shells().length, 1, "who left the group may live");
    watchdog.forget(["one"]);
    await watchdog.settled();
    t.same(shells(), []);
  }
  t.equal(watched.exitCode, null);
  t.equal(watched.signalCode, null);
});

void t.test("a shell that was ended is followed by another at once, which knows all", unix, async (t) => {
  const watchdog = new Watchdog();
  watchdog.add(2 ** 30, "one");
  const [first = 0] = shells();
  // One that cannot live is not started without end.
  await new Promise((resolve) => setTimeout(resolve, 150));
  process.kill(first, "SIGKILL");
  while (shells().every((pid) => pid === first)) await new Promise((resolve) => setImmediate(resolve));
  t.equal(shells().length, 1);
  watchdog.ended(2 ** 30);
  watchdog.forget(["one"]);
  await watchdog.settled();
  t.same(shells(), []);
});

const LINUX = process.platform === "linux" ? {} : { skip: "the system shows no environments" };

void t.test(
  "whoever it was told ends with the one who told it, wherever they went; nobody else does",
  LINUX,
  async (t) => {
    const marks = {
      told: randomUUID(),
      expected: randomUUID(),
      forgotten: randomUUID(),
      stranger: randomUUID(),
    };
    const deaf = "trap '' TERM HUP INT; echo up; while :; do sleep 1; done";
    const started = (mark: string, command: string) => {
      const child = spawn("sh", ["-c", command], {
        detached: true,
        env: { ...process.env, _LIVEDEV_MARK: mark },
        stdio: ["ignore", "pipe", "ignore"],
      });
      t.teardown(() => {
        try {
          process.kill(-(child.pid ?? 0), "SIGKILL");
        } catch {
          // Ended, as it should.
        }
      });
      return child;
    };
    const [group, gone, late, forgotten, stranger] = [
      started(marks.told, deaf),
      started(marks.told, deaf),
      started(marks.expected, deaf),
      started(marks.forgotten, deaf),
      started(marks.stranger, deaf),
    ];
    const all = [group, gone, late, forgotten, stranger];
    await Promise.all(all.map((child) => once(child.stdout, "data")));
    process.kill(gone.pid ?? 0, "SIGSTOP");
    const teller = spawn(process.execPath, ["--import=tsx", join(import.meta.dirname, "child.ts")], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    teller.stdin.end(JSON.stringify({ pid: group.pid, ...marks }));
    await once(teller.stdout, "data");
    const ends = [group, gone, late].map((child) => once(child, "exit"));
    teller.kill("SIGKILL");
    await Promise.all(ends);
    t.same(
      [forgotten, stranger].map((child) => alive(child.pid ?? 0)),
      [true, true],
    );
  },
);
