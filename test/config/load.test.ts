import { readFileSync } from "node:fs";
import { join } from "node:path";

import t from "tap";

import { bad, config, good, load, project } from "./support.ts";

void t.test("a config comes to the wanted app, with every default filled in", async (t) => {
  const { app, warnings } = good(
    await load(t, {
      "livedev.config.ts": config(`new aws.Function("Api", { handler: "src/api.handler" });`),
    }),
  );
  t.strictSame(warnings, []);
  t.match(app, { name: "shop", stage: "ann", home: "local", region: "us-east-1", watch: ["."] });
  t.strictSame(app.functions, [
    {
      name: "Api",
      handler: "src/api.handler",
      runtime: "nodejs24.x",
      architecture: "x86_64",
      timeoutMs: 20_000,
      memoryMb: 1024,
      environment: {},
      link: [{ name: "App", properties: { name: "shop", stage: "ann" } }],
      nodejs: {
        format: "esm",
        minify: true,
        sourcemap: false,
        splitting: false,
        loader: {},
        install: [],
        esbuild: {},
      },
      dev: true,
      whenAway: "error",
      retryable: false,
      permissions: [],
      tags: {},
      logging: { format: "text", retentionDays: 30 },
      layers: [],
      copyFiles: [],
    },
  ]);
});

void t.test("links carry a Linkable's values, a function's name, and its URL as an output", async (t) => {
  const { app } = good(
    await load(t, {
      "livedev.config.ts": config(`
        const store = new Linkable("Store", {
          properties: { bucket: "b", nested: { n: 1 } },
          include: [aws.permission({ actions: ["s3:GetObject"], resources: ["arn:aws:s3:::b/*"] })],
        });
        const api = new aws.Function("Api", { handler: "src/api.handler", url: true });
        new aws.Function("Job", { handler: "src/job.handler", link: [store, api, api], environment: { API: api.name } });
        return { url: api.url };`),
    }),
  );
  const job = app.functions[1];
  t.strictSame(job?.link, [
    { name: "App", properties: { name: "shop", stage: "ann" } },
    { name: "Store", properties: { bucket: "b", nested: { n: 1 } } },
    { name: "Api", properties: { name: "shop-ann-Api", url: { "livedev:output": [{ ref: "Api.url" }] } } },
  ]);
  t.strictSame(job?.permissions, [
    { effect: "allow", actions: ["s3:GetObject"], resources: ["arn:aws:s3:::b/*"] },
    {
      effect: "allow",
      actions: ["lambda:InvokeFunction"],
      resources: ["arn:aws:lambda:us-east-1:*:function:shop-ann-Api"],
    },
  ]);
  t.strictSame(job?.environment, { API: "shop-ann-Api" });
  t.strictSame(app.outputs, { url: { "livedev:output": [{ ref: "Api.url" }] } });
});

void t.test("a config sees .env, then .env.<stage>, and nothing of the daemon's environment", async (t) => {
  process.env["PLANTED"] = "the daemon's";
  t.teardown(() => delete process.env["PLANTED"]);
  const { output } = good(
    await load(
      t,
      {
        "livedev.config.ts": config(`console.log(JSON.stringify(process.env));`),
        ".env": "BOTH=general\nONE='a b'\nNODE_OPTIONS=--no-such-option",
        ".env.ann": "BOTH=ann",
        ".env.bob": "BOTH=bob",
      },
      {
        environment: { PATH: "/bin", HOME: "/h", AWS_PROFILE: "p", AWS_SECRET_ACCESS_KEY: "k", PLANTED: "x" },
      },
    ),
  );
  t.strictSame(JSON.parse(output.map(({ text }) => text).join("")), {
    PATH: "/bin",
    HOME: "/h",
    AWS_PROFILE: "p",
    BOTH: "ann",
    ONE: "a b",
    NODE_OPTIONS: "--no-such-option",
  });
});

void t.test(
  "inputs are the config, what it imports and the .env files, also those that are absent",
  async (t) => {
    const { dir, config: open } = await project(t, {
      "livedev.config.ts": `import { part } from "./infra/part.ts";\n${config("part();")}`,
      "infra/part.ts": `import data from "./data.json"; import { aws } from "livedev";
      export const part = () => new aws.Function("Api", { handler: data.handler });`,
      "infra/data.json": `{ "handler": "src/api.handler" }`,
    });
    const result = await open.load();
    t.match(good(result).app.functions, [{ handler: "src/api.handler" }]);
    const names = [".env", ".env.ann", "infra/data.json", "infra/part.ts", "livedev.config.ts"];
    t.strictSame([...result.inputs].sort(), names.map((name) => join(dir, name)).sort());
  },
);

void t.test("what a broken config imports is still watched, and so is a file that is missing", async (t) => {
  const {
    dir,
    config: open,
    write,
  } = await project(t, {
    "livedev.config.ts": `import "./part.ts"; import "./absent";\n${config("")}`,
    "part.ts": "const broken = ;",
  });
  const { inputs, ...result } = await open.load();
  t.equal(result.ok, false);
  for (const name of ["livedev.config.ts", "part.ts", "absent.ts", ".env"])
    t.ok(inputs.includes(join(dir, name)), name);
  write({ "part.ts": "", "absent.ts": "" });
  good(await open.load());
});

void t.test("what the config prints is kept beside the result", async (t) => {
  const { output, app } = good(
    await load(t, {
      "livedev.config.ts": config(
        `console.log("{\\"type\\":\\"evaluated\\"}"); console.error("oh"); process.send?.({ type: "failed" });`,
      ),
    }),
  );
  t.equal(app.name, "shop");
  t.strictSame(output, [
    { stream: "stdout", text: `{"type":"evaluated"}\n` },
    { stream: "stderr", text: "oh\n" },
  ]);
});

void t.test(
  "import.meta and __dirname are each file's own, and packages load from the project",
  async (t) => {
    const { dir, config: open } = await project(t, {
      "livedev.config.ts": `import { here } from "./infra/here.ts"; import dep from "dep"; import own from "own";
      ${config(`return { here, dep, own, dir: import.meta.dirname, url: import.meta.url };`)}`,
      "infra/here.ts": "export const here: string = __dirname;",
      "node_modules/dep/package.json": `{ "name": "dep", "version": "1.0.0", "main": "index.js" }`,
      "node_modules/dep/index.js": "module.exports = 'installed';",
      "node_modules/own/package.json": `{ "name": "own", "version": "1.0.0", "exports": "./index.mjs" }`,
      "node_modules/own/index.mjs": "export default 'esm';",
    });
    t.strictSame(good(await open.load()).app.outputs, {
      here: join(dir, "infra"),
      dep: "installed",
      own: "esm",
      dir,
      url: `file://${join(dir, "livedev.config.ts")}`,
    });
  },
);

void t.test("the first of .ts, .mts, .js and .mjs is the config", async (t) => {
  const js = config("").replace("shop", "plain");
  const { config: open, write } = await project(t, { "livedev.config.mjs": js });
  t.equal(good(await open.load()).app.name, "plain");
  write({ "livedev.config.ts": config("") });
  t.equal(good(await open.load()).app.name, "shop");
});

void t.test("$app, $dev and $interpolate are there, imported or not", async (t) => {
  const body = `return { name: $app.name, stage: $app.stage, dev: $dev, text: $interpolate\`a-\${$app.stage}\` };`;
  const outputs = { name: "shop", stage: "ann", dev: true, text: "a-ann" };
  t.strictSame(good(await load(t, { "livedev.config.ts": config(body) })).app.outputs, outputs);
  const imported = config(body).replace("Linkable }", "Linkable, $app, $dev, $interpolate }");
  const deployed = await load(t, { "livedev.config.ts": imported }, { dev: false });
  t.strictSame(good(deployed).app.outputs, { ...outputs, dev: false });
});

void t.test("region and profile come from the app, its provider, or the environment", async (t) => {
  const region = async (app: string, environment = {}) =>
    good(await load(t, { "livedev.config.ts": config("", app) }, { environment })).app;
  t.match(await region(`{ name: "a", home: "aws" }`, { AWS_REGION: "eu-west-1" }), { region: "eu-west-1" });
  t.match(
    await region(`{ name: "a", home: "aws", providers: { aws: { region: "eu-west-2", profile: "p" } } }`),
    {
      region: "eu-west-2",
      profile: "p",
    },
  );
  t.match(
    await region(`{ name: "a", home: "aws", region: "eu-west-3", providers: { aws: { region: "x" } } }`),
    {
      region: "eu-west-3",
    },
  );
});

void t.test("a config's own processes end with it", async (t) => {
  const { config: open } = await project(t, {
    "livedev.config.ts": `import { spawn } from "node:child_process";
      ${config(`const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "inherit" });
      return { pid: child.pid };`)}`,
  });
  const { pid } = good(await open.load()).app.outputs as { pid: number };
  // It was sent SIGKILL; the kernel closes its pipes, by which load() knows, a moment before it is gone.
  while (runs(pid)) await new Promise(setImmediate);
  t.pass("what it had started is gone");
});

/** One that nobody has collected yet is a process in name only. */
function runs(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

void t.test("closing ends an evaluation that is under way", async (t) => {
  const { config: open } = await project(t, { "livedev.config.ts": config("await new Promise(() => {});") });
  const loading = open.load();
  await open[Symbol.asyncDispose]();
  t.match(bad(await loading), { code: "config.died" });
});

void t.test(
  "a load that was superseded ends at once, and the next one is a load like any other",
  async (t) => {
    const { config: open, write } = await project(t, {
      "livedev.config.ts": config("await new Promise(() => {});"),
    });
    const loading = open.load();
    write({ "livedev.config.ts": config("") });
    open.supersede();
    t.match(bad(await loading), { code: "config.died" });
    t.equal((await open.load()).ok, true);
  },
);
