/** `livedev-env.d.ts`: what a compiler says of `Resource` with it. */
import { execFile } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import t, { type Test } from "tap";

import { envTypes, writeEnvTypes } from "../../daemon/env-types.ts";
import { OUTPUT, type WantedApp } from "../../proto/app.ts";
import { SST, sstMissing } from "../support/parts.ts";
import { ROOT } from "../support/rig.ts";
import { config, good, load } from "./support.ts";
import { declarations } from "../support/declarations.ts";

const run = promisify(execFile);

const loaded = async (t: Test, statements: string): Promise<WantedApp> => {
  const imports = `import { $config, aws, DevCommand, Linkable, Secret } from "livedev";\n`;
  const text = config(statements).replace(/^.*\n/, imports);
  return good(await load(t, { "livedev.config.ts": text })).app;
};

const CONFIG = `
  const vpc = new aws.Vpc("Net");
  const files = new aws.Bucket("Files");
  const database = new aws.Postgres("Db", { dev: { port: 5433 } });
  new Secret("StripeKey");
  new aws.Stack("Infra", { template: { Resources: { A: { Type: "T" } }, Outputs: { Url: { Value: "a" } } } });
  new Linkable("Settings", { properties: { limit: 3, on: true, names: ["a"], deep: { "a b": files.name }, none: null } });
  new aws.Function("Api", { handler: "a.handler", url: true, link: [files] });
  new DevCommand("Prisma Studio");
`;

const RIGHT = `
import { Resource } from "livedev";
export const all: string[] = [
  Resource.App.stage, Resource.Files.name, Resource.Db.host, Resource.Db.password, Resource.StripeKey.value,
  Resource.Settings.deep["a b"], Resource.Settings.names[0] ?? "", Resource.Infra.outputs["Url"] ?? "",
  Resource.Api.url, Resource.Api.name, Resource.Net.privateSubnets[0] ?? "", Resource["Prisma Studio"].url,
];
export const port: number = Resource.Db.port + Resource.Settings.limit;
export const on: boolean = Resource.Settings.on;
export const none: null = Resource.Settings.none;
// @ts-expect-error -- no such component
Resource.Flies;
// @ts-expect-error -- no such property
Resource.Files.nam;
// @ts-expect-error -- a port is a number
export const text: string = Resource.Db.port;
`;

const OF_SST = RIGHT.replace('"livedev"', '"sst"');

// livedev is found from each project in it.
const base = await declarations(t);

async function compile(files: Readonly<Record<string, string>>, sst = false): Promise<string> {
  const project = mkdtempSync(join(base, "project-"));
  mkdirSync(join(project, "node_modules"));
  if (sst) symlinkSync(SST, join(project, "node_modules", "sst"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(project, name), text);
  const compilerOptions = {
    module: "esnext",
    moduleResolution: "bundler",
    target: "es2022",
    lib: ["es2022"],
    strict: true,
    noUncheckedIndexedAccess: true,
    noEmit: true,
    types: [],
    skipLibCheck: sst,
  };
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
  const { stdout } = await run(join(ROOT, "node_modules", ".bin", "tsc"), ["-p", "."], {
    cwd: project,
  }).catch((error: { stdout: string }) => error);
  return stdout;
}

t.test("with it, right code compiles and wrong code does not", async (t) => {
  const text = envTypes(await loaded(t, CONFIG), { sst: false });
  t.equal(await compile({ "livedev-env.d.ts": text, "right.ts": RIGHT }), "");
});

t.test("without it, whatever is linked compiles", async (t) => {
  const code = `import { Resource } from "livedev";\nexport const all: string[] = [Resource.App.stage, Resource["Files"]?.["name"]];\n`;
  t.equal(await compile({ "code.ts": code }), "");
});

t.test("SST's SDK is typed the same", { skip: sstMissing }, async (t) => {
  const text = envTypes(await loaded(t, CONFIG), { sst: true });
  t.equal(await compile({ "livedev-env.d.ts": text, "right.ts": OF_SST }, true), "");
});

t.test("it is written only where it says something else", async (t) => {
  const project = mkdtempSync(join(tmpdir(), "livedev-env-file-"));
  t.teardown(() => rmSync(project, { recursive: true, force: true }));
  const app = {
    linkable: [{ name: "A", properties: { b: { [OUTPUT]: [{ ref: "A.b" }] } } }],
  } as unknown as WantedApp;
  const file = join(project, "livedev-env.d.ts");
  t.ok(await writeEnvTypes(project, app));
  const { mtimeMs } = statSync(file);
  t.notOk(await writeEnvTypes(project, app));
  t.equal(statSync(file).mtimeMs, mtimeMs);
  t.match(readFileSync(file, "utf8"), /A: \{\n {6}b: string;\n {4}\};/);
  t.ok(await writeEnvTypes(project, { ...app, linkable: [] }));
  t.notMatch(readFileSync(file, "utf8"), "A:");
  t.ok(existsSync(file));
});
