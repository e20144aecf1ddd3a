import { mkdirSync } from "node:fs";
import { join } from "node:path";

import t, { type Test } from "tap";

import { some } from "../support/counts.ts";
import { bad, config, FIRST, good, load, project } from "./support.ts";

const failing = async (test: Test, text: string, options = {}) =>
  bad(await load(test, { "livedev.config.ts": text }, options));

void t.test("no config: the folder is named, and where one may appear is watched", async (t) => {
  const { dir, config: open } = await project(t, {});
  const result = await open.load();
  t.match(bad(result), { code: "config.missing", message: `There is no livedev.config.ts in ${dir}.` });
  t.ok(result.inputs.includes(join(dir, "livedev.config.mjs")));
});

void t.test("a syntax error has esbuild's file and line", async (t) => {
  const error = await failing(t, `${config("")}\nconst x = ;`);
  t.match(error, { file: "livedev.config.ts", line: 9, message: /^livedev\.config\.ts:9: Unexpected ";"/ });
});

void t.test("an import that cannot be found has its file and line", async (t) => {
  const error = await failing(t, `\nimport "./nothing.ts";\n${config("")}`);
  t.match(error, { file: "livedev.config.ts", line: 2, message: /Could not resolve "\.\/nothing\.ts"/ });
});

void t.test("what run() throws has the line of the source, also in an imported file", async (t) => {
  t.match(await failing(t, config(`\n    throw new Error("no luck");`)), {
    code: "config.threw",
    file: "livedev.config.ts",
    line: FIRST + 1,
    message: `livedev.config.ts:${FIRST + 1}: run() failed: no luck`,
  });
  const { config: open } = await project(t, {
    "livedev.config.ts": `import { part } from "./infra/part.ts";\n${config("await part();")}`,
    "infra/part.ts": `type T = { a: 1 };\nexport async function part(): Promise<T> {\n  throw new TypeError("deep");\n}`,
  });
  t.match(bad(await open.load()), {
    file: "infra/part.ts",
    line: 3,
    message: "infra/part.ts:3: run() failed: deep",
  });
});

void t.test("what the module, app() and later code throw is told apart", async (t) => {
  t.match(
    (await failing(t, `throw new Error("top");\n${config("")}`)).message,
    "livedev.config.ts:1: the config failed: top",
  );
  t.match(
    (await failing(t, config("", `(() => { throw new Error("in app") })()`))).message,
    /app\(\) failed: in app/,
  );
  t.match(
    (
      await failing(
        t,
        config(`setImmediate(() => { throw new Error("late") }); await new Promise(() => {});`),
      )
    ).message,
    /late/,
  );
  t.match(
    (await failing(t, config(`Promise.reject(new Error("lost")); await new Promise(() => {});`))).message,
    /lost/,
  );
  t.match((await failing(t, config(`throw "text";`))).message, /run\(\) failed: it threw text/);
});

void t.test("a config that never returns is stopped", async (t) => {
  const bodies = [
    "await new Promise(() => {});",
    `process.on("SIGTERM", () => {}); for (;;) {}`,
    "while (true);",
  ];
  for (const body of some(bodies, 2)) {
    const error = await failing(t, config(body), { limitMs: 400 });
    t.match(
      error,
      { code: "config.tooSlow", message: /did not come to an end within 0\.4 s and was stopped/ },
      body,
    );
  }
});

void t.test("process.exit is reported with its line", async (t) => {
  t.match(await failing(t, config(`\n\n    process.exit(3);`)), {
    line: FIRST + 2,
    message: /the config called process\.exit\(3\)/,
  });
});

void t.test("a config's process that dies is reported with how", async (t) => {
  t.match(await failing(t, config(`process.kill(process.pid, "SIGKILL");`)), {
    code: "config.died",
    message: "livedev.config.ts: the config's process ended by SIGKILL before run() was done.",
  });
});

void t.test(
  "a config's process that is killed from outside is not the config's fault: it is tried again",
  async (t) => {
    const { dir, config: open, write } = await project(t, {});
    const first = `const { existsSync, writeFileSync } = await import("node:fs");
    if (!existsSync("${join(dir, "killed")}")) {
      writeFileSync("${join(dir, "killed")}", "");
      process.kill(process.pid, "SIGKILL");
    }`;
    write({ "livedev.config.ts": config(first) });
    t.equal((await open.load()).ok, true);
  },
);

void t.test("an app() that returns nothing", async (t) => {
  t.match(await failing(t, config("", "undefined")), {
    code: "config.returnedNothing",
    hint: /return \{ name/,
  });
});

void t.test("no default export, and one that is no config", async (t) => {
  t.match(await failing(t, config("").replace("export default", "void")), { code: "config.noDefault" });
  t.match(await failing(t, "export default { name: 'x' };"), { code: "config.notConfig" });
});

void t.test("two components of one name: both places are named", async (t) => {
  const error = await failing(
    t,
    config(
      `    new aws.Function("Api", { handler: "src/api.handler" });\n    new Linkable("Api", { properties: {} });`,
    ),
  );
  t.match(error, {
    line: FIRST + 1,
    message: `livedev.config.ts:${FIRST + 1}: Linkable "Api": the name is taken by the aws.Function at livedev.config.ts:${FIRST}; names are unique in the app`,
  });
});

void t.test("a .env that cannot be read is named", async (t) => {
  const { dir, config: open } = await project(t, { "livedev.config.ts": config("") });
  mkdirSync(join(dir, ".env"));
  t.match(bad(await open.load()), { code: "config.unreadable", message: /\.env cannot be read: EISDIR/ });
});

void t.test("a component that livedev does not have", async (t) => {
  t.match(
    (await failing(t, config(`new aws.Dynamo("Table");`))).message,
    /:5: livedev has no component Dynamo\. It has aws\.Function, aws\.Bucket, .*Secret and Linkable; other AWS resources are written as new aws\.Stack/,
  );
  t.match(
    (await failing(t, config(`new aws.Functoin("Api", {});`))).message,
    /no component Functoin; did you mean Function\?/,
  );
});

void t.test("an output forced to text before it is known", async (t) => {
  const body = `const api = new aws.Function("Api", { handler: "src/api.handler", url: true });\n    `;
  const forced = [
    "console.log(`${api.url}/users`);",
    "JSON.stringify({ url: api.url });",
    `const u = "" + api.arn;`,
  ];
  for (const text of some(forced, 2)) {
    t.match(
      (await failing(t, config(body + text))).message,
      /:6: run\(\) failed: Api\.(url|arn) is known only once the app is deployed/,
      text,
    );
  }
  t.match(
    (
      await failing(
        t,
        config(`${body}new aws.Function("B", { handler: "b.handler", description: api.url });`),
      )
    ).message,
    /:6: aws\.Function "B": description is an output; Api\.url is known only once the app is deployed: write link: \[the component "Api"\] and read Resource\.Api/,
  );
  t.match(
    (
      await failing(
        t,
        config(
          `${body}new aws.Function("B", { handler: "b.handler", environment: { API: api.url.apply((url) => url.toUpperCase()) } });`,
        ),
      )
    ).message,
    /environment\.API is made from Api\.url, which is known only once the app is deployed/,
  );
});

void t.test("components and names outside run()", async (t) => {
  t.match(
    (
      await failing(
        t,
        `import { aws } from "livedev"; new aws.Function("A", { handler: "a.h" });\n${config("").split("\n").slice(1).join("\n")}`,
      )
    ).message,
    /belongs in run\(\), not in app\(\)/,
  );
});

void t.test("each mistake is one line, in the order of the config", async (t) => {
  const error = await failing(
    t,
    config(
      `    new aws.Function("A", { handler: "a", timeout: "20 parsecs" });\n    new aws.Function("B", {});`,
    ),
  );
  t.equal(error.message.split("\n").length, 3);
  t.match(
    error.message,
    /:5: aws\.Function "A": handler .*\n.*:5: aws\.Function "A": timeout .*\n.*:6: aws\.Function "B": handler is missing/,
  );
});

void t.test("the ways of stubs: an address of one's own, its form, and not beside a bastion", async (t) => {
  const app = (way: string) => `{ name: "shop", home: "aws", ${way} }`;
  const url = { address: "wss://shop.example.com/of/ann", port: 7400 };
  const loaded = await load(t, { "livedev.config.ts": config("", app(`url: ${JSON.stringify(url)}`)) });
  t.strictSame(good(loaded).app.url, url);
  const wrong = ["tls://x:1/path", "wss://me:secret@x/", "http://x", "tls://x", "wss://", "x:1"];
  for (const address of some(wrong, 2)) {
    const { message } = await failing(t, config("", app(`url: { address: "${address}", port: 1 }`)));
    t.match(message, /url\.address is .*; write "tls:\/\/host:port" or "wss:\/\/host\/path"/, address);
  }
  const both = app(`url: ${JSON.stringify(url)}, bastion: { host: "b" }`);
  t.match((await failing(t, config("", both))).message, /both ways of stubs.*write one of them/);
});
