/** Which process runs an invocation, how many there are, and how they end. */
import { rmSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";

import t from "tap";

import { times } from "../support/counts.ts";
import { alive, hasEnded, Rig } from "./rig.ts";

const SAYS = (word: string) => `export const handler = async () => ${JSON.stringify(word)};\n`;

/** Waits for a file of the test's, and says who it is. */
const GATED = (word: string) => `
import { existsSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
export const handler = async ({ gate }) => {
  console.log("begins");
  while (gate !== undefined && !existsSync(gate)) await wait(5);
  return { word: ${JSON.stringify(word)}, pid: process.pid };
};
`;

type Said = { readonly word: string; readonly pid: number };

/** An invocation whose handler has begun and waits for `open`. */
async function held(rig: Rig, name = "Api", more: Parameters<Rig["invoke"]>[2] = {}) {
  const gate = rig.path(`gate-${Math.random()}`);
  let begins = () => {};
  const begun = new Promise<void>((resolve) => (begins = resolve));
  const answer = rig.invoke(name, { gate }, { ...more, logged: () => begins() });
  await Promise.race([begun, answer]);
  return { answer, open: () => rig.write(gate.slice(rig.project.length + 1), "") };
}

const rig = await Rig.open(t, { files: {}, functions: {} });
const hasty = await Rig.open(t, { files: {}, functions: {}, limits: { idleMs: 50 } });
const narrow = await Rig.open(t, { files: {}, functions: {}, limits: { concurrency: 1, processes: 2 } });

t.test("a running invocation finishes on its code, and its worker leaves after it", async (t) => {
  await rig.again({ files: { "src/api.ts": GATED("old") } });
  const running = await held(rig);
  rig.save("src/api.ts", GATED("new"));
  const { word, pid } = (await rig.value()) as Said;
  t.equal(word, "new");
  await turn();
  t.match(rig.state(), { running: 1, workers: 2 });
  running.open();
  const old = (await running.answer).value as Said;
  t.equal(old.word, "old");
  t.not(old.pid, pid);
  t.match(await rig.next("worker.exited"), { pid: old.pid, reason: "replaced" });
  t.equal(((await rig.value()) as Said).pid, pid);
});

t.test("after a save the worker of the new code is there before the next event", async (t) => {
  await rig.again({ files: { "src/api.ts": SAYS("old") } });
  t.ok((await rig.invoke()).coldStart);
  rig.save("src/api.ts", SAYS("new"));
  const { codeHash, pid, sinceSaveMs } = await rig.next("worker.ready");
  t.ok((sinceSaveMs ?? 0) > 0);
  const next = await rig.invoke();
  t.match(next, { value: "new", coldStart: false, codeHash, positions: ["running"] });
  t.equal(rig.of("worker.started").at(-1)?.pid, pid);
  t.equal(rig.of("worker.started").length, 2, "one for each code");
  await rig.when(() => rig.of("worker.exited").length > 0);
  t.match(rig.of("worker.exited"), [{ reason: "replaced" }], "and the old one left");
});

t.test("an event that comes while the new worker starts is given to that one", async (t) => {
  await rig.again({ files: { "src/api.ts": SAYS("old") } });
  await rig.invoke();
  const { pid } = await rig.next("worker.started");
  rig.save("src/api.ts", SAYS("new"));
  t.not((await rig.next("worker.started")).pid, pid);
  t.equal(await rig.value(), "new");
  t.equal(rig.of("worker.started").length, 2);
});

t.test("a function that was never used is built, and costs no process", async (t) => {
  await rig.again({ files: { "src/api.ts": SAYS("x") } });
  await rig.next("build.finished");
  rig.save("src/api.ts", SAYS("y"));
  await rig.next("build.finished");
  t.match(rig.state(), { state: "ready", workers: 0 });
  t.same(rig.of("worker.started"), []);
});

t.test("idle workers leave after a while", async (t) => {
  const rig = hasty;
  await rig.again({ files: { "src/api.ts": SAYS("x") } });
  await rig.invoke();
  const { pid } = await rig.next("worker.started");
  t.match(await rig.next("worker.exited"), { pid, reason: "idle" });
  t.equal(rig.state().workers, 0);
  t.match(await rig.invoke(), { value: "x", coldStart: true });
});

t.test("a function that nothing reached for a while is built at a save, and costs no process", async (t) => {
  const rig = hasty;
  await rig.again({
    files: { "src/api.ts": SAYS("x"), "src/other.ts": SAYS("other") },
    functions: { Api: {}, Other: { handler: "src/other.handler" } },
  });
  await rig.invoke();
  await rig.next("worker.exited");
  rig.save("src/api.ts", SAYS("y"));
  await rig.when(() => rig.state().state === "ready");
  // By another function's event, whatever was begun for the first one has shown itself.
  await rig.invoke("Other");
  t.match(
    rig.of("worker.started").map(({ functionName }) => functionName),
    ["Api", "Other"],
  );
  t.match(await rig.invoke(), { value: "y", coldStart: true });
});

t.test("a burst is carried by few workers, and few stay after it", async (t) => {
  const rig = await Rig.open(t, {
    files: { "src/api.ts": GATED("x") },
    limits: { concurrency: 4, idlePerFunction: 1 },
  });
  const running = await Promise.all(Array.from({ length: 4 }, () => held(rig)));
  const waiting = Array.from({ length: 20 }, () => rig.invoke());
  t.match(rig.state(), { running: 4, queued: 20, workers: 4 });
  for (const { open } of running) open();
  const answers = await Promise.all([...running.map(({ answer }) => answer), ...waiting]);
  t.equal(new Set(answers.map(({ value }) => (value as Said).pid)).size, 4);
  t.same((await waiting[0])?.positions, ["queued", "running"]);
  await rig.when(() => rig.of("worker.exited").length === 3);
  t.match(rig.state(), { running: 0, queued: 0, workers: 1 });
});

t.test("a crowd of functions shares the places for processes", async (t) => {
  const names = Array.from({ length: times(6, 4) }, (_, index) => `F${index}`);
  const rig = await Rig.open(t, {
    files: { "src/api.ts": GATED("x") },
    functions: Object.fromEntries(names.map((name) => [name, {}])),
    limits: { processes: 2 },
  });
  const [first, second] = [await held(rig, "F0"), await held(rig, "F1")];
  const third = rig.invoke("F2");
  await rig.when(() => rig.state("F2").state === "ready");
  t.match(rig.state("F2"), { workers: 0 });
  first.open();
  t.match(await third, { value: { word: "x" } });
  t.same((await third).positions.at(-2), "queued");
  second.open();
  await Promise.all([first.answer, second.answer]);
  const all = await Promise.all(names.flatMap((name) => [rig.invoke(name), rig.invoke(name)]));
  t.ok(all.every(({ value }) => (value as Said).word === "x"));
  let most = 0;
  let now = 0;
  for (const { type } of rig.events) {
    if (type === "worker.started") most = Math.max(most, (now += 1));
    if (type === "worker.exited") now -= 1;
  }
  t.equal(most, 2);
});

t.test("an invocation that is given up leaves its place, in whatever phase it was", async (t) => {
  const rig = narrow;
  await rig.again({
    files: { "src/api.ts": GATED("x"), "src/slow.ts": `while (true);\n${SAYS("never")}` },
    functions: { Api: {}, Slow: { handler: "src/slow.handler" } },
  });
  const why = new Error("given up");
  const gone = new AbortController();
  gone.abort(why);

  await t.rejects(rig.invoke("Api", {}, { signal: gone.signal }), why, "before it began");

  const building = new AbortController();
  const position = () => building.abort(why);
  await t.rejects(rig.invoke("Api", {}, { signal: building.signal, position }), why, "while it is built");

  const running = await held(rig);
  const queued = new AbortController();
  const waiting = rig.invoke("Api", {}, { signal: queued.signal });
  queued.abort(why);
  await t.rejects(waiting, why, "while it waits for its turn");
  t.match(rig.state(), { running: 1, queued: 0 });

  const init = new AbortController();
  const starting = rig.invoke("Slow", {}, { signal: init.signal });
  const { pid } = await rig.next("worker.started", ({ functionName }) => functionName === "Slow");

  const unseated = new AbortController();
  rig.apply({ Api: {}, Slow: { handler: "src/slow.handler" }, Third: {} });
  const third = rig.invoke("Third", {}, { signal: unseated.signal });
  await rig.when(() => rig.state("Third").state === "ready");
  unseated.abort(why);
  await t.rejects(third, why, "while there is no room for its process");

  init.abort(why);
  await t.rejects(starting, why, "while its process starts");
  t.match(await rig.next("worker.exited", (exited) => exited.pid === pid), { reason: "stopped" });
  t.notOk(alive(pid));

  const handler = new AbortController();
  running.open();
  await running.answer;
  const last = await held(rig, "Api", { signal: handler.signal });
  handler.abort(why);
  await t.rejects(last.answer, why, "while its handler runs");
  t.match(await rig.next("worker.exited"), { functionName: "Api", reason: "stopped" });
  t.match(rig.state(), { running: 0, queued: 0, workers: 0 });
  t.match(await rig.value(), { word: "x" }, "and the next one finds all in order");
});

t.test("an idle worker that died is not given the next event", async (t) => {
  await rig.again({ files: { "src/api.ts": GATED("x") } });
  const { pid } = (await rig.value()) as Said;
  process.kill(pid, "SIGKILL");
  // Without a turn of the event loop: nobody has been told of its end.
  while (!hasEnded(pid)) continue;
  const next = (await rig.value()) as Said;
  t.not(next.pid, pid);
  t.match(await rig.next("worker.exited"), { pid, signal: "SIGKILL", reason: "crashed" });
});

t.test("a function that the config has no more finishes what it runs", async (t) => {
  const rig = narrow;
  await rig.again({
    files: { "src/api.ts": GATED("x") },
    functions: { Api: {}, Other: {} },
  });
  const running = await held(rig);
  const queued = rig.invoke();
  rig.apply({ Other: {} });
  await t.rejects(rig.invoke(), { code: "function.unknown" });
  t.same(
    rig.functions.states().map(({ name }) => name),
    ["Other"],
  );
  running.open();
  t.match((await running.answer).value, { word: "x" });
  t.match((await queued).value, { word: "x" }, "and what was accepted");
  const started = rig.of("worker.started").filter(({ functionName }) => functionName === "Api").length;
  await rig.when(
    () => rig.of("worker.exited").filter(({ functionName }) => functionName === "Api").length === started,
  );
  rig.save("src/api.ts", GATED("y"));
  rig.apply({ Api: {}, Other: {} });
  t.match(await rig.value(), { word: "y" }, "and may come again");
});

t.test("a function that is changed in mid-invocation runs the next event as it is then", async (t) => {
  await rig.again({
    files: { "src/api.ts": GATED("one"), "src/other.ts": GATED("other") },
  });
  const running = await held(rig);
  rig.apply({ Api: { handler: "src/other.handler" } });
  t.match(await rig.value(), { word: "other" });
  running.open();
  t.match((await running.answer).value, { word: "one" });
  t.match(rig.state(), { handler: "src/other.handler" });
});

t.test("a function that waits for its build when it is let go is answered all the same", async (t) => {
  await rig.again({ files: { "src/api.ts": SAYS("x") } });
  const waiting = rig.invoke();
  rig.apply({});
  t.equal((await waiting).value, "x");
});

t.test("closing ends what runs, waits, builds and starts", async (t) => {
  const rig = await Rig.open(t, {
    files: { "src/api.ts": GATED("x") },
    functions: { Api: {}, Other: {}, Third: {} },
    limits: { concurrency: 1 },
  });
  const running = await held(rig);
  const others = [rig.invoke(), rig.invoke("Other"), rig.invoke("Third")];
  const told = [running.answer, ...others].map((answer) => t.rejects(answer, { code: "functions.closed" }));
  await rig.functions[Symbol.asyncDispose]();
  await Promise.all(told);
  await t.rejects(rig.invoke(), { code: "functions.closed" });
});

t.test("build output that is removed while running is made again", async (t) => {
  const rig = await Rig.open(t, {
    files: {
      "src/api.ts": `import { word } from "outside";\nexport const handler = async () => word;\n`,
      "packages/node_modules/outside/index.js": `exports.word = "found";`,
      "packages/src/api.ts": `import { word } from "outside";\nexport const handler = async () => word;\n`,
    },
    functions: { Api: { handler: "packages/src/api.handler", nodejs: { install: ["outside"] } } },
    limits: { idlePerFunction: 0 },
  });
  t.equal(await rig.value(), "found", "an installed package is found from where the handler's own are");
  for (let round = 0; round < times(3, 1); round++) {
    await rig.next("worker.exited");
    rmSync(rig.outDir, { recursive: true });
    t.match(await rig.invoke(), { value: "found", coldStart: true });
  }
});
