import t from "tap";

import { PROGRAMS } from "../../daemon/lib/programs.ts";
import { openFunction, shown } from "./rig.ts";

void t.test("what a handler throws is posted in the shape of AWS's Node runtime", async (t) => {
  const rig = await openFunction(t, {
    "index.mjs": `class Mine extends Error { name = "Mine"; }
      export const handler = async ({ what }) => {
        if (what === "error") throw new Mine("broken");
        if (what === "text") throw "just text";
        if (what === "nothing") throw undefined;
        if (what === "number") throw 5;
        if (what === "nasty") throw { get name() { throw new Error("no name"); } };
        if (what === "line break") throw Object.assign(new Error("x"), { name: "a\\nb ü" });
      };`,
  });
  const thrown = shown(await rig.invoke({ what: "error" }));
  t.match(thrown, { status: "error", errorType: "Mine" });
  t.strictSame(Object.keys(thrown.value), ["errorType", "errorMessage", "trace"]);
  t.match(thrown.value, { errorType: "Mine", errorMessage: "broken" });
  t.equal(thrown.value.trace[0], "Mine: broken");
  t.match(thrown.value.trace[1], /^ {4}at .*handler .*index\.mjs:3:/);
  t.notMatch(thrown.value.trace.join("\n"), PROGRAMS.runner, "the runner's own frames are not the user's");

  const value = async (what: string) => shown(await rig.invoke({ what })).value;
  t.strictSame(await value("text"), { errorType: "string", errorMessage: "just text", trace: [] });
  t.match(await value("nothing"), { errorMessage: "handled" });
  t.strictSame(await value("number"), { errorType: "number", errorMessage: "5", trace: [] });
  t.match(await value("nasty"), { errorType: "handled" });
  const odd = shown(await rig.invoke({ what: "line break" }));
  t.match(
    odd,
    { errorType: "a?b ?", value: { errorType: "a\nb ü" } },
    "the header is made safe, the body is not touched",
  );
});

void t.test("stacks are mapped to the sources", async (t) => {
  const { build } = await import("esbuild");
  const source = `type Event = { a: number };\n\nexport const handler = async (event: Event) => {\n  throw new Error("mapped " + event.a);\n};\n`;
  const { outputFiles } = await build({
    stdin: { contents: source, loader: "ts", sourcefile: "handler.ts" },
    format: "esm",
    minify: true,
    sourcemap: "inline",
    write: false,
  });
  const rig = await openFunction(t, { "index.mjs": outputFiles[0]!.text });
  t.match(shown(await rig.invoke({ a: 1 })).value.trace[1], /handler\.ts:4:9/);
});

void t.test("errors of init", async (t) => {
  const initError = async (files: Record<string, string>, handler?: string) => {
    const rig = await openFunction(t, files, handler);
    const init = await rig.environment.ready;
    if (init.ok) throw new Error("it loaded");
    t.equal(init.answer.cause, "init");
    t.same(shown(await rig.invoke()), shown(init.answer), "an invocation is answered with it");
    t.same(await rig.environment.exited, { code: 1, signal: null });
    return shown(init.answer);
  };
  t.match(await initError({ "index.js": "exports.handler = async () => {" }), {
    errorType: "Runtime.UserCodeSyntaxError",
    value: { trace: /index\.js:1/ },
  });
  t.match(await initError({ "index.mjs": "export const = 1" }), { errorType: "Runtime.UserCodeSyntaxError" });
  t.match(await initError({}), {
    errorType: "Runtime.ImportModuleError",
    value: { errorMessage: /Cannot find module 'index'/ },
  });
  t.match(await initError({ "index.js": `require("not-there")` }), {
    errorType: "Runtime.ImportModuleError",
    value: { errorMessage: /Cannot find module 'not-there'/ },
  });
  t.match(await initError({ "index.mjs": `import "not-there"` }), {
    errorType: "Runtime.ImportModuleError",
    value: { errorMessage: /Cannot find package 'not-there'/ },
  });
  t.match(await initError({ "index.mjs": "export const other = 1" }), {
    errorType: "Runtime.HandlerNotFound",
    value: { errorMessage: "index.handler is undefined or not exported" },
  });
  t.match(await initError({ "index.mjs": "export const handler = 1" }), {
    errorType: "Runtime.HandlerNotFound",
    value: { errorMessage: "index.handler is not a function" },
  });
  t.match(await initError({ "index.mjs": "" }, "../index.handler"), {
    errorType: "Runtime.MalformedHandlerName",
  });
  t.match(await initError({ "index.mjs": `throw new RangeError("at load")` }), {
    errorType: "RangeError",
    value: { errorMessage: "at load", trace: /index\.mjs:1/ },
  });
});

void t.test("an uncaught exception in an invocation is its answer, and the end of the process", async (t) => {
  const rig = await openFunction(t, {
    "index.js": `exports.handler = () => { setTimeout(() => { throw new TypeError("late"); }, 1); };`,
  });
  t.match(shown(await rig.invoke()), {
    status: "error",
    errorType: "TypeError",
    value: { errorMessage: "late", trace: /index\.js:1/ },
  });
  t.same(await rig.environment.exited, { code: 129, signal: null });
  t.match(await rig.line("Uncaught Exception"), { stream: "stderr" });
});

void t.test(
  "a rejection that nobody handles is the invocation's answer, with the reason's stack",
  async (t) => {
    const rig = await openFunction(t, {
      "index.mjs": `export const handler = () => { Promise.reject(new Error("forgotten")); return new Promise(() => {}); };`,
    });
    const { errorType, value } = shown(await rig.invoke());
    t.equal(errorType, "Runtime.UnhandledPromiseRejection");
    t.equal(value.errorMessage, "Error: forgotten");
    t.match(value.trace[1], /index\.mjs:1/);
    t.same(await rig.environment.exited, { code: 128, signal: null });
  },
);

void t.test("an uncaught exception between invocations ends the process, and says why", async (t) => {
  const rig = await openFunction(t, {
    "index.mjs": `export const handler = async () => { setTimeout(() => { throw new Error("between"); }, 20); return 1; };`,
  });
  t.equal(shown(await rig.invoke()).value, 1);
  t.same(await rig.environment.exited, { code: 129, signal: null });
  t.match((await rig.line("between")).requestId, undefined);
  t.match(shown(await rig.invoke()), {
    errorType: "Runtime.ExitError",
    value: {
      errorMessage: "RequestId: request-2 Error: Runtime exited with error: exit status 129",
      stackTrace: /between/,
    },
  });
});

void t.test("a promise that never settles, with nothing left to wake it", async (t) => {
  const rig = await openFunction(t, {
    "index.mjs": `export const handler = async () => new Promise(() => {});`,
  });
  t.equal(shown(await rig.invoke()).errorType, "Runtime.NodeJsExit");
  t.equal(shown(await rig.invoke()).errorType, "Runtime.NodeJsExit", "and the next invocation runs");
});

void t.test("process.exit() in a handler, and in init", async (t) => {
  const rig = await openFunction(t, {
    "index.mjs": `export const handler = async ({ code }) => { console.log("last words"); process.exit(code); };`,
  });
  t.match(shown(await rig.invoke({ code: 0 })), {
    errorType: "Runtime.ExitError",
    value: {
      errorMessage: "RequestId: request-1 Error: Runtime exited without providing a reason",
      stackTrace: ["last words"],
    },
  });
  const init = await openFunction(t, { "index.mjs": `console.error("no"); process.exit(3);` });
  t.match(await init.environment.ready, {
    ok: false,
    answer: { cause: "init", errorType: "Runtime.ExitError" },
  });
  t.match(shown(await init.invoke()), {
    value: { errorMessage: "Error: Runtime exited with error: exit status 3", stackTrace: ["no"] },
  });
});

void t.test("an answer that tells of the process's end holds nothing of another invocation", async (t) => {
  const rig = await openFunction(t, {
    "index.mjs": `export const handler = async ({ text, exit }) => { console.log(text); if (exit) process.exit(3); return 1; };`,
  });
  t.equal(shown(await rig.invoke({ text: "password of another caller" })).value, 1);
  t.same(shown(await rig.invoke({ text: "mine", exit: true })).value.stackTrace, ["mine"]);
  t.same(shown(await rig.invoke({ text: "too late" })).value.stackTrace, [], "nor does what comes after it");
});
