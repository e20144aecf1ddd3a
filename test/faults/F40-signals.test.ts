/** F40: how a daemon ends when it is told to, in each of the ways in which a person or a system tells it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

import t, { type Test } from "tap";

import { processIdentity } from "../../daemon/lib/process-identity.ts";
import { inFull, some } from "../support/counts.ts";
import { ROOT, Rig } from "../support/rig.ts";
import { exitOf, FILES, foreground, gone, printed } from "./support.ts";

/** A daemon, and an invocation of it that runs until the gate is opened. */
async function running(rig: Rig) {
  const daemon = await foreground(rig);
  const client = await rig.connect();
  const next = await printed(client);
  const gate = join(rig.root, "gate");
  const invoked = client.call("function.invokeLocal", {
    functionName: "Gate",
    event: JSON.stringify({ until: gate }),
  });
  // Waited for by each test when it has done its part.
  invoked.catch(() => {});
  await next();
  const children = (await rig.processes()).map(({ pid }) => pid).filter((pid) => pid !== daemon.pid);
  return { daemon, client, invoked, children, open: () => rig.save("../gate", "") };
}

// What follows sends each of them as well, which is enough for the short run.
for (const signal of some(["SIGTERM", "SIGINT", "SIGHUP"] as const, 0)) {
  t.test(
    `F40: ${signal}: what runs may finish, then the daemon ends with 0 and no child is left`,
    async (t) => {
      await using rig = Rig.open({ files: FILES });
      const { daemon, client, invoked, children, open } = await running(rig);
      const stopping = once(daemon.stderr!, "data");
      daemon.kill(signal);
      await stopping;
      t.equal(daemon.exitCode, null, "it waits");
      open();
      t.equal((await invoked).payload, '"through"');
      t.equal(await exitOf(daemon), 0);
      t.ok(children.length > 0);
      await gone(children, 1_000);
      t.comment(`${children.length} children`);
      await client.close();
    },
  );
}

// The short run has it below, where livedevd run passes both on.
t.test(
  "F40: a second signal does not wait: what runs is told that it was interrupted",
  { skip: inFull },
  async (t) => {
    await using rig = Rig.open({ files: FILES });
    const { daemon, client, invoked, children } = await running(rig);
    const stopping = once(daemon.stderr!, "data");
    daemon.kill("SIGINT");
    await stopping;
    const began = performance.now();
    daemon.kill("SIGINT");
    const { status, errorType } = await invoked;
    t.match({ status, errorType }, { status: "error", errorType: "Livedev.Interrupted" });
    t.equal(await exitOf(daemon), 0);
    const tookMs = performance.now() - began;
    t.ok(tookMs < 3_000, `${Math.round(tookMs)} ms`);
    await gone(children, 1_000);
    await client.close();
  },
);

t.test(
  "F40: an invocation that does not finish within 10 s is interrupted, and the daemon ends",
  async (t) => {
    await using rig = Rig.open({ files: FILES });
    const { daemon, client, invoked } = await running(rig);
    const began = performance.now();
    daemon.kill("SIGTERM");
    t.match(await invoked, { status: "error", errorType: "Livedev.Interrupted" });
    t.equal(await exitOf(daemon), 0);
    const tookMs = performance.now() - began;
    t.ok(tookMs > 9_500 && tookMs < 15_000, `${Math.round(tookMs)} ms`);
    await client.close();
  },
);

/** In which livedevd runs in the foreground. */
const rig = Rig.open({ files: FILES });
t.teardown(() => rig[Symbol.asyncDispose]());

t.test("F40: livedevd run passes signals on: 0 after one, 130 after two", async (t) => {
  t.equal(await runAndSignal(t, 1), 0);
  t.equal(await runAndSignal(t, 2), 130);
});

async function runAndSignal(t: Test, times: number) {
  const run = rig.spawn("livedevd.js", ["run", "--json"]);
  run.stderr?.resume();
  await once(run.stdout!, "data");
  const daemon = rig.daemonPid();
  const client = await rig.connect();
  const next = await printed(client);
  const event = JSON.stringify({ until: join(rig.root, `gate${times}`) });
  const invoked = client.call("function.invokeLocal", { functionName: "Gate", event });
  await next();
  const ours = await besideClouds(rig);
  const heard = once(run.stderr!, "data");
  run.kill("SIGINT");
  await heard;
  t.equal(run.exitCode, null, "it waits");
  if (times === 2) run.kill("SIGINT");
  else rig.save("../gate1", "");
  const { status, errorType } = await invoked;
  t.match(
    { status, errorType },
    times === 2 ? { status: "error", errorType: "Livedev.Interrupted" } : { status: "ok" },
  );
  const code = await exitOf(run);
  t.equal(processIdentity(daemon), undefined);
  t.ok(ours.length > 2, "livedevd, the daemon and its children");
  await gone(ours, 1_000);
  await client.close();
  return code;
}

/** A cloud goes on without a daemon. */
async function besideClouds(rig: Rig): Promise<number[]> {
  const ours = await rig.processes();
  return ours.filter(({ command }) => !/cloud\.js|\/cloud\//.test(command)).map(({ pid }) => pid);
}

t.test("F40: a terminal that closes ends livedevd run and its daemon", async (t) => {
  const command = `${process.execPath} ${join(ROOT, "dist/livedevd.js")} run`;
  const terminal = spawn("script", ["-qec", command, "/dev/null"], {
    cwd: rig.project,
    env: { ...rig.env, SHELL: "/bin/sh" },
    stdio: ["pipe", "pipe", "ignore"],
  });
  let shown = "";
  await new Promise<void>((resolve) => {
    terminal.stdout.setEncoding("utf8").on("data", (text: string) => {
      shown += text;
      if (/is (\S*)live/.test(shown)) resolve();
    });
  });
  const rest = await besideClouds(rig);
  t.ok(rest.includes(rig.daemonPid()));
  // The terminal's program dies, and the system hangs up.
  terminal.kill("SIGKILL");
  await gone(rest, 5_000);
  t.comment(`${rest.length} processes ended`);
});
