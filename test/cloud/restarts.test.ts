import { GetFunctionCommand, InvokeCommand, ListTagsCommand } from "@aws-sdk/client-lambda";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import t from "tap";

import { openListener } from "./listener.ts";
import { ECHO, finished, plainEnvironment, TestCloud } from "./rig.ts";

// Many starts of the program, each a process or two.
t.setTimeout(120_000);

/** Starts a child in a session of its own. */
const FORKING = {
  "index.js": `
    const { spawn } = require("node:child_process");
    const child = spawn("sleep", ["1000"], { detached: true, stdio: "ignore" });
    exports.handler = async () => [process.pid, child.pid];`,
};

/** Never answers, and hears no SIGTERM. */
const DEAF = {
  "index.js": `
    process.on("SIGTERM", () => {});
    setInterval(() => {}, 1000);
    exports.handler = () => new Promise(() => {});`,
};

void t.test(
  "an event that was accepted runs, also when the cloud was killed or stopped before",
  async (t) => {
    const { port, call, calls, hold } = await openListener(t);
    const cloud = await TestCloud.open(t, "--concurrency", "1", "--async-retry-ms", "600000");
    const FunctionName = await cloud.function(
      {
        "index.js": `
      const { request } = require("node:http");
      exports.handler = async ({ port, path, fail }) => {
        await new Promise((resolve) => request({ port, path }, resolve).end());
        if (fail) throw new Error("again");
      };`,
      },
      { Timeout: 60 },
    );
    const accept = (path: string, fail = false) =>
      cloud.lambda().send(
        new InvokeCommand({
          FunctionName,
          InvocationType: "Event",
          Payload: JSON.stringify({ port, path, fail }),
        }),
      );
    const go = hold();
    await accept("/running");
    await call(1);
    await accept("/waiting");
    process.kill(cloud.serving.pid, "SIGKILL");
    go();
    await cloud.start();
    t.same([await call(2), await call(3)], ["/running", "/waiting"], "in their order, from the start");
    await cloud.until(({ asyncPending }) => asyncPending === 0);
    t.same(readdirSync(join(cloud.stateDir, "events")), [], "and nothing is kept of them");

    await accept("/failing", true);
    await call(4);
    await cloud.until(({ asyncPending, functions: [lambda] }) => asyncPending === 1 && lambda?.running === 0);
    await cloud.stop();
    writeFileSync(join(cloud.stateDir, "events", "cut.json"), '{"arn":');
    await cloud.start();
    t.equal(await call(5), "/failing", "one that waits for its retry has it after the restart");
    t.equal(calls.length, 5);
  },
);

void t.test("everything that was acknowledged is there after a restart", async (t) => {
  const cloud = await TestCloud.open(t);
  const FunctionName = await cloud.function(ECHO, { Tags: { a: "1" } });
  const url = await cloud.url(FunctionName);
  t.equal((await fetch(url)).status, 200);
  const before = await cloud.lambda().send(new GetFunctionCommand({ FunctionName }));
  const { pid, ...serving } = cloud.serving;
  process.kill(pid, "SIGKILL");
  await cloud.start();
  t.not(cloud.serving.pid, pid);
  t.match(cloud.serving, { ...serving, pid: Number }, "the same endpoint, account and keys");
  const after = await cloud.lambda().send(new GetFunctionCommand({ FunctionName }));
  t.same(after.Configuration, before.Configuration);
  t.same(
    (await cloud.lambda().send(new ListTagsCommand({ Resource: after.Configuration?.FunctionArn }))).Tags,
    { a: "1" },
  );
  t.equal((await fetch(url)).status, 200);
});

void t.test(
  "a kill -9 leaves no environment behind after the next start",
  { skip: process.platform !== "linux" && "/proc is Linux's" },
  async (t) => {
    const cloud = await TestCloud.open(t);
    // One that starts a child of its own in another session, one that is frozen, one that is busy and hears no SIGTERM.
    const forking = await cloud.function(FORKING);
    const busy = await cloud.function(DEAF, { Timeout: 900 });
    const pids = (await cloud.invoke(forking)).value as number[];
    const running = cloud.invoke(busy).catch((error: Error) => error);
    const status = await cloud.until(({ environments }) => environments === 2);
    t.equal(status.environments, 2);
    const records = join(cloud.stateDir, "environments");
    for (const name of readdirSync(records)) {
      pids.push((JSON.parse(readFileSync(join(records, name), "utf8")) as { pid: number }).pid);
    }
    process.kill(cloud.serving.pid, "SIGKILL");
    t.type(await running, Error, "who waited is told");
    await cloud.start();
    for (const pid of new Set(pids)) t.notOk(lives(pid), String(pid));
    t.same(existsSync(records) ? readdirSync(records) : [], []);
    t.equal((await cloud.invoke(forking)).error, undefined);
  },
);

void t.test(
  "a local worker that was given a function's own variables is not touched",
  { skip: process.platform !== "linux" && "/proc is Linux's" },
  async (t) => {
    const { spawn } = await import("node:child_process");
    const cloud = await TestCloud.open(t);
    const FunctionName = await cloud.function({
      "index.js": `exports.handler = async () => Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("LIVEDEV_")));`,
    });
    const { value } = await cloud.invoke(FunctionName);
    // As the bridge hands them on, but for the state directory's name, by which this test counts the cloud's own.
    const { AWS_LAMBDA_LOG_STREAM_NAME, AWS_SESSION_TOKEN } = value as Record<string, string>;
    const worker = spawn("sleep", ["1000"], {
      detached: true,
      stdio: "ignore",
      env: { ...plainEnvironment(), AWS_LAMBDA_LOG_STREAM_NAME, AWS_SESSION_TOKEN },
    });
    t.teardown(() => void worker.kill("SIGKILL"));
    process.kill(cloud.serving.pid, "SIGKILL");
    await cloud.start();
    await cloud.stop();
    t.ok(lives(worker.pid ?? 0));
  },
);

void t.test(
  "a process that only has the number of an old environment is not touched",
  { skip: process.platform !== "linux" && "/proc is Linux's" },
  async (t) => {
    const { spawn } = await import("node:child_process");
    const bystander = spawn("sleep", ["1000"], { detached: true, stdio: "ignore" });
    t.teardown(() => void bystander.kill("SIGKILL"));
    const cloud = await TestCloud.open(t);
    await cloud.stop();
    const records = join(cloud.stateDir, "environments");
    mkdirSync(records, { recursive: true });
    const recorded = { pid: bystander.pid, identity: "another-boot:1", mark: "none" };
    writeFileSync(join(records, `${bystander.pid}.json`), JSON.stringify(recorded));
    writeFileSync(join(records, "7.json"), "{cut");
    await cloud.start();
    t.ok(lives(bystander.pid ?? 0));
  },
);

void t.test("stopping ends environments that run, are frozen or hear no SIGTERM", async (t) => {
  const cloud = await TestCloud.open(t);
  const frozen = await cloud.function(FORKING);
  const [pid = 0, child = 0] = (await cloud.invoke(frozen)).value as number[];
  const deaf = await cloud.function(DEAF, { Timeout: 900 });
  const running = cloud.invoke(deaf).catch((error: Error) => error);
  await cloud.until(({ environments }) => environments === 2);
  t.match(await cloud.stop(), { code: 0 });
  await running;
  t.same(cloud.processes(), []);
  t.notOk(lives(pid) || lives(child), "nor what left their process group");
});

void t.test(
  "a broken state file is moved aside and a new account begins; a newer one is refused",
  async (t) => {
    const cloud = await TestCloud.open(t);
    const { accountId } = cloud.serving;
    await cloud.stop();
    const file = join(cloud.stateDir, "cloud.json");
    const kept = readFileSync(file, "utf8");
    writeFileSync(file, kept.slice(0, 100));
    await cloud.start();
    t.not(cloud.serving.accountId, accountId);
    const aside = readdirSync(cloud.stateDir).filter((name) => name.startsWith("cloud.json.broken-"));
    t.equal(aside.length, 1);
    t.equal(readFileSync(join(cloud.stateDir, aside[0] ?? ""), "utf8"), kept.slice(0, 100));
    await cloud.stop();
    writeFileSync(file, JSON.stringify({ ...JSON.parse(kept), version: 2 }));
    t.match(await cloud.command("start"), { code: 1, stderr: /was written by a newer livedev/ });
    t.equal(JSON.parse(readFileSync(file, "utf8")).version, 2, "and left as it is");
  },
);

void t.test(
  "a cloud whose state directory is deleted ends, with its environments",
  { skip: process.platform !== "linux" && "/proc is Linux's" },
  async (t) => {
    const cloud = await TestCloud.open(t);
    const [pid = 0, child = 0] = (await cloud.invoke(await cloud.function(FORKING))).value as number[];
    rmSync(cloud.stateDir, { recursive: true });
    // It is no child of ours: `tail` tells of its end.
    await finished("tail", ["-f", `--pid=${cloud.serving.pid}`, "/dev/null"]);
    t.notOk(lives(pid) || lives(child));
    t.notOk(existsSync(cloud.stateDir), "and nothing is made again in its place");
  },
);

function lives(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
