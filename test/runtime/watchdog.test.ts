import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
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
    watchdog.add(pid);
    watchdog.add(2 ** 30);
    t.equal(shells().length, 1);
    watchdog.delete(2 ** 30);
    watchdog.delete(pid);
    await watchdog.settled();
    t.same(shells(), []);
  }
  t.equal(watched.exitCode, null);
  t.equal(watched.signalCode, null);
});

void t.test("a shell that was ended is followed by another, which knows all", unix, async (t) => {
  const watchdog = new Watchdog();
  const watched = spawn(process.execPath, ["-e", "for (;;);"], { detached: true, stdio: "ignore" });
  watchdog.add(watched.pid ?? 0);
  const [first = 0] = shells();
  process.kill(first, "SIGKILL");
  // Until it is reaped, which is when we learn of it.
  while (alive(first)) await new Promise((resolve) => setImmediate(resolve));
  watchdog.add(2 ** 30);
  t.equal(shells().length, 1);
  t.not(shells()[0], first);
  watchdog.delete(2 ** 30);
  watched.kill("SIGKILL");
  await once(watched, "exit");
  watchdog.delete(watched.pid ?? 0);
  await watchdog.settled();
  t.same(shells(), []);
});
