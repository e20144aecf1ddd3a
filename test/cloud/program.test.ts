import { GetFunctionCommand, ListTagsCommand } from "@aws-sdk/client-lambda";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";

import { cloudCommand, ECHO, finished, newStateDir, plainEnvironment, TestCloud } from "./rig.ts";
import { PROGRAMS } from "../../daemon/lib/programs.ts";

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

void t.test("start, status, env, stop: what each prints and how it exits", async (t) => {
  const stateDir = newStateDir(t);
  const run = (...args: string[]) => cloudCommand(...args, "--state-dir", stateDir);
  for (const name of ["status", "env", "stop"]) {
    t.match(await run(name), { code: 3 }, `${name} says that none runs`);
    t.equal(existsSync(join(stateDir, "cloud.json")), false, `${name} starts and makes nothing`);
  }
  const started = await run("start");
  t.match(started, {
    code: 0,
    stdout: /^The local cloud serves at http:\/\/127\.0\.0\.1:\d+ \(pid \d+\)\.\n$/,
  });
  t.match(await run("start"), { code: 0, stdout: started.stdout }, "a second start finds the first");
  const status = await run("status");
  t.match(status, { code: 0, stdout: /endpoint .*\naccount .*\nrunning    0 environments, 0 queued/ });
  const env = await run("env");
  t.match(env.stdout, /^export AWS_ENDPOINT_URL=http:\/\/127\.0\.0\.1:\d+\nexport AWS_REGION=us-east-1\n/);
  const shown = JSON.parse((await run("status", "--json")).stdout);
  t.match(shown, { running: true, functions: [] });
  t.equal(shown.secretAccessKey, undefined, "the status shows no secret");
  t.match(await run("stop"), { code: 0, stdout: "The local cloud has stopped.\n" });
  t.match(await run("status"), { code: 3 });
  for (const wrong of [
    ["nothing"],
    [],
    ["start", "--port", "70000"],
    ["start", "--what"],
    ["start", "--region", "Mars"],
  ]) {
    t.match(await run(...wrong), { code: 2, stdout: "" }, wrong.join(" "));
  }
  t.match(await run("--help"), { code: 0, stdout: /cloud start/ });
});

void t.test("what is kept on disk is for its owner alone", async (t) => {
  const cloud = await TestCloud.open(t);
  await cloud.invoke(await cloud.function(ECHO));
  t.equal(statSync(cloud.stateDir).mode & 0o077, 0);
  for (const name of readdirSync(cloud.stateDir)) {
    t.equal(statSync(join(cloud.stateDir, name)).mode & 0o077, 0, name);
  }
});

void t.test("--port and --state-dir are where it serves and keeps", async (t) => {
  const port = await freePort();
  const cloud = await TestCloud.open(t, "--port", String(port));
  t.equal(cloud.serving.endpoint, `http://127.0.0.1:${port}`);
  t.equal(cloud.serving.stateDir, cloud.stateDir);
  const taken = newStateDir(t);
  t.match(await cloudCommand("start", "--state-dir", taken, "--port", String(port)), {
    code: 1,
    stderr: new RegExp(`Port ${port} is taken by another program`),
  });
  t.match(await cloudCommand("status", "--state-dir", taken), { code: 3 });
});

void t.test("in a project it keeps its state in the project's .livedev", async (t) => {
  const project = newStateDir(t);
  writeFileSync(join(project, "livedev.config.ts"), "");
  mkdirSync(join(project, "src"));
  const run = (name: string) =>
    finished(process.execPath, [PROGRAMS.cloud, name, "--json"], {
      cwd: join(project, "src"),
      env: plainEnvironment(),
    });
  const { stdout } = await run("start");
  t.equal(JSON.parse(stdout).stateDir, join(project, ".livedev", "cloud"));
  t.match(await run("stop"), { code: 0 });
});

void t.test("ten starts at once give one process", async (t) => {
  const stateDir = newStateDir(t);
  const started = await Promise.all(
    Array.from({ length: 10 }, () => cloudCommand("start", "--json", "--state-dir", stateDir)),
  );
  for (const { code, stderr } of started) t.equal(code, 0, stderr);
  const pids = new Set(started.map(({ stdout }) => JSON.parse(stdout).pid as number));
  t.equal(pids.size, 1);
  const left = serving(stateDir);
  t.same(left, [...pids], "and no other is left");
  await cloudCommand("stop", "--state-dir", stateDir);
  t.same(serving(stateDir), []);
});

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

void t.test("the AWS CLI works after eval of what `env` prints", async (t) => {
  const aws = await awsCli(t);
  if (aws === undefined) return;
  const cloud = await TestCloud.open(t);
  const FunctionName = await cloud.function(ECHO);
  const { stdout: env } = await cloud.command("env");
  const event = join(cloud.stateDir, "event.json");
  writeFileSync(event, '{"a":1}');
  const shell = (command: string) =>
    finished("sh", ["-c", `eval "$ENV"; ${command}`], {
      env: {
        ...plainEnvironment(),
        ENV: env,
        AWS: aws,
        AWS_PROFILE: "nobody",
        AWS_SESSION_TOKEN: "stale",
        EVENT: event,
        OUT: join(cloud.stateDir, "out.json"),
      },
    });
  const listed = await shell(`"$AWS" lambda list-functions --query "Functions[].FunctionName" --output text`);
  t.match(listed, { code: 0, stdout: `${FunctionName}\n` }, listed.stderr);
  const invoked = await shell(
    `"$AWS" lambda invoke --function-name ${FunctionName} --payload "fileb://$EVENT" "$OUT" && cat "$OUT"`,
  );
  t.match(invoked, { code: 0, stdout: /"StatusCode": 200[^]*\{"a":1\}/ }, invoked.stderr);
  const caller = await shell(`"$AWS" sts get-caller-identity --query Account --output text`);
  t.match(caller, { code: 0, stdout: `${cloud.serving.accountId}\n` }, caller.stderr);
  const roles = await shell(`"$AWS" iam list-roles --query "length(Roles)"`);
  t.match(roles, { code: 0, stdout: "1\n" }, roles.stderr);
});

/** `LIVEDEV_AWS_CLI`, or `aws` of the path; skips the test where there is none and CI does not insist. */
async function awsCli(t: Test): Promise<string | undefined> {
  const named = process.env["LIVEDEV_AWS_CLI"] ?? "aws";
  const found = await finished(named, ["--version"], { env: plainEnvironment() }).catch(() => undefined);
  if (found?.code === 0) return named;
  if (process.env["LIVEDEV_NO_SKIP"] === "1") t.fail("the AWS CLI is not installed: set LIVEDEV_AWS_CLI");
  else t.comment("skipped: the AWS CLI is not installed");
  return undefined;
}

/** Pids of the clouds that serve the directory. */
function serving(stateDir: string): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => {
      if (!(pid > 1)) return false;
      try {
        const [, , command, ...rest] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return command === "serve" && rest.includes(stateDir);
      } catch {
        return false;
      }
    });
}

function lives(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
