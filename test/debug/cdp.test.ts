/** One function as one target, over saves and restarts: a plain client of the DevTools protocol. */
import { pathToFileURL } from "node:url";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import t, { type Test } from "tap";

import { SourceMap, type SourceMapJson } from "../../daemon/debug/source-map.ts";
import { some, times } from "../support/counts.ts";
import { Cdp, type Params } from "./cdp.ts";
import { Debugged, handler, lineOf } from "./support.ts";

const NAMES = ["One", "Common"] as const;
type Name = (typeof NAMES)[number];
const SAVES = times(10, 2);

const debugged = await Debugged.open(NAMES);
t.teardown(() => debugged[Symbol.asyncDispose]());
const { port } = debugged;

/** It says at once that code may run. */
async function attached(name: Name): Promise<Cdp> {
  const client = await Cdp.ofFunction(port, name);
  await client.send("Runtime.enable");
  await client.send("Debugger.enable");
  await client.send("Runtime.runIfWaitingForDebugger");
  return client;
}

const breakAt = (client: Cdp, name: Name, text: string, mark: string, more: Params = {}) =>
  client.send("Debugger.setBreakpointByUrl", {
    url: pathToFileURL(join(debugged.rig.project, "src", `${name}.ts`)).href,
    lineNumber: lineOf(text, mark) - 1,
    ...more,
  });

const isBundle = ({ url }: Params) => /\/build\/.*index\.[cm]js$/.test(url);

/** The generated line that it stands in, by the source as the client has it. */
async function lineAt(client: Cdp, { callFrames }: Params): Promise<string> {
  const { scriptId, lineNumber } = callFrames[0].location;
  const { scriptSource } = await client.send("Debugger.getScriptSource", { scriptId });
  return scriptSource.split("\n")[lineNumber];
}

async function valueOf(client: Cdp, { callFrames }: Params, expression: string): Promise<unknown> {
  const { callFrameId } = callFrames[0];
  return (await client.send("Debugger.evaluateOnCallFrame", { callFrameId, expression })).result.value;
}

t.test("breakpoints set before the first call are hit on each, over saves that shift lines", async (t) => {
  const clients = new Map(
    await Promise.all(NAMES.map(async (name) => [name, await attached(name)] as const)),
  );
  for (const [name, client] of clients) {
    const { locations } = await breakAt(client, name, handler(name), "HERE");
    t.same(locations, [], "no process is there yet");
  }
  for (let save = 0; save < SAVES; save++) {
    await Promise.all(NAMES.map((name) => debugged.save(name, save)));
    const answers = NAMES.map((name) => debugged.invoke(name));
    // Both stand at once.
    const stops = await Promise.all([...clients.values()].map((client) => client.next("Debugger.paused")));
    for (const [index, [name, client]] of [...clients].entries()) {
      const { scriptId, sourceMapURL } = await client.next("Debugger.scriptParsed", isBundle);
      const stop = stops[index] ?? {};
      t.equal(stop["hitBreakpoints"].length, 1);
      t.equal(stop["callFrames"][0].location.scriptId, scriptId);
      const map = JSON.parse(
        Buffer.from(sourceMapURL.slice(sourceMapURL.indexOf(",") + 1), "base64").toString(),
      ) as { sources: string[]; sourcesContent: string[] };
      t.ok(map.sources.some((source) => source.endsWith(`src/${name}.ts`)));
      t.ok(map.sourcesContent.includes(handler(name, save)), "the source as it was saved");
      t.equal(await valueOf(client, stop, "loaded"), name);
      t.match(await lineAt(client, stop), /const word = loaded/, `save ${save}`);
      await client.send("Debugger.resume");
      // The other one may stand still.
      t.equal(await answers[index], `"${name} ${save}"`);
    }
  }
  for (const client of clients.values()) {
    t.notOk(client.closed, "and no connection was closed");
    await client[Symbol.asyncDispose]();
  }
});

t.test("init code, exceptions, conditions and bindings hold in the process after a save", async (t) => {
  await using client = await attached("One");
  const text = handler("One", SAVES - 1);
  await breakAt(client, "One", text, "INIT");
  await breakAt(client, "One", text, "STOP", { condition: "event.fail" });
  const { breakpointId } = await breakAt(client, "One", text, "HERE");
  await client.send("Debugger.setPauseOnExceptions", { state: "all" });
  await client.send("Runtime.addBinding", { name: "tell" });
  await client.send("Debugger.removeBreakpoint", { breakpointId });
  for (let save = 11; save < 13; save++) {
    await debugged.save("One", save);
    const answer = debugged.invoke("One", { fail: true, stop: true });
    const stopsAt = async (line: RegExp, reason: string) => {
      const stop = await client.next("Debugger.paused");
      t.equal(stop["reason"], reason);
      t.match(await lineAt(client, stop), line, `save ${save}`);
      t.equal(await valueOf(client, stop, "typeof tell"), "function");
      await client.send("Debugger.resume");
    };
    await stopsAt(/loaded = "One"/, "other");
    await stopsAt(/console\.log\(word\)/, "other");
    // As V8 calls what an async function throws.
    await stopsAt(/throw new Error/, "promiseRejection");
    t.match(await answer, /"errorMessage":"as asked"/);
  }
  const unmet = debugged.invoke("One", { stop: true });
  t.equal(await unmet, '"One 12"', "the condition does not hold, and nothing is thrown");
});

/** A bundle, as the client is told of it. */
type Bundle = { readonly url: string; readonly map: SourceMapJson };

/** The one that was built of this. */
async function bundleOf(client: Cdp, text: string): Promise<Bundle> {
  const mapOf = ({ sourceMapURL }: Params) => {
    const data = sourceMapURL.slice(sourceMapURL.indexOf(",") + 1);
    return JSON.parse(Buffer.from(data, "base64").toString()) as SourceMapJson;
  };
  const parsed = await client.next(
    "Debugger.scriptParsed",
    (script) => isBundle(script) && mapOf(script).sourcesContent?.includes(text) === true,
  );
  return { url: parsed["url"], map: mapOf(parsed) };
}

/** Where Chrome's front end sets a breakpoint of a source's line, counted from 0. */
function inBundle({ url, map }: Bundle, name: Name, line: number): Params {
  const source = map.sources.findIndex((one) => one.endsWith(`/src/${name}.ts`));
  const place = new SourceMap(map.mappings).generatedOf({ source, line, column: 0 });
  return { urlRegex: url.replaceAll(/[.]/g, "\\."), lineNumber: place?.line, columnNumber: place?.column };
}

async function stops(t: Test, client: Cdp, line: RegExp, breakpointId: string | undefined): Promise<void> {
  const stop = await client.next("Debugger.paused");
  t.same(stop["hitBreakpoints"], [breakpointId], "the client sees no stop but its own");
  t.match(await lineAt(client, stop), line);
  await client.send("Debugger.resume");
}

t.test(
  "new code waits for a client that sets breakpoints again by line number, as Chrome does",
  async (t) => {
    for (const name of NAMES) {
      await using client = await attached(name);
      const first = await debugged.save(name, 20);
      t.equal(await debugged.invoke(name), `"${name} 20"`);
      const lines = ["INIT", "STOP"].map((mark) => lineOf(first, mark) - 1);
      const set = async (bundle: Bundle) => {
        const ids: string[] = [];
        for (const line of lines) {
          const place = inBundle(bundle, name, line);
          const { breakpointId, locations } = await client.send("Debugger.setBreakpointByUrl", place);
          t.equal(locations.length, 1);
          ids.push(breakpointId);
        }
        return ids;
      };
      let ids = await set(await bundleOf(client, first));
      // Below where it was, above it, and there.
      for (const above of some([23, 18, 20], 2)) {
        const text = await debugged.save(name, above);
        const answer = debugged.invoke(name, { stop: true });
        const bundle = await bundleOf(client, text);
        for (const breakpointId of ids) await client.send("Debugger.removeBreakpoint", { breakpointId });
        // Whatever runs in the process meanwhile, it is not the code.
        for (let n = 0; n < 5; n++) await client.send("Runtime.evaluate", { expression: "1" });
        ids = await set(bundle);
        await stops(t, client, new RegExp(`loaded = "${name}"`), ids[0]);
        await stops(t, client, /console\.log\(word\)/, ids[1]);
        t.equal(await answer, `"${name} ${above}"`);
      }
    }
  },
);

t.test("a breakpoint set in the bundle of the last process stands in the next one", async (t) => {
  await using client = await attached("One");
  const text = await debugged.save("One", 30);
  t.equal(await debugged.invoke("One"), '"One 30"');
  const line = lineOf(text, "INIT") - 1;
  const old = inBundle(await bundleOf(client, text), "One", line);
  const next = await debugged.save("One", 33);
  for (;;) {
    const status = await debugged.client.call("debug.status", {});
    if (status.state === "on" && status.workers.every(({ functionName }) => functionName !== "One")) break;
    await wait(10);
  }
  const { breakpointId, locations } = await client.send("Debugger.setBreakpointByUrl", old);
  t.same(locations, []);
  const answer = debugged.invoke("One");
  const place = inBundle(await bundleOf(client, next), "One", line);
  await client.send("Debugger.removeBreakpoint", { breakpointId });
  const again = await client.send("Debugger.setBreakpointByUrl", place);
  await stops(t, client, /loaded = "One"/, again["breakpointId"]);
  t.equal(await answer, '"One 33"');
});

t.test("a client that leaves its breakpoints where they are is waited for once, and told why", async (t) => {
  await using client = await attached("One");
  const text = await debugged.save("One", 21);
  t.equal(await debugged.invoke("One"), '"One 21"');
  const place = inBundle(await bundleOf(client, text), "One", lineOf(text, "INIT") - 1);
  const { breakpointId } = await client.send("Debugger.setBreakpointByUrl", place);
  const from = debugged.events.length;
  for (const above of [22, 24]) {
    await debugged.save("One", above);
    const answer = debugged.invoke("One");
    await stops(t, client, /loaded = "One"/, breakpointId);
    t.equal(await answer, `"One ${above}"`);
  }
  const waits = debugged.events
    .slice(from)
    .filter((event) => event.type === "function.logged" && /waited 2 s for its debugger/.test(event.text));
  t.equal(waits.length, 1);
});

const AT_ONCE = times(50, 10);

t.test(
  `${AT_ONCE} invocations, one at a breakpoint: the rest waits, is told why, and is answered`,
  async (t) => {
    await using client = await attached("Common");
    await breakAt(client, "Common", await debugged.save("Common", 3), "STOP");
    const from = debugged.events.length;
    const stopped = debugged.invoke("Common", { stop: true });
    await client.next("Debugger.paused");
    const others = Array.from({ length: AT_ONCE - 1 }, () => debugged.invokeLocal("Common"));
    const told = new Set<string>();
    while (told.size < AT_ONCE - 1) {
      const { requestId } = await debugged.recorded(
        "invocation.logged",
        (event) => /one worker of Common is busy/.test(event.text) && !told.has(event.requestId),
        from,
      );
      told.add(requestId);
    }
    t.same(
      debugged.events.slice(from).filter(({ type }) => type === "invocation.answered"),
      [],
      "one process at a time is behind a target",
    );
    await client.send("Debugger.resume");
    t.same(new Set(await Promise.all([stopped, ...others])), new Set(['"Common 3"']));
  },
);

t.test("the daemon is killed and started again: the target is at its old address, and stops", async (t) => {
  const before = await Cdp.ofFunction(port, "One");
  await debugged.killDaemon();
  await using client = await Cdp.open(before.url);
  t.ok(before.closed);
  await client.send("Runtime.enable");
  await client.send("Debugger.enable");
  const text = await debugged.save("One", 2);
  await breakAt(client, "One", text, "HERE");
  await client.send("Runtime.runIfWaitingForDebugger");
  const answer = debugged.invoke("One");
  const stop = await client.next("Debugger.paused");
  t.match(await lineAt(client, stop), /const word = loaded/);
  await client.send("Debugger.resume");
  t.equal(await answer, '"One 2"');
});
