/**
 * `npm run bench [-- --quick] [--json] [--acks | --chatty | --debug | --rest | --tui | --tunnel]`: how much livedev adds. Each row is a ratio to a floor that is measured in
 * the same run, round by round beside it: bare processes that hand the same bytes over the same kinds of hops
 * (bench-echo.mjs), or the bare tool. Absolute times mean nothing on a shared machine and are shown for scale only.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import type { TLSSocket } from "node:tls";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

import { context } from "esbuild";
import { WebSocket } from "ws";

import type { LivedevClient } from "../client/connect.ts";
import { silentLog } from "../daemon/lib/log.ts";
import { Store } from "../daemon/store/store.ts";
import { Cdp } from "../test/debug/cdp.ts";
import { invoke } from "../test/store/support.ts";
import { loadStageKey } from "../daemon/credentials/stage-key.ts";
import { decodeFrame, encodeFrame } from "../proto/frames.ts";
import { BRIDGE_PROTOCOL } from "../proto/version.ts";
import { Terminal } from "../test/support/pty.ts";
import { AT_REST_PERCENT, percentOfCore, restOf } from "../test/support/rest.ts";
import { Rig, ROOT } from "../test/support/rig.ts";
import type { AckOrder, AckTimes } from "./bench-acks.ts";
import { tunnelBenchMissing, tunnelTimes } from "./bench-tunnel.ts";

const quick = process.argv.includes("--quick");
const json = process.argv.includes("--json");
const acksOnly = process.argv.includes("--acks");
const ROUNDS = quick ? 5 : 20;
const CALLS = quick ? 20 : 50;
const ACKS = quick ? 200 : 1_000;
const SAVES = quick ? 6 : 25;
const MODULES = 200;
const HISTORY = quick ? 5_000 : 50_000;

const EVENT = JSON.stringify({ text: "x".repeat(1_000) });

type Row = {
  readonly name: string;
  /** Median milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly floor: number;
  readonly ratio: number;
  readonly bar: number;
};

const rows: Row[] = [];
const children: ChildProcess[] = [];

const FILES = {
  "livedev.config.ts": `
    import { $config, aws, DevCommand } from "livedev";
    export default $config({
      app: () => ({ name: "bench", home: "local" }),
      async run() {
        new aws.Function("Echo", { handler: "src/echo.handler", url: true });
        new aws.Function("Big", { handler: "src/big.handler", url: true });
        new aws.Function("Print", { handler: "src/print.handler", timeout: "60 seconds" });
        new DevCommand("Chatty", { dev: { command: "node chatty.mjs", autostart: false } });
        for (let n = 0; n < 10; n += 1) new DevCommand("Idle" + n, { dev: { command: "exec sleep 100000", autostart: false } });
      },
    });`,
  "src/echo.ts": `import { word } from "./word.ts";\nexport const handler = async (event: unknown) => ({ event, word });\n`,
  "src/print.ts": `
    import { setTimeout as wait } from "node:timers/promises";
    export const handler = async () => {
      for (let round = 0; round < 200; round++) {
        for (let line = 0; line < 100; line++) console.log("a line of some length, number " + line);
        await wait(10);
      }
    };`,
  "chatty.mjs": `
    let line = 0;
    setInterval(() => {
      let text = "";
      for (let n = 0; n < 100; n++) text += "GET /items/" + line++ + " \\x1b[32m200\\x1b[0m in 12 ms, from 10.0.0.1\\n";
      process.stdout.write(text);
    }, 10);`,
  "src/word.ts": `export const word = "word-0";\n`,
  ...bigModules(),
};

/** A handler over 200 modules of some 3 KB, the last of which is the one that is saved. */
function bigModules(): Record<string, string> {
  const names = Array.from({ length: MODULES - 2 }, (_, index) => `module${index}`);
  const lines = Array.from(
    { length: 60 },
    (_, line) => `  if (n === ${line}) return String(n * ${line}) + "${line}";`,
  );
  const modules = names.map((name) => [
    `src/big/${name}.ts`,
    `export function ${name}(n: number): string {\n${lines.join("\n")}\n  return "${name}";\n}\n`,
  ]);
  const imports = names.map((name) => `import { ${name} } from "./big/${name}.ts";\n`).join("");
  const all = `const all = [${names.join(", ")}];\n`;
  const handler = `export const handler = async () => ({ word, length: all.map((one, n) => one(n)).join("").length });\n`;
  return {
    ...Object.fromEntries(modules),
    "src/big/word.ts": `export const word = "word-0";\n`,
    "src/big.ts": `${imports}import { word } from "./big/word.ts";\n${all}${handler}`,
  };
}

await using rig = Rig.open({ files: FILES });
try {
  const urls = await rig.start();
  const url = new URL(urls["Echo"] ?? "");
  if (acksOnly) await acks();
  else if (process.argv.includes("--chatty")) await chatty();
  else if (process.argv.includes("--debug")) await debugging(url);
  else if (process.argv.includes("--rest")) await rest();
  else if (process.argv.includes("--tui")) await multiplexer();
  else if (process.argv.includes("--tunnel")) await tunnel();
  else await all(url, urls["Big"] ?? "");
} finally {
  for (const child of children) child.kill("SIGKILL");
}
show();

async function all(url: URL, big: string): Promise<void> {
  await whole(url);
  await chain();
  await acks();
  await chatty();
  await rest();
  await multiplexer();
  await tunnel();
  await reload("reload: save to answer of new code", url, { entry: "src/echo.ts", leaf: "src/word.ts" });
  await reload(`reload, ${MODULES} modules`, new URL(big), {
    entry: "src/big.ts",
    leaf: "src/big/word.ts",
  });
  await completion();
  await debugging(url);
}

/** Function URL → execution environment → stub → bridge → daemon → worker, and back. */
async function whole(url: URL): Promise<void> {
  const worker = await part("worker");
  const middle = await part("middle", worker);
  const relay = await part("relay", middle);
  const front = await part("front", relay);
  await compare("whole path, 1 KB", 8, {
    ours: () => post(Number(url.port), url.host, EVENT),
    floor: () => post(front, `127.0.0.1:${front}`, EVENT),
  });
}

/** A stub's frame → bridge → worker → answer frame: the daemon alone. */
async function chain(): Promise<void> {
  const worker = await part("worker");
  const middle = await part("middle", worker);
  const echo = await dial(`wss://127.0.0.1:${middle}`, Buffer.alloc(32, 7), "bench");
  const floor = () =>
    new Promise<void>((resolve) => {
      echo.once("message", () => resolve());
      echo.send(EVENT);
    });
  const stub = await bareStub();
  await compare("bare chain (frame to answer), 1 KB", 6, { ours: () => stub.invoke(EVENT), floor });
  stub.close();
  echo.close();
}

/**
 * A frame → its ack, while the daemon is as busy as it gets: a 200-module build, the slowest search of history, a
 * process that prints 10,000 lines a second. The promise is in milliseconds; the bar is on what livedev adds to the
 * floor, a bare process that acks the same bytes in between, since that one waits for the machine's cores just as long.
 * Both are taken by a process that does nothing else (bench-acks.ts).
 */
async function acks(): Promise<void> {
  await remember();
  await using client = await rig.connect();
  const { bridge, app, stage } = await client.call("daemon.status", {});
  const { key, keyId } = await loadStageKey(join(rig.project, ".livedev", rig.stage));
  const order: AckOrder = {
    stub: {
      port: Number(new URL(bridge.address).port),
      key: Buffer.from(key).toString("hex"),
      keyId,
      app,
      stage,
      functionName: "Echo",
    },
    echoPort: await part("ack"),
    event: EVENT,
    count: ACKS,
  };
  const over = new AbortController();
  const busy = [
    async (round: number) => {
      rig.save("src/big/word.ts", `export const word = "busy-${round}";\n`);
      await client.call("function.invokeLocal", { functionName: "Big", event: "{}" });
    },
    () => client.call("function.invokeLocal", { functionName: "Print", event: "{}" }),
    () => client.call("invocation.list", { text: "stands nowhere at all" }),
  ].map(async (work) => {
    for (let round = 0; !over.signal.aborted; round++) await work(round);
  });
  const { took, floor } = await measuredAcks(order);
  over.abort();
  await Promise.all(busy);
  const bars = { p50: 1, p99: 10, max: 50 };
  const of = (times: readonly number[]) => ({
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    max: Math.max(...times),
  });
  const [ours, bare] = [of(took), of(floor)];
  for (const name of ["p50", "p99", "max"] as const) {
    const { p50, p99 } = ours;
    rows.push({
      name: `ack while busy, ${name}, ms beyond floor`,
      p50,
      p99,
      floor: bare[name],
      ratio: ours[name] - bare[name],
      bar: bars[name],
    });
  }
}

/**
 * A request → its answer, while a supervised process prints 10,000 lines a second: what its output costs the daemon's
 * loop. The promise is in milliseconds; the floor is the same while it prints nothing.
 */
async function chatty(): Promise<void> {
  await using client = await rig.connect();
  const ask = () => timed(() => client.call("daemon.status", {}));
  const asked = async () => {
    const times: number[] = [];
    for (let n = 0; n < ACKS; n++) {
      times.push(await ask());
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return times;
  };
  const quiet = await asked();
  await client.call("process.start", { name: "Chatty" });
  for (let seen = 0; seen < 1_000_000;) {
    ({ cursor: seen } = await client.call("process.output", { name: "Chatty", after: seen, waitMs: 5_000 }));
  }
  const busy = await asked();
  await client.call("process.stop", { name: "Chatty" });
  const max = Math.max(...busy);
  rows.push({
    name: "status while 10,000 lines/s, max",
    p50: quantile(busy, 0.5),
    p99: quantile(busy, 0.99),
    floor: Math.max(...quiet),
    ratio: max,
    bar: 50,
  });
}

/**
 * What ten supervised processes that have nothing to do cost the daemon: percent of a core, all its threads together.
 * The floor is the same without them.
 */
async function rest(): Promise<void> {
  await using client = await rig.connect();
  const measured = () => restOf(rig.daemonPid(), quick ? 5_000 : 15_000, quick ? 12 : 8);
  const without = await measured();
  const names = Array.from({ length: 10 }, (_, n) => `Idle${n}`);
  await Promise.all(names.map((name) => client.call("process.start", { name })));
  const up = async () => {
    const all = await client.call("process.list", {});
    return names.every((name) => all.some((one) => one.name === name && one.state === "ready"));
  };
  while (!(await up()));
  const taken = await measured();
  await Promise.all(names.map((name) => client.call("process.stop", { name })));
  rows.push({
    name: "at rest, 10 idle processes, % of a core",
    p50: quantile(taken, 0.5),
    p99: quantile(taken, 0.99),
    floor: without.at(-1) ?? Number.NaN,
    ratio: taken.at(-1) ?? Number.NaN,
    bar: AT_REST_PERCENT,
  });
}

/**
 * What the multiplexer costs, percent of a core and megabytes: at rest; with a pane that prints 10,000 lines a second
 * shown; with that pane hidden. The floor is at rest.
 */
async function multiplexer(): Promise<void> {
  await using client = await rig.connect();
  const terminal = new Terminal(
    [
      "/bin/sh",
      "-c",
      `stty cols 120 rows 40 && exec "$0" "$1" dev`,
      process.execPath,
      join(ROOT, "dist", "livedev.js"),
    ],
    { cwd: rig.project, env: { ...rig.env, NO_COLOR: "", TERM: "xterm-256color", COLORTERM: "truecolor" } },
  );
  await terminal.until(/Chatty/);
  const [found] = (await rig.processes()).filter(
    ({ command }) => command.includes("livedev.js dev") && !command.includes("python"),
  );
  const pid = found?.pid ?? 0;
  const withinMs = quick ? 5_000 : 15_000;
  const memory = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
  const row = (name: string, value: number, floor: number, bar: number) =>
    rows.push({ name: `multiplexer, ${name}`, p50: value, p99: value, floor, ratio: value, bar });

  const idle = (await restOf(pid, withinMs, quick ? 12 : 8)).at(-1) ?? Number.NaN;
  const idleMb = memory();
  row("at rest, % of a core", idle, idle, AT_REST_PERCENT);
  row("at rest, MB", idleMb, idleMb, 110);

  await client.call("process.start", { name: "Chatty" });
  terminal.type("jj");
  await terminal.until(/GET \/items\/\d{5}/);
  // What is run over and over is compiled by then.
  await percentOfCore(pid, 3_000);
  row("10,000 lines/s shown, % of a core", await percentOfCore(pid, withinMs), idle, 15);
  row("10,000 lines/s shown, MB", memory(), idleMb, 160);
  terminal.type("k");
  await terminal.until(/Functions[^]*Functions/);
  await percentOfCore(pid, 1_000);
  row("10,000 lines/s hidden, % of a core", await percentOfCore(pid, withinMs), idle, 2);
  await client.call("process.stop", { name: "Chatty" });
  terminal.type("ql");
  await terminal.ended();
}

/**
 * The tunnel beside `ssh -L` and `-R`. A small request is measured by the better of those two: sshd holds small packets
 * of `-R` back for 40 ms.
 */
async function tunnel(): Promise<void> {
  if (tunnelBenchMissing !== false) {
    console.error(`no rows of the tunnel: ${tunnelBenchMissing}`);
    return;
  }
  const { bulk, small, many, invocation } = await tunnelTimes(quick);
  // 0.8 of its throughput.
  for (const [name, { ours, theirs }] of Object.entries(bulk))
    add(`tunnel, bulk ${name}`, ours, theirs, 1.25);
  const of = (name: string, share: number, bar: number, ours: readonly number[]) => {
    const floor = Math.min(...Object.values(small).map(({ theirs }) => quantile(theirs, share)));
    const [p50, p99] = [quantile(ours, 0.5), quantile(ours, 0.99)];
    rows.push({ name, p50, p99, floor, ratio: quantile(ours, share) / floor, bar });
  };
  for (const [name, { ours }] of Object.entries(small)) {
    of(`tunnel, small request ${name}, p50`, 0.5, 1.25, ours);
    of(`tunnel, small request ${name}, p99`, 0.99, 1.5, ours);
  }
  add("tunnel, 200 channels at once", many.ours, many.theirs, 1.25);
  add("whole invocation by the bastion", invocation.ours, invocation.theirs, 2);
}

/** As much history as is kept, each with some lines: what the slowest search goes through. */
async function remember(): Promise<void> {
  const stateDir = join(rig.project, ".livedev", rig.stage);
  await rig.livedevd("stop");
  const store = await Store.open({ file: join(stateDir, "history.db"), log: silentLog });
  for (let n = 0; n < HISTORY; n++) {
    invoke(store, {
      event: { n, text: EVENT },
      logs: ["a line", "another line", "a third line"],
      answer: EVENT,
    });
    if (n % 100 === 0) await store.flushed();
  }
  await store[Symbol.asyncDispose]();
  await rig.start();
}

async function measuredAcks(order: AckOrder): Promise<AckTimes> {
  const child = spawn(process.execPath, ["--import=tsx", join(ROOT, "scripts", "bench-acks.ts")], {
    stdio: ["pipe", "pipe", "inherit"],
    cwd: ROOT,
  });
  children.push(child);
  child.stdin.end(JSON.stringify(order));
  let text = "";
  for await (const chunk of child.stdout.setEncoding("utf8")) text += chunk;
  return JSON.parse(text) as AckTimes;
}

/**
 * A save of a leaf → the new code has answered, through the function URL; the floor is esbuild's own rebuild of the
 * same, and the start of a process.
 */
async function reload(name: string, url: URL, code: { entry: string; leaf: string }): Promise<void> {
  const bare = await context({
    absWorkingDir: rig.project,
    entryPoints: [code.entry],
    bundle: true,
    platform: "node",
    format: "esm",
    write: false,
    sourcemap: "linked",
    outdir: "out",
  });
  await bare.rebuild();
  // In use, so that a save finds it as it is while somebody works on it.
  await post(Number(url.port), url.host, EVENT);
  const ours: number[] = [];
  const floor: number[] = [];
  const client = await rig.connect();
  for (let save = 1; save <= SAVES; save++) {
    ours.push(await saved(client, url, { leaf: code.leaf, word: `word-${save}`, from: "worker.ready" }));
    const bareBegan = performance.now();
    await bare.rebuild();
    await spawned();
    floor.push(performance.now() - bareBegan);
  }
  await client[Symbol.asyncDispose]();
  await bare.dispose();
  add(name, ours, floor, 2.5);
}

/** From a save to the answer of its code, which is asked for once the daemon has come so far. */
async function saved(
  client: LivedevClient,
  url: URL,
  { leaf, word, from }: { leaf: string; word: string; from: "worker.ready" | "build.finished" },
): Promise<number> {
  let come = () => {};
  const there = new Promise<void>((resolve) => (come = resolve));
  await using _events = await client.subscribe({ types: [from] }, () => come());
  const began = performance.now();
  rig.save(leaf, `export const word = "${word}";\n`);
  await there;
  const answer = await post(Number(url.port), url.host, EVENT);
  const took = performance.now() - began;
  if (!answer.includes(word)) throw new Error(`${word} answered with old code: ${answer}`);
  return took;
}

/**
 * What debugging costs, beside the same without it: its port on the warm path, while nobody is attached; a save, while
 * somebody is, with a breakpoint that is set anew in each process. No worker is loaded ahead then.
 */
async function debugging(url: URL): Promise<void> {
  await using client = await rig.connect();
  const open: number[] = [];
  const shut: number[] = [];
  const calls = async (times: number[]) => {
    for (let call = 0; call < CALLS; call++) {
      times.push(await timed(() => post(Number(url.port), url.host, EVENT)));
    }
  };
  await calls([]);
  for (let round = 0; round < ROUNDS; round++) {
    await client.call("debug.on", { port: 0 });
    await calls(open);
    await client.call("debug.off", {});
    await calls(shut);
  }
  add("debug: port open, nobody attached", open, shut, 1.1);

  const leaf = "src/word.ts";
  const attached: number[] = [];
  const alone: number[] = [];
  for (let save = 1; save <= SAVES; save++) {
    alone.push(await saved(client, url, { leaf, word: `alone-${save}`, from: "worker.ready" }));
    const status = await client.call("debug.on", { port: 0 });
    if (status.state === "off") throw new Error("debugging is off");
    await using editor = await Cdp.ofFunction(status.port, "Echo");
    await editor.send("Runtime.enable");
    await editor.send("Debugger.enable");
    const source = pathToFileURL(join(rig.project, "src", "echo.ts")).href;
    await editor.send("Debugger.setBreakpointByUrl", { url: source, lineNumber: 1, condition: "false" });
    await editor.send("Runtime.runIfWaitingForDebugger");
    // The worker that it finds is none that can be debugged: the next one is.
    await post(Number(url.port), url.host, EVENT);
    attached.push(await saved(client, url, { leaf, word: `attached-${save}`, from: "build.finished" }));
    await client.call("debug.off", {});
    await post(Number(url.port), url.host, EVENT);
  }
  add("debug: save to answer, attached", attached, alone, 2);
}

/** A bare Node process, from start to exit: what a reload without a spare would cost at least. */
function spawned(): Promise<void> {
  return ended(["-e", "0"]);
}

function ended(args: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    const { project: cwd, env } = rig;
    spawn(process.execPath, args, { cwd, env, stdio: "ignore" }).once("exit", () => resolve());
  });
}

/** Tab, from the shell's question to its answer: a program's start, and the daemon's word on its functions. */
async function completion(): Promise<void> {
  const complete = [join(ROOT, "dist", "livedev.js"), "__complete", "--", "invoke", "E"];
  const [ours, floor]: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS * 2; round++) {
    floor.push(await timed(spawned));
    ours.push(await timed(() => ended(complete)));
  }
  add("completion of a function's name", ours, floor, 4);
}

async function compare(
  name: string,
  bar: number,
  way: { ours: () => Promise<unknown>; floor: () => Promise<unknown> },
): Promise<void> {
  const ours: number[] = [];
  const floor: number[] = [];
  for (let warm = 0; warm < 30; warm++) {
    await way.ours();
    await way.floor();
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (let call = 0; call < CALLS; call++) ours.push(await timed(way.ours));
    for (let call = 0; call < CALLS; call++) floor.push(await timed(way.floor));
  }
  add(name, ours, floor, bar);
}

function add(name: string, ours: readonly number[], floor: readonly number[], bar: number): void {
  const [p50, p99, base] = [quantile(ours, 0.5), quantile(ours, 0.99), quantile(floor, 0.5)];
  rows.push({ name, p50, p99, floor: base, ratio: p50 / base, bar });
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await run();
  return performance.now() - began;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

async function part(name: string, next?: number): Promise<number> {
  const args = [join(ROOT, "scripts", "bench-echo.mjs"), name, ...(next === undefined ? [] : [String(next)])];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  for await (const line of createInterface({ input: child.stdout })) return Number(line);
  throw new Error(`the echo part ${name} did not start`);
}

const agent = new Agent({ keepAlive: true });

function post(port: number, host: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: "127.0.0.1",
        port,
        method: "POST",
        agent,
        headers: { host, "content-type": "application/json" },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => resolve(Buffer.concat(chunks).toString()));
      },
    );
    outgoing.on("error", reject);
    outgoing.end(text);
  });
}

function dial(url: string, psk: Uint8Array, identity: string): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, {
      pskCallback: () => ({ psk, identity }),
      checkServerIdentity: () => undefined,
      minVersion: "TLSv1.3",
      perMessageDeflate: false,
    } as never);
    socket.once("open", () => resolve(socket));
    socket.once("error", reject);
  });
}

/** Speaks the bridge's frames itself, so that only the daemon's part of the way is measured. */
async function bareStub() {
  const client = await rig.connect();
  const { bridge, app, stage } = await client.call("daemon.status", {});
  await client[Symbol.asyncDispose]();
  const { key, keyId } = await loadStageKey(join(rig.project, ".livedev", rig.stage));
  const socket = await dial(bridge.address.replace("tls:", "wss:"), key, keyId);
  const tls = (socket as unknown as { _socket: TLSSocket })._socket;
  const exported = tls.exportKeyingMaterial(32, "EXPERIMENTAL-livedev", Buffer.alloc(0));
  const proof = createHmac("sha256", key).update(exported).digest("hex");
  let sent = 0;
  let answered = () => {};
  socket.on("message", (data: Buffer) => {
    const { seq, frame } = decodeFrame(data);
    if (seq > 0) socket.send(encodeFrame(0, { type: "ack", received: seq }));
    if (frame.type === "answer") answered();
  });
  socket.send(
    encodeFrame(0, {
      type: "hello",
      protocol: BRIDGE_PROTOCOL,
      app,
      stage,
      functionName: "Echo",
      sandbox: randomBytes(8).toString("hex"),
      epoch: null,
      received: 0,
      proof,
      environment: {},
    }),
  );
  return {
    invoke: (event: string) =>
      new Promise<void>((resolve) => {
        answered = resolve;
        const id = randomBytes(16).toString("hex");
        const key = { requestId: id, nonce: id };
        const fields = { remainingMs: 10_000, deadlineAt: Date.now() + 10_000, functionArn: "arn:bench" };
        socket.send(encodeFrame((sent += 1), { type: "invoke", key, ...fields }, Buffer.from(event)));
      }),
    close: () => socket.close(),
  };
}

function show(): void {
  if (json) return console.log(JSON.stringify(rows));
  const cell = (value: number) => value.toFixed(2).padStart(9);
  console.log(
    `\n${"row".padEnd(40)}${"p50 ms".padStart(9)}${"p99 ms".padStart(9)}${"floor".padStart(9)}${"ratio".padStart(9)}${"bar".padStart(9)}`,
  );
  for (const { name, p50, p99, floor, ratio, bar } of rows) {
    console.log(
      `${name.padEnd(40)}${[p50, p99, floor, ratio, bar].map(cell).join("")}${ratio > bar ? "  over" : ""}`,
    );
  }
}
