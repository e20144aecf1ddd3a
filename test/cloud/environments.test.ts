import {
  DeleteFunctionCommand,
  InvokeCommand,
  UpdateFunctionCodeCommand,
  UpdateFunctionConfigurationCommand,
} from "@aws-sdk/client-lambda";
import { readFileSync } from "node:fs";
import t from "tap";

import { openListener } from "./listener.ts";
import { TestCloud, zip } from "./rig.ts";

const cloud = await TestCloud.open(t, "--concurrency", "3", "--max-environments", "4");
const lambda = cloud.lambda();
const linux = process.platform === "linux";

/** Says its process, and waits where it is told to. */
const WORKER = {
  "index.js": `
    const { request } = require("node:http");
    exports.handler = async ({ port, path }) => {
      if (port) await new Promise((resolve) => request({ port, path }, resolve).end());
      return { pid: process.pid };
    };`,
};

const pidOf = async (FunctionName: string): Promise<number> =>
  (await cloud.invoke(FunctionName)).value.pid as number;

void t.test("an environment is a process of the package, started through the exec wrapper", async (t) => {
  const FunctionName = await cloud.function(
    {
      "index.js": `exports.handler = async () => ({
        pid: process.pid, cwd: process.cwd(), own: process.env.OWN, root: process.env.LAMBDA_TASK_ROOT,
        wrapped: process.env.WRAPPED, reserved: process.env.AWS_EXECUTION_ENV, zone: process.env.TZ,
        nothingOfOurs: process.env.PLANTED ?? null,
      });`,
      wrapper: { executable: `#!/bin/sh\nexport WRAPPED="$#"\nexec "$@"\n` },
    },
    { Environment: { Variables: { AWS_LAMBDA_EXEC_WRAPPER: "/var/task/wrapper", OWN: "mine" } } },
  );
  const { value } = await cloud.invoke(FunctionName);
  t.match(value, {
    own: "mine",
    cwd: value.root,
    wrapped: /^[1-9]/,
    reserved: "AWS_Lambda_nodejs20.x",
    zone: ":UTC",
    nothingOfOurs: null,
  });
  t.ok(value.root.startsWith(cloud.stateDir), "it runs in the unpacked zip");
});

void t.test(
  "between invocations it is frozen, and the next one thaws it",
  { skip: !linux && "/proc is Linux's" },
  async (t) => {
    const FunctionName = await cloud.function({
      "index.js": `
      let ticks = 0;
      setInterval(() => (ticks += 1), 1);
      exports.handler = async () => ({ pid: process.pid, ticks });`,
    });
    const pid = await pidOf(FunctionName);
    await cloud.until(() => stateOf(pid) === "T");
    const cpu = cpuOf(pid);
    await cloud.status();
    t.equal(cpuOf(pid), cpu, "it does not run at all");
    t.equal(await pidOf(FunctionName), pid);
  },
);

void t.test("more of them run under concurrency, up to the bound; the rest waits in order", async (t) => {
  const FunctionName = await cloud.function(WORKER);
  const { port, call, calls, hold } = await openListener(t);
  const go = hold();
  const invocations = [0, 1, 2, 3, 4].map((index) => cloud.invoke(FunctionName, { port, path: `/${index}` }));
  await call(3);
  const status = await cloud.until(({ queued }) => queued === 2);
  t.match(
    status.functions.find(({ name }) => name === FunctionName),
    { running: 3, idle: 0, queued: 2 },
  );
  t.equal(calls.length, 3, "no more than the bound");
  go();
  const pids = new Set((await Promise.all(invocations)).map(({ value }) => value.pid));
  t.equal(pids.size, 3);
  t.same(calls.toSorted(), ["/0", "/1", "/2", "/3", "/4"], "none is lost");
  t.match(
    (await cloud.status()).functions.find(({ name }) => name === FunctionName),
    {
      running: 0,
      idle: 3,
      queued: 0,
    },
  );
  const text = (await cloud.command("status")).stdout;
  t.match(text, new RegExp(`${FunctionName}  0 running, 3 idle, 0 queued`));
});

void t.test("where all are taken, an idle one of another function makes room", async (t) => {
  const before = await cloud.status();
  t.equal(before.environments, 4, "as many as there may be");
  const FunctionName = await cloud.function(WORKER);
  t.type(await pidOf(FunctionName), "number");
  t.equal((await cloud.status()).environments, 4);
});

void t.test("new code and new configuration run in new processes; the old ones end", async (t) => {
  const FunctionName = await cloud.function(WORKER);
  const { port, call, hold } = await openListener(t);
  const first = await pidOf(FunctionName);
  const go = hold();
  const running = cloud.invoke(FunctionName, { port, path: "/" });
  await call(1);
  const ZipFile = await zip({
    "index.js": `exports.handler = async () => ({ pid: process.pid, version: 2 });`,
  });
  await lambda.send(new UpdateFunctionCodeCommand({ FunctionName, ZipFile }));
  const { value } = await cloud.invoke(FunctionName);
  t.equal(value.version, 2);
  go();
  t.equal((await running).value.pid, first, "the running invocation ended where it began");
  await cloud.until(() => stateOf(first) === undefined);
  await lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName, MemorySize: 512 }));
  t.not(await pidOf(FunctionName), value.pid);
  await lambda.send(new DeleteFunctionCommand({ FunctionName }));
  await cloud.until(() => stateOf(value.pid) === undefined);
  t.notOk((await cloud.status()).functions.some(({ name }) => name === FunctionName));
});

void t.test("who waits for a function that is deleted is told so", async (t) => {
  const FunctionName = await cloud.function(WORKER);
  const { port, call, hold } = await openListener(t);
  const go = hold();
  const all = [0, 1, 2, 3].map((index) =>
    lambda
      .send(new InvokeCommand({ FunctionName, Payload: JSON.stringify({ port, path: `/${index}` }) }))
      .catch((error: Error) => error),
  );
  await call(3);
  await cloud.until(({ queued }) => queued === 1);
  await lambda.send(new DeleteFunctionCommand({ FunctionName }));
  t.match(await all[3], { name: "ResourceNotFoundException" });
  go();
  t.match(await Promise.all(all.slice(0, 3)), [
    { StatusCode: 200 },
    { StatusCode: 200 },
    { StatusCode: 200 },
  ]);
});

void t.test(
  "a process that is killed between invocations is replaced",
  { skip: !linux && "/proc is Linux's" },
  async (t) => {
    const FunctionName = await cloud.function(WORKER);
    const pid = await pidOf(FunctionName);
    process.kill(pid, "SIGKILL");
    await cloud.until(() => stateOf(pid) === undefined);
    t.not(await pidOf(FunctionName), pid);
  },
);

void t.test("one that is killed in mid-invocation answers with how it ended; the others go on", async (t) => {
  const FunctionName = await cloud.function(WORKER);
  const pid = await pidOf(FunctionName);
  const { port, call, hold } = await openListener(t);
  const go = hold();
  const killed = cloud.invoke(FunctionName, { port, path: "/killed" });
  await call(1);
  const other = cloud.invoke(FunctionName, { port, path: "/other" });
  await call(2);
  process.kill(pid, "SIGKILL");
  t.match(await killed, {
    error: "Unhandled",
    value: { errorType: "Runtime.ExitError", errorMessage: /killed/ },
  });
  go();
  t.equal((await other).error, undefined);
});

void t.test("its credentials are a session of the function's role", async (t) => {
  const Role = await cloud.role("worker");
  const FunctionName = await cloud.function(
    {
      "index.js": `
        const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: sessionToken } = process.env;
        exports.handler = async () => ({ accessKeyId, secretAccessKey, sessionToken, endpoint: process.env.AWS_ENDPOINT_URL });`,
    },
    { Role },
  );
  const { value } = await cloud.invoke(FunctionName);
  t.equal(value.endpoint, cloud.serving.endpoint);
  t.match(value.accessKeyId, /^ASIA/);
  const { GetCallerIdentityCommand } = await import("@aws-sdk/client-sts");
  t.match(await cloud.sts(value).send(new GetCallerIdentityCommand({})), {
    Arn: `arn:aws:sts::${cloud.serving.accountId}:assumed-role/worker/${FunctionName}`,
    Account: cloud.serving.accountId,
  });
});

void t.test("the SDK in a function's own code reaches this cloud, as the function's role", async (t) => {
  const { build } = await import("esbuild");
  const { outputFiles } = await build({
    stdin: {
      contents: `
        import { STSClient, GetCallerIdentityCommand } from "@aws-sdk/client-sts";
        export const handler = async () => (await new STSClient({}).send(new GetCallerIdentityCommand({}))).Arn;`,
      resolveDir: import.meta.dirname,
    },
    bundle: true,
    minify: true,
    platform: "node",
    format: "cjs",
    write: false,
  });
  const FunctionName = await cloud.function(
    { "index.js": outputFiles[0]?.text ?? "" },
    { Role: await cloud.role("inside"), Timeout: 20 },
  );
  t.match(await cloud.invoke(FunctionName), {
    error: undefined,
    value: `arn:aws:sts::${cloud.serving.accountId}:assumed-role/inside/${FunctionName}`,
  });
});

void t.test("a function whose role is gone is not run with any other", async (t) => {
  const { DeleteRoleCommand } = await import("@aws-sdk/client-iam");
  const FunctionName = await cloud.function(WORKER, { Role: await cloud.role("gone") });
  await cloud.iam().send(new DeleteRoleCommand({ RoleName: "gone" }));
  await t.rejects(lambda.send(new InvokeCommand({ FunctionName })), {
    name: "AccessDeniedException",
    message: /role defined for the function cannot be assumed/,
  });
});

void t.test("what functions print is kept in a log for each", async (t) => {
  const FunctionName = await cloud.function({
    "index.js": `exports.handler = async () => { console.log("kept line"); };`,
  });
  await cloud.invoke(FunctionName);
  const file = `${cloud.stateDir}/logs/${FunctionName}.log`;
  await cloud.until(() => readFileSync(file, "utf8").includes("REPORT"));
  t.match(readFileSync(file, "utf8"), /^\d{4}-.*Z .*kept line$/m);
});

/** `undefined` where the process is gone, or a zombie. */
function stateOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const state = stat.slice(stat.lastIndexOf(")") + 2).charAt(0);
    return state === "Z" ? undefined : state;
  } catch {
    return undefined;
  }
}

/** Clock ticks of user and system time. */
function cpuOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}
