/**
 * `npm run soak [-- --invocations 20000] [--concurrency 32] [--seed 1] [--pace 6] [--write]`: many invocations while files are
 * saved (some broken), workers killed, connections cut and black-holed, the daemon restarted and killed. It ends with
 * every one of them accounted for: what its caller was told, how often it ran, and what history says must agree.
 *
 * The stub's own code (session and call) carries each event; only Lambda's Runtime API is left out.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";

import type { LivedevClient } from "../client/connect.ts";
import { loadStageKey } from "../daemon/credentials/stage-key.ts";
import { StreamError } from "../proto/answer.ts";
import type { InvocationSummary } from "../proto/rpc.ts";
import { Call, type Reply } from "../stub/call.ts";
import { Session } from "../stub/session.ts";
import type { Settings } from "../stub/settings.ts";
import { CutProxy } from "../test/support/cut-proxy.ts";
import { killDaemon } from "../test/support/live-stub.ts";
import { Rig, ROOT } from "../test/support/rig.ts";

const { values } = parseArgs({
  options: {
    invocations: { type: "string", default: "20000" },
    concurrency: { type: "string", default: "32" },
    seed: { type: "string", default: "1" },
    /** At most so long; what was not begun by then is not sent. */
    seconds: { type: "string", default: "3600" },
    /** Above 1, everything that disturbs comes that much more rarely. */
    pace: { type: "string", default: "6" },
    write: { type: "boolean", default: false },
  },
});
const INVOCATIONS = Number(values.invocations);
const CONCURRENCY = Number(values.concurrency);
const PACE = Number(values.pace);
const UNTIL = performance.now() + Number(values.seconds) * 1000;
/** A short soak, too, replaces its daemon in both ways. */
const SHORT = (Number(values.seconds) * 1000) / 4 / PACE;
const FUNCTIONS = ["One", "Two", "Three", "Stream"] as const;

const random = mulberry32(Number(values.seed));
const between = (from: number, to: number) => from + random() * (to - from);
const pick = <T>(items: readonly T[]): T | undefined => items[Math.floor(random() * items.length)];

const HANDLERS = `
import { appendFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { version } from "./version.ts";
type Event = { id: string; ms: number; throws: boolean; padding: string };
const run = async ({ id, ms, throws }: Event) => {
  appendFileSync(process.env.RUNS as string, id + "\\n");
  console.log("runs " + id);
  if (ms > 0) await wait(ms);
  if (throws) throw new TypeError("on purpose");
};
export const handler = async (event: Event) => {
  await run(event);
  return { ran: event.id, version };
};
declare const awslambda: any;
export const stream = awslambda.streamifyResponse(async (event: Event, out: any) => {
  out.write(JSON.stringify({ ran: event.id }));
  await run(event);
  out.end(event.padding);
});
`;

/** What a caller was told. */
type Told = "ok" | "error" | "unknown" | "away";
type Sent = { readonly requestId: string; readonly told: Told; readonly errorType?: string };

const rig = Rig.open();
const sent: Sent[] = [];
const faults = { saves: 0, brokenSaves: 0, workerKills: 0, cuts: 0, blackHoles: 0, restarts: 0, kills: 0 };
const began = performance.now();
let failures: readonly string[] = [];
try {
  failures = await soak();
} catch (error) {
  console.error(error, rig.daemonLog().slice(-3_000));
  failures = ["the soak itself failed"];
} finally {
  await rig[Symbol.asyncDispose]();
}
for (const failure of failures.slice(0, 20)) console.error(failure);
// The sessions dial for as long as they live.
process.exit(failures.length === 0 ? 0 : 1);

async function soak(): Promise<readonly string[]> {
  prepare();
  let client = await configured();
  const { bridge, app, stage } = await client.call("daemon.status", {});
  const { key, keyId } = await loadStageKey(join(rig.project, ".livedev", stage));
  await using proxy = await CutProxy.open(Number(new URL(bridge.address).port));
  const sessions = Array.from({ length: CONCURRENCY }, (_, index) => {
    const settings: Settings = {
      version: 1,
      app,
      stage,
      functionName: FUNCTIONS[index % FUNCTIONS.length] as string,
      key: Buffer.from(key),
      keyId,
      addresses: [{ address: `tls://127.0.0.1:${proxy.port}`, match: "*" }],
      whenAway: "error",
    };
    return { settings, session: new Session(settings, { AWS_REGION: "eu-west-1" }) };
  });

  const over = new AbortController();
  const chaos = Promise.all([
    disturb(over.signal, 300, 1_500, () => save()),
    disturb(over.signal, 100, 600, () => cut(proxy)),
    disturb(over.signal, 400, 2_000, () => killWorker()),
    disturb(over.signal, Math.min(6_000, SHORT), Math.min(15_000, SHORT), async () => {
      await client.close();
      await replaceDaemon();
      client = await configured();
    }),
  ]);
  let next = 0;
  const progress = setInterval(() => console.error(`${sent.length} of ${INVOCATIONS}`), 15_000);
  await Promise.all(
    sessions.map(async ({ settings, session }) => {
      while (next < INVOCATIONS && performance.now() < UNTIL) {
        next += 1;
        sent.push(await one(settings, session, next));
      }
    }),
  );
  clearInterval(progress);
  over.abort();
  await chaos;
  rig.save("src/version.ts", "export const version = 'last';\n");

  // What the last daemon left behind is closed after 15 s.
  const rows = await settled(client);
  await client.close();
  return report(rows);
}

function prepare(): void {
  rig.save(
    "livedev.config.ts",
    `import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "soak", home: "local" }),
  async run() {
    const environment = { RUNS: "${rig.root}/runs" };
    for (const name of ["One", "Two", "Three"])
      new aws.Function(name, { handler: "src/handlers.handler", timeout: "60 seconds", environment });
    new aws.Function("Stream", { handler: "src/handlers.stream", timeout: "60 seconds", environment });
  },
});
`,
  );
  rig.save("src/handlers.ts", HANDLERS);
  rig.save("src/version.ts", "export const version = 'first';\n");
}

/** A daemon that knows its app; opened where none runs. */
async function configured(): Promise<LivedevClient> {
  const client = await rig.connect();
  for (;;) {
    const { config } = await client.call("daemon.status", {});
    if (config.state === "ready") return client;
    if (config.state === "broken") throw new Error(config.message);
    await wait(20);
  }
}

async function one(settings: Settings, session: Session, number: number): Promise<Sent> {
  const requestId = `request-${number}`;
  const event = {
    id: requestId,
    ms: random() < 0.5 ? 0 : Math.round(between(1, 60)),
    throws: random() < 0.05,
    padding: "p".repeat(random() < 0.1 ? 200_000 : 100),
  };
  const reply = await Call.carry(settings, session, {
    requestId,
    event: Buffer.from(JSON.stringify(event)),
    deadlineAt: Date.now() + 60_000,
    functionArn: `arn:aws:lambda:eu-west-1:123456789012:function:${settings.functionName}`,
    headers: {},
  });
  return { requestId, ...(await toldBy(reply, requestId)) };
}

// oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
async function toldBy(reply: Reply, requestId: string): Promise<Omit<Sent, "requestId">> {
  switch (reply.is) {
    case "answer":
      if (reply.frame.status === "error") return errorOf(reply.frame.errorType ?? "?");
      return answered(Buffer.from(reply.body).toString(), requestId);
    case "stream": {
      const chunks: Uint8Array[] = [];
      try {
        for await (const chunk of reply.chunks) chunks.push(chunk);
      } catch (error) {
        if (!(error instanceof StreamError)) throw error;
        return errorOf(error.errorType);
      }
      return answered(Buffer.concat(chunks).toString(), requestId);
    }
    case "unknown":
      return { told: "unknown" };
    case "refused":
      throw new Error(`refused: ${reply.sentence}`);
    case "away":
      return { told: "away" };
  }
}

function errorOf(errorType: string): Omit<Sent, "requestId"> {
  return errorType === "Livedev.OutcomeUnknown" ? { told: "unknown" } : { told: "error", errorType };
}

function answered(body: string, requestId: string): { told: "ok" } {
  if (!body.startsWith(`{"ran":"${requestId}"`))
    throw new Error(`${requestId} was answered ${body.slice(0, 100)}`);
  return { told: "ok" };
}

// ---- what disturbs

async function disturb(
  signal: AbortSignal,
  fromMs: number,
  toMs: number,
  step: () => void | Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    await wait(PACE * between(fromMs, toMs), undefined, { signal }).catch(() => {});
    if (!signal.aborted) await step();
  }
}

async function save(): Promise<void> {
  faults.saves += 1;
  if (faults.saves % 10 === 2) {
    faults.brokenSaves += 1;
    rig.save("src/version.ts", "export const version = ;\n");
    await wait(between(50, 300));
  }
  rig.save("src/version.ts", `export const version = "${faults.saves}";\n`);
}

function cut(proxy: CutProxy): void {
  if ((faults.cuts + faults.blackHoles) % 10 === 2) {
    faults.blackHoles += 1;
    proxy.blackHole();
  } else {
    faults.cuts += 1;
    proxy.cut();
  }
}

/** One of the processes that run handlers: the daemon's children that stand behind a Runtime API. */
async function killWorker(): Promise<void> {
  const runners = (await rig.processes()).filter(
    ({ command }) => /\brunner\.mjs/.test(command) && !command.includes("config-runner"),
  );
  const worker = pick(runners);
  if (worker === undefined) return;
  faults.workerKills += 1;
  try {
    process.kill(worker.pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}

async function replaceDaemon(): Promise<void> {
  if (faults.kills <= faults.restarts) {
    faults.kills += 1;
    return killDaemon(rig);
  }
  faults.restarts += 1;
  const pid = rig.daemonPid();
  const client = await rig.connect();
  await client.call("daemon.stop", { restarting: true });
  await client.close();
  while (existsSync(`/proc/${pid}/exe`)) await wait(5);
}

// ---- the account

async function settled(client: LivedevClient): Promise<readonly InvocationSummary[]> {
  for (;;) {
    const rows: InvocationSummary[] = [];
    for (let before: number | undefined; ;) {
      const page = await client.call("invocation.list", {
        limit: 1_000,
        ...(before !== undefined && { before }),
      });
      rows.push(...page);
      before = page.at(-1)?.id;
      if (page.length < 1_000) break;
    }
    const open = rows.filter(({ status }) => ["received", "running", "answered"].includes(status));
    if (open.length === 0) return rows;
    await wait(500);
  }
}

function report(rows: readonly InvocationSummary[]): readonly string[] {
  const wrong: string[] = [];
  const runs = new Map<string, number>();
  const file = join(rig.root, "runs");
  for (const id of existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [])
    runs.set(id, (runs.get(id) ?? 0) + 1);
  const history = new Map<string, InvocationSummary>();
  for (const row of rows) {
    if (history.has(row.requestId)) wrong.push(`${row.requestId} has two rows`);
    history.set(row.requestId, row);
  }
  const ids = new Set(sent.map(({ requestId }) => requestId));
  for (const { requestId } of rows) if (!ids.has(requestId)) wrong.push(`nobody sent ${requestId}`);

  const count: Record<string, number> = {};
  for (const { requestId, told, errorType } of sent) {
    const ran = runs.get(requestId) ?? 0;
    const status = history.get(requestId)?.status;
    const key = `${told}${errorType === undefined ? "" : ` ${errorType}`} | ${ran} | ${status ?? "no row"}`;
    count[key] = (count[key] ?? 0) + 1;
    if (!agree(told, ran, status))
      wrong.push(`${requestId}: told ${told}, ran ${ran} times, history has ${status ?? "no row"}`);
  }
  const seconds = (performance.now() - began) / 1000;
  const lines = [
    `${sent.length} invocations at concurrency ${CONCURRENCY}, seed ${values.seed}, in ${seconds.toFixed(0)} s; ${wrong.length} not accounted for.`,
    "",
    `Meanwhile: ${Object.entries(faults)
      .map(([name, times]) => `${times} ${name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)}`)
      .join(", ")}.`,
    "",
    "| the caller was told | it ran | history says | how many |",
    "|---|---|---|---|",
    ...Object.entries(count)
      .toSorted(([, a], [, b]) => b - a)
      .map(([key, times]) => `| ${key} | ${times} |`),
  ];
  console.log(lines.join("\n"));
  if (values.write) write(lines);
  return wrong;
}

/**
 * `undelivered` beside an answer: the stub had it, and its ack was lost with the daemon that was killed. Never the
 * other way round: what history calls ok, the stub has acked.
 */
// oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
function agree(told: Told, ran: number, status: string | undefined): boolean {
  if (ran > 1) return false;
  switch (told) {
    case "ok":
      return ran === 1 && (status === "ok" || status === "undelivered");
    case "error":
      return status === "error" || status === "interrupted" || status === "undelivered";
    case "unknown":
      return status !== "ok" && (ran === 0 || status !== undefined);
    case "away":
      return ran === 0 && status === undefined;
  }
}

function write(lines: readonly string[]): void {
  const [cpu] = cpus();
  writeFileSync(
    join(ROOT, "docs", "soak.md"),
    [
      "# The last soak",
      "",
      "`npm run soak -- --write` makes this page (scripts/soak.ts): many invocations while files are saved, workers killed, connections cut, and the daemon restarted and killed. Each is accounted for three times: by its caller, by its handler, by history; the three must agree.",
      "",
      ...lines,
      "",
      `Node ${process.version}, ${cpus().length} × ${cpu?.model.trim() ?? "unknown"}.`,
      "",
    ].join("\n"),
  );
}

/** A small seeded generator. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
