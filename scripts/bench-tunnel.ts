/**
 * The tunnel beside OpenSSH's own `ssh -L` and `-R`, over the same sshd, round by round: a laptop, a bastion and a
 * private subnet as network namespaces (test/tunnel/net.ts). Then a whole invocation by a stub inside, beside one by
 * a stub on the laptop itself.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { ChildProcess } from "node:child_process";

import { PROGRAMS } from "../daemon/lib/programs.ts";
import { BASTION, BASTION_INSIDE, INSIDE, Net, netMissing, RANGE, type Place } from "../test/tunnel/net.ts";
import { FarStub, Laptop } from "../test/tunnel/rig.ts";

const PART = join(import.meta.dirname, "bench-tunnel-part.mjs");
const SSH = "/usr/bin/ssh";
const PORT = 9000;
/** Of the bastion, for `ssh -R`; livedev's own are 7400 to 7499. */
const REMOTE_PORT = 7600;

/** Why it cannot be measured here. */
export const tunnelBenchMissing: string | false =
  netMissing || (existsSync(SSH) ? false : "OpenSSH's client is not installed");

/** Milliseconds: each of ours, and of OpenSSH's beside it. */
export type TunnelTimes = {
  readonly bulk: Readonly<Record<"outward down" | "outward up" | "inward down" | "inward up", Pair>>;
  readonly small: Readonly<Record<"outward" | "inward", Pair>>;
  readonly many: Pair;
  readonly invocation: Pair;
};
type Pair = { readonly ours: number[]; readonly theirs: number[] };

export async function tunnelTimes(quick: boolean): Promise<TunnelTimes> {
  await using net = await Net.open();
  const forwards = await measureForwards(net, quick);
  return { ...forwards, invocation: await measureInvocations(net, quick) };
}

async function measureForwards(net: Net, quick: boolean): Promise<Omit<TunnelTimes, "invocation">> {
  const server = await part(net, "inside", ["serve", INSIDE, String(PORT)]);
  await server.heard();
  const home = net.file("home");
  mkdirSync(join(home, ".ssh"), { recursive: true, mode: 0o700 });
  writeFileSync(join(home, ".ssh", "known_hosts"), net.knownHost());
  const laptop = await part(net, "laptop", ["laptop"], { HOME: home });
  laptop.say({
    thread: PROGRAMS.tunnelThread,
    key: "07".repeat(32),
    settings: {
      bastion: {
        host: BASTION,
        user: "root",
        key: net.file("ann"),
        ranges: [RANGE],
        names: [],
        listen: { address: BASTION_INSIDE, first: 7400, last: 7499 },
      },
      hosts: [{ name: "Echo", host: INSIDE, port: PORT }],
      gate: net.file("gate"),
      kept: {},
    },
  });
  const ours = (await laptop.heard()) as {
    bridgePort: number;
    port: number;
    wayIn?: { port: number };
    wayInProblem?: unknown;
  };
  if (ours.wayIn === undefined) throw new Error(JSON.stringify(ours.wayInProblem));
  const local = 20_000;
  const ssh = net.start("laptop", [
    ...[
      SSH,
      "-N",
      "-v",
      "-i",
      net.file("ann"),
      "-o",
      `UserKnownHostsFile=${join(home, ".ssh", "known_hosts")}`,
    ],
    ...["-o", "IdentitiesOnly=yes", "-o", "ExitOnForwardFailure=yes", "-F", "none"],
    ...["-L", `127.0.0.1:${local}:${INSIDE}:${PORT}`],
    ...["-R", `${BASTION_INSIDE}:${REMOTE_PORT}:127.0.0.1:${ours.bridgePort}`],
    `root@${BASTION}`,
  ]);
  await says(ssh, /remote forward success/);
  const near = await part(net, "laptop", ["ask"]);
  const far = await part(net, "inside", ["ask"]);
  const outward = {
    from: near,
    ours: { host: "127.0.0.1", port: ours.port },
    theirs: { host: "127.0.0.1", port: local },
  };
  const inward = {
    from: far,
    ours: { host: BASTION_INSIDE, port: ours.wayIn.port },
    theirs: { host: BASTION_INSIDE, port: REMOTE_PORT },
  };

  const rounds = quick ? 3 : 8;
  const both = async (way: typeof outward, question: object, fewer: object = {}): Promise<Pair> => {
    const times: Pair = { ours: [], theirs: [] };
    for (let round = 0; round <= rounds; round += 1)
      for (const who of ["ours", "theirs"] as const) {
        const asked = { ...question, ...way[who], ...(who === "theirs" && fewer) };
        const took = (await way.from.ask(asked)) as number | number[];
        // The first warms up.
        if (round > 0) times[who].push(...[took].flat());
      }
    return times;
  };
  const bytes = quick ? 32_000_000 : 100_000_000;
  const count = quick ? 150 : 500;
  const bulk = {
    "outward down": await both(outward, { ask: "down", bytes }),
    "outward up": await both(outward, { ask: "up", bytes }),
    "inward down": await both(inward, { ask: "down", bytes }),
    "inward up": await both(inward, { ask: "up", bytes }),
  };
  const small = {
    outward: await both(outward, { ask: "echo", count }),
    // 40 ms each by `-R`.
    inward: await both(inward, { ask: "echo", count }, { count: 20 }),
  };
  const many = await both(outward, { ask: "many", count: 200, bytes: 200_000 });
  for (const { child } of [server, laptop, near, far]) child.kill("SIGKILL");
  ssh.kill("SIGKILL");
  return { bulk, small, many };
}

/** The same daemon, and two stubs: one inside, by the bastion, and one on the laptop, by loopback. */
async function measureInvocations(net: Net, quick: boolean): Promise<Pair> {
  await using laptop = Laptop.open(net, {
    files: { "src/echo.ts": "export const handler = async (event: unknown) => event;\n" },
    run: `new aws.Function("Echo", { handler: "src/echo.handler" });`,
  });
  await using watched = await laptop.watch();
  await watched.next("tunnel.connected");
  await using far = await FarStub.open(laptop, "Echo");
  await using near = await FarStub.open(laptop, "Echo", { place: "laptop" });
  const event = JSON.stringify({ text: "x".repeat(1_000) });
  const times: Pair = { ours: [], theirs: [] };
  const timed = async ({ runtime }: FarStub) => {
    const began = performance.now();
    const { to } = await runtime.invoke(event);
    if (to !== "response") throw new Error("an invocation failed");
    return performance.now() - began;
  };
  for (let warm = 0; warm < 30; warm += 1) for (const stub of [far, near]) await timed(stub);
  for (let round = 0; round < (quick ? 10 : 40); round += 1) {
    for (let call = 0; call < 20; call += 1) times.ours.push(await timed(far));
    for (let call = 0; call < 20; call += 1) times.theirs.push(await timed(near));
  }
  return times;
}

async function part(net: Net, place: Place, words: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const child = net.start(place, [process.execPath, PART, ...words], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  if (child.stdout === null) throw new Error("no pipe");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const say = (what: object) => void child.stdin?.write(`${JSON.stringify(what)}\n`);
  const heard = async (): Promise<unknown> => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`${words.join(" ")} has ended`);
    return JSON.parse(value);
  };
  const ask = (question: object): Promise<unknown> => {
    const answer = heard();
    say(question);
    return answer;
  };
  return { child, say, heard, ask };
}

/** When its standard error does; from then on nobody reads that. */
async function says({ stderr }: ChildProcess, what: RegExp): Promise<void> {
  let said = "";
  await new Promise<void>((resolve, reject) => {
    stderr?.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-20_000);
      if (what.test(said)) resolve();
    });
    stderr?.once("end", () => reject(new Error(said)));
  });
}
