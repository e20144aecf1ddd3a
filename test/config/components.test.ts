import { join } from "node:path";

import t, { type Test } from "tap";

import { linked, lookupOf } from "../../daemon/links.ts";
import { references, resolveOutputs, type WantedApp } from "../../proto/app.ts";
import { some, times } from "../support/counts.ts";
import { configOf, documented } from "./snippets.ts";
import { bad, good, load, project, type Files } from "./support.ts";

const out = (...refs: string[]) => ({ "livedev:output": refs.map((ref) => ({ ref })) });
const APP = { name: "App", properties: { name: "shop", stage: "ann" } };

const loaded = async (t: Test, body: string, options: { dev?: boolean; files?: Files } = {}) => {
  const files = { "livedev.config.ts": configOf(body), ...options.files };
  return good(await load(t, files, { dev: options.dev ?? true }));
};
const app = async (t: Test, body: string, dev = true) => (await loaded(t, body, { dev })).app;

t.test("a bucket, with every default; its link may do with it what it likes", async (t) => {
  const { buckets, functions } = await app(
    t,
    `const files = new aws.Bucket("Files");
     new aws.Function("Api", { handler: "api.handler", link: [files], environment: { FILES: files.name } });`,
  );
  t.strictSame(buckets, [
    {
      name: "Files",
      access: "private",
      versioning: false,
      enforceHttps: true,
      lifecycle: [],
      policy: [],
      cors: {
        allowHeaders: ["*"],
        allowMethods: ["DELETE", "GET", "HEAD", "POST", "PUT"],
        allowOrigins: ["*"],
        exposeHeaders: [],
        maxAgeSeconds: 0,
      },
    },
  ]);
  t.strictSame(functions[0]?.link, [APP, { name: "Files", properties: { name: out("Files.name") } }]);
  t.strictSame(functions[0]?.permissions, [
    {
      effect: "allow",
      actions: ["s3:*"],
      resources: [out("Files.arn"), { "livedev:output": [{ ref: "Files.arn" }, "/*"] }],
    },
  ]);
  t.strictSame(functions[0]?.environment, { FILES: out("Files.name") });
});

t.test("a bucket that stands already is known by its name wherever it is used", async (t) => {
  const { buckets, functions } = await app(
    t,
    `const files = aws.Bucket.get("Files", "theirs");
     new aws.Function("Api", { handler: "api.handler", link: [files], environment: { FILES: $interpolate\`s3://\${files.name}/a\` } });`,
  );
  t.match(buckets, [{ name: "Files", existing: "theirs" }]);
  t.strictSame(functions[0]?.link[1], { name: "Files", properties: { name: "theirs" } });
  t.strictSame(functions[0]?.environment, { FILES: "s3://theirs/a" });
  t.strictSame(functions[0]?.permissions?.[0]?.resources, ["arn:aws:s3:::theirs", "arn:aws:s3:::theirs/*"]);
});

t.test("a stack takes a file, or an object in which outputs stand, and gives outputs", async (t) => {
  const yaml = "Resources:\n  Queue: { Type: AWS::SQS::Queue }\n";
  const { app, inputs } = await loaded(
    t,
    `const worker = new aws.Function("Worker", { handler: "worker.handler" });
     const fromFile = new aws.Stack("FromFile", { template: "infra/queue.yml", parameters: { Arn: worker.arn, Count: 3, Names: ["a", worker.name] } });
     const inline = new aws.Stack("Inline", {
       template: {
         Resources: { Rule: { Type: "AWS::Events::Rule", Properties: { Targets: [{ Id: "w", Arn: worker.arn }] } } },
         Outputs: { Name: { Value: { Ref: "Rule" } } },
       },
       capabilities: ["CAPABILITY_NAMED_IAM"],
       tags: { team: "a" },
     });
     new aws.Function("Api", { handler: "api.handler", link: [fromFile], environment: { QUEUE: fromFile.outputs.Url, RULE: inline.outputs.Name } });`,
    { files: { "infra/queue.yml": yaml } },
  );
  t.strictSame(app.stacks, [
    {
      name: "FromFile",
      template: { file: "infra/queue.yml", text: yaml },
      parameters: { Arn: out("Worker.arn"), Count: "3", Names: ["a", "shop-ann-Worker"] },
      capabilities: ["CAPABILITY_IAM"],
      tags: {},
    },
    {
      name: "Inline",
      template: {
        body: {
          Resources: {
            Rule: {
              Type: "AWS::Events::Rule",
              Properties: { Targets: [{ Id: "w", Arn: out("Worker.arn") }] },
            },
          },
          Outputs: { Name: { Value: { Ref: "Rule" } } },
        },
      },
      parameters: {},
      capabilities: ["CAPABILITY_NAMED_IAM"],
      tags: { team: "a" },
    },
  ]);
  const api = app.functions[1];
  t.strictSame(api?.environment, { QUEUE: out("FromFile.outputs.Url"), RULE: out("Inline.outputs.Name") });
  t.strictSame(api?.link[1], { name: "FromFile", properties: { outputs: out("FromFile.outputs") } });
  t.strictSame(references(api?.environment), [
    { component: "FromFile", path: "outputs.Url" },
    { component: "Inline", path: "outputs.Name" },
  ]);
  t.ok(inputs.some((input) => input.endsWith("infra/queue.yml")));
});

t.test(
  "a template's change is a change of the app, and its absence is an error that its return mends",
  async (t) => {
    const body = `new aws.Stack("Infra", { template: "./infra.json" });`;
    const { config, dir, write } = await project(t, { "livedev.config.ts": configOf(body) });
    const missing = await config.load();
    t.match(
      bad(missing).message,
      /:5: aws\.Stack "Infra": template is "\.\/infra\.json", a file that cannot be read; write its path relative to livedev\.config\.ts$/,
    );
    t.ok(missing.inputs.includes(join(dir, "infra.json")));
    for (const text of ['{"Resources":{}}', '{"Resources":{"A":{}}}']) {
      write({ "infra.json": text });
      t.strictSame(good(await config.load()).app.stacks[0]?.template, { file: "./infra.json", text });
    }
  },
);

t.test("a VPC is made, or an existing one is used, by its id or its tags", async (t) => {
  const { vpcs, functions } = await app(
    t,
    `const vpc = new aws.Vpc("New", { nat: "ec2", bastion: true });
     aws.Vpc.get("ById", "vpc-1");
     aws.Vpc.get("ByTags", { tags: { Name: "shared" } });
     new aws.Function("In", { handler: "a.handler", vpc });
     new aws.Function("Ids", { handler: "a.handler", vpc: { subnets: vpc.privateSubnets, securityGroups: ["sg-1"] } });`,
  );
  t.strictSame(vpcs, [
    { name: "New", is: "new", az: 2, bastion: true, nat: { type: "ec2", instance: "t4g.nano" } },
    { name: "ById", is: "existing", id: "vpc-1" },
    { name: "ByTags", is: "tagged", tags: { Name: "shared" } },
  ]);
  t.strictSame(
    functions.map(({ vpc }) => vpc),
    [
      { subnets: out("New.privateSubnets"), securityGroups: out("New.securityGroups") },
      { subnets: out("New.privateSubnets"), securityGroups: ["sg-1"] },
    ],
  );
});

const DATABASE = `
  const vpc = new aws.Vpc("Net");
  const password = new Secret("DbPassword");
  const database = new aws.Postgres("Db", {
    vpc,
    password: password.value,
    dev: { port: 5433, database: "local", command: "docker compose up db", directory: "./db/" },
  });
  new aws.Function("Api", {
    handler: "api.handler",
    link: [database],
    environment: { PORT: database.port, URL: $interpolate\`postgres://\${database.username}:\${database.password}@\${database.host}:\${database.port}\` },
  });`;

t.test(
  "in dev a local database is filled in wherever it is used, and its command is a process",
  async (t) => {
    const { databases, processes, functions, secrets } = await app(t, DATABASE);
    t.match(databases, [
      {
        kind: "aws.Postgres",
        dev: {
          host: "localhost",
          port: 5433,
          username: "postgres",
          password: out("DbPassword.value"),
          database: "local",
        },
      },
    ]);
    t.strictSame(functions[0]?.link[1]?.properties, {
      host: "localhost",
      port: 5433,
      username: "postgres",
      password: out("DbPassword.value"),
      database: "local",
    });
    t.strictSame(functions[0]?.environment, {
      PORT: "5433",
      URL: {
        "livedev:output": [
          "postgres://",
          "postgres",
          ":",
          { ref: "DbPassword.value" },
          "@",
          "localhost",
          ":",
          "5433",
        ],
      },
    });
    t.strictSame(processes, [
      {
        name: "Db",
        kind: "aws.Postgres",
        dev: {
          command: "docker compose up db",
          directory: "db",
          autostart: true,
          title: "Db",
          url: "postgresql://localhost:5433",
        },
        environment: {},
        link: [],
        permissions: [],
        deploy: { by: "nothing" },
      },
    ]);
    t.strictSame(secrets, [{ name: "DbPassword" }]);
  },
);

t.test("in a deployment the database stands in its VPC, with every default", async (t) => {
  const { databases, processes, functions } = await app(t, DATABASE, false);
  t.strictSame(databases, [
    {
      name: "Db",
      kind: "aws.Postgres",
      version: "16.4",
      instance: "t4g.micro",
      storageGb: 20,
      username: "postgres",
      password: out("DbPassword.value"),
      database: "shop",
      proxy: false,
      multiAz: false,
      vpc: { subnets: out("Net.privateSubnets"), securityGroups: out("Net.securityGroups") },
    },
  ]);
  t.strictSame(processes, []);
  t.strictSame(functions[0]?.link[1]?.properties, {
    host: out("Db.host"),
    port: out("Db.port"),
    username: "postgres",
    password: out("Db.password"),
    database: "shop",
  });
});

t.test("Redis and Valkey", async (t) => {
  const { databases } = await app(
    t,
    `const vpc = new aws.Vpc("Net");
     new aws.Redis("A", { vpc });
     new aws.Redis("B", { vpc, engine: "valkey", cluster: false });
     new aws.Redis("C", { dev: {} });`,
  );
  const vpc = { subnets: out("Net.privateSubnets"), securityGroups: out("Net.securityGroups") };
  const common = { kind: "aws.Redis", instance: "t4g.micro" } as const;
  t.strictSame(databases, [
    { name: "A", ...common, engine: "redis", version: "7.1", cluster: { nodes: 1 }, vpc },
    { name: "B", ...common, engine: "valkey", version: "7.2", cluster: false, vpc },
    {
      name: "C",
      ...common,
      engine: "redis",
      version: "7.1",
      cluster: { nodes: 1 },
      dev: { host: "localhost", port: 6379, username: "default", password: "" },
    },
  ]);
});

t.test(
  "frontends run their dev command; what cannot be deployed has no deployment, and is no error",
  async (t) => {
    const body = `
    const api = new aws.Function("Api", { handler: "api.handler", url: true });
    const web = new aws.Nextjs("Web", { path: "packages/web/", link: [api], environment: { API: api.url }, dev: { url: "http://localhost:3000" } });
    new aws.StaticSite("Docs", { path: "docs", build: { command: "npm run build", output: "dist" }, errorPage: "/404.html", dev: { command: "vite", autostart: false, title: "Documents" } });
    new aws.Service("Worker", { link: [web], deploy: { command: "./deploy.sh", directory: "worker", url: "https://worker.example.com" } });
    new aws.Astro("Quiet", { dev: false });
    new DevCommand("Studio", { dev: { command: "studio" }, environment: { WEB: web.url } });`.replace(
      "new DevCommand",
      "new x.DevCommand",
    );
    const { processes } = await app(t, body);
    const standard = { environment: {}, link: [APP], permissions: [] };
    const invoke = {
      effect: "allow",
      actions: ["lambda:InvokeFunction"],
      resources: ["arn:aws:lambda:us-east-1:*:function:shop-ann-Api"],
    } as const;
    const expected: WantedApp["processes"] = [
      {
        name: "Web",
        kind: "aws.Nextjs",
        environment: { API: out("Api.url") },
        link: [APP, { name: "Api", properties: { name: "shop-ann-Api", url: out("Api.url") } }],
        permissions: [invoke],
        dev: {
          command: "npm run dev",
          directory: "packages/web",
          autostart: true,
          title: "Web",
          url: "http://localhost:3000",
        },
      },
      {
        name: "Docs",
        kind: "aws.StaticSite",
        ...standard,
        deploy: {
          by: "files",
          build: "npm run build",
          directory: "docs",
          output: "docs/dist",
          indexPage: "index.html",
          errorPage: "404.html",
        },
        dev: { command: "vite", directory: "docs", autostart: false, title: "Documents" },
      },
      {
        name: "Worker",
        kind: "aws.Service",
        environment: {},
        link: [APP, { name: "Web", properties: { url: "http://localhost:3000" } }],
        permissions: [],
        deploy: {
          by: "command",
          command: "./deploy.sh",
          directory: "worker",
          url: "https://worker.example.com",
        },
      },
      { name: "Quiet", kind: "aws.Astro", ...standard },
      {
        name: "Studio",
        kind: "DevCommand",
        ...standard,
        environment: { WEB: "http://localhost:3000" },
        deploy: { by: "nothing" },
        dev: { command: "studio", directory: ".", autostart: true, title: "Studio" },
      },
    ];
    t.strictSame(processes, expected);

    const deployed = await app(t, body, false);
    t.ok(deployed.processes.every((one) => one.dev === undefined));
    t.strictSame(deployed.processes[2]?.link[1], { name: "Web", properties: { url: out("Web.url") } });
  },
);

t.test(
  "what a deployment of SST's own would do is told as not carried out, in a deployment alone",
  async (t) => {
    const body = `new aws.Nextjs("Web", { domain: "example.com" });`;
    t.strictSame((await loaded(t, body)).warnings, []);
    t.strictSame((await loaded(t, body, { dev: false })).warnings, [
      'aws.Nextjs "Web": domain is not carried out yet',
    ]);
  },
);

t.test("a function's VPC, logs, layers and files", async (t) => {
  const { functions } = await app(
    t,
    `new aws.Function("A", { handler: "a.handler", logging: false, layers: ["arn:aws:lambda:us-east-1:123456789012:layer:x:1"], copyFiles: [{ from: "./a/" }, { from: "../b", to: "b" }] });
     new aws.Function("B", { handler: "a.handler", logging: { retention: "forever" } });
     new aws.Function("C", { handler: "a.handler", logging: { logGroup: "/theirs", format: "json" } });
     new aws.Function("D", { handler: "a.handler", logging: { retention: "1 year" }, dev: false });`,
  );
  t.match(functions[0], {
    logging: false,
    layers: ["arn:aws:lambda:us-east-1:123456789012:layer:x:1"],
    copyFiles: [
      { from: "a", to: "a" },
      { from: "../b", to: "b" },
    ],
  });
  t.strictSame(
    functions.slice(1).map(({ logging }) => logging),
    [{ format: "text" }, { format: "json", logGroup: "/theirs" }, { format: "text", retentionDays: 365 }],
  );
  t.equal(functions[3]?.dev, false);
});

t.test("outputs: what is foreseen, and what is not", async (t) => {
  const { outputs } = await app(
    t,
    `const api = new aws.Function("Api", { handler: "api.handler", url: true });
     const vpc = new aws.Vpc("Net");
     return {
       text: api.url.apply((url) => \`\${url}/users\`),
       added: api.url.apply((url) => "to " + url),
       data: api.url.apply((url) => ({ deep: [url, { at: url + "/a" }] })),
       twice: api.url.apply((url) => url + "/a").apply((url) => url + "/b"),
       both: $resolve({ url: api.url, list: [api.arn] }).apply(({ url, list }) => list[0] + url),
       known: $resolve([api.name, "b"]).apply(([name, b]) => name.toUpperCase() + b),
       nested: api.url.apply((url) => $interpolate\`\${api.arn} \` ),
       list: vpc.privateSubnets,
       json: $jsonStringify({ name: api.name }),
     };`,
  );
  const joined = (...parts: unknown[]) => ({ "livedev:output": parts });
  const url = { ref: "Api.url" };
  t.strictSame(outputs, {
    text: joined(url, "/users"),
    added: joined("to ", url),
    data: { deep: [joined(url), { at: joined(url, "/a") }] },
    twice: joined(url, "/a", "/b"),
    both: joined({ ref: "Api.arn" }, url),
    known: "SHOP-ANN-APIb",
    nested: joined({ ref: "Api.arn" }, " "),
    list: joined({ ref: "Net.privateSubnets" }),
    json: '{"name":"shop-ann-Api"}',
  });

  const looked = [
    "url.length",
    "url.toUpperCase()",
    "url.startsWith('https') ? 'a' : 'b'",
    "new URL(url).host",
    "Number(url) + 1",
    "JSON.stringify({ url })",
    "encodeURIComponent(url)",
    "`${url}`.slice(2)",
    "Object.keys(url).join()",
    "'x' in url",
    "(String(url), 'thrown away')",
  ];
  const body = looked
    .map(
      (look, index) =>
        `new aws.Function("F${index}", { handler: "f.handler", environment: { AT: api.url.apply((url) => ${look}) } });`,
    )
    .join("\n");
  const error = bad(
    await load(t, {
      "livedev.config.ts": configOf(
        `const api = new aws.Function("Api", { handler: "api.handler", url: true });\n${body}`,
      ),
    }),
  );
  t.strictSame(
    error.message.split("\n"),
    looked.map(
      (_, index) =>
        `livedev.config.ts:${6 + index}: aws.Function "F${index}": environment.AT is made from Api.url, which is known only once the app is deployed; write a string`,
    ),
  );
});

t.test("outputs are filled in where the stage stands, and an unknown variable is left out", async (t) => {
  const wanted = await app(
    t,
    `const api = new aws.Function("Api", { handler: "api.handler", url: true });
     const files = new aws.Bucket("Files");
     new aws.Function("Job", {
       handler: "job.handler",
       environment: { URL: $interpolate\`\${api.url}x\`, ARN: api.arn, FILES: files.name, JSON: $jsonStringify({ at: api.url }) },
     });`,
  );
  const [, job] = linked(
    wanted,
    lookupOf(wanted, { deployed: { Api: { functionArn: "arn:a", url: 'https://"a"/' } } }),
  );
  t.strictSame(job?.environment, { URL: 'https://"a"/x', ARN: "arn:a", JSON: '{"at":"https://\\"a\\"/"}' });
  t.strictSame(linked(wanted, lookupOf(wanted, { deployed: {} }))[1]?.environment, {});
  const lookup = (ref: string) => ({ "Db.port": 5432, "Net.ids": ["a", "b"] })[ref];
  t.strictSame(resolveOutputs([out("Db.port"), out("Net.ids"), out("No.no")], lookup), [
    5432,
    ["a", "b"],
    null,
  ]);
});

t.test("a refusal names file, line, component, property and what to write", async (t) => {
  // All are found at one load: each stands in a line, with a name of its own.
  const cases: readonly (readonly [string, RegExp])[] = [
    [
      `new aws.Bucket("A", { acess: "public" });`,
      /aws\.Bucket "A": there is no property acess; did you mean access\?$/,
    ],
    [
      `new aws.Bucket("A", { access: "publik" });`,
      /access is "publik"; write one of "public", "cloudfront"; did you mean "public"\?$/,
    ],
    [
      `new aws.Bucket("A", { cors: { allowOrgins: [] } });`,
      /there is no property cors\.allowOrgins; did you mean allowOrigins\?$/,
    ],
    [
      `new aws.Bucket("A", { lifecycle: [{ prefix: "a" }] });`,
      /lifecycle\.0 is .*; write either expiresIn or expiresAt$/,
    ],
    [
      `new aws.Bucket("A", { lifecycle: [{ expiresIn: "2 hours" }] });`,
      /lifecycle\.0\.expiresIn is "2 hours"; write it in days, "30 days"$/,
    ],
    [
      `new aws.Stack("A", {});`,
      /aws\.Stack "A": template is missing; write a file, "infra\/queue\.yml", or the template itself/,
    ],
    [
      `new aws.Stack("A", { template: { Resources: { B: { Type: "T", Properties: { F: () => 1 } } } } });`,
      /template\.Resources\.B\.Properties\.F is a function; a template is plain data and outputs$/,
    ],
    [
      `const b = new aws.Bucket("Files"); new aws.Stack("A", { template: { Resources: { C: { Type: "T", Properties: { b } } } } });`,
      /template\.Resources\.C\.Properties\.b is a component \(write one of its outputs\)/,
    ],
    [
      `const b = new aws.Bucket("B"); new aws.Stack("A", { template: { Resources: {} }, parameters: { B: b } });`,
      /parameters\.B is the component B; write a string, a number, a list of strings, or an output \(api\.arn\)$/,
    ],
    [
      `new aws.Stack("A", { template: { Resources: {} }, parameters: { "a-b": "c" } });`,
      /parameters\.a-b must be letters and digits$/,
    ],
    [`new aws.Vpc("A", { az: 9 });`, /az is 9; write a whole number from 1 to 3$/],
    [
      `new aws.Postgres("A", {});`,
      /aws\.Postgres "A": vpc is missing; write a Vpc component, or dev: \{ … \} for a local one$/,
    ],
    [`new aws.Postgres("A", { dev: { prot: 1 } });`, /there is no property dev\.prot; did you mean port\?$/],
    [
      `new aws.Postgres("A", { storage: "1 GB", dev: {} });`,
      /storage is "1 GB"; write it as "20 GB" or "1 TB", from 20 GB to 64 TB$/,
    ],
    [
      `new aws.Postgres("A", { password: 12345, dev: {} });`,
      /password is a number; write a string, or better a Secret's value$/,
    ],
    [
      `new aws.Redis("A", { instance: "cache.t4g.micro", dev: {} });`,
      /instance is "cache\.t4g\.micro"; write it without db\. or cache\., "t4g\.micro"$/,
    ],
    [
      `new aws.Function("A", { handler: "a.b", vpc: { privateSubnets: ["s"] } });`,
      /vpc\.securityGroups is missing; write a list of ids, \["sg-…"\]$/,
    ],
    [
      `new aws.Function("A", { handler: "a.b", vpc: "vpc-1" });`,
      /vpc is "vpc-1"; write a Vpc component, or \{ privateSubnets/,
    ],
    [
      `new aws.Function("A", { handler: "a.b", logging: { retention: "1 mont" } });`,
      /logging\.retention is "1 mont"; write one of .*; did you mean "1 month"\?$/,
    ],
    [
      `new aws.Function("A", { handler: "a.b", layers: ["x"] });`,
      /layers\.0 is "x"; write the ARN of a layer's version/,
    ],
    [
      `new aws.Function("A", { handler: "a.b", copyFiles: [{ from: "../x" }] });`,
      /copyFiles\.0 is .*; it would lie outside the package: write `to` also$/,
    ],
    [
      `new aws.Nextjs("A", { dev: { comand: "x" } });`,
      /there is no property dev\.comand; did you mean command\?$/,
    ],
    [
      `new aws.Nextjs("A", { path: "/abs" });`,
      /path is "\/abs"; write a path that is relative to livedev\.config\.ts, "packages\/web"$/,
    ],
    [`new aws.StaticSite("A", { build: { command: "x" } });`, /build\.output is missing; write a path/],
    [`new aws.Service("A", { deploy: {} });`, /deploy\.command is missing; write a command/],
    [`new Secret("A", 12);`, /Secret "A": placeholder is a number; write a string$/],
    [
      `const c = new aws.Cluster("C"); new aws.Function("A", { handler: "a.b", link: [c] });`,
      /aws\.Function "A": link\.0 is C, which has nothing to link$/,
    ],
    [
      `const s = new aws.Stack("S", { template: { Resources: {} } }); new aws.Function("A", { handler: "a.b", link: [s.outputs.X] });`,
      /link\.0 is the output S\.outputs\.X; link its component, or new Linkable\("Name", \{ properties: \{ … \} \}\) with it$/,
    ],
  ];
  const named = (body: string, index: number) => body.replace('"A"', `"A${index}"`);
  const all = cases.map(([body], index) => `{ ${named(body, index)} }`).join("\n");
  const lines = bad(await load(t, { "livedev.config.ts": configOf(all) })).message.split("\n");
  t.equal(lines.length, cases.length);
  for (const [index, [body, expected]] of cases.entries()) {
    const line = (lines[index] ?? "").replace(`"A${index}"`, '"A"');
    t.match(line, expected, body);
    t.ok(line.startsWith(`livedev.config.ts:${5 + index}: `), line);
  }

  // Each of these is where a config ends.
  const last: typeof cases = [
    [
      `new aws.Bucket("A").notify({ notifications: [] });`,
      /run\(\) failed: Bucket\.notify is not carried out\. Write the notification into an aws\.Stack/,
    ],
    [`new aws.Buckett("A");`, /livedev has no component Buckett; did you mean Bucket\?$/m],
  ];
  for (const [body, expected] of [...some(cases), ...last]) {
    const { message, file, line } = bad(await load(t, { "livedev.config.ts": configOf(body) }));
    t.match(message, expected);
    t.match({ file, line }, { file: "livedev.config.ts", line: 5 });
    t.equal(message.split("\n").length, 1, body);
  }
});

t.test("what is no secret of the config is not shown by its refusal", async (t) => {
  const body = `new aws.Postgres("A", { dev: { password: ["hunter2"] } }); new aws.Stack("B", { template: { Resources: {} }, parameters: { P: { deep: "hunter2" } } });`;
  t.notMatch(bad(await load(t, { "livedev.config.ts": configOf(body) })).message, /hunter2/);
});

t.test("what docs/components.md shows loads", async (t) => {
  for (const [index, snippet] of documented().entries()) {
    const text = snippet.startsWith("export default")
      ? configOf("").replace(/export default[\s\S]*?\n\}\);\n/, () => snippet)
      : configOf(snippet);
    for (const dev of times([true, false], [index % 2 === 0]))
      t.strictSame(good(await load(t, { "livedev.config.ts": text }, { dev })).warnings, []);
  }
});
