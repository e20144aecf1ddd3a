/**
 * The control API's server: JSON-RPC 2.0 on the control socket, by `POST /rpc` and by WebSocket at `/rpc`. The methods
 * are given; only what belongs to the API itself (`rpc.discover`, `events.*`) is answered here.
 */
import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

import { fastify, type FastifyInstance } from "fastify";
import type { JSONRPCID } from "json-rpc-2.0";
import { WebSocketServer } from "ws";

import { RPC, type RpcMethod } from "../../proto/rpc.ts";
import { messageOf, webSocketOnly } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { Scope } from "../lib/scope.ts";
import { WITHOUT_SCHEMAS } from "../lib/without-schemas.ts";

import { Connection } from "./connection.ts";
import { Dispatcher, type Caller } from "./dispatch.ts";
import type { Follow, MethodContext, MethodTable } from "./methods.ts";
import { openRpcDocument } from "./openrpc.ts";
import { checkSocketDirectory, listen } from "./socket.ts";
import { SocketKeeper } from "./socket-keeper.ts";

const MAX_MESSAGE_BYTES = 8 * 1024 * 1024;
const PATH = "/rpc";

export type RpcOptions = {
  /** Made ready by `prepareSocket`, by the holder of the daemon's lock. */
  readonly socketPath: string;
  readonly methods: MethodTable;
  readonly follow: Follow;
  /** livedev's version, for `rpc.discover`. */
  readonly version: string;
  /** Told why a WebSocket was refused. */
  readonly onRefused?: (reason: string) => void;
  readonly log: Log;
  /** A subscriber that reads nothing for so long is told `slow`. */
  readonly slowMs?: number;
  /** How often to look whether the socket's file is still there. */
  readonly keepMs?: number;
};

export class Rpc implements AsyncDisposable {
  readonly socketPath: string;
  readonly #options: RpcOptions;
  readonly #scope = new Scope();
  readonly #dispatcher: Dispatcher;
  readonly #connections = new Map<number, Connection>();
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
  });
  #connectionCount = 0;

  private constructor(options: RpcOptions) {
    this.socketPath = options.socketPath;
    this.#options = options;
    this.#dispatcher = new Dispatcher({ log: options.log });
    this.#addMethods();
  }

  static async open(options: RpcOptions): Promise<Rpc> {
    const rpc = new Rpc(options);
    try {
      await rpc.#listen();
      return rpc;
    } catch (error) {
      await rpc.#scope.close();
      throw error;
    }
  }

  /** WebSocket clients connected now. */
  get connections(): number {
    return this.#connections.size;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }

  async #listen(): Promise<void> {
    const { socketPath, log, keepMs } = this.#options;
    await checkSocketDirectory(socketPath);
    const app = fastify({
      ...WITHOUT_SCHEMAS,
      logger: false,
      bodyLimit: MAX_MESSAGE_BYTES,
      forceCloseConnections: "idle",
    });
    this.#route(app);
    this.#scope.defer(() => closeWithin(app, 1_000));
    await app.ready();
    app.server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
    await listen(app.server, socketPath);
    this.#scope.use(
      SocketKeeper.open({ server: app.server, path: socketPath, log, everyMs: keepMs ?? 2_000 }),
    );
    this.#scope.defer(async () => {
      this.#webSockets.close();
      await Promise.all(
        [...this.#connections.values()].map((connection) => connection[Symbol.asyncDispose]()),
      );
    });
  }

  // ---- HTTP

  #route(app: FastifyInstance): void {
    app.removeAllContentTypeParsers();
    app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
    app.post(PATH, async (request, reply) => {
      const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
      if (!isUtf8(body)) return reply.code(400).send(PARSE_ERROR);

      // Not AbortSignal.any: on Node 20 each such signal stays known to the long-lived one.
      const gone = new AbortController();
      const abort = () => gone.abort(new Error("the caller is gone"));
      this.#scope.signal.addEventListener("abort", abort);
      const sent = new Promise<void>((resolve) => reply.raw.once("close", resolve));
      void sent.then(() => {
        this.#scope.signal.removeEventListener("abort", abort);
        abort();
      });
      const caller: Caller = {
        signal: gone.signal,
        inProgress: new Map<JSONRPCID, AbortController>(),
      };
      const { text, afterwards } = await this.#dispatcher.receive(body.toString(), caller);
      if (afterwards.length > 0) void sent.then(() => afterwards.forEach((then) => then()));
      if (text === undefined) return reply.code(204).send();
      return reply.type("application/json; charset=utf-8").send(text);
    });
    app.setNotFoundHandler((_request, reply) =>
      reply.code(404).send({ error: "The control API answers POST /rpc and WebSocket /rpc." }),
    );
    app.setErrorHandler((error, _request, reply) => {
      const status = statusOf(error);
      if (status === 413) {
        return reply.code(413).send(invalidRequest(`longer than ${MAX_MESSAGE_BYTES} bytes`));
      }
      if (status >= 500) this.#options.log.error({ err: error }, "a control request failed");
      return reply.code(status).send(invalidRequest(messageOf(error)));
    });
  }

  // ---- WebSocket

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // A client that comes while we leave is to come again, as ws itself says once it is closed.
    if (this.#scope.closed) return refuse(socket, "503 Service Unavailable");
    // No browser can reach a Unix socket by itself: an Origin means that something forwards web pages here.
    if (request.url !== PATH || request.headers.origin !== undefined) {
      this.#options.onRefused?.(
        request.url === PATH ? "a web page sent it" : "there is no WebSocket at its path",
      );
      return refuse(socket, "404 Not Found");
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      const id = (this.#connectionCount += 1);
      const connection = new Connection({
        id,
        socket: webSocket,
        dispatcher: this.#dispatcher,
        follow: this.#options.follow,
        slowMs: this.#options.slowMs ?? 30_000,
        log: this.#options.log,
      });
      this.#connections.set(id, connection);
      void connection.closed.then(() => this.#connections.delete(id));
    });
  }

  // ---- methods

  #addMethods(): void {
    const { methods, version } = this.#options;
    for (const name of Object.keys(RPC) as RpcMethod[]) {
      if (name === "rpc.discover" || name === "events.subscribe" || name === "events.unsubscribe") continue;
      // Each name's schema and method belong together; TypeScript cannot follow that through the loop.
      const method = methods[name] as (params: unknown, context: MethodContext) => Promise<unknown>;
      this.#dispatcher.add(name, RPC[name].params, (params, context) => method(params, context));
    }
    this.#dispatcher.add("rpc.discover", RPC["rpc.discover"].params, () => openRpcDocument(version));
    this.#dispatcher.add("events.subscribe", RPC["events.subscribe"].params, (params, context, caller) =>
      this.#connectionOf(caller, "events.subscribe").subscribe(params, context.afterAnswer),
    );
    this.#dispatcher.add(
      "events.unsubscribe",
      RPC["events.unsubscribe"].params,
      (params, _context, caller) => {
        this.#connectionOf(caller, "events.unsubscribe").unsubscribe(params.subscription);
        return {};
      },
    );
  }

  #connectionOf(caller: Caller, method: string): Connection {
    const connection = caller.connection && this.#connections.get(caller.connection.id);
    if (connection === undefined) throw webSocketOnly(method);
    return connection;
  }
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

const PARSE_ERROR = { jsonrpc: "2.0", id: null, error: { code: -32700, message: "Parse error: not UTF-8" } };

const invalidRequest = (what: string) => ({
  jsonrpc: "2.0",
  id: null,
  error: { code: -32600, message: `Invalid Request: ${what}` },
});

function statusOf(error: unknown): number {
  const known = typeof error === "object" && error !== null && "statusCode" in error;
  return known && typeof error.statusCode === "number" ? error.statusCode : 500;
}

/** Answers in progress may finish; what a method holds up longer is cut off. */
async function closeWithin(app: FastifyInstance, ms: number): Promise<void> {
  const cut = setTimeout(() => app.server.closeAllConnections(), ms);
  await app.close();
  clearTimeout(cut);
}
