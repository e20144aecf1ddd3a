/** What a user's editor is told: a project of theirs, checked strictly, against the declarations that ship. */
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

import t from "tap";

import { some } from "../support/counts.ts";
import { LanguageServer } from "../support/language-server.ts";
import { ROOT } from "../support/rig.ts";
import { declarations } from "../support/declarations.ts";

const run = promisify(execFile);

const FILES = {
  "livedev.config.ts": `
import { $config, aws, Linkable } from "livedev";
export default $config({
  app: (input) => ({ name: "hello", home: input.stage === "prod" ? "aws" : "local" }),
  async run() {
    const other = new Linkable("Other", { properties: { a: 1 } });
    const api = new aws.Function("MyApi", { handler: "src/api.handler", url: true, timeout: "20 seconds", link: [other] });
    return { url: api.url };
  },
});
`,
  "wrong.ts": `
import { aws } from "livedev";
// @ts-expect-error -- a misspelt duration
new aws.Function("A", { handler: "a.b", timeout: "20 secunds" });
// @ts-expect-error -- no handler
new aws.Function("B", { url: true });
`,
  "src/api.ts": `
import { Resource } from "livedev";
export const handler = async () => Resource.App.stage;
`,
  "client.ts": `
import { connect, LivedevError, type RecordedEvent } from "livedev/client";
await using client = await connect({ open: false });
const functions = await client.call("function.list", {});
const names: string[] = functions.map((fn) => fn.name);
const { status } = await client.call("invocation.get", { id: 12 });
const states: "ok" | string = status;
await client.subscribe({ types: ["invocation.*"] }, (events: readonly RecordedEvent[]) => {
  for (const { event } of events) if (event.type === "invocation.answered") console.log(event.durationMs, names, states);
});
// @ts-expect-error -- no such method
await client.call("function.lst", {});
// @ts-expect-error -- no such parameter
await client.call("invocation.list", { limt: 1 });
export const code = (error: LivedevError): string => error.code;
`,
};

const base = await declarations(t);
for (const name of ["zod", "@types/node", "undici-types"]) {
  mkdirSync(dirname(join(base, "node_modules", name)), { recursive: true });
  symlinkSync(join(ROOT, "node_modules", name), join(base, "node_modules", name));
}

t.test("what init makes is completed in an editor, with docs, and knows Node's own globals", async (t) => {
  const project = join(base, "first");
  await run(process.execPath, [join(ROOT, "dist", "livedev.js"), "init", "--project", project]);
  const { devDependencies } = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as {
    devDependencies: Record<string, string>;
  };
  t.match(devDependencies, { livedev: /^\^/, "@types/node": /^\^20/ });
  await using server = await LanguageServer.open(project);
  const file = join(project, "livedev.config.ts");
  const config = readFileSync(file, "utf8").replace(
    'home: "local"',
    'home: process.env["CI"] === "1" ? "aws" : "local"',
  );
  const { offered, problems } = await server.complete(file, config.replace("url: true", "url: true, |"));
  t.same(problems, []);
  const names = offered.map(({ name }) => name);
  for (const name of [
    "timeout",
    "memory",
    "link",
    "vpc",
    "copyFiles",
    "architecture",
    "streaming",
    "logging",
  ])
    t.ok(names.includes(name), name);
  for (const name of ["environment", "permissions", "layers", "nodejs", "dev", "whenAway"])
    t.ok(names.includes(name), name);
  t.notOk(names.includes("handler"), "what is there already is not offered again");
  // SST's that are not carried out have no type of their own.
  const ours = offered.filter(({ type }) => !type.endsWith("?: unknown"));
  t.same(
    ours.filter(({ documentation }) => documentation === ""),
    [],
    "each with its docs",
  );
  t.match(ours.find(({ name }) => name === "timeout")?.documentation, '"1 second" to "15 minutes"');
});

t.test("config, handler and client type-check in a project of a user", async (t) => {
  const project = join(base, "strict");
  mkdirSync(join(project, "src"), { recursive: true });
  for (const [name, text] of Object.entries(FILES)) writeFileSync(join(project, name), text);
  writeFileSync(join(project, "package.json"), '{ "type": "module" }');

  const modules = [
    ["esnext", "bundler"],
    ["nodenext", "nodenext"],
  ] as const;
  for (const [module, moduleResolution] of some(modules)) {
    const compilerOptions = {
      module,
      moduleResolution,
      target: "es2022",
      lib: ["es2023", "esnext.disposable"],
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      // The declarations of a package must stand for themselves.
      skipLibCheck: false,
      types: ["node"],
    };
    writeFileSync(
      join(project, "tsconfig.json"),
      JSON.stringify({ compilerOptions, include: ["*.ts", "src"] }),
    );
    const { stdout } = await run(join(ROOT, "node_modules", ".bin", "tsc"), ["-p", "."], {
      cwd: project,
    }).catch((error: { stdout: string }) => error);
    t.equal(stdout, "", moduleResolution);
  }

  // Neither Node's types nor a schema library are needed for a config.
  writeFileSync(
    join(project, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        module: "esnext",
        moduleResolution: "bundler",
        target: "es2022",
        lib: ["es2022"],
        strict: true,
        noEmit: true,
        types: [],
      },
      files: ["livedev.config.ts", "src/api.ts", "wrong.ts"],
    }),
  );
  const { stdout } = await run(join(ROOT, "node_modules", ".bin", "tsc"), ["-p", "."], {
    cwd: project,
  }).catch((error: { stdout: string }) => error);
  t.equal(stdout, "", "a config alone");
});
