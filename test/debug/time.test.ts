/** What a breakpoint does to time: ours stands still, AWS's goes on, and both are told as they are. */
import { pathToFileURL } from "node:url";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import t from "tap";

import { Cdp } from "./cdp.ts";
import { Debugged, handler, lineOf } from "./support.ts";

const debugged = await Debugged.open(["Local", "First", "Second", "Long"], {
  Local: "2 seconds",
  First: "2 seconds",
  Second: "2 seconds",
});
t.teardown(() => debugged[Symbol.asyncDispose]());
const { rig, port } = debugged;

async function attached(name: string): Promise<Cdp> {
  const client = await Cdp.ofFunction(port, name);
  await client.send("Debugger.enable");
  await client.send("Debugger.setBreakpointByUrl", {
    url: pathToFileURL(join(rig.project, `src/${name}.ts`)).href,
    lineNumber: lineOf(handler(name), "HERE") - 1,
  });
  await client.send("Runtime.runIfWaitingForDebugger");
  return client;
}

t.test("longer than the time-out: here it goes on, the caller's error is explained once", async (t) => {
  await using local = await attached("Local");
  const answered = debugged.invokeLocal("Local");
  await local.next("Debugger.paused");
  const names = ["First", "Second"];
  // Deployed, and warm: what follows has two seconds.
  await Promise.all(names.map((name) => debugged.invoke(name)));
  const clients = await Promise.all(names.map(attached));
  const answers = names.map((name) => debugged.invoke(name));
  await Promise.all(clients.map((client) => client.next("Debugger.paused")));
  for (const answer of answers) t.match(await answer, /Task timed out after 2\.00 seconds/);
  const told = () =>
    debugged.events.flatMap((event) =>
      event.type === "invocation.logged" && /AWS's time for this invocation is over/.test(event.text)
        ? [event]
        : [],
    );
  for (const name of names) {
    await debugged.recorded(
      "invocation.logged",
      ({ functionName, text }) => functionName === name && text.includes("AWS's time"),
    );
  }
  for (const client of clients) await client.send("Debugger.resume");
  for (const name of names) {
    const { requestId } = told().find(({ functionName }) => functionName === name) ?? {};
    const answered = await debugged.recorded("invocation.answered", (event) => event.requestId === requestId);
    t.equal(answered.status, "ok", `${name} went on here`);
    await debugged.recorded("invocation.undelivered", (event) => event.requestId === requestId);
  }
  t.equal(told().length, 2);
  t.equal(told().filter(({ text }) => text.includes("--max-timeout")).length, 1, "at length once");
  // More than its two seconds too.
  await local.send("Debugger.resume");
  t.equal(await answered, '"Local 0"');
  for (const client of clients) await client[Symbol.asyncDispose]();
});

t.test("within AWS's time the stub waits, and the handler is told what AWS has left", async (t) => {
  await using client = await attached("Long");
  const answer = debugged.invoke("Long");
  const { callFrames } = await client.next("Debugger.paused");
  const remaining = async () => {
    const expression = "context.getRemainingTimeInMillis()";
    const { callFrameId } = callFrames[0];
    return (await client.send("Debugger.evaluateOnCallFrame", { callFrameId, expression })).result
      .value as number;
  };
  const before = await remaining();
  t.ok(before > 30_000 && before <= 60_000, `${before} ms`);
  // The passing of time is what is tried here.
  await wait(500);
  const after = await remaining();
  t.ok(after <= before - 490, `${before} ms, then ${after} ms`);
  await client.send("Debugger.resume");
  t.equal(await answer, '"Long 0"');
});
