/** Who may attach: F37 for the debuggers' port. And what a debugger does to time. */
import { request } from "node:http";
import { pathToFileURL } from "node:url";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import t from "tap";
import { WebSocket } from "ws";

import { Rig } from "../support/rig.ts";
import { Cdp } from "./cdp.ts";
import { config, debugged, handler, lineOf } from "./support.ts";

const FILES = { "livedev.config.ts": config(["One"], "1 second"), "src/One.ts": handler("One") };

function statusOf(port: number, path: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port, path, headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    asked.on("upgrade", (_response, socket) => {
      socket.destroy();
      resolve(101);
    });
    asked.on("error", reject);
    asked.end();
  });
}

const UPGRADE = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
};

t.test(
  "the debuggers' port takes no web page, no rebound name and no guessed id, and doctor tells",
  async (t) => {
    await using rig = Rig.open({ files: FILES });
    const port = await debugged(rig);
    const host = `127.0.0.1:${port}`;
    const refused: readonly Record<string, string>[] = [
      { host: `evil.example:${port}` },
      { host: `127.1:${port}` },
      { host: "127.0.0.1:1" },
      { host, origin: "http://evil.example" },
      { host, origin: "null" },
      { host, origin: `http://127.0.0.1:${port}` },
      { host, origin: "devtools://devtools.evil.example" },
    ];
    const listed = (await (await fetch(`http://${host}/json/list`)).json()) as { id: string }[];
    const [{ id } = { id: "" }] = listed;
    t.match(id, /^[0-9a-f-]{32,}$/);
    for (const headers of refused) {
      t.equal(await statusOf(port, "/json/list", headers), 403, JSON.stringify(headers));
      t.equal(await statusOf(port, `/${id}`, { ...headers, ...UPGRADE }), 403, JSON.stringify(headers));
    }
    // js-debug says no port, DevTools has an Origin of its own.
    for (const headers of [{ host: "localhost" }, { host, origin: "devtools://devtools" }]) {
      t.equal(await statusOf(port, "/json/list", headers), 200, JSON.stringify(headers));
    }
    const guess = new WebSocket(`ws://${host}/${"0".repeat(id.length)}`);
    const code = await new Promise((resolve) => guess.once("close", resolve));
    t.equal(code, 1008, "nothing has that id");
    const { stdout } = await rig.livedev("doctor");
    const counts = [
      ...stdout.matchAll(/(\d+) requests? (?:was|were) refused at (.*debug.*|.*inspector.*):/gi),
    ];
    t.equal(
      counts.reduce((sum, [, count]) => sum + Number(count), 0),
      2 * refused.length + 1,
      stdout,
    );
  },
);

t.test("at a breakpoint the function's own time-out stands still", async (t) => {
  await using rig = Rig.open({ files: FILES });
  const port = await debugged(rig);
  await using debug = await Cdp.ofFunction(port, "One");
  await debug.send("Runtime.enable");
  await debug.send("Debugger.enable");
  await debug.send("Debugger.setBreakpointByUrl", {
    url: pathToFileURL(join(rig.project, "src/One.ts")).href,
    lineNumber: lineOf(handler("One"), "HERE") - 1,
  });
  await debug.send("Runtime.runIfWaitingForDebugger");
  const answer = rig.livedev("invoke", "One", "--local", "--event", "{}");
  await debug.next("Debugger.paused");
  // The time-out is a second: here the passing of time is what is tried.
  await wait(2_000);
  await debug.send("Debugger.resume");
  t.match(await answer, { code: 0, stdout: '"One 0"\n' });
});
