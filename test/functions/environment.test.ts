/** What user code finds in its environment, and that it finds nothing of livedev's. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createServer } from "node:tls";

import t from "tap";

import { Rig, wanted } from "./rig.ts";
import { ownFolder } from "../support/folder.ts";

const SHOWS = `export const handler = async () => ({ ...process.env });`;

const SANDBOX = {
  AWS_ACCESS_KEY_ID: "AKIAONE",
  AWS_SECRET_ACCESS_KEY: "one",
  AWS_SESSION_TOKEN: "token-one",
  AWS_REGION: "eu-central-1",
  AWS_DEFAULT_REGION: "eu-central-1",
  AWS_LAMBDA_FUNCTION_NAME: "shop-ada-Api",
  AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "512",
  AWS_LAMBDA_LOG_GROUP_NAME: "/aws/lambda/shop-ada-Api",
  LAMBDA_TASK_ROOT: "/var/task",
  LAMBDA_RUNTIME_DIR: "/var/runtime",
  _HANDLER: "livedev-stub.handler",
};

const MACHINE = {
  PATH: process.env["PATH"],
  HOME: "/home/ada",
  HTTPS_PROXY: "http://proxy:3128",
  LIVEDEV_LOG: "debug",
  LIVEDEV_SECRET: "x",
  AWS_PROFILE: "admin",
  AWS_ACCESS_KEY_ID: "AKIADEVELOPER",
  GITHUB_TOKEN: "secret",
  NODE_OPTIONS: "--no-warnings",
};

const rig = await Rig.open(t, { files: {}, functions: {} });
const laptop = await Rig.open(t, { files: {}, functions: {}, machine: MACHINE });

t.test("AWS's variables come from the stub, the user's from the config, few of the machine", async (t) => {
  const rig = laptop;
  await rig.again({
    files: { "src/api.ts": SHOWS },
    functions: { Api: { environment: { TABLE: "books", _HANDLER: "mine" }, memoryMb: 512 } },
  });
  const { value } = await rig.invoke("Api", {}, { environment: SANDBOX });
  const env = value as Record<string, string>;
  t.match(env, {
    AWS_ACCESS_KEY_ID: "AKIAONE",
    AWS_REGION: "eu-central-1",
    AWS_LAMBDA_FUNCTION_NAME: "shop-ada-Api",
    TABLE: "books",
    _HANDLER: "mine",
    LAMBDA_TASK_ROOT: rig.project,
    TZ: ":UTC",
    PATH: process.env["PATH"],
    HOME: "/home/ada",
    HTTPS_PROXY: "http://proxy:3128",
  });
  for (const name of ["AWS_PROFILE", "GITHUB_TOKEN", "NODE_OPTIONS", "LAMBDA_RUNTIME_DIR"]) {
    t.notOk(name in env, name);
  }
  t.same(
    Object.keys(env).filter((name) => name.startsWith("LIVEDEV_")),
    [],
  );
  const again = (await rig.invoke("Api", {}, { environment: SANDBOX })).value as Record<string, string>;
  t.equal(again["LAMBDA_TASK_ROOT"], rig.project, "and so at the next event, in the same process");
  t.equal(again["_HANDLER"], "mine");
});

t.test(
  "a function that a client runs has what the last event brought, or what the config says",
  async (t) => {
    await rig.again({ files: { "src/api.ts": SHOWS } });
    t.match(await rig.value(), {
      AWS_REGION: "eu-west-1",
      AWS_LAMBDA_FUNCTION_NAME: "Api",
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "1024",
      AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
      _HANDLER: "src/api.handler",
    });
    await rig.invoke("Api", {}, { environment: SANDBOX });
    rig.save("src/api.ts", `${SHOWS} // new`);
    t.match(await rig.value(), { AWS_ACCESS_KEY_ID: "AKIAONE", AWS_REGION: "eu-central-1" });
  },
);

t.test("before any stub has connected, no SDK finds the developer's own AWS identity", async (t) => {
  const home = ownFolder(t, { ".aws": { credentials: "[default]\naws_access_key_id = AKIADEVELOPER\n" } });
  const rig = await Rig.open(t, {
    files: {
      "src/api.ts": `
        import { existsSync, readFileSync } from "node:fs";
        import { join } from "node:path";
        const { env } = process;
        // Where AWS's SDKs look, in their order.
        export const handler = async () => [
          env.AWS_ACCESS_KEY_ID ?? "",
          readFileSync(env.AWS_SHARED_CREDENTIALS_FILE ?? join(env.HOME, ".aws/credentials"), "utf8"),
          existsSync(env.AWS_CONFIG_FILE) ? readFileSync(env.AWS_CONFIG_FILE, "utf8") : "",
          env.AWS_EC2_METADATA_DISABLED,
        ];`,
    },
    functions: { Api: {}, Own: { environment: { AWS_EC2_METADATA_DISABLED: "false" } } },
    machine: { PATH: process.env["PATH"], HOME: home },
  });
  t.same(await rig.value(), ["", "", "", "true"]);
  t.same(await rig.value("Own"), ["", "", "", "false"], "what the config says stands");
});

t.test("code that runs here trusts the certificates that this machine's network needs", async (t) => {
  const folder = ownFolder(t);
  const [key, cert] = [join(folder, "key.pem"), join(folder, "company.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  execFileSync("openssl", ["req", "-x509", ...curve, "-keyout", key, "-out", cert, ...subject], {
    stdio: "ignore",
  });
  const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (socket) =>
    socket.end("inside"),
  ).listen(0, "127.0.0.1");
  t.teardown(() => server.close());
  await once(server, "listening");
  const rig = await Rig.open(t, {
    files: {
      "src/api.ts": `
        import { connect } from "node:tls";
        import { text } from "node:stream/consumers";
        export const handler = ({ port }) => text(connect({ host: "127.0.0.1", port, servername: "localhost" }));`,
    },
    machine: { PATH: process.env["PATH"], NODE_EXTRA_CA_CERTS: cert },
  });
  t.equal(await rig.value("Api", { port: (server.address() as AddressInfo).port }), "inside");
});

t.test("renewed credentials are seen by the next invocation in the same process", async (t) => {
  await rig.again({
    files: {
      "src/api.ts": `export const handler = async () => [process.pid, process.env.AWS_ACCESS_KEY_ID, process.env.AWS_CREDENTIAL_EXPIRATION];`,
    },
  });
  const one = (await rig.invoke("Api", {}, { environment: SANDBOX })).value as unknown[];
  for (let round = 0; round < 20; round++) {
    const environment = {
      ...SANDBOX,
      AWS_ACCESS_KEY_ID: `AKIA${round}`,
      AWS_CREDENTIAL_EXPIRATION: `2030-01-01T00:00:${round}Z`,
    };
    t.same((await rig.invoke("Api", {}, { environment })).value, [
      one[0],
      `AKIA${round}`,
      environment.AWS_CREDENTIAL_EXPIRATION,
    ]);
  }
});

t.test("what Node reads as it starts is honoured: NODE_OPTIONS, TZ", async (t) => {
  const rig = laptop;
  await rig.again({
    files: {
      "preload.mjs": `globalThis.preloaded = "yes";`,
      "src/api.ts": `export const handler = async () => ({
        preloaded: globalThis.preloaded, options: process.env.NODE_OPTIONS, hour: new Date(0).getHours(),
        zone: Intl.DateTimeFormat().resolvedOptions().timeZone });`,
    },
    functions: { Api: {}, Own: {} },
  });
  t.same(await rig.value(), { hour: 0, zone: "UTC" }, "as Lambda: UTC");
  const environment = {
    NODE_OPTIONS: `--import ${rig.path("preload.mjs")}`,
    TZ: "Asia/Tokyo",
  };
  rig.apply({ Api: {}, Own: { environment } });
  t.same(await rig.value("Own"), {
    preloaded: "yes",
    options: environment.NODE_OPTIONS,
    hour: 9,
    zone: "Asia/Tokyo",
  });
});

t.test("another environment in the config takes effect at the next event; a removal too", async (t) => {
  await rig.again({
    files: { "src/api.ts": SHOWS },
    functions: { Api: { environment: { TABLE: "books", OLD: "x" } } },
  });
  t.match(await rig.value(), { TABLE: "books", OLD: "x" });
  const builds = rig.of("build.finished").length;
  rig.apply({ Api: { environment: { TABLE: "films" } } });
  const env = (await rig.value()) as Record<string, string>;
  t.equal(env["TABLE"], "films");
  t.notOk("OLD" in env);
  t.equal(rig.of("build.finished").length, builds, "without another build");
  rig.apply({ Api: { environment: { TABLE: "films" } } });
  t.equal((await rig.invoke()).coldStart, false, "what is as before leaves the worker alone");
});

t.test("links stand in the environment as SST has them", async (t) => {
  const link = [{ name: "Table", properties: { name: "books-ada" } }];
  await rig.again({ files: { "src/api.ts": SHOWS }, functions: { Api: { link } } });
  t.match(await rig.value(), {
    SST_RESOURCE_Table: '{"name":"books-ada"}',
    SST_RESOURCE_App: '{"name":"shop","stage":"ada"}',
  });
  t.equal(wanted("Api", { link }).link, link);
});

t.test("the context is Lambda's", async (t) => {
  await rig.again({
    files: {
      "src/api.ts": `export const handler = async (event, context) => ({ ...context, left: context.getRemainingTimeInMillis(), trace: process.env._X_AMZN_TRACE_ID });`,
    },
  });
  const { value } = await rig.invoke(
    "Api",
    {},
    {
      requestId: "r-1",
      traceId: "Root=1-2-3",
      clientContext: '{"custom":{"é":1}}',
      cognitoIdentity: '{"cognitoIdentityId":"c"}',
      deadlineAt: 0,
      remainingMs: () => 20_000,
      environment: SANDBOX,
    },
  );
  t.match(value, {
    awsRequestId: "r-1",
    functionName: "shop-ada-Api",
    memoryLimitInMB: "512",
    logGroupName: "/aws/lambda/shop-ada-Api",
    invokedFunctionArn: /^arn:aws:lambda:/,
    clientContext: { custom: { é: 1 } },
    identity: { cognitoIdentityId: "c" },
    trace: "Root=1-2-3",
  });
  const { left } = value as { left: number };
  t.ok(left > 0 && left <= 20_000, "remaining time is of this machine's clock");
});
