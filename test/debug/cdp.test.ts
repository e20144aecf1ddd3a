/** One function as one target, over saves: a plain client of the DevTools protocol. */
import { pathToFileURL } from "node:url";
import { join } from "node:path";

import t from "tap";

import { Rig } from "../support/rig.ts";
import { Cdp, type Params } from "./cdp.ts";
import { config, debugged, handler, invoke, lineOf } from "./support.ts";

/** Where a paused client stands, in the source, by the map that came with the script. */
class Scripts {
  readonly #maps = new Map<string, string>();

  add({ scriptId, sourceMapURL }: Params): void {
    this.#maps.set(scriptId, sourceMapURL);
  }

  map(scriptId: string): { sources: string[]; sourcesContent: string[] } {
    const url = this.#maps.get(scriptId) ?? "";
    return JSON.parse(Buffer.from(url.slice(url.indexOf(",") + 1), "base64").toString());
  }
}

t.test(
  "a breakpoint set before the first call is hit on each, over ten saves that shift lines",
  async (t) => {
    await using rig = Rig.open({
      files: {
        "livedev.config.ts": config(["One", "Two"]),
        "src/One.ts": handler("One"),
        "src/Two.ts": handler("Two"),
      },
    });
    const port = await debugged(rig);
    const clients = await Promise.all(["One", "Two"].map((name) => Cdp.ofFunction(port, name)));
    const names = ["One", "Two"];
    for (const [index, client] of clients.entries()) {
      await client.send("Runtime.enable");
      await client.send("Debugger.enable");
      const file = join(rig.project, "src", `${names[index]}.ts`);
      const { locations } = await client.send("Debugger.setBreakpointByUrl", {
        url: pathToFileURL(file).href,
        lineNumber: lineOf(handler("One"), "HERE") - 1,
      });
      t.same(locations, [], "no process is there yet");
      await client.send("Runtime.runIfWaitingForDebugger");
    }
    for (let save = 0; save < 10; save++) {
      for (const [index, client] of clients.entries()) {
        const name = names[index] ?? "";
        rig.save(`src/${name}.ts`, handler(name, save));
        const answer = invoke(rig, name);
        const { scriptId, sourceMapURL } = await client.next("Debugger.scriptParsed", ({ url }) =>
          /\/build\/.*index\.[cm]js$/.test(url),
        );
        const scripts = new Scripts();
        scripts.add({ scriptId, sourceMapURL });
        const { callFrames, hitBreakpoints } = await client.next("Debugger.paused");
        t.equal(hitBreakpoints.length, 1);
        const { location, callFrameId } = callFrames[0];
        t.equal(location.scriptId, scriptId);
        const map = scripts.map(scriptId);
        t.ok(map.sources.some((source) => source.endsWith(`src/${name}.ts`)));
        t.ok(map.sourcesContent.some((text) => text.includes("// HERE")));
        const { result } = await client.send("Debugger.evaluateOnCallFrame", {
          callFrameId,
          expression: "loaded",
        });
        t.equal(result.value, name);
        const { scriptSource } = await client.send("Debugger.getScriptSource", { scriptId });
        t.match(scriptSource.split("\n")[location.lineNumber], /const word = loaded/, `save ${save}`);
        await client.send("Debugger.resume");
        t.equal((await answer).stdout.trim(), `"${name} ${save}"`);
      }
    }
    t.notOk(
      clients.some(({ closed }) => closed),
      "and no connection was closed",
    );
    for (const client of clients) await client[Symbol.asyncDispose]();
  },
);
