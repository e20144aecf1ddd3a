import t from "tap";

import { times } from "../support/counts.ts";
import { openFunction, shown } from "./rig.ts";

void t.test("an async handler of an ES module answers", async (t) => {
  const rig = await openFunction(t, {
    "index.mjs": `console.log("init");
      export const handler = async (event, context) => { console.log("hello", event.name); console.error("oops"); return { hi: event.name }; };`,
  });
  t.match(await rig.environment.ready, { ok: true });
  t.match(shown(await rig.invoke({ name: "you" })), { status: "ok", value: { hi: "you" } });
  t.same(rig.lines[0], { requestId: undefined, stream: "stdout", text: "init" });
  t.same(
    rig.lines.slice(1).sort((a, b) => b.stream.localeCompare(a.stream)),
    [
      { requestId: "request-1", stream: "stdout", text: "hello you" },
      { requestId: "request-1", stream: "stderr", text: "oops" },
    ],
    "what was printed before the answer is there with the answer",
  );
});

void t.test("CommonJS, nested exports and a folder in the handler's name", async (t) => {
  const rig = await openFunction(
    t,
    { "src/api.js": `exports.routes = { v1: { get: async () => __filename.endsWith("src/api.js") } };` },
    "src/api.routes.v1.get",
  );
  t.match(shown(await rig.invoke()), { status: "ok", value: true });
});

void t.test("a .cjs file, and a .js file of a module package", async (t) => {
  const cjs = await openFunction(t, { "index.cjs": `exports.handler = async () => typeof require;` });
  t.equal(shown(await cjs.invoke()).value, "function");
  const esm = await openFunction(t, {
    "package.json": `{ "type": "module" }`,
    "index.js": `export const handler = async () => typeof import.meta.url;`,
  });
  t.equal(shown(await esm.invoke()).value, "string");
});

void t.test("the callback waits for the event loop to run empty, unless told otherwise", async (t) => {
  const rig = await openFunction(t, {
    "index.js": `let later;
      exports.handler = (event, context, callback) => {
        context.callbackWaitsForEmptyEventLoop = event.waits;
        const seen = { later };
        later = "not yet";
        setTimeout(() => { seen.here = true; later = "ran"; }, 30);
        callback(null, seen);
      };`,
  });
  t.same(shown(await rig.invoke({ waits: true })).value, { here: true });
  t.same(shown(await rig.invoke({ waits: false })).value, { later: "ran" });
});

void t.test("a callback's error, context.done, succeed and fail, and no answer at all", async (t) => {
  const rig = await openFunction(t, {
    "index.js": `exports.handler = (event, context, callback) => {
      if (event.how === "callback") callback(new TypeError("called"));
      if (event.how === "text") callback("a text");
      if (event.how === "done") context.done(null, 1);
      if (event.how === "succeed") { context.succeed(2); context.fail(new Error("too late")); }
      if (event.how === "fail") context.fail();
      if (event.how === "sync") throw new RangeError("thrown");
    };`,
  });
  t.match(shown(await rig.invoke({ how: "callback" })), { status: "error", errorType: "TypeError" });
  t.match(shown(await rig.invoke({ how: "text" })), {
    value: { errorType: "string", errorMessage: "a text", trace: [] },
  });
  t.equal(shown(await rig.invoke({ how: "done" })).value, 1);
  t.equal(shown(await rig.invoke({ how: "succeed" })).value, 2);
  t.equal(shown(await rig.invoke({ how: "fail" })).value.errorMessage, "handled");
  t.equal(shown(await rig.invoke({ how: "sync" })).value.errorType, "RangeError");
  t.equal(shown(await rig.invoke({ how: "none" })).value, null);
});

void t.test("the context is complete", async (t) => {
  const rig = await openFunction(
    t,
    {
      "index.mjs": `export const handler = async (event, context) => ({ ...context, remaining: context.getRemainingTimeInMillis(), trace: process.env._X_AMZN_TRACE_ID });`,
    },
    "index.handler",
    {
      env: {
        AWS_LAMBDA_FUNCTION_NAME: "hello",
        AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "1024",
        AWS_LAMBDA_LOG_GROUP_NAME: "/aws/lambda/hello",
        AWS_LAMBDA_LOG_STREAM_NAME: "stream",
      },
    },
  );
  const answer = await rig.invoke(
    {},
    {
      traceId: "Root=1-a-b;Sampled=1",
      clientContext: JSON.stringify({ client: { name: "grün\n" } }, null, 2),
      cognitoIdentity: `{"cognitoIdentityId":"id"}`,
    },
  );
  const { remaining, ...context } = shown(answer).value;
  t.ok(remaining > 20_000 && remaining <= 30_000);
  t.match(context, {
    awsRequestId: "request-1",
    functionName: "hello",
    functionVersion: "$LATEST",
    memoryLimitInMB: "1024",
    logGroupName: "/aws/lambda/hello",
    logStreamName: "stream",
    invokedFunctionArn: "arn:aws:lambda:eu-west-1:123456789012:function:hello",
    callbackWaitsForEmptyEventLoop: true,
    clientContext: { client: { name: "grün\n" } },
    identity: { cognitoIdentityId: "id" },
    trace: "Root=1-a-b;Sampled=1",
  });
  t.notHas(shown(await rig.invoke()).value, { trace: /./ }, "a trace id does not outlive its invocation");
});

void t.test("user code sees its own environment and nothing of livedev's", async (t) => {
  const rig = await openFunction(
    t,
    {
      "index.mjs": `export const handler = async () => ({ env: process.env, argv: process.argv.length, send: typeof process.send });`,
    },
    "index.handler",
    { env: { LIVEDEV_LOG: "trace", MINE: "1" }, ipc: true },
  );
  const { env, argv, send } = shown(await rig.invoke()).value;
  t.strictSame(Object.keys(env).sort(), [
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "MINE",
    "PATH",
    "_HANDLER",
  ]);
  t.equal(argv, 2);
  t.equal(send, "undefined");
});

void t.test("code that patches http and the timers does not reach the runner", async (t) => {
  const rig = await openFunction(t, {
    "index.js": `const http = require("node:http");
      http.request = () => { throw new Error("mocked"); };
      globalThis.setImmediate = globalThis.setTimeout = () => { throw new Error("faked"); };
      require("node:module").syncBuiltinESMExports();
      process.exit = () => { throw new Error("no exit"); };
      exports.handler = (event, context, callback) => callback(null, "through");`,
  });
  t.equal(shown(await rig.invoke()).value, "through");
  t.equal(shown(await rig.invoke()).value, "through");
});

void t.test("values that JSON does not have, and one that it cannot have", async (t) => {
  const rig = await openFunction(t, {
    "index.mjs": `export const handler = async ({ what }) => {
      if (what === "function") return () => 1;
      if (what === "circular") { const a = {}; a.a = a; return a; }
    };`,
  });
  t.equal(shown(await rig.invoke({ what: "undefined" })).value, null);
  t.equal(shown(await rig.invoke({ what: "function" })).value, null);
  t.match(shown(await rig.invoke({ what: "circular" })), {
    status: "error",
    value: { errorMessage: "Unable to stringify response body" },
  });
  t.match(shown(await rig.invoke(Buffer.from("{no json"))), { status: "error", errorType: "SyntaxError" });
});

void t.test("many invocations leave no memory behind", async (t) => {
  const rig = await openFunction(
    t,
    {
      "index.mjs": `export const handler = async ({ measure }) => { if (measure) { gc(); gc(); return process.memoryUsage().heapUsed; } };`,
    },
    "index.handler",
    { env: { NODE_OPTIONS: "--expose-gc" } },
  );
  const used = async () => shown(await rig.invoke({ measure: true })).value as number;
  for (let i = 0; i < times(500, 200); i++) await rig.invoke();
  const before = await used();
  for (let i = 0; i < times(10_000, 600); i++) await rig.invoke();
  const grown = (await used()) - before;
  t.ok(grown < 1_500_000, `the runner grew by ${grown} bytes`);
});
