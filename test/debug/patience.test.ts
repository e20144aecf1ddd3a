/** A worker waits for its debuggers before it loads its code, and for none of them for ever. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setImmediate as turn } from "node:timers/promises";

import t, { type Test } from "tap";

import { Debug } from "../../daemon/debug/debug.ts";
import type { Inspected } from "../../daemon/debug/debuggee.ts";
import { openLog } from "../../daemon/lib/log.ts";
import { INSPECTABLE } from "../../daemon/runtime/inspector.ts";
import { Cdp } from "./cdp.ts";

const SHORT_MS = 200;
const LONG_MS = 60_000;

async function opened(t: Test, patienceMs: number) {
  const said: string[] = [];
  const debug = await Debug.open({
    port: 0,
    secret: Buffer.alloc(32, 1),
    tells: () => true,
    functions: () => [{ name: "One", url: "file:///src/One.ts" }],
    onAttached: () => {},
    onPaused: () => {},
    onResumed: () => {},
    onRefused: () => {},
    say: (_name, text) => said.push(text),
    patienceMs,
    log: openLog({ write: () => {} }, "debug"),
  });
  t.teardown(() => debug[Symbol.asyncDispose]());
  return {
    debug,
    said,
    /** Settles when its code may be loaded. */
    adopt: async () => {
      const attached = debug.attachedTo("One");
      if (attached === undefined) throw new Error("no debugger is attached");
      await attached.adopt(await worker(t));
    },
  };
}

/** A process with its inspector open, as functions/ hands it over. */
async function worker(t: Test): Promise<Inspected> {
  const program = `require("node:inspector").open(0, "127.0.0.1"); setInterval(() => {}, 1_000);`;
  const child = spawn(process.execPath, [INSPECTABLE, "-e", program], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  t.teardown(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  for await (const line of createInterface({ input: child.stderr })) {
    const [, address] = /^Debugger listening on (ws:\S+)/.exec(line) ?? [];
    if (address === undefined) continue;
    const pid = child.pid ?? 0;
    return { functionName: "One", pid, address, file: "/none", ended, requestId: () => undefined };
  }
  throw new Error("it never listened");
}

/** js-debug's side: it says that a worker may go on once its breakpoints are set. */
async function root({ status }: Debug): Promise<{ client: Cdp; goOn: () => Promise<void> }> {
  const client = await Cdp.open(status.websocketAddress);
  await client.send("NodeWorker.enable", { waitForDebuggerOnStart: true });
  return {
    client,
    goOn: async () => {
      const { sessionId, waitingForDebugger } = await client.next("NodeWorker.attachedToWorker");
      if (waitingForDebugger !== true) throw new Error("it does not wait");
      const message = JSON.stringify({ id: 1, method: "Runtime.runIfWaitingForDebugger" });
      await client.send("NodeWorker.sendMessageToWorker", { sessionId, message });
    },
  };
}

async function settled(promise: Promise<unknown>): Promise<boolean> {
  let is = false;
  void promise.then(() => (is = true));
  await turn();
  return is;
}

t.test("its code is loaded when the session says so, not before", async (t) => {
  const { debug, said, adopt } = await opened(t, LONG_MS);
  const { client, goOn } = await root(debug);
  const ready = adopt();
  await client.next("NodeWorker.attachedToWorker").then(async (event) => {
    t.notOk(await settled(ready));
    const { sessionId } = event;
    const message = JSON.stringify({ id: 7, method: "Debugger.enable" });
    await client.send("NodeWorker.sendMessageToWorker", { sessionId, message });
    await client.next("NodeWorker.receivedMessageFromWorker", (one) => one["message"].includes('"id":7'));
    t.notOk(await settled(ready), "another answer of the worker is none");
    const go = JSON.stringify({ id: 8, method: "Runtime.runIfWaitingForDebugger" });
    await client.send("NodeWorker.sendMessageToWorker", { sessionId, message: go });
  });
  await ready;
  const second = adopt();
  await goOn();
  await second;
  t.same(said, []);
});

t.test("a session that says nothing is waited for so long, and the function's log says so", async (t) => {
  const { debug, said, adopt } = await opened(t, SHORT_MS);
  await root(debug);
  await adopt();
  t.equal(said.length, 1);
  t.match(said[0], /did not say within 0\.2 s that One may be loaded; .* breakpoints .* may be missed/);
  await adopt();
  t.equal(said.length, 2, "the next worker has a session of its own, and is waited for");
});

t.test("a function's own client that says nothing is waited for once", async (t) => {
  const { debug, said, adopt } = await opened(t, SHORT_MS);
  await Cdp.open(debug.status.targets[0]?.websocketAddress ?? "");
  await adopt();
  t.equal(said.length, 1);
  await adopt();
  t.equal(said.length, 1, "what it sets up is set up, and it is not asked again");
});

t.test("two debuggers at once: the slower one is waited for; one that goes away is not", async (t) => {
  const { debug, said, adopt } = await opened(t, LONG_MS);
  const fast = await root(debug);
  const slow = await root(debug);
  const ready = adopt();
  await fast.goOn();
  t.notOk(await settled(ready));
  await slow.goOn();
  await ready;
  const second = adopt();
  await fast.goOn();
  await slow.client.next("NodeWorker.attachedToWorker");
  await slow.client[Symbol.asyncDispose]();
  await second;
  t.same(said, []);
});
