import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";

import { times } from "../support/counts.ts";
import { freePort } from "../support/free-port.ts";
import { cloudCommand, ECHO, finished, newStateDir, plainEnvironment, TestCloud } from "./rig.ts";
import { PROGRAMS } from "../../daemon/lib/programs.ts";

// Many starts of the program, each a process or two.
t.setTimeout(120_000);

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

const STARTS = times(10, 4);

void t.test(`${STARTS} starts at once give one process`, async (t) => {
  const stateDir = newStateDir(t);
  const started = await Promise.all(
    Array.from({ length: STARTS }, () => cloudCommand("start", "--json", "--state-dir", stateDir)),
  );
  for (const { code, stderr } of started) t.equal(code, 0, stderr);
  const pids = new Set(started.map(({ stdout }) => JSON.parse(stdout).pid as number));
  t.equal(pids.size, 1);
  const left = await serving(stateDir);
  t.same(left, [...pids], "and no other is left when they are done");
  await cloudCommand("stop", "--state-dir", stateDir);
  t.same(await serving(stateDir), []);
});

const aws = await awsCli();

void t.test(
  "the AWS CLI works after eval of what `env` prints",
  { skip: aws === undefined && "no AWS CLI here" },
  async (t) => {
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
          AWS: aws ?? "",
          AWS_PROFILE: "nobody",
          AWS_SESSION_TOKEN: "stale",
          EVENT: event,
          OUT: join(cloud.stateDir, "out.json"),
        },
      });
    const invoked = await shell(
      `"$AWS" lambda invoke --function-name ${FunctionName} --payload "fileb://$EVENT" "$OUT" && cat "$OUT"`,
    );
    t.match(invoked, { code: 0, stdout: /"StatusCode": 200[^]*\{"a":1\}/ }, invoked.stderr);
    const caller = await shell(`"$AWS" sts get-caller-identity --query Account --output text`);
    t.match(caller, { code: 0, stdout: `${cloud.serving.accountId}\n` }, caller.stderr);
    const more: readonly (readonly [string, string])[] = [
      [`lambda list-functions --query "Functions[].FunctionName" --output text`, `${FunctionName}\n`],
      [`iam list-roles --query "length(Roles)"`, "1\n"],
    ];
    // Each costs a second of the machine; they speak as the two before.
    for (const [command, stdout] of times(more, [])) {
      const answer = await shell(`"$AWS" ${command}`);
      t.match(answer, { code: 0, stdout }, answer.stderr);
    }
  },
);

/** `LIVEDEV_AWS_CLI`, or `aws` of the path. */
async function awsCli(): Promise<string | undefined> {
  const named = process.env["LIVEDEV_AWS_CLI"] ?? "aws";
  const found = await finished(named, ["--version"], { env: plainEnvironment() }).catch(() => undefined);
  return found?.code === 0 ? named : undefined;
}

/** Pids of the clouds that serve the directory. */
async function serving(stateDir: string): Promise<number[]> {
  const { stdout } = await finished("ps", ["-axww", "-o", "pid=,command="]);
  const lines = stdout.split("\n").filter((line) => line.includes(` serve --state-dir ${stateDir}`));
  return lines.map((line) => Number.parseInt(line));
}
