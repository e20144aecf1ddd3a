/** As VS Code debugs: its own debug adapter, attached once, over saves and restarts. */
import { join } from "node:path";

import t from "tap";

import { times } from "../support/counts.ts";
import { jsDebugMissing } from "../support/parts.ts";
import { Dap, type Stop } from "./dap.ts";
import { attached, Debugged, launchJson, lineOf } from "./support.ts";

if (jsDebugMissing !== false) t.plan(0, jsDebugMissing);
else await all();

async function all(): Promise<void> {
  const debugged = await Debugged.open(["One", "Two"]);
  t.teardown(() => debugged[Symbol.asyncDispose]());
  const { rig, port } = debugged;
  const fileOf = (name: string) => join(rig.project, "src", `${name}.ts`);
  const launch = await launchJson(rig);
  const dap = await Dap.open({ launch, where: { port }, cwd: rig.project });
  t.teardown(() => dap[Symbol.asyncDispose]());
  const placeOf = ({ session, threadId }: Stop) => session.place(threadId);
  const goOn = ({ session, threadId }: Stop) => session.goOn(threadId);
  const breakAt = (name: string, text: string, ...marks: string[]) =>
    dap.setBreakpoints(
      fileOf(name),
      marks.map((mark) => lineOf(text, mark)),
    );
  const none = async () => {
    for (const name of ["One", "Two"]) await dap.setBreakpoints(fileOf(name), []);
  };

  await t.test("over saves that shift lines, init code and handler stop on every call", async (t) => {
    for (let save = 0; save < times(10, 4); save++) {
      const text = await debugged.save("One", save);
      await breakAt("One", text, "INIT", "HERE");
      const answer = debugged.invoke("One");
      for (const mark of ["INIT", "HERE"]) {
        const stop = await dap.stopped();
        t.equal(await placeOf(stop), `${fileOf("One")}:${lineOf(text, mark)}`, `${mark}, save ${save}`);
        if (mark === "HERE") t.equal(await stop.session.evaluate(stop.threadId, "loaded"), "'One'");
        await goOn(stop);
      }
      t.equal(await answer, `"One ${save}"`);
      // The same worker again, as one that was not saved meanwhile.
      const again = debugged.invoke("One");
      const stop = await dap.stopped();
      t.equal(await placeOf(stop), `${fileOf("One")}:${lineOf(text, "HERE")}`);
      await goOn(stop);
      t.equal(await again, `"One ${save}"`);
    }
    await none();
  });

  await t.test("exceptions stop where they are thrown, also in the worker after a save", async (t) => {
    await dap.setExceptions(["all"]);
    for (let save = 0; save < 2; save++) {
      const text = await debugged.save("Two", save);
      const answer = debugged.invoke("Two", { fail: true });
      const stop = await dap.stopped();
      t.equal(stop.reason, "exception");
      t.equal(await placeOf(stop), `${fileOf("Two")}:${lineOf(text, "FAIL")}`);
      await goOn(stop);
      t.match(await answer, /"errorMessage":"as asked"/);
    }
    await dap.setExceptions([]);
  });

  await t.test("two functions at once: one goes on and answers while the other stands", async (t) => {
    const text = { One: await debugged.save("One", 1), Two: await debugged.save("Two", 2) };
    for (const name of ["One", "Two"] as const) await breakAt(name, text[name], "HERE");
    const answers = { One: debugged.invoke("One"), Two: debugged.invoke("Two") };
    const stops = [await dap.stopped(), await dap.stopped()];
    const at = new Map(await Promise.all(stops.map(async (stop) => [await placeOf(stop), stop] as const)));
    const [one, two] = (["One", "Two"] as const).map((name) =>
      at.get(`${fileOf(name)}:${lineOf(text[name], "HERE")}`),
    );
    if (one === undefined || two === undefined) throw new Error(`they stand at ${[...at.keys()].join()}`);
    await goOn(two);
    t.equal(await answers.Two, '"Two 2"');
    t.equal(await one.session.evaluate(one.threadId, "loaded"), "'One'", "the other stands still");
    await goOn(one);
    t.equal(await answers.One, '"One 1"');
    await none();
  });

  await t.test("50 invocations, one at a breakpoint: 49 are answered by four workers at most", async (t) => {
    const text = await debugged.save("One", 3);
    await breakAt("One", text, "STOP");
    const from = debugged.events.length;
    const stopped = debugged.invoke("One", { stop: true });
    const stop = await dap.stopped();
    t.equal(await placeOf(stop), `${fileOf("One")}:${lineOf(text, "STOP")}`);
    const answers = await Promise.all(Array.from({ length: 49 }, () => debugged.invokeLocal("One")));
    t.same(new Set(answers), new Set(['"One 3"']));
    await goOn(stop);
    t.equal(await stopped, '"One 3"');
    let [workers, most] = [0, 0];
    for (const event of debugged.events.slice(from)) {
      if (event.type === "worker.started" && event.functionName === "One") most = Math.max(most, ++workers);
      if (event.type === "worker.exited" && event.functionName === "One") workers--;
    }
    t.ok(most > 1 && most <= 4, `${most} workers at once`);
    const told = debugged.events.filter(
      (event) => event.type === "invocation.logged" && /4 workers of One are busy/.test(event.text),
    );
    t.ok(told.length >= 40, `${told.length} were told why they waited`);
    await none();
  });

  await t.test("no worker loads code ahead of an event", async (t) => {
    const from = debugged.events.length;
    await debugged.save("One", 4);
    await debugged.recorded("build.finished", ({ functionName }) => functionName === "One", from);
    // Long enough for whatever would be started by the build: another function's whole way.
    await debugged.invoke("Two");
    const started = debugged.events
      .slice(from)
      .filter((event) => event.type === "worker.started" && event.functionName === "One");
    t.same(started, []);
  });

  await t.test(
    "the daemon is killed and started again: attached again by itself, and it stops",
    async (t) => {
      await debugged.killDaemon();
      const text = await debugged.save("One", 5);
      await breakAt("One", text, "INIT", "HERE");
      await attached(debugged.client);
      const answer = debugged.invoke("One");
      for (const mark of ["INIT", "HERE"]) {
        const stop = await dap.stopped();
        t.equal(await placeOf(stop), `${fileOf("One")}:${lineOf(text, mark)}`);
        await goOn(stop);
      }
      t.equal(await answer, '"One 5"');
    },
  );

  await t.test("by `websocketAddress` alone, where the port names none, also over a kill", async (t) => {
    await dap[Symbol.asyncDispose]();
    const status = await debugged.client.call("debug.on", { tokenOnly: true });
    if (status.state === "off") throw new Error("debugging is off");
    const { websocketAddress } = status;
    await using other = await Dap.open({ launch, where: { websocketAddress }, cwd: rig.project });
    for (const save of [6, 7]) {
      const text = await debugged.save("One", save);
      await other.setBreakpoints(fileOf("One"), [lineOf(text, "HERE")]);
      if (save === 7) await debugged.killDaemon();
      await attached(debugged.client);
      const answer = debugged.invoke("One");
      const stop = await other.stopped();
      t.equal(await placeOf(stop), `${fileOf("One")}:${lineOf(text, "HERE")}`);
      await goOn(stop);
      t.equal(await answer, `"One ${save}"`);
    }
  });
}
