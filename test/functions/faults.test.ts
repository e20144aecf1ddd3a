/** F4, F5, F6, F34 of the faults: what functions survive, with the numbers printed. */
import { execFileSync } from "node:child_process";
import { utimesSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";

import t from "tap";

import { deferred } from "../../daemon/lib/scope.ts";
import { errorAnswer } from "../../proto/answer.ts";
import { times } from "../support/counts.ts";
import { idleThread } from "../support/idle-thread.ts";
import { alive, growth, hasEnded, MB, Rig, type Invoked } from "./rig.ts";

const SAYS = (word: string) => `export const handler = async () => ${JSON.stringify(word)};\n`;
const rig = await Rig.open(t, { files: {}, functions: {} });

t.test(
  "F4: a worker that is killed ends its invocation at once, with its last output, and no other",
  async (t) => {
    await rig.again({
      files: {
        "src/api.ts": `
        export const handler = async ({ n }) => {
          console.log("pid", process.pid, "of", n);
          if (n === 0) await new Promise(() => setInterval(() => {}, 1000));
          return n;
        };`,
      },
    });
    let killedAt = 0;
    let tookMs = 0;
    let told: Promise<Invoked> | undefined;
    const victim = await new Promise<number>((resolve) => {
      const logged = ({ text }: { text: string }) => resolve(Number(text.split(" ")[1]));
      told = rig.invoke("Api", { n: 0 }, { logged }).finally(() => (tookMs = performance.now() - killedAt));
    });
    const others = Array.from({ length: 5 }, (_, index) => rig.value("Api", { n: index + 1 }));
    killedAt = performance.now();
    process.kill(victim, "SIGKILL");
    const { answer, error } = (await told) as Invoked;
    t.match(answer, { status: "error", cause: "exit", errorType: "Runtime.ExitError" });
    t.match(error.errorMessage, /^RequestId: request-1 Error: Runtime exited with error: signal: killed/);
    t.match(error.stackTrace, [/^pid \d+ of 0$/]);
    t.comment(`told ${tookMs.toFixed(0)} ms after the kill`);
    t.ok(tookMs < 1_000, "the caller is told within a second");
    t.same(await Promise.all(others), [1, 2, 3, 4, 5]);
    t.match(await rig.next("worker.exited"), {
      pid: victim,
      code: null,
      signal: "SIGKILL",
      reason: "crashed",
    });
    t.equal(await rig.value("Api", { n: 9 }), 9);
  },
);

t.test("F5: a handler that blocks its event loop is ended at its deadline, and ours goes on", async (t) => {
  await rig.again({
    files: {
      "src/loop.ts": `export const handler = async () => { console.log("begins"); for (;;); };`,
      "src/stubborn.ts": `process.on("SIGTERM", () => {});\nexport const handler = async () => { console.log("begins"); for (;;); };`,
    },
    functions: { Loop: { handler: "src/loop.handler" }, Stubborn: { handler: "src/stubborn.handler" } },
  });
  for (const name of ["Loop", "Stubborn"]) {
    const deadline = new AbortController();
    const stopped = { answer: errorAnswer("timeout", "Sandbox.Timedout", "Task timed out") };
    const loops = deferred<void>();
    const running = rig
      .invoke(name, {}, { signal: deadline.signal, logged: () => loops.resolve() })
      .catch((error: unknown) => error);
    await loops.promise;
    const idle = await idleThread(t);
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    setTimeout(() => deadline.abort(stopped), 500);
    t.equal(await running, stopped, "the reason of the signal, at once");
    const { pid, reason } = await rig.next("worker.exited");
    // A round trip, so that a block just now is counted too: the timer that counts it comes in the next turn.
    const machineMs = await idle.maxMs();
    delay.disable();
    t.equal(reason, "stopped");
    t.notOk(alive(pid), `${name} is gone`);
    const lagMs = delay.max / 1e6;
    t.comment(
      `loop lag max ${lagMs.toFixed(0)} ms; of a thread that does nothing ${machineMs.toFixed(0)} ms`,
    );
    t.ok(lagMs > 0 && lagMs < 50 + machineMs, `${name}: the daemon's own loop goes on (${lagMs} ms)`);
  }
});

/** What is printed, in MB: more than what this process may grow by. */
const FLOOD_MB = times(100, 40);

t.test(`F6: ${FLOOD_MB} MB of output, a line of 5 MB and binary bytes, in bounded memory`, async (t) => {
  await rig.again({
    files: {
      "src/flood.ts": `
        import { once } from "node:events";
        export const handler = async () => {
          const line = "x".repeat(1023) + "\\n";
          for (let count = 0; count < ${FLOOD_MB} * 1024; count++) if (!process.stdout.write(line)) await once(process.stdout, "drain");
          return "done";
        };`,
      "src/line.ts": `export const handler = async () => { process.stdout.write("é".repeat(2.5 * 1024 * 1024) + "\\nnext\\n"); return "done"; };`,
      "src/binary.ts": `
        export const handler = async () => {
          process.stdout.write(Buffer.from([0xff, 0xfe, 0x00, 0x41, 0x0a]));
          const text = Buffer.from("ü😀\\n");
          for (const byte of text) { process.stdout.write(Buffer.from([byte])); await new Promise(setImmediate); }
          return "done";
        };`,
    },
    functions: {
      Flood: { handler: "src/flood.handler" },
      Line: { handler: "src/line.handler" },
      Binary: { handler: "src/binary.handler" },
    },
  });
  let bytes = 0;
  const logged = ({ text }: { text: string }) => {
    bytes += text.length + 1;
  };
  const flood = await growth(() => rig.invoke("Flood", {}, { logged }));
  t.equal(flood.value.value, "done");
  t.equal(bytes, FLOOD_MB * MB, "every line was read");
  t.comment(`${FLOOD_MB} MB of output: rss grew by ${flood.grewMb} MB`);
  t.ok(flood.grewMb < FLOOD_MB);

  const line = await growth(() => rig.invoke("Line"));
  t.equal(line.value.lines.length, 2);
  t.match(line.value.lines[0]?.text, /^é+… \[cut at 262144 bytes\]$/);
  t.equal(line.value.lines[1]?.text, "next");
  t.comment(`a line of 5 MB: rss grew by ${line.grewMb} MB`);
  t.ok(line.grewMb < 50);

  const binary = await rig.invoke("Binary");
  t.same(
    binary.lines.map(({ text }) => text),
    ["\uFFFD\uFFFD\0A", "ü😀"],
  );
});

t.test("F34: after a flood of changes of which no path was told, no old code runs", async (t) => {
  const word = (index: number, text: string) => `export const w${index} = ${JSON.stringify(text)};\n`;
  await rig.again({
    files: {
      "src/api.ts": `${Array.from({ length: 20 }, (_, i) => `import { w${i} } from "./words/w${i}.ts";\n`).join("")}export const handler = async () => [${Array.from({ length: 20 }, (_, i) => `w${i}`).join(", ")}];\n`,
      "src/other.ts": SAYS("other"),
      ...Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`src/words/w${i}.ts`, word(i, "main")])),
    },
    functions: { Api: {}, Other: { handler: "src/other.handler" } },
  });
  const old = await rig.invoke();
  t.same(new Set(old.value as string[]), new Set(["main"]));
  await rig.invoke("Other");
  const otherBuilds = rig.of("build.finished").filter(({ functionName }) => functionName === "Other").length;
  for (let i = 0; i < 20; i++) rig.write(`src/words/w${i}.ts`, word(i, "branch"));
  rig.functions.changed({ paths: [], overflow: true });
  const now = await rig.invoke();
  t.same(new Set(now.value as string[]), new Set(["branch"]));
  t.not(now.codeHash, old.codeHash);
  t.equal(now.codeHash, rig.state().codeHash);
  await rig.invoke("Other");
  t.equal(
    rig.of("build.finished").filter(({ functionName }) => functionName === "Other").length,
    otherBuilds,
    "what did not change is checked, not built",
  );
});

t.test("F34: an overflow in the middle of a build is not lost", async (t) => {
  await rig.again({ files: { "src/api.ts": SAYS("old") } });
  await rig.value();
  for (let round = 0; round < times(10, 3); round++) {
    rig.saveAtOnce("src/api.ts", SAYS(`first-${round}`));
    await new Promise<void>((resolve) => setImmediate(resolve));
    t.equal(rig.state().state, "building");
    rig.write("src/api.ts", SAYS(`last-${round}`));
    utimesSync(rig.path("src/api.ts"), 1_000_000 + round, 1_000_000 + round);
    rig.functions.changed({ paths: [], overflow: true });
    t.equal(await rig.value(), `last-${round}`);
  }
});

t.test("esbuild's process may be killed", { skip: process.platform !== "linux" }, async (t) => {
  const names = ["A", "B", "C", "D"];
  await rig.again({
    files: { "src/api.ts": SAYS("0") },
    functions: Object.fromEntries(names.map((name) => [name, {}])),
  });
  await Promise.all(names.map((name) => rig.value(name)));
  for (let round = 1; round <= times(5, 2); round++) {
    const [pid] = esbuilds();
    t.ok(pid);
    if (round % 2 === 0) process.kill(pid ?? 0, "SIGKILL");
    rig.save("src/api.ts", SAYS(String(round)));
    if (round % 2 === 1) process.kill(pid ?? 0, "SIGKILL");
    t.same(
      await Promise.all(names.map((name) => rig.value(name))),
      names.map(() => String(round)),
    );
  }
  t.same(rig.of("build.failed"), []);
});

/** esbuild's processes that are children of this one. */
function esbuilds(): number[] {
  return execFileSync("ps", ["-o", "pid=,args=", "--ppid", String(process.pid)], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.includes("esbuild") && line.includes("--service"))
    .map((line) => Number.parseInt(line, 10));
}

t.test("a spare process that died is replaced", { skip: process.platform !== "linux" }, async (t) => {
  await rig.again({ files: { "src/api.ts": SAYS("x") } });
  await rig.value();
  for (let round = 0; round < times(5, 2); round++) {
    const spares = execFileSync("ps", ["-o", "pid=,args=", "--ppid", String(process.pid)], {
      encoding: "utf8",
    })
      .split("\n")
      .filter((line) => line.includes("--spare"))
      .map((line) => Number.parseInt(line, 10));
    const { workers } = rig.state();
    t.ok(spares.length >= workers);
    const idle = new Set(rig.of("worker.started").map(({ pid }) => pid));
    for (const pid of spares) {
      if (idle.has(pid)) continue;
      process.kill(pid, "SIGKILL");
      while (!hasEnded(pid)) continue;
    }
    rig.saveAtOnce("src/api.ts", SAYS(`x-${round}`));
    t.equal(await rig.value(), `x-${round}`);
  }
});
