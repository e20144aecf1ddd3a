/**
 * The real stub as a process of its own, before the real daemon of a rig: a test plays Lambda to it and cuts its way.
 * And handlers that tell what ran: each run is a line in a file, and waits for another file where its event names one.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import type { LivedevClient } from "../../client/connect.ts";
import { loadStageKey } from "../../daemon/credentials/stage-key.ts";
import type { LivedevEvent } from "../../proto/events.ts";
import type { InvocationSummary } from "../../proto/rpc.ts";
import { CutProxy } from "./cut-proxy.ts";
import { Rig } from "./rig.ts";
import { TestRuntimeApi } from "./runtime-api.ts";
import { StubProcess } from "./stub.ts";

export type Event<T extends LivedevEvent["type"]> = Extract<LivedevEvent, { type: T }>;

/** `{ "name", "until"?, "stream"? }`: notes that it runs, waits until the file is there, gives `{ "ran": name }`. */
export const HANDLERS = `
import { appendFileSync, existsSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";

type Event = { name: string; until?: string };
const runs = process.env.RUNS as string;

export const handler = async ({ name, until }: Event) => {
  appendFileSync(runs, name + "\\n");
  while (until !== undefined && !existsSync(until)) await wait(5);
  return { ran: name };
};

declare const awslambda: any;
export const stream = awslambda.streamifyResponse(async ({ name, until }: Event, out: any) => {
  appendFileSync(runs, name + "\\n");
  out.write("begins ");
  while (until !== undefined && !existsSync(until)) await wait(5);
  out.end("ends");
});
`;

export const CONFIG = (root: string) => `
import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "lost", home: "local" }),
  async run() {
    const environment = { RUNS: "${root}/runs" };
    new aws.Function("Plain", { handler: "src/handlers.handler", timeout: "60 seconds", environment });
    new aws.Function("Again", { handler: "src/handlers.handler", timeout: "60 seconds", environment, retryable: true });
    new aws.Function("Stream", { handler: "src/handlers.stream", timeout: "60 seconds", environment });
  },
});
`;

/** A project of these handlers. */
export function withHandlers(rig: Rig): void {
  rig.save("livedev.config.ts", CONFIG(rig.root));
  rig.save("src/handlers.ts", HANDLERS);
}

/** How often each name ran. */
export function runsOf(rig: Rig): Record<string, number> {
  const file = join(rig.root, "runs");
  const counts: Record<string, number> = {};
  const names = existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

export class LiveStub implements AsyncDisposable {
  readonly runtime: TestRuntimeApi;
  readonly proxy: CutProxy;
  readonly process: StubProcess;

  private constructor(runtime: TestRuntimeApi, proxy: CutProxy, stub: StubProcess) {
    this.runtime = runtime;
    this.proxy = proxy;
    this.process = stub;
  }

  /** The daemon of the rig runs, and has loaded its config. */
  static async open(
    rig: Rig,
    functionName: string,
    options: {
      /** Not through the proxy. */
      direct?: boolean;
      settings?: Record<string, unknown>;
      command?: readonly string[];
    } = {},
  ): Promise<LiveStub> {
    await using client = await rig.connect();
    const { bridge, app, stage } = await client.call("daemon.status", {});
    const { key, keyId } = await loadStageKey(join(rig.project, ".livedev", stage));
    const runtime = await TestRuntimeApi.open();
    const port = Number(new URL(bridge.address).port);
    const proxy = await CutProxy.open(port);
    const stub = new StubProcess({
      runtimeApi: runtime.address,
      port: options.direct === true ? port : proxy.port,
      settings: {
        app,
        stage,
        functionName,
        key: Buffer.from(key).toString("hex"),
        keyId,
        ...options.settings,
      },
      ...(options.command && { command: options.command }),
    });
    await runtime.polled();
    return new LiveStub(runtime, proxy, stub);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
    await this.runtime[Symbol.asyncDispose]();
    await this.proxy[Symbol.asyncDispose]();
  }
}

/** `kill -9`, and not before it is gone. */
export async function killDaemon(rig: Rig): Promise<void> {
  const pid = rig.daemonPid();
  process.kill(pid, "SIGKILL");
  while (existsSync(`/proc/${pid}/exe`)) await wait(2);
}

/** Follows history from its beginning, over restarts of the daemon. */
export class Watched implements AsyncDisposable {
  readonly client: LivedevClient;
  readonly events: LivedevEvent[] = [];
  /** Of all who wait. */
  readonly #wakes = new Set<() => void>();

  private constructor(client: LivedevClient) {
    this.client = client;
  }

  /** Opens the daemon where none runs; resolves when it knows the app. */
  static async open(rig: Rig): Promise<Watched> {
    const client = await rig.connect();
    const watched = new Watched(client);
    const { cursor } = await client.call("event.list", { limit: 1 });
    await client.subscribe({ after: { ...cursor, seq: 0 } }, (events) => {
      watched.events.push(...events.map(({ event }) => event));
      for (const wake of watched.#wakes) wake();
      watched.#wakes.clear();
    });
    await watched.next("config.loaded");
    return watched;
  }

  /** The first event of the type that fits, past or to come. */
  async next<T extends LivedevEvent["type"]>(
    type: T,
    fits: (event: Event<T>) => boolean = () => true,
  ): Promise<Event<T>> {
    for (;;) {
      const found = this.events.find((event) => event.type === type && fits(event as Event<T>));
      if (found !== undefined) return found as Event<T>;
      const woken = new Promise<void>((resolve) => this.#wakes.add(resolve));
      const closed = this.client.closed.then((error) => {
        throw error ?? new Error(`closed while ${type} was awaited`);
      });
      await Promise.race([woken, closed]);
    }
  }

  /** As a client is shown it. */
  async row(requestId: string): Promise<InvocationSummary | undefined> {
    const rows = await this.client.call("invocation.list", { limit: 1_000 });
    return rows.find((row) => row.requestId === requestId);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.client[Symbol.asyncDispose]();
  }
}

type Made = AsyncDisposable & {
  readonly rig: Rig;
  readonly watched: Watched;
  readonly stub: LiveStub;
};

/** A project with the handlers, its daemon, and one stub before it. */
export async function project(functionName: string, options: { direct?: boolean } = {}): Promise<Made> {
  const rig = Rig.open();
  withHandlers(rig);
  const watched = await Watched.open(rig);
  const stub = await LiveStub.open(rig, functionName, options);
  return {
    rig,
    watched,
    stub,
    async [Symbol.asyncDispose]() {
      await stub[Symbol.asyncDispose]();
      await watched[Symbol.asyncDispose]();
      await rig[Symbol.asyncDispose]();
    },
  };
}

/** A new daemon in the place of the one that is gone. */
export async function startAgain(rig: Rig): Promise<void> {
  await using _client = await rig.connect();
}
