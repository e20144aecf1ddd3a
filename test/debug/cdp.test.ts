/** One function as one target, over saves and restarts: a plain client of the DevTools protocol. */
import { pathToFileURL } from "node:url";
import { join } from "node:path";

import t from "tap";

import { times } from "../support/counts.ts";
import { Cdp, type Params } from "./cdp.ts";
import { Debugged, handler, lineOf } from "./support.ts";

const NAMES = ["One", "Two"] as const;
type Name = (typeof NAMES)[number];
const SAVES = times(10, 4);

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
    for (const name of NAMES) debugged.save(name, save);
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
    debugged.save("One", save);
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

t.test("50 invocations, one at a breakpoint: the rest waits, is told why, and is answered", async (t) => {
  await using client = await attached("Two");
  await breakAt(client, "Two", debugged.save("Two", 3), "STOP");
  const from = debugged.events.length;
  const stopped = debugged.invoke("Two", { stop: true });
  await client.next("Debugger.paused");
  const others = Array.from({ length: 49 }, () => debugged.invokeLocal("Two"));
  const told = new Set<string>();
  while (told.size < 49) {
    const { requestId } = await debugged.recorded(
      "invocation.logged",
      (event) => /one worker of Two is busy/.test(event.text) && !told.has(event.requestId),
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
  t.same(new Set(await Promise.all([stopped, ...others])), new Set(['"Two 3"']));
});

t.test("the daemon is killed and started again: the target is at its old address, and stops", async (t) => {
  const before = await Cdp.ofFunction(port, "One");
  await debugged.killDaemon();
  await using client = await Cdp.open(before.url);
  t.ok(before.closed);
  await client.send("Runtime.enable");
  await client.send("Debugger.enable");
  const text = debugged.save("One", 2);
  await breakAt(client, "One", text, "HERE");
  await client.send("Runtime.runIfWaitingForDebugger");
  const answer = debugged.invoke("One");
  const stop = await client.next("Debugger.paused");
  t.match(await lineAt(client, stop), /const word = loaded/);
  await client.send("Debugger.resume");
  t.equal(await answer, '"One 2"');
});
