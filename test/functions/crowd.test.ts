/** F26 of the faults: many invocations at once, and many functions, with the numbers printed. */
import t, { type Test } from "tap";

import { DEFAULT_LIMITS } from "../../daemon/functions/types.ts";
import { times } from "../support/counts.ts";
import { growth, Rig } from "./rig.ts";

/** A process costs more than what it runs here. */
const LIMITS = times(DEFAULT_LIMITS, { ...DEFAULT_LIMITS, concurrency: 4, processes: 8 });

async function crowd(t: Test, functions: number, atOnce: number): Promise<void> {
  const names = Array.from({ length: functions }, (_, index) => `F${index}`);
  const rig = await Rig.open(t, {
    files: {
      "src/api.ts": `export const handler = async ({ n }) => { await new Promise((r) => setTimeout(r, 5)); return n; };`,
    },
    functions: Object.fromEntries(names.map((name) => [name, {}])),
    limits: LIMITS,
  });
  const event = "x".repeat(10_000);
  const began = performance.now();
  let most = { running: 0, workers: 0, queued: 0 };
  const look = setInterval(() => {
    const sum = { running: 0, workers: 0, queued: 0 };
    for (const state of rig.functions.states()) {
      sum.running += state.running;
      sum.workers += state.workers;
      sum.queued += state.queued;
    }
    most = {
      running: Math.max(most.running, sum.running),
      workers: Math.max(most.workers, sum.workers),
      queued: Math.max(most.queued, sum.queued),
    };
  }, 10);
  const { value: answers, grewMb } = await growth(() =>
    Promise.all(
      Array.from({ length: atOnce }, (_, n) => rig.value(names[n % functions], { n, padding: event })),
    ),
  );
  clearInterval(look);
  t.same(
    answers,
    Array.from({ length: atOnce }, (_, n) => n),
    "none is lost",
  );
  const started = rig.of("worker.started").length;
  t.comment(
    `${atOnce} at once over ${functions} functions: ${((performance.now() - began) / 1_000).toFixed(1)} s, ` +
      `${started} processes started, at most ${most.workers} at once, ${most.running} running, ${most.queued} queued; rss grew by ${grewMb} MB`,
  );
  t.ok(most.workers <= LIMITS.processes && most.running <= LIMITS.processes);
  t.ok(most.queued >= 0.9 * atOnce, "the queue is visible");
  t.ok(
    started <= (functions === 1 ? 2 * LIMITS.concurrency : times(400, 40)),
    "and a process carries several",
  );
  t.ok(grewMb < 200);
}

const OF_ONE = times(1_000, 100);
t.test(`F26: ${OF_ONE} invocations at once of one function`, (t) => crowd(t, 1, OF_ONE));
const OF_MANY = times(1_000, 50);
const FUNCTIONS = times(300, 30);
const BESIDE = times(50, 6);
t.test(`F26: ${OF_MANY} invocations at once of ${BESIDE} functions`, (t) => crowd(t, BESIDE, OF_MANY));

t.test(`F26: ${FUNCTIONS} functions in one project`, async (t) => {
  const names = Array.from({ length: FUNCTIONS }, (_, index) => `F${index}`);
  const files = Object.fromEntries([
    ...names.map((name) => [
      `src/${name}.ts`,
      `import { word } from "./shared.ts";\nexport const handler = async () => word + "-${name}";\n`,
    ]),
    ["src/shared.ts", `export const word = "one";\n`],
  ]) as Record<string, string>;
  const functions = Object.fromEntries(names.map((name) => [name, { handler: `src/${name}.handler` }]));
  const rig = await Rig.open(t, { files, functions: {} });
  const last = `F${FUNCTIONS - 1}`;
  const began = performance.now();
  let [appliedMs, firstMs] = [0, 0];
  const { grewMb } = await growth(async () => {
    rig.apply(functions);
    appliedMs = performance.now() - began;
    t.equal(await rig.value(last), `one-${last}`, "what somebody waits for is built before the rest");
    firstMs = performance.now() - began;
    await rig.when(() => rig.of("build.finished").length >= FUNCTIONS);
  });
  const allMs = performance.now() - began;
  t.comment(`rss grew by ${grewMb} MB`);
  t.ok(grewMb < 200);
  const again = performance.now();
  rig.apply(functions);
  const againMs = performance.now() - again;
  rig.save("src/shared.ts", `export const word = "two";\n`);
  t.equal(await rig.value("F0"), "two-F0");
  await rig.when(() => rig.functions.states().every(({ state }) => state === "ready"));
  const built = rig.of("build.finished").length;
  t.equal(rig.of("worker.started").length, 3, "no process for a function that nobody uses");
  t.comment(
    `${FUNCTIONS} functions: apply ${appliedMs.toFixed(0)} ms, the first answer ${firstMs.toFixed(0)} ms, all built ${allMs.toFixed(0)} ms, ` +
      `apply again ${againMs.toFixed(0)} ms; ${built} builds`,
  );
});
