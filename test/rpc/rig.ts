/** A real Rpc server on a real socket, over a history in memory and a small table of methods. */
import { mkdtemp, rm } from "node:fs/promises";
import { connect as netConnect } from "node:net";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { WebSocket } from "ws";

import { LivedevError } from "../../proto/errors.ts";
import type { LivedevEvent, RecordedEvent } from "../../proto/events.ts";
import { RPC_PROTOCOL } from "../../proto/version.ts";
import { silentLog } from "../../daemon/lib/log.ts";
import type { Follow, MethodTable } from "../../daemon/rpc/methods.ts";
import { Rpc, type RpcOptions } from "../../daemon/rpc/rpc.ts";
import { prepareSocket } from "../../daemon/rpc/socket.ts";
import { follow, type FollowSource } from "../../daemon/store/follow.ts";
import { matches, type EventPage, type EventQuery } from "../../daemon/store/queries.ts";

/** History as the store keeps it: assigned at once, committed and told a turn later, read a turn later still. */
export class MemoryHistory implements FollowSource {
  readonly databaseId: string;
  firstSeq = 1;
  lastSeq = 0;
  committedSeq = 0;
  reads = 0;
  readonly #committed: RecordedEvent[] = [];
  readonly #waiting: RecordedEvent[] = [];
  readonly #listeners = new Set<(events: readonly RecordedEvent[]) => void>();

  constructor(databaseId = "db-1") {
    this.databaseId = databaseId;
  }

  get watchers(): number {
    return this.#listeners.size;
  }

  record(event: LivedevEvent): number {
    this.lastSeq += 1;
    if (this.#waiting.length === 0) setImmediate(() => this.#commit());
    this.#waiting.push({ seq: this.lastSeq, at: 1_700_000_000_000 + this.lastSeq, event });
    return this.lastSeq;
  }

  log(text: string, functionName = "hello"): number {
    return this.record({ type: "function.logged", functionName, stream: "stdout", text });
  }

  async events(query: EventQuery): Promise<EventPage> {
    this.reads += 1;
    await new Promise((resolve) => setImmediate(resolve));
    const { after = 0, limit = 1_000 } = query;
    // Sequence numbers have no holes here, so the place in the array tells them.
    const from = Math.max(0, after - (this.#committed[0]?.seq ?? 1) + 1);
    const events: RecordedEvent[] = [];
    for (let at = from; at < this.#committed.length && events.length < limit; at += 1) {
      const one = this.#committed[at];
      if (one !== undefined && matches(query, one.event)) events.push(one);
    }
    // A page that is not full has seen everything, also what did not fit the filter.
    const last = events.length < limit;
    const seq = Math.max(after, last ? this.committedSeq : (events.at(-1)?.seq ?? 0));
    const cursor = { database: this.databaseId, seq };
    await new Promise((resolve) => setImmediate(resolve));
    return { cursor, firstSeq: this.firstSeq, events, last };
  }

  watch(listener: (events: readonly RecordedEvent[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #commit(): void {
    const batch = this.#waiting.splice(0);
    this.#committed.push(...batch);
    this.committedSeq += batch.length;
    for (const listener of this.#listeners) listener(batch);
  }
}

/** As the store gives it to the control API. */
export const followOf =
  (history: MemoryHistory): Follow =>
  (request, sink, signal) =>
    follow(history, request, sink, signal);

export const EPOCH = "epoch-1";

/** Every method of the table; those that a test needs to differ are given over. */
export function methodTable(history: MemoryHistory, over: Partial<MethodTable> = {}): MethodTable {
  const missing = () => Promise.reject(new LivedevError("test.missing", "This rig has no such method."));
  return {
    "daemon.hello": () =>
      Promise.resolve({
        protocol: RPC_PROTOCOL,
        version: "0.0.0-test",
        pid: process.pid,
        epoch: EPOCH,
        project: "/project",
        app: "shop",
        stage: "dev",
        database: history.databaseId,
      }),
    "daemon.status": missing,
    "daemon.stop": missing,
    "daemon.doctor": missing,
    "process.list": missing,
    "process.start": missing,
    "process.stop": missing,
    "process.restart": missing,
    "process.output": missing,
    "process.screen": missing,
    "process.clear": missing,
    "process.write": missing,
    "process.resize": missing,
    "stage.goLive": missing,
    "stage.plan": missing,
    "stage.deploy": missing,
    "stage.remove": missing,
    "stage.exportState": missing,
    "stage.importState": missing,
    "secret.list": missing,
    "secret.set": missing,
    "secret.remove": missing,
    "environment.get": missing,
    "debug.on": missing,
    "debug.off": missing,
    "tunnel.status": missing,
    "debug.status": missing,
    "function.list": () => Promise.resolve([]),
    "function.invoke": missing,
    "function.invokeLocal": missing,
    "invocation.replay": missing,
    "invocation.list": () => Promise.resolve([]),
    "invocation.get": missing,
    "log.list": () => Promise.resolve({ lines: [] }),
    "event.list": async (params) => {
      const { cursor, events } = await history.events(params);
      return { cursor, events: [...events] };
    },
    ...over,
  };
}

export class Rig implements AsyncDisposable {
  readonly directory: string;
  readonly socketPath: string;
  readonly history: MemoryHistory;
  rpc: Rpc;
  readonly #sockets = new Set<Wire>();

  private constructor(directory: string, socketPath: string, history: MemoryHistory, rpc: Rpc) {
    this.directory = directory;
    this.socketPath = socketPath;
    this.history = history;
    this.rpc = rpc;
  }

  static async open(
    options: { methods?: Partial<MethodTable>; history?: MemoryHistory } & Partial<
      Omit<RpcOptions, "methods">
    > = {},
  ): Promise<Rig> {
    const directory = await mkdtemp(join(tmpdir(), "livedev-rpc-"));
    const socketPath = join(directory, "run", "a.sock");
    const history = options.history ?? new MemoryHistory();
    await prepareSocket(socketPath);
    const rpc = await Rpc.open({
      follow: followOf(history),
      version: "0.0.0-test",
      log: silentLog,
      ...options,
      socketPath,
      methods: methodTable(history, options.methods),
    });
    return new Rig(directory, socketPath, history, rpc);
  }

  async wire(): Promise<Wire> {
    const wire = await Wire.open(this.socketPath);
    this.#sockets.add(wire);
    return wire;
  }

  /** `POST /rpc` with these bytes. */
  post(body: string | Uint8Array, headers: Record<string, string> = { "content-type": "application/json" }) {
    return post(this.socketPath, body, headers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const wire of this.#sockets) wire.socket.terminate();
    await this.rpc[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true, force: true });
  }
}

export type Posted = { status: number; text: string; json: () => any };

export function post(
  socketPath: string,
  body: string | Uint8Array,
  headers: Record<string, string> = {},
  method = "POST",
  path = "/rpc",
): Promise<Posted> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ socketPath, path, method, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        resolve({ status: response.statusCode ?? 0, text, json: () => JSON.parse(text) });
      });
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** A raw WebSocket: what it was sent, in order, with a way to wait for the next that fits. */
export class Wire {
  readonly socket: WebSocket;
  readonly received: any[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #waiting = new Set<() => void>();

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (data: Buffer) => {
      this.received.push(JSON.parse(data.toString()));
      for (const look of this.#waiting) look();
    });
    this.closed = new Promise((resolve) => {
      socket.once("close", (code, reason) => resolve({ code, reason: reason.toString() }));
    });
  }

  static open(socketPath: string): Promise<Wire> {
    const socket = new WebSocket("ws://livedevd/rpc", {
      createConnection: () => netConnect(socketPath),
      perMessageDeflate: false,
    });
    const wire = new Wire(socket);
    return new Promise((resolve, reject) => {
      socket.once("open", () => resolve(wire));
      socket.once("error", reject);
    });
  }

  send(message: unknown): void {
    this.socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  async call(method: string, params?: unknown, id: number | string = `c${Math.random()}`): Promise<any> {
    this.send({ jsonrpc: "2.0", id, method, params });
    return this.until((message) => message.id === id);
  }

  /** The first message, past or to come, that fits. */
  until(fits: (message: any) => boolean): Promise<any> {
    return new Promise((resolve) => {
      const look = () => {
        const found = this.received.find(fits);
        if (found === undefined) return;
        this.#waiting.delete(look);
        resolve(found);
      };
      this.#waiting.add(look);
      look();
    });
  }

  /** Sequence numbers in the order in which they came. */
  get seqs(): number[] {
    return this.received
      .filter(({ method }) => method === "events.recorded")
      .flatMap(({ params }) => params.events.map((one: RecordedEvent) => one.seq));
  }
}
