/** Real deployments into the local cloud, which runs what it is given. */
import {
  GetFunctionCommand,
  GetFunctionConfigurationCommand,
  InvokeCommand,
  UpdateFunctionConfigurationCommand,
} from "@aws-sdk/client-lambda";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";

import { unzip } from "../../daemon/cloud/unzip.ts";
import { PACKAGE_ROOT } from "../../daemon/lib/programs.ts";
import type { WantedFunction } from "../../proto/app.ts";
import { TestCloud } from "../cloud/rig.ts";
import { openRegistry } from "./npm-registry.ts";
import { openDeploy, standing, wantedApp, wantedFunction } from "./rig.ts";

const cloud = await TestCloud.open(t);
const lambda = cloud.lambda();
const URL = { authorization: "none" } as const;
let stages = 0;

const ECHO_CODE = `
import { Resource } from "livedev"; import { word } from "./word.js";
export const handler = async (event) => ({ statusCode: 200, body: JSON.stringify({ word, env: process.env.COLOUR, link: "Other" in Resource ? JSON.stringify(Resource.Other) : undefined, stack: new Error("x").stack }) });
`;

async function open(t: Test, files: Readonly<Record<string, string>> = {}) {
  const stage = `r${(stages += 1)}`;
  const project = realpathSync(mkdtempSync(join(tmpdir(), "ld-release-")));
  t.teardown(() => rmSync(project, { recursive: true, force: true }));
  const save = (path: string, text: string) => {
    mkdirSync(dirname(join(project, path)), { recursive: true });
    writeFileSync(join(project, path), text);
  };
  const all = { "src/index.js": ECHO_CODE, "src/word.js": `export const word = "first";`, ...files };
  for (const [path, text] of Object.entries(all)) save(path, text);
  save("package.json", `{ "type": "module" }`);
  mkdirSync(join(project, "node_modules"), { recursive: true });
  symlinkSync(PACKAGE_ROOT, join(project, "node_modules", "livedev"));
  const journalFile = join(cloud.stateDir, `journal-${stage}.db`);
  const rig = await openDeploy({ serving: cloud.serving, journalFile, app: "shop", stage, project });
  t.teardown(rig.close);
  const app = (functions: readonly WantedFunction[]) => wantedApp({ stage }, functions);
  const invoke = async (component: string): Promise<Record<string, unknown>> => {
    const { Payload } = await lambda.send(
      new InvokeCommand({ FunctionName: `shop-${stage}-${component}`, Payload: Buffer.from("{}") }),
    );
    const answer = JSON.parse(Buffer.from(Payload ?? []).toString()) as { body?: string };
    return (answer.body === undefined ? answer : JSON.parse(answer.body)) as Record<string, unknown>;
  };
  /** The package as Lambda has it, in a folder. */
  const unpacked = async (component: string): Promise<string> => {
    const FunctionName = `shop-${stage}-${component}`;
    const { Code } = await lambda.send(new GetFunctionCommand({ FunctionName }));
    const zip = await (await fetch(Code?.Location ?? "")).arrayBuffer();
    const folder = join(project, "unpacked", component);
    await unzip(new Uint8Array(zip), folder, 1_000_000);
    return folder;
  };
  return { ...rig, stage, save, app, invoke, unpacked };
}

void t.test("a real deployment runs the function's own code, with its environment and links", async (t) => {
  const { deploy, app, invoke, taken, save } = await open(t);
  const wanted = app([
    wantedFunction("Api", {
      url: URL,
      environment: { COLOUR: "red" },
      link: [{ name: "Other", properties: { url: { "livedev:output": [{ ref: "Other.url" }] } } }],
    }),
    wantedFunction("Other", { url: URL }),
  ]);
  const { functions, known } = await deploy.apply(wanted, { mode: "release" });
  t.match(known, { "Other.url": functions["Other"]?.url, "Api.arn": functions["Api"]?.functionArn });
  t.match(await invoke("Api"), {
    word: "first",
    env: "red",
    link: JSON.stringify({ url: functions["Other"]?.url }),
    stack: /src\/index\.js:3/,
  });
  t.ok(taken().indexOf('create aws.Function "Other" URL') !== -1);
  t.same((await deploy.plan(wanted, { mode: "release" })).steps, [], "an unchanged app has nothing to do");
  save("src/word.js", `export const word = "second";`);
  t.match((await deploy.plan(wanted, { mode: "release" })).steps, [
    { step: "update", resource: 'aws.Function "Api"', changes: [{ what: "code" }], drift: false },
    { step: "update", resource: 'aws.Function "Other"', changes: [{ what: "code" }] },
  ]);
  await deploy.apply(wanted, { mode: "release" });
  t.match(await invoke("Api"), { word: "second" });
  await deploy.remove({ ...wanted, removal: "remove" });
  t.same(await standing(cloud, `shop-`), []);
});

void t.test(
  "dev, deploy, dev: the ARN and the URL stay, and going live over deployed code is asked",
  async (t) => {
    const { deploy, app, invoke } = await open(t);
    const wanted = app([wantedFunction("Api", { url: URL })]);
    const first = await deploy.apply(wanted);
    const second = await deploy.apply(wanted, { mode: "release" });
    t.same(second.functions, first.functions);
    t.match(await invoke("Api"), { word: "first" });
    await t.rejects(deploy.apply(wanted, { replaceCode: false }), { code: "stage.holdsCode" });
    const third = await deploy.apply(wanted);
    t.same(third.functions, first.functions);
    t.equal((await fetch(third.functions["Api"]?.url ?? "")).status, 503);
    t.same((await deploy.plan(wanted)).steps, []);
  },
);

void t.test('with whenAway: "deployed" the last deployed code answers while nobody is there', async (t) => {
  const { deploy, app, invoke, save } = await open(t);
  const wanted = app([
    wantedFunction("Api", { url: URL, whenAway: "deployed", environment: { COLOUR: "red" } }),
  ]);
  await deploy.apply(wanted, { mode: "release" });
  save("src/word.js", `export const word = "not deployed";`);
  const { functions } = await deploy.apply(wanted);
  const away = await fetch(functions["Api"]?.url ?? "");
  t.equal(away.status, 200);
  t.match(await away.json(), { word: "first", env: "red", stack: /src\/index\.js:3/ });
  t.same((await deploy.plan(wanted)).steps, []);
  // Another change of the stub takes the code along.
  await deploy.apply(app([wantedFunction("Api", { url: URL, whenAway: "deployed", memoryMb: 512 })]));
  t.match(await invoke("Api"), { word: "first", env: "red" });
});

void t.test("what does not build is named before anything is changed", async (t) => {
  const { deploy, app, taken, stage } = await open(t, { "src/broken.js": "export const handler = (" });
  const wanted = app([wantedFunction("Api"), wantedFunction("Broken", { handler: "src/broken.handler" })]);
  await t.rejects(deploy.apply(wanted, { mode: "release" }), {
    code: "deploy.buildFailed",
    message: /"Broken" does not build; nothing was changed\.\n {2}src\/broken\.js:1: /,
  });
  t.same(taken(), []);
  t.same(await standing(cloud, `shop-${stage}-`), []);
});

void t.test("what was changed by hand is shown as drift and put right", async (t) => {
  const { deploy, app, taken, stage } = await open(t);
  const wanted = app([wantedFunction("Api", { environment: { AA: "1" } })]);
  await deploy.apply(wanted, { mode: "release" });
  taken();
  const FunctionName = `shop-${stage}-Api`;
  const variables = { SST_RESOURCE_App: "{}", BB: "planted" };
  await lambda.send(
    new UpdateFunctionConfigurationCommand({
      FunctionName,
      Timeout: 77,
      Environment: { Variables: variables },
    }),
  );
  const { steps } = await deploy.plan(wanted, { mode: "release" });
  t.match(steps, [
    {
      step: "update",
      resource: 'aws.Function "Api"',
      drift: true,
      changes: [
        { what: "timeoutSeconds", from: "77", to: "10" },
        { what: "environment AA", to: "added" },
        { what: "environment BB", to: "removed" },
        { what: "environment NODE_OPTIONS", to: "added" },
        { what: "environment SST_KEY", to: "added" },
        { what: "environment SST_KEY_FILE", to: "added" },
        { what: "environment SST_RESOURCE_App", to: "changed" },
      ],
    },
  ]);
  t.notMatch(JSON.stringify(steps), /planted/, "values of variables are not shown");
  await deploy.apply(wanted, { mode: "release" });
  const { Timeout } = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName }));
  t.equal(Timeout, 10);
});

void t.test(
  "files are copied, packages installed for Lambda's platform, and code is minified as asked",
  async (t) => {
    const { deploy, app, invoke, save } = await open(t, {
      "src/files.js": `
      import { readFileSync } from "node:fs";
      import local from "tiny-thing";
      export const handler = async () => ({ statusCode: 200, body: JSON.stringify({ text: readFileSync("data/a.txt", "utf8"), local }) });
    `,
      "assets/a.txt": "hello",
      "vendor/tiny-thing/package.json": `{ "name": "tiny-thing", "version": "1.0.0", "main": "index.js" }`,
      "vendor/built/package.json": `{ "name": "built", "version": "1.0.0", "scripts": { "install": "exit 1" } }`,
      "vendor/tiny-thing/index.js": `module.exports = "installed";`,
    });
    const wanted = wantedFunction("Files", {
      handler: "src/files.handler",
      copyFiles: [{ from: "assets", to: "data" }],
    });
    const nodejs = { ...wanted.nodejs, minify: true, sourcemap: false, install: ["tiny-thing"] };
    const asked = app([{ ...wanted, nodejs }]);
    await t.rejects(deploy.apply(asked, { mode: "release" }), { code: "deploy.packageUnknown" });
    save(
      "package.json",
      `{ "type": "module", "dependencies": { "tiny-thing": "file:vendor/tiny-thing", "built": "file:vendor/built" } }`,
    );
    await deploy.apply(asked, { mode: "release" });
    t.match(await invoke("Files"), { text: "hello", local: "installed" });

    const built = {
      ...wanted,
      architecture: "arm64",
      nodejs: { ...nodejs, install: ["tiny-thing", "built"] },
    } as const;
    await t.rejects(deploy.apply(app([built]), { mode: "release" }), {
      code: "deploy.installNeedsPlatform",
      message: /installs built, which is built when it is installed and cannot be built here for linux-arm64/,
    });
  },
);

void t.test(
  "a package with binaries is installed for the function's architecture, whatever this machine is",
  async (t) => {
    const binaries = ["linux-x64", "linux-arm64", "linuxmusl-x64", "darwin-arm64"].map((platform) => {
      const [os = "", cpu = ""] = platform.split("-");
      const libc = os.startsWith("linux") ? { libc: [os === "linux" ? "glibc" : "musl"] } : {};
      return {
        manifest: {
          name: `native-${platform}`,
          version: "1.0.0",
          os: [os.replace("musl", "")],
          cpu: [cpu],
          ...libc,
        },
        main: `module.exports = "${platform}";`,
      };
    });
    const optionalDependencies = Object.fromEntries(binaries.map(({ manifest }) => [manifest.name, "1.0.0"]));
    await openRegistry(t, [
      ...binaries,
      { manifest: { name: "native", version: "1.0.0", optionalDependencies }, main: "module.exports = 1;" },
    ]);
    const { deploy, app, save, unpacked } = await open(t, {
      "src/index.js": `
        import native from "native";
        export const handler = async (aLongName) => native + String(aLongName);
      `,
    });
    save("package.json", `{ "type": "module", "dependencies": { "native": "^1.0.0" } }`);
    const of = (name: string, architecture: "arm64" | "x86_64", minify: boolean) => {
      const wanted = wantedFunction(name, { architecture });
      return { ...wanted, nodejs: { ...wanted.nodejs, install: ["native"], minify, sourcemap: !minify } };
    };
    await deploy.apply(app([of("Arm", "arm64", true), of("Intel", "x86_64", false)]), { mode: "release" });
    const [arm, intel] = [await unpacked("Arm"), await unpacked("Intel")];
    const installed = (folder: string) =>
      readdirSync(join(folder, "node_modules"))
        .filter((name) => !name.startsWith("."))
        .toSorted();
    t.same(installed(arm), ["native", "native-linux-arm64"]);
    t.same(installed(intel), ["native", "native-linux-x64"]);
    const code = (folder: string) => readFileSync(join(folder, "src/index.mjs"), "utf8");
    t.notMatch(code(arm), "aLongName", "minified");
    t.match(code(intel), "aLongName");
    t.same(readdirSync(join(arm, "src")), ["index.mjs"]);
    t.same(
      readdirSync(join(intel, "src")),
      ["index.mjs", "index.mjs.map"],
      "with its source map where asked for",
    );
  },
);
