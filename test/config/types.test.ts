/** What an editor says of components, by the declarations that ship: right configs are quiet, wrong ones are not. */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

import t from "tap";

import { ROOT } from "../support/rig.ts";
import { configOf, documented, page, PAGES } from "./snippets.ts";
import { declarations } from "../support/declarations.ts";

const run = promisify(execFile);

const WRONG = `
import { $interpolate, $resolve, aws, DevCommand, Linkable, Output, Secret } from "livedev";

// @ts-expect-error -- a misspelt property
new aws.Bucket("A", { acces: "public" });
// @ts-expect-error -- a value that there is not
new aws.Bucket("A", { access: "private" });
// @ts-expect-error -- a span of time in hours
new aws.Bucket("A", { lifecycle: [{ expiresIn: "2 hours" }] });
// @ts-expect-error -- not carried out
new aws.Bucket("A").notify({});
// @ts-expect-error -- no template
new aws.Stack("A", {});
// @ts-expect-error -- no such capability
new aws.Stack("A", { template: "a.yml", capabilities: ["CAPABILITY_ALL"] });
// @ts-expect-error -- a resource without a type
new aws.Stack("A", { template: { Resources: { B: {} } } });
// @ts-expect-error -- no such output in the template
new aws.Stack("A", { template: { Resources: {}, Outputs: { Url: { Value: 1 } } } }).outputs.Urll;
// @ts-expect-error -- no such output among those that were named
new aws.Stack<"Url">("A", { template: "a.yml" }).outputs.Other;
// @ts-expect-error -- a kind of NAT that there is not
new aws.Vpc("A", { nat: "gateway" });
// @ts-expect-error -- a storage size without its unit
new aws.Postgres("A", { storage: "20" });
// @ts-expect-error -- a port is a number
new aws.Postgres("A", { dev: { port: "5432" } });
// @ts-expect-error -- misspelt
new aws.Redis("A", { dev: { hots: "localhost" } });
// @ts-expect-error -- no such engine
new aws.Redis("A", { engine: "memcached" });
// @ts-expect-error -- a list of links
new aws.Nextjs("A", { link: "b" });
// @ts-expect-error -- misspelt
new aws.Nextjs("A", { dev: { comand: "next dev" } });
// @ts-expect-error -- a build has an output
new aws.StaticSite("A", { build: { command: "vite build" } });
// @ts-expect-error -- a deployment has a command
new aws.Service("A", { deploy: {} });
// @ts-expect-error -- there is no such property
new DevCommand("A", { command: "studio" });
// @ts-expect-error -- text
new Secret("A", 1);
// @ts-expect-error -- properties are needed
new Linkable("A", {});
// @ts-expect-error -- a retention that CloudWatch does not have
new aws.Function("A", { handler: "a.b", logging: { retention: "6 days" } });
// @ts-expect-error -- text, or an output of text
new aws.Function("A", { handler: "a.b", environment: { PORT: new aws.Redis("B", {}).port } });
// @ts-expect-error -- from is needed
new aws.Function("A", { handler: "a.b", copyFiles: [{ to: "b" }] });
// @ts-expect-error -- a VPC, not its name
new aws.Function("A", { handler: "a.b", vpc: "vpc-1" });

const bucket = new aws.Bucket("C");
export const name: Output<string> = bucket.name;
export const subnets: Output<string[]> = new aws.Vpc("D").privateSubnets;
export const port: Output<number> = new aws.Postgres("E", {}).port;
export const text: Output<string> = $interpolate\`\${bucket.name}\`;
export const length: Output<number> = $resolve([bucket.name, "b"]).apply(([one, two]) => one.length + two.length);
// @ts-expect-error -- an output is no text
export const forced: string = bucket.name;
`;

t.test("right configs compile, wrong ones do not", async (t) => {
  const project = await declarations(t);

  const nodeProcess = "declare const process: { env: Record<string, string | undefined> };\n";
  for (const name of Object.keys(PAGES))
    writeFileSync(join(project, `${name}.config.ts`), configOf(page(name)) + nodeProcess);
  for (const [index, snippet] of documented().entries()) {
    const whole = snippet.startsWith("export default");
    const text = whole
      ? `import { $app, $config, $dev, aws } from "livedev";\n${snippet}`
      : configOf(snippet);
    writeFileSync(join(project, `documented-${index}.config.ts`), text);
  }
  writeFileSync(join(project, "wrong.ts"), WRONG);
  const compilerOptions = {
    module: "esnext",
    moduleResolution: "bundler",
    target: "es2022",
    lib: ["es2022"],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noEmit: true,
    types: [],
  };
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
  const { stdout } = await run(join(ROOT, "node_modules", ".bin", "tsc"), ["-p", "."], {
    cwd: project,
  }).catch((error: { stdout: string }) => error);
  t.equal(stdout, "");
});
