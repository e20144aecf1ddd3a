/** `livedev run` and `livedev env`: a command with the app's links, or as one of its functions. */
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { parseEnv } from "node:util";

import t from "tap";

import { deferred } from "../../daemon/lib/scope.ts";
import { some } from "../support/counts.ts";
import { PYTHON, pythonMissing } from "../support/parts.ts";
import { Rig, ROOT, type Finished } from "../support/rig.ts";
import { ended, rotate, Talk } from "../support/talk.ts";

const config = (colour = "red", more = { components: "", link: "" }) => `
import { $config, aws, Linkable, Secret } from "livedev";
export default $config({
  app: () => ({ name: "shop", home: "local", removal: "remove" }),
  async run() {
    const files = new aws.Bucket("Files");
    const stripe = new Secret("StripeKey");
    ${more.components}
    new aws.Function("MyApi", { handler: "src/api.handler", link: [files, stripe${more.link}], environment: { COLOUR: "${colour}", API_TOKEN: "planted-4478" } });
    new aws.Function("Other", { handler: "src/api.handler" });
  },
});
`;

/** Says at each line of its input who it is, by one client, which renews its credentials itself. */
const WHO_TS = `
import { createInterface } from "node:readline";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { Resource } from "livedev";
const sts = new STSClient({});
const keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"].filter((name) => name in process.env);
for await (const _ of createInterface({ input: process.stdin })) {
  const { Arn } = await sts.send(new GetCallerIdentityCommand({}));
  const { accessKeyId } = await sts.config.credentials();
  console.log(JSON.stringify({ arn: Arn, key: accessKeyId, bucket: Resource.Files.name, colour: process.env.COLOUR, keys }));
}
`;

const WHO_PY = `
import json, os, sys, boto3
sts = boto3.client("sts")
for _ in sys.stdin:
    arn = sts.get_caller_identity()["Arn"]
    key = boto3._get_default_session().get_credentials().get_frozen_credentials().access_key
    bucket = json.loads(os.environ["SST_RESOURCE_Files"])["name"]
    print(json.dumps({"arn": arn, "key": key, "bucket": bucket, "colour": os.environ.get("COLOUR")}), flush=True)
`;

const rig = Rig.open({
  files: {
    "livedev.config.ts": config(),
    "src/api.ts": "export const handler = async () => 1;",
    "who.mts": WHO_TS,
    "who.mjs": WHO_TS,
    "who.py": WHO_PY,
  },
});
t.teardown(() => rig[Symbol.asyncDispose]());
rig.install();
// The developer's own, in files and in the environment, which nothing that runs as a function may use.
const DEVELOPERS = "AKIADEVELOPER0000000";
mkdirSync(join(rig.env["HOME"] ?? "", ".aws"), { recursive: true });
writeFileSync(
  join(rig.env["HOME"] ?? "", ".aws", "credentials"),
  ["default", "work"]
    .map((profile) => `[${profile}]\naws_access_key_id = ${DEVELOPERS}\naws_secret_access_key = developers\n`)
    .join(""),
);
// From the first command on: a daemon of another profile refuses who comes with this one.
Object.assign(rig.env, {
  AWS_ACCESS_KEY_ID: DEVELOPERS,
  AWS_SECRET_ACCESS_KEY: "developers",
  AWS_SESSION_TOKEN: "developers",
  AWS_PROFILE: "work",
});

const AS_FUNCTION = /^arn:aws:sts::\d+:assumed-role\/shop-dev-MyApi\/shop-dev-MyApi$/;
type Who = { arn: string; key: string; bucket: string; colour?: string; keys?: string[] };

const run = (args: readonly string[], input?: string) => rig.run("livedev.js", ["run", ...args], input);
const who = ({ code, stdout, stderr }: Finished): Who => {
  if (code !== 0) throw new Error(`It ended with ${code}\n${stderr}\n${rig.daemonLog()}`);
  return JSON.parse(stdout) as Who;
};

/** A program that says who it is. */
class WhoTalk extends Talk {
  async ask(): Promise<Who> {
    return JSON.parse(await super.say("?")) as Who;
  }
}

t.test("without a session there is no stub, and --as is refused in a sentence", async (t) => {
  const { code, stderr } = await run(["--as", "MyApi", "--", "true"]);
  t.equal(code, 1);
  t.match(
    stderr,
    "MyApi has no stub in stage dev: only a stub can lend its permissions.\nPut it in place: `livedevd start`.",
  );
  t.match((await run(["--as", "None", "--", "true"])).stderr, "There is no function named None.");
});

t.test("a command without --as has every link of the app, and the developer's permissions", async (t) => {
  await rig.start();
  await using client = await rig.connect();
  await client.call("secret.set", { values: { StripeKey: "planted walrus" } });
  const found = who(await run(["--", process.execPath, "who.mjs"], "?\n"));
  t.match(found.arn, /^arn:aws:iam::\d+:root$/);
  t.match(found.bucket, /^shop-dev-files-/);
  t.equal(found.colour, undefined, "a function's variables are the function's");
});

async function overARotation(
  t: { match: Function; not: Function; equal: Function },
  args: readonly string[],
): Promise<{ talk: WhoTalk; before: Who }> {
  const talk = new WhoTalk(rig, args);
  const before = await talk.ask();
  t.match(before, { arn: AS_FUNCTION, bucket: /^shop-dev-files-/, colour: "red" });
  t.match(before.key, /^ASIA/);
  await rotate(rig, "MyApi");
  // The JavaScript SDK renews them behind calls that it makes with the old ones.
  let after = await talk.ask();
  for (let asked = 1; asked < 100 && after.key === before.key; asked += 1) after = await talk.ask();
  t.match(after, { arn: AS_FUNCTION, colour: "red" });
  t.not(after.key, before.key, "the same program has other credentials now");
  return { talk, before };
}

t.test(
  "a Python script with boto3 runs as the function, over a rotation of its credentials",
  { skip: pythonMissing },
  async (t) => {
    const { talk } = await overARotation(t, ["--as", "MyApi", "--", PYTHON, "who.py"]);
    t.equal(await talk.end(), 0);
  },
);

t.test(
  "a tsx script runs as the function, over a rotation; it does not notice a restart of the daemon",
  async (t) => {
    const { talk, before } = await overARotation(t, ["--as", "MyApi", "--", "tsx", "who.mts"]);
    t.strictSame(before.keys, [], "no key stands in its environment");
    t.equal((await rig.livedevd("restart")).code, 0);
    t.match(await talk.ask(), { arn: AS_FUNCTION });
    t.equal(await talk.end(), 0);
  },
);

t.test("another program, a web page and another function's token get no credentials", async (t) => {
  await using client = await rig.connect();
  const of = async (name: string) =>
    (await client.call("environment.get", { as: name, reveal: true })).variables;
  const [mine, other] = [await of("MyApi"), await of("Other")];
  const url = mine["AWS_CONTAINER_CREDENTIALS_FULL_URI"] ?? "";
  const token = mine["AWS_CONTAINER_AUTHORIZATION_TOKEN"] ?? "";
  const status = async (headers: Record<string, string>, to = url) => (await fetch(to, { headers })).status;
  t.equal(await status({ authorization: token }), 200);
  t.equal(await status({}), 403);
  t.equal(await status({ authorization: other["AWS_CONTAINER_AUTHORIZATION_TOKEN"] ?? "" }), 403);
  t.equal(await status({ authorization: token, origin: "http://example.com" }), 403);
  t.equal(await status({ authorization: token }, url.replace("127.0.0.1", "localhost")), 403);
  t.equal(await status({ authorization: token }, url.replace(/MyApi$/, "..%2f")), 403);
  const titles = (await client.call("daemon.doctor", {})).map(({ title }) => title);
  t.match(titles.join("\n"), "refused at the credentials' endpoint: the token is wrong");
});

t.test("the command's flags, its exit code and its signals are its own", async (t) => {
  const node = (code: string) => ["--", process.execPath, "-e", code];
  const flags = await run([
    "--",
    process.execPath,
    "-p",
    "JSON.stringify(process.argv)",
    "--",
    "--as",
    "x",
    "--watch",
    "--",
    "-h",
  ]);
  t.strictSame((JSON.parse(flags.stdout) as string[]).slice(1), ["--as", "x", "--watch", "--", "-h"]);
  t.equal((await run(node("process.exit(7)"))).code, 7);
  t.equal((await run(node("process.kill(process.pid, 'SIGKILL')"))).code, 137);
  const missing = await run(["--", "no-such-command"]);
  t.match([missing.code, missing.stderr], [127, "there is no command no-such-command"]);
  for (const [signal, code] of some([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)) {
    const talk = new Talk(rig, node("console.log('up'); setInterval(() => {}, 1000)"));
    t.equal(await talk.line(), "up");
    talk.child.kill(signal);
    t.equal(await ended(talk.child), code, signal);
  }
  const heeds = new Talk(
    rig,
    node("process.on('SIGTERM', () => process.exit(5)); console.log('up'); setInterval(() => {}, 1000)"),
  );
  await heeds.line();
  heeds.child.kill("SIGTERM");
  t.equal(await ended(heeds.child), 5, "what the command makes of a signal");
});

t.test("a link that is missing is named, with what to do", async (t) => {
  rig.save("other.mjs", `import { Resource } from "livedev";\nResource.Files.name;\n`);
  const node = [process.execPath, "other.mjs"];
  const as = await run(["--as", "Other", "--", ...node]);
  t.match(
    as.stderr,
    /Files is not linked to Other\. In livedev\.config\.ts, give new aws\.Function\("Other", .* the line\n {2}link: \[Files\],/,
  );
  rig.save("other.mjs", `import { Resource } from "livedev";\nResource.Flies.name;\n`);
  t.match(
    (await run(["--", ...node])).stderr,
    /Flies is not linked here\. It has: Files, StripeKey, MyApi, Other\./,
  );
});

t.test("programs of the project are found, the nearest first", async (t) => {
  const bin = (folder: string, name: string, says: string) => {
    const file = join(rig.project, folder, "node_modules", ".bin", name);
    mkdirSync(join(file, ".."), { recursive: true });
    writeFileSync(file, `#!/bin/sh\necho ${says}\n`);
    chmodSync(file, 0o755);
  };
  bin("packages/web", "near", "web");
  bin("packages", "near", "packages");
  bin("packages", "far", "packages");
  for (const [name, says] of [
    ["near", "web\n"],
    ["far", "packages\n"],
  ] as const) {
    const child = spawn(process.execPath, [join(ROOT, "dist/livedev.js"), "run", "--", name], {
      cwd: join(rig.project, "packages/web"),
      env: rig.env,
    });
    const said = text(child.stdout);
    t.equal(await ended(child), 0);
    t.equal(await said, says);
  }
});

t.test("livedev env prints the same, redacted, in three formats", async (t) => {
  const env = async (...args: readonly string[]) =>
    (await rig.livedev("env", "--as", "MyApi", ...args)).stdout;
  const redacted = await env();
  t.match(redacted, /^COLOUR=red$/m);
  t.match(redacted, /^API_TOKEN='«sealed»'$/m);
  t.match(redacted, /^AWS_CONTAINER_AUTHORIZATION_TOKEN='«sealed»'$/m);
  t.match(redacted, /^SST_RESOURCE_StripeKey='\{.*"value":"«sealed»"\}'$/m);
  t.notMatch(redacted, /walrus|4478/);
  t.notMatch(await env("--json"), /walrus|4478/);
  const json = JSON.parse(await env("--format", "json", "--reveal")) as Record<string, string>;
  t.match(json["SST_RESOURCE_StripeKey"], '"value":"planted walrus"');
  t.strictSame({ ...parseEnv(await env("--reveal")) }, json);
  const shell = await env("--format", "shell", "--reveal");
  t.match(shell, /^unset .*AWS_ACCESS_KEY_ID/m);
  const child = spawn(
    "sh",
    ["-c", `${shell}\nexec "$0" -p 'JSON.stringify(process.env)'`, process.execPath],
    {
      env: { PATH: rig.env["PATH"], AWS_ACCESS_KEY_ID: "developers" },
    },
  );
  let said = "";
  child.stdout.on("data", (text: Buffer) => (said += text.toString()));
  await ended(child);
  const there = JSON.parse(said) as Record<string, string>;
  t.match(there, json);
  t.notOk("AWS_ACCESS_KEY_ID" in there);
});

t.test("--watch starts the command again when a secret, a variable or a link is another", async (t) => {
  const say = `
    const { value } = JSON.parse(process.env.SST_RESOURCE_StripeKey);
    console.log(process.env.COLOUR, value, ...("SST_RESOURCE_Extra" in process.env ? ["Extra"] : []));
    process.stdin.on("data", () => console.log(process.pid));
    setInterval(() => {}, 1000);
  `;
  const talk = new Talk(rig, ["--as", "MyApi", "--watch", "--", process.execPath, "-e", say]);
  t.equal(await talk.line(), "red planted walrus");
  await using client = await rig.connect();
  await client.call("secret.set", { values: { StripeKey: "another" } });
  t.equal(await talk.line(), "red another");
  rig.save("livedev.config.ts", config("blue"));
  t.equal(await talk.line(), "blue another");
  // Another stage's daemon, which shares the app's fallback.
  await using other = await rig.connect({ stage: "other" });
  await client.call("secret.remove", { name: "StripeKey" });
  t.equal(await talk.line(), "blue null");
  await other.call("secret.set", { values: { StripeKey: "everybody's" }, fallback: true });
  t.equal(await talk.line(), "blue everybody's");
  await other.call("daemon.stop", {});
  const extra = 'const extra = new Linkable("Extra", { properties: {} });';
  const link = ", extra";
  rig.save("livedev.config.ts", config("blue", { components: extra, link }));
  t.equal(await talk.line(), "blue everybody's Extra");

  const pid = await talk.say("?");
  await rotate(rig, "MyApi");
  // It looks again with each config, whether all of what it gave is the same.
  const loaded = deferred<void>();
  await client.subscribe({ types: ["config.loaded"] }, () => loaded.resolve());
  const components = `${extra} new Linkable("NotLinked", { properties: {} });`;
  rig.save("livedev.config.ts", config("blue", { components, link }));
  await loaded.promise;
  await client.call("environment.get", { as: "MyApi" });
  t.equal(await talk.say("?"), pid, "fresh credentials are no reason to start it again");
  talk.child.kill("SIGTERM");
  t.equal(await ended(talk.child), 143);
});

t.test("no dev session is needed: the stub lends its permissions where nobody is live", async (t) => {
  t.equal((await rig.livedevd("stop")).code, 0);
  const found = who(await run(["--as", "MyApi", "--", process.execPath, "who.mjs"], "?\n"));
  t.match(found, { arn: AS_FUNCTION, bucket: /^shop-dev-files-/, colour: "blue", keys: [] });
  t.match(found.key, /^ASIA/);
  await using client = await rig.connect();
  const { live } = await client.call("daemon.status", {});
  t.strictSame(live, { state: "off" });
});

t.test("on a stage that holds deployed code --as is refused", async (t) => {
  t.equal((await rig.livedev("deploy")).code, 0);
  const { code, stderr } = await run(["--as", "MyApi", "--", "true"]);
  t.equal(code, 1);
  t.match(stderr, "MyApi holds deployed code in stage dev: only a stub can lend its permissions.");
});
