import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";

import { silentLog } from "../../daemon/lib/log.ts";
import { ExecutionEnvironment } from "../../daemon/runtime/environment.ts";
import { Leftovers } from "../../daemon/runtime/leftovers.ts";
import { alive, filesIn, invocation, NEVER, openFunction, openProgram, openRig, shown } from "./rig.ts";

const linux = process.platform === "linux" ? {} : { skip: "reads /proc" };

void t.test(
  "kill -9 in mid-invocation: the answer names the signal and the last output, at once",
  async (t) => {
    const rig = await openFunction(t, {
      "index.mjs": `export const handler = async () => { for (let i = 1; i <= 30; i++) console.log("line " + i); process.stdout.write("half"); setInterval(() => {}, 1000); await new Promise(() => {}); };`,
    });
    const answer = rig.invoke();
    await rig.line("line 30");
    const killed = performance.now();
    process.kill(rig.environment.pid, "SIGKILL");
    const { errorType, value } = shown(await answer);
    t.ok(performance.now() - killed < 1000);
    t.equal(errorType, "Runtime.ExitError");
    t.match(
      value.errorMessage,
      /^RequestId: request-1 Error: Runtime exited with error: signal: killed \(SIGKILL\)$/,
    );
    t.equal(value.stackTrace.length, 20);
    t.equal(value.stackTrace.at(-1), "half");
    t.same(await rig.environment.exited, { code: null, signal: "SIGKILL" });
  },
);

void t.test("a handler that loops for ever is killed with its environment, within a bound", async (t) => {
  const rig = await openFunction(t, {
    "index.mjs": `process.on("SIGTERM", () => {}); export const handler = async () => { console.log("looping"); for (;;); };`,
  });
  const cancel = new AbortController();
  const answer = rig.environment.invoke(invocation({}), cancel.signal);
  await rig.line("looping");
  cancel.abort(new Error("timeout"));
  await t.rejects(answer, { message: "timeout" });
  const from = performance.now();
  await rig.environment[Symbol.asyncDispose]();
  t.ok(performance.now() - from < 2000);
  t.same(await rig.environment.exited, { code: null, signal: "SIGKILL" });
});

void t.test(
  "the whole process group goes: children that ignore SIGTERM, also when their parent died first",
  async (t) => {
    for (const ending of ["dispose", "exit"] as const) {
      const rig = await openFunction(t, {
        "index.mjs": `import { spawn } from "node:child_process";
        const child = spawn(process.execPath, ["-e", 'process.on("SIGTERM", () => {}); process.on("SIGHUP", () => {}); console.log("child up"); setInterval(() => {}, 1000)'], { stdio: "inherit" });
        export const handler = async ({ exit }) => { if (exit) process.exit(1); return child.pid; };`,
      });
      const pid = shown(await rig.invoke()).value as number;
      await rig.line("child up");
      t.ok(alive(pid));
      if (ending === "exit") await rig.invoke({ exit: true });
      else await rig.environment[Symbol.asyncDispose]();
      await rig.environment.exited;
      // A killed orphan is reaped by init a moment later.
      while (alive(pid) && (await stateOf(pid)) !== "Z") await sleep(5);
      t.pass(`gone after ${ending}`);
    }
  },
);

void t.test("a program that cannot be started is an answer", async (t) => {
  const rig = await openRig(t, { command: ["/nowhere/node"] });
  t.match(shown(await rig.invoke()), {
    errorType: "Runtime.ExitError",
    value: { stackTrace: [/\/nowhere\/node: ENOENT/] },
  });
  t.equal(rig.environment.pid, 0);
  t.same(await rig.environment.exited, { code: 127, signal: null });
});

void t.test("a frozen environment stands still, and thaws for the next invocation", linux, async (t) => {
  const rig = await openFunction(t, {
    "index.mjs": `process.on("SIGTERM", () => process.exit(0)); let beats = 0; setInterval(() => { beats += 1; console.log("beat"); }, 5); export const handler = async () => beats;`,
  });
  t.type(shown(await rig.invoke()).value, "number");
  rig.environment.freeze();
  while ((await stateOf(rig.environment.pid)) !== "T") await sleep(1);
  const before = rig.lines.length;
  await sleep(50);
  t.ok(rig.lines.length - before <= 2, "no beat while frozen");
  t.type(shown(await rig.invoke()).value, "number", "the same process answers");
  rig.environment.freeze();
  const from = performance.now();
  await rig.environment[Symbol.asyncDispose]();
  t.ok(performance.now() - from < 450, "a frozen process gets its SIGTERM");
});

void t.test("freeze() in mid-invocation waits for its end", linux, async (t) => {
  const rig = await openFunction(t, {
    "index.mjs": `export const handler = async () => { console.log("begun"); await new Promise((r) => setTimeout(r, 50)); return "whole"; };`,
  });
  const answer = rig.invoke();
  await rig.line("begun");
  rig.environment.freeze();
  t.equal(shown(await answer).value, "whole");
  while ((await stateOf(rig.environment.pid)) !== "T") await sleep(1);
  t.equal(shown(await rig.invoke()).value, "whole");
});

void t.test("two environments at once, and one invocation at a time in each", async (t) => {
  const program = `for (;;) { const { id, body } = await next(); await call("POST", "invocation/" + id + "/response", body); }`;
  const one = await openProgram(t, program);
  const two = await openProgram(t, program);
  t.strictSame(
    (await Promise.all([one.invoke("a"), two.invoke("b")])).map((answer) => shown(answer).value),
    ["a", "b"],
  );
  const first = one.invoke("c");
  await t.rejects(one.invoke("d"), { message: /invoke\(\) while the runtime is/ });
  t.equal(shown(await first).value, "c");
});

void t.test("an invocation given up before it was handed out leaves the environment usable", async (t) => {
  const rig = await openProgram(
    t,
    `const alive = setInterval(() => {}, 1000);
     const told = new Promise((resolve) => process.once("SIGUSR2", resolve));
     console.log("waiting");
     await told;
     clearInterval(alive);
     for (;;) { const { id, body } = await next(); await call("POST", "invocation/" + id + "/response", body); }`,
  );
  await rig.line("waiting");
  const cancel = new AbortController();
  const answer = rig.environment.invoke(invocation("first"), cancel.signal);
  cancel.abort(new Error("cancelled"));
  await t.rejects(answer, { message: "cancelled" });
  process.kill(rig.environment.pid, "SIGUSR2");
  t.equal(shown(await rig.invoke("second")).value, "second");
});

void t.test("nothing is left after open and close, twenty times", async (t) => {
  const handles = () =>
    process.getActiveResourcesInfo().filter((name) => /TCP|Pipe|Process|Timeout/.test(name)).length;
  const before = handles();
  for (let i = 0; i < 20; i++) {
    const environment = await ExecutionEnvironment.open({
      command: [process.execPath, "-e", "setInterval(() => {}, 1000)"],
      cwd: "/",
      env: {},
      onOutput: () => undefined,
      log: silentLog,
    });
    await environment[Symbol.asyncDispose]();
    t.notOk(alive(environment.pid));
  }
  // Closed handles leave the list a turn or two later.
  while (handles() > before) await sleep(1);
  t.equal(handles(), before);
});

void t.test("a process that the system refuses to start leaves no listener behind", async (t) => {
  const listeners = () => process.getActiveResourcesInfo().filter((name) => name === "TCPServerWrap").length;
  const before = listeners();
  for (const text of ["a zero\0byte", "x".repeat(4_000_000)]) {
    await t.rejects(
      ExecutionEnvironment.open({
        command: [process.execPath, "-e", ""],
        cwd: "/",
        env: { TEXT: text },
        onOutput: () => undefined,
        log: silentLog,
      }),
      { code: /ERR_INVALID_ARG_VALUE|E2BIG/ },
    );
  }
  // Closed handles leave the list a turn or two later.
  while (listeners() > before) await sleep(1);
  t.equal(listeners(), before);
});

void t.test("a process whose record cannot be written or removed runs and ends all the same", async (t) => {
  const folder = join(await filesIn(t, {}), "records");
  const leftovers = await Leftovers.open({ folder, log: silentLog });
  // A file where the folder should be, as little writable as a full disk; later a folder where the record was.
  await writeFile(folder, "");
  const one = await openRig(t, { command: [process.execPath, "-e", "console.log('up')"], leftovers });
  await one.line("up");
  await rm(folder);
  const two = await openRig(t, {
    command: [process.execPath, "-e", "setInterval(() => {}, 1000)"],
    leftovers,
  });
  const [record = ""] = await readdir(folder);
  await rm(join(folder, record));
  await mkdir(join(folder, record, "stays"), { recursive: true });
  await one.environment[Symbol.asyncDispose]();
  await two.environment[Symbol.asyncDispose]();
  t.notOk(alive(two.environment.pid));
});

void t.test("an invocation whose signal is aborted already is not begun", async (t) => {
  const rig = await openProgram(t, `await next(); console.log("begun");`);
  await t.rejects(rig.environment.invoke(invocation({}), AbortSignal.abort(new Error("too late"))), {
    message: "too late",
  });
  t.ok(!NEVER.aborted && (await rig.environment.ready).ok);
  t.same(rig.lines, []);
});

async function stateOf(pid: number): Promise<string> {
  try {
    return (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]![0]!;
  } catch {
    return "Z";
  }
}
