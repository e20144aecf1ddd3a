/** `livedev dev`: what mono mode prints, and what is left when it ends. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";

import t from "tap";

import { Mono } from "../../client/cli/mono.ts";
import { deferred } from "../../daemon/lib/scope.ts";
import type { LivedevEvent } from "../../proto/events.ts";
import { Rig, ROOT } from "../support/rig.ts";

const EVENTS: readonly LivedevEvent[] = [
  { type: "daemon.started", epoch: "e", version: "1.2.3", pid: 4711 },
  { type: "config.loaded", tookMs: 212, functions: ["MyApi"] },
  { type: "deploy.started", steps: 2 },
  { type: "deploy.stepped", step: "create", resource: 'aws.Function "MyApi"', tookMs: 40 },
  { type: "deploy.stepped", step: "create", resource: 'aws.Function "MyApi" url', tookMs: 12 },
  { type: "deploy.finished", tookMs: 1_234, urls: { MyApi: "http://127.0.0.1:4001" } },
  { type: "build.finished", functionName: "MyApi", codeHash: "0123456789abcdef", tookMs: 31, bytes: 1000 },
  { type: "process.started", processName: "Web", pid: 4712 },
  {
    type: "process.logged",
    processName: "Web",
    lines: ["", "  VITE v7.1.0  ready in 320 ms", "\u001B[32m➜\u001B[0m  Local: http://localhost:5173/"],
  },
  { type: "process.ready", processName: "Web", url: "http://localhost:5173/", tookMs: 812 },
  {
    type: "process.waiting",
    processName: "AVeryLongNameOfAServiceThatIsCut",
    why: "port 8080 is taken by nginx (pid 12)",
  },
  { type: "invocation.received", functionName: "MyApi", requestId: "r-1", nonce: "n", bytes: 2 },
  {
    type: "invocation.begun",
    id: 12,
    functionName: "MyApi",
    requestId: "r-1",
    codeHash: "0123456789abcdef",
    coldStart: true,
  },
  {
    type: "invocation.logged",
    id: 12,
    functionName: "MyApi",
    requestId: "r-1",
    stream: "stdout",
    text: "hello\u001B]0;title\u0007",
  },
  {
    type: "invocation.answered",
    id: 12,
    functionName: "MyApi",
    requestId: "r-1",
    status: "ok",
    durationMs: 5.2,
    bytes: 2,
  },
  {
    type: "invocation.answered",
    id: 13,
    functionName: "MyApi",
    requestId: "r-2",
    status: "error",
    errorType: "TypeError",
    errorMessage: "x is not a function",
    durationMs: 3,
    bytes: 2,
  },
  {
    type: "build.failed",
    functionName: "MyApi",
    errors: [{ text: 'Expected ";"', file: "src/api.ts", line: 3, column: 4, lineText: "let a b" }],
  },
  {
    type: "process.exited",
    processName: "Web",
    pid: 4712,
    reason: "crashed",
    how: "exit code 1",
    retryInMs: 500,
    survivors: 0,
  },
  {
    type: "process.exited",
    processName: "Web",
    pid: 4713,
    reason: "restarted",
    how: "API_URL changed",
    survivors: 0,
  },
  { type: "config.failed", message: "Unexpected end of file", file: "livedev.config.ts", line: 7 },
];

const STREAM = `
livedev │ livedevd 1.2.3 runs, pid 4711
livedev │ config loaded in 212 ms
livedev │ deploying, 2 steps
livedev │ ✓ create aws.Function "MyApi"
livedev │ ✓ create aws.Function "MyApi" url
livedev │ deployed in 1.2 s
livedev │ MyApi http://127.0.0.1:4001
MyApi   │ built in 31 ms
Web     │ started, pid 4712
Web     │
Web     │   VITE v7.1.0  ready in 320 ms
Web     │ ➜  Local: http://localhost:5173/
Web     │ ready in 812 ms http://localhost:5173/
`;

t.test("mono mode is one stream of lines, each with who says it", (t) => {
  const mono = new Mono({ processes: true });
  mono.know(["MyApi", "Web"]);
  const lines = EVENTS.flatMap((event) => mono.lines(event));
  t.same(lines.slice(0, 13), STREAM.trim().split("\n"));
  const wide = (name: string) => name.padEnd(24);
  t.same(lines.slice(13), [
    "AVeryLongNameOfAService… │ waits: port 8080 is taken by nginx (pid 12)",
    `${wide("MyApi")} │ → r-1, cold start`,
    `${wide("MyApi")} │ hello␛]0;title␇`,
    `${wide("MyApi")} │ ← ok in 5 ms`,
    `${wide("MyApi")} │ ← TypeError: x is not a function in 3 ms`,
    `${wide("MyApi")} │ does not build  src/api.ts:3:5 Expected ";"`,
    `${wide("MyApi")} │   3 │ let a b`,
    `${wide("MyApi")} │     │     ^`,
    `${wide("Web")} │ crashed: exit code 1, again in 500 ms`,
    `${wide("Web")} │ restarted: API_URL changed`,
    `${wide("livedev")} │ livedev.config.ts:7: Unexpected end of file`,
  ]);
  t.end();
});

t.test("each name has a colour of its own, and keeps it", (t) => {
  const { FORCE_COLOR, NO_COLOR } = process.env;
  t.teardown(() => {
    for (const [name, value] of Object.entries({ FORCE_COLOR, NO_COLOR }))
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
  });
  process.env["FORCE_COLOR"] = "1";
  delete process.env["NO_COLOR"];
  const mono = new Mono({ processes: true });
  mono.know(["MyApi", "Web"]);
  const lines = EVENTS.flatMap((event) => mono.lines(event));
  const coloursOf = (name: string) => {
    // oxlint-disable-next-line no-control-regex -- these are the characters in question
    const prefix = new RegExp(`^\\u001B\\[(\\d+)m${name} *\\u001B\\[39m `);
    const found = lines.flatMap((line) => prefix.exec(line)?.[1] ?? []);
    t.ok(found.length > 5, `${name}: ${found.length} lines`);
    return [...new Set(found)];
  };
  const [api, web] = [coloursOf("MyApi"), coloursOf("Web")];
  t.equal(api.length, 1);
  t.equal(web.length, 1);
  t.not(api[0], web[0]);
  t.end();
});

t.test("basic mode leaves frontends and services out", (t) => {
  const mono = new Mono({ processes: false });
  const lines = EVENTS.flatMap((event) => mono.lines(event));
  t.notOk(lines.some((line) => line.startsWith("Web")));
  t.ok(lines.some((line) => line.startsWith("MyApi")));
  t.end();
});

const FILES = {
  "livedev.config.ts": `
import { $config, aws, DevCommand } from "livedev";
export default $config({
  app: () => ({ name: "mono", home: "local" }),
  async run() {
    const bucket = new aws.Bucket("Files");
    const api = new aws.Function("Api", { handler: "src/api.handler", url: true });
    new DevCommand("Web", { link: [bucket], environment: { API: api.url }, dev: { command: "sh web.sh", directory: "web" } });
  },
});
`,
  "src/api.ts": "export const handler = async () => { console.log('called'); return 'hello'; };",
  "web/web.sh": `
echo api at $API
node -e 'import("livedev").then(({ Resource }) => console.log("bucket", Resource.Files.name))'
exec sleep 1000
`,
};

type Watched = {
  readonly child: ChildProcess;
  /** Resolves when what it printed matches. */
  until(pattern: RegExp): Promise<void>;
  text(): string;
  readonly ended: Promise<unknown>;
};

/** `livedev dev`, and what it prints. */
function watched(...args: string[]): Watched {
  const child = rig.spawn("livedev.js", ["dev", ...args]);
  let text = "";
  let look = () => {};
  child.stdout?.setEncoding("utf8").on("data", (part: string) => {
    text += part;
    look();
  });
  child.stderr?.setEncoding("utf8").on("data", (part: string) => (text += part));
  const until = (pattern: RegExp) =>
    new Promise<void>((resolve, reject) => {
      look = () => pattern.test(text) && resolve();
      child.once("close", () => reject(new Error(text)));
      look();
    });
  return { child, until, text: () => text, ended: once(child, "close") };
}

const rig = Rig.open({ files: FILES });
rig.install();
t.teardown(() => rig[Symbol.asyncDispose]());

t.test("livedev dev goes live and shows it, and what it opened goes on", async (t) => {
  const basic = watched("--mode=basic");
  await basic.until(/mono is live/);
  basic.child.kill("SIGINT");
  t.same(await basic.ended, [130, null]);
  t.match(basic.text(), "livedevd goes on");
  t.equal((await rig.livedev("ps")).stdout, "", "basic mode starts no frontend");

  const mono = watched();
  await mono.until(/Web +│ api at http:/);
  await mono.until(/Web +│ bucket mono-dev-files-/);
  await rig.livedev("invoke", "Api", "--event", "{}");
  await mono.until(/Api +│ called[\s\S]*Api +│ ← ok in /);
  mono.child.kill("SIGINT");
  t.same(await mono.ended, [130, null]);
  t.match((await rig.livedev("ps")).stdout, /^Web +ready/, "it goes on");

  t.comment("a command in its place");
  mkdirSync(join(rig.project, "other"));
  const elsewhere = await rig.livedev("dev", "--", "true");
  t.equal(elsewhere.code, 1);
  t.match(elsewhere.stderr, "No frontend or service of the config has the directory");
  rig.save("web/show.sh", 'echo "$API $SST_RESOURCE_Files $1"; exit 7');
  const shown = await rig.livedev("dev", "--as", "Web", "--", "sh", "web/show.sh", "--turbo");
  t.equal(shown.code, 7, "its exit code");
  t.match(shown.stdout, /^http:\/\/\S+ \{.*"name":.*\} --turbo\n$/);
  t.match(shown.stderr, "livedevd's own Web makes room");
  t.match((await rig.livedev("ps", "--json")).stdout, '"state":"stopped"');
  rig.save("missing.mjs", `import { Resource } from "livedev";\nResource.Api;\n`);
  const missing = await rig.livedev("dev", "--as", "Web", "--", process.execPath, "missing.mjs");
  t.equal(missing.code, 1);
  t.match(
    missing.stderr,
    /Api is not linked to Web\. It has: Files\. .* give new DevCommand\("Web", .* the line\n {2}link: \[Files, Api\],/,
  );
  const there = spawn(process.execPath, [join(ROOT, "dist/livedev.js"), "dev", "--", "sh", "show.sh", "-v"], {
    cwd: join(rig.project, "web"),
    env: rig.env,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const printed = text(there.stdout);
  t.same(await once(there, "close"), [7, null]);
  t.match(await printed, /^http:\/\/\S+ \{.*"name":.*\} -v\n$/, "Web, by the directory it was called in");
});

const TELLER = `    new DevCommand("Teller", { link: [new Secret("StripeKey")], dev: { command: "sh tell.sh" } });
`;

t.test(
  "a secret that is set restarts the process that links to it, and what the process prints of it is sealed",
  async (t) => {
    const set = (value: string) => rig.run("livedev.js", ["secret", "set", "StripeKey"], value);
    t.equal((await set("planted walrus 4478")).code, 0);
    const mono = watched();
    await mono.until(/mono is live/);
    rig.save("tell.sh", 'echo "it has $SST_RESOURCE_StripeKey"; exec sleep 1000');
    rig.edit("livedev.config.ts", "DevCommand }", "DevCommand, Secret }");
    rig.edit("livedev.config.ts", "  },\n});", `${TELLER}  },\n});`);
    await mono.until(/Teller +│ it has \{.*"value":"«sealed»"/);
    await using client = await rig.connect();
    const exited = deferred<LivedevEvent>();
    await client.subscribe({ types: ["process.exited"] }, (events) => {
      for (const { event } of events)
        if (event.type === "process.exited" && event.processName === "Teller") exited.resolve(event);
    });
    t.equal((await set("planted seal 4479")).code, 0);
    t.match(await exited.promise, {
      type: "process.exited",
      processName: "Teller",
      reason: "restarted",
      how: "SST_RESOURCE_StripeKey changed",
      survivors: 0,
    });
    await mono.until(/restarted: SST_RESOURCE_StripeKey changed[^]*it has \{.*"value":"«sealed»"/);
    t.match(
      (await rig.livedev("ps")).stdout,
      /^Teller +ready .* restarted .* ago: SST_RESOURCE_StripeKey changed$/m,
    );
    const logs = (await rig.livedev("logs", "Teller")).stdout;
    t.equal(logs.match(/it has \{.*"value":"«sealed»"/g)?.length, 2);
    t.notMatch(logs + mono.text(), /walrus|seal 4479/);
    mono.child.kill("SIGINT");
    await mono.ended;
  },
);

t.test("with --stop it ends the daemon, too", async (t) => {
  const ends = watched("--stop", "--json");
  await ends.until(/"urls":\{"Api":"http/);
  ends.child.kill("SIGINT");
  await ends.ended;
  t.equal((await rig.livedev("status")).code, 3, "the daemon has stopped");
});
