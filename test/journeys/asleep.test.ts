/** A laptop that sleeps for two hours (stopped, its clocks ahead when it wakes), and one whose clock is set. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

import t from "tap";

import { slowness } from "../faults/support.ts";
import { killDaemon, project, runsOf } from "../support/live-stub.ts";
import { ROOT } from "../support/rig.ts";

const HOUR = 3_600_000;
const json = (value: Record<string, unknown>) => JSON.stringify(value);

const made = await project("Plain");
t.teardown(() => made[Symbol.asyncDispose]());
const { rig, watched, stub } = made;

/** Whose clocks can jump. */
let daemon: ChildProcess;

t.before(async () => {
  await killDaemon(rig);
  // Nothing begins before the config is there.
  const config = rig.read("livedev.config.ts");
  const gate = `import { existsSync } from "node:fs";\nwhile (!existsSync("${rig.root}/config")) await new Promise((done) => setTimeout(done, 5));\n`;
  rig.save("livedev.config.ts", gate + config);
  const preload = join(ROOT, "test/support/clock-jump.mjs");
  daemon = spawn(
    process.execPath,
    ["--import", preload, join(ROOT, "dist/daemon.js"), "--project", rig.project, "--stage", rig.stage],
    { cwd: rig.project, env: { ...rig.env, LIVEDEV_TEST_JUMP: join(rig.root, "jump") }, stdio: "ignore" },
  );
  await watched.next("daemon.started", ({ pid }) => pid === daemon.pid);
});

/** How long the laptop slept, in the first test. */
const ASLEEP = 2 * HOUR;

t.test("asleep for two hours: what expired meanwhile is not run, and events come again (F22)", async (t) => {
  const waiting = stub.runtime.invoke(json({ name: "waited" }));
  const { requestId } = await watched.next("invocation.received");

  daemon.kill("SIGSTOP");
  rig.save("../jump", json({ wallMs: ASLEEP, sinceBootMs: ASLEEP }));
  daemon.kill("SIGUSR2");
  daemon.kill("SIGCONT");
  const woke = performance.now();
  await watched.next("invocation.answered", (event) => event.cause === "expired");
  rig.save("../config", "");
  t.match(JSON.parse((await waiting).body.toString()), { errorType: "Livedev.Expired" });

  // The connection of before is dead, and nobody told the stub.
  stub.proxy.blackHole();
  const next = await stub.runtime.invoke(json({ name: "next" }));
  t.same(JSON.parse(next.body.toString()), { ran: "next" });
  const tookMs = performance.now() - woke;
  const bound = 5_000 * (await slowness());
  t.ok(tookMs < bound, `${Math.round(tookMs)} of ${Math.round(bound)} ms`);
  t.same(runsOf(rig), { next: 1 });
  t.match(await watched.row(requestId), { status: "expired" });
});

t.test(
  "a wall clock that jumps back and forward: order by number, durations and deadlines right (F23)",
  async (t) => {
    await stub.runtime.invoke(json({ name: "before" }), { requestId: "before" });
    for (const [name, wallMs] of [
      ["back", -HOUR],
      ["forward", 5 * HOUR],
    ] as const) {
      const gate = `${rig.root}/${name}`;
      const invoked = stub.runtime.invoke(json({ name, until: gate }), { requestId: name });
      await watched.next("invocation.begun", ({ requestId }) => requestId === name);
      rig.save("../jump", json({ wallMs: ASLEEP + wallMs, sinceBootMs: ASLEEP }));
      daemon.kill("SIGUSR2");
      // It has jumped when it has recorded something since.
      const marker = `${name}-marker`;
      await watched.client.call("function.invokeLocal", {
        functionName: "Plain",
        event: json({ name: marker }),
      });
      rig.save(`../${name}`, "");
      t.same(JSON.parse((await invoked).body.toString()), { ran: name });
      await watched.next("invocation.delivered", ({ requestId }) => requestId === name);
      const row = await watched.row(name);
      t.equal(row?.status, "ok");
      t.ok((row?.durationMs ?? -1) >= 0 && (row?.durationMs ?? 0) < 60_000, `took ${row?.durationMs} ms`);
    }
    const rows = await watched.client.call("invocation.list", { limit: 10 });
    const order = rows
      .map(({ requestId }) => requestId)
      .filter((id) => ["before", "back", "forward"].includes(id));
    t.same(order, ["forward", "back", "before"], "newest first, whatever the clock said");
    daemon.kill("SIGTERM");
    await once(daemon, "exit");
  },
);
