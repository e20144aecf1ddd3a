/**
 * The demo behind `npm start`: the example project live on the local cloud, one edit, both answers. It works on a
 * copy in `.demo/`, so that no file of the clone changes, and is a client like any other: all it knows it has from
 * the command line and the control API. Ends what it started, whatever ends it.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { styleText } from "node:util";

import { connect } from "../dist/client.js";

import { ROOT, run, SetupError, withProgress } from "./setup.mjs";

const EXAMPLE = join(ROOT, "examples", "api");
const PROJECT = join(ROOT, ".demo", "api");
const HANDLER = join(PROJECT, "src", "api.ts");
const OLD_GREETING = "Welcome to the bookshop";
const NEW_GREETING = "Welcome back, the shop has been redecorated";

const terminal = process.stdout.isTTY;
const colours = terminal && !process.env.NO_COLOR;
const paint = (style, text) => (colours ? styleText(style, text) : text);
const say = (text = "") => console.log(text);

const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => interrupted.abort());

try {
  await cleanUp();
  mkdirSync(PROJECT, { recursive: true });
  cpSync(EXAMPLE, PROJECT, {
    recursive: true,
    filter: (path) => !/[\\/](node_modules|\.livedev)$/.test(path),
  });
  await demo();
} catch (error) {
  if (!interrupted.signal.aborted) {
    process.exitCode = 1;
    console.error(error instanceof SetupError || error?.name === "LivedevError" ? error.message : error);
  }
} finally {
  await withProgress("Stopping livedev and the local cloud", cleanUp);
}
// Ctrl-C is how the demo ends on a terminal; before it has shown anything it is an interruption.
process.exit();

async function demo() {
  const started = await withProgress("Starting the local cloud and livedevd, deploying the stub", () =>
    livedevd("start", "--json"),
  );
  const url = JSON.parse(started.trim().split("\n").at(-1)).urls.MyApi;

  // Not `await using`: Node 20 does not know it, and nothing compiles this file.
  const client = await connect({ project: PROJECT });
  try {
    await showLoop(client, url);
  } finally {
    await client.close();
  }
}

async function showLoop(client, url) {
  const logs = [];
  let onReady;
  await client.subscribe({ types: ["invocation.logged", "worker.ready", "build.failed"] }, (events) => {
    for (const { event } of events) {
      if (event.type === "worker.ready") onReady?.(event);
      if (logs.showing) show(event);
      else if (event.type === "invocation.logged") logs.push(event);
    }
  });

  say();
  say(`${paint("bold", "MyApi")} is live: ${paint("cyan", url)}`);
  await ask(url);

  say();
  say(`Editing ${relative(ROOT, HANDLER)}: the greeting becomes “${NEW_GREETING}”`);
  const loaded = new Promise((resolve) => (onReady = resolve));
  writeFileSync(HANDLER, readFileSync(HANDLER, "utf8").replace(OLD_GREETING, NEW_GREETING));
  const { sinceSaveMs } = await untilInterrupted(loaded);
  say(paint("green", `Reloaded in ${Math.round(sinceSaveMs)} ms: saved, built, and a new worker ready.`));

  const { greeting } = JSON.parse(await ask(url));
  if (greeting !== NEW_GREETING)
    throw new SetupError("The edited handler did not answer: the reload failed.");

  say();
  say("What it printed:");
  for (const event of logs.splice(0)) show(event);

  if (!terminal) return;
  say();
  say(`Try it: edit ${paint("bold", relative(process.cwd(), HANDLER))} and ask again:`);
  say(`  curl ${url}books`);
  say(`  curl ${url}quote -d '{"lines":[{"id":"walden","count":2}]}'`);
  say(paint("dim", "Live logs follow. Ctrl-C stops everything."));
  logs.showing = true;
  await untilInterrupted(new Promise(() => {}));
}

function show(event) {
  switch (event.type) {
    case "invocation.logged":
      say(paint("dim", `  log  ${event.functionName}: ${event.text}`));
      break;
    case "worker.ready":
      if (event.sinceSaveMs !== undefined)
        say(paint("green", `Reloaded in ${Math.round(event.sinceSaveMs)} ms`));
      break;
    case "build.failed":
      for (const { text, file, line } of event.errors)
        say(paint("red", file === undefined ? text : `${file}:${line}: ${text}`));
  }
}

async function ask(url) {
  const began = performance.now();
  const response = await fetch(url, { signal: interrupted.signal });
  const body = await response.text();
  say(
    `  GET /  →  ${response.status} ${body}  ${paint("dim", `(${Math.round(performance.now() - began)} ms)`)}`,
  );
  return body;
}

function untilInterrupted(promise) {
  const { signal } = interrupted;
  return Promise.race([
    promise,
    new Promise((_, reject) => {
      const stop = () => reject(new Error("interrupted"));
      if (signal.aborted) stop();
      signal.addEventListener("abort", stop, { once: true });
    }),
  ]);
}

/** What an earlier demo left, too, if it was killed. */
async function cleanUp() {
  if (!existsSync(PROJECT)) return;
  await livedevd("stop").catch(() => {});
  await livedev("cloud", "stop").catch(() => {});
  rmSync(join(ROOT, ".demo"), { recursive: true, force: true });
}

function livedevd(...args) {
  return run(process.execPath, [join(ROOT, "dist", "livedevd.js"), ...args, "--project", PROJECT], {
    cwd: PROJECT,
  });
}

function livedev(...args) {
  return run(process.execPath, [join(ROOT, "dist", "livedev.js"), ...args], { cwd: PROJECT });
}
