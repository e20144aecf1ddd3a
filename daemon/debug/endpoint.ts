/**
 * The port that debuggers know: `/json/version` names the root (root.ts), `/json/list` one target per function
 * (target.ts). Whoever attaches commands the functions' processes, so it is ours alone: loopback, exact Host, no web
 * page, no other user where the system tells, and ids that nobody guesses.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";

import { WebSocketServer, type WebSocket } from "ws";

import type { Log } from "../lib/log.ts";
import { strangeness } from "../lib/peer.ts";

export type Listed = { readonly id: string; readonly title: string; readonly url: string };

export type EndpointOptions = {
  readonly port: number;
  readonly root: () => string;
  /** Whether who asks is told where to attach; otherwise only who knows. */
  readonly tells: () => boolean;
  readonly targets: () => readonly Listed[];
  /** False where nothing has this id. */
  readonly connect: (id: string, socket: WebSocket) => boolean;
  readonly onRefused: (reason: string) => void;
  readonly log: Log;
};

/** A debugger sends scripts and gets heap snapshots; nobody else gets so far. */
const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;
const DEVTOOLS = "devtools://devtools";

export const addressOf = (port: number, id: string) => `ws://127.0.0.1:${port}/${id}`;

export class Endpoint implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE_BYTES,
  });
  readonly #options: EndpointOptions;

  /** Rejects where the port cannot be listened on. */
  static async open(options: EndpointOptions): Promise<Endpoint> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: "127.0.0.1", port: options.port }, resolve);
    });
    return new Endpoint(server, options);
  }

  private constructor(server: Server, options: EndpointOptions) {
    this.#server = server;
    this.#options = options;
    this.port = (server.address() as AddressInfo).port;
    const failed = (error: unknown) => options.log.error({ err: error }, "inspector");
    server.on("request", (request, response) => void this.#serve(request, response).catch(failed));
    server.on("upgrade", (request, socket, head) => void this.#upgrade(request, socket, head).catch(failed));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#sockets.clients) client.terminate();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    if (await this.#refuses(request)) return void response.writeHead(403).end();
    const { root, targets, tells } = this.#options;
    if (!tells()) return void response.writeHead(404).end();
    switch (new URL(request.url ?? "/", "http://localhost").pathname) {
      case "/json/version":
        return json(response, {
          Browser: `node.js/${process.version}`,
          "Protocol-Version": "1.1",
          webSocketDebuggerUrl: addressOf(this.port, root()),
        });
      case "/json":
      case "/json/list":
        return json(
          response,
          targets().map(({ id, title, url }) => ({
            description: "livedev function",
            devtoolsFrontendUrl: `devtools://devtools/bundled/js_app.html?experiments=true&v8only=true&ws=${addressOf(this.port, id).slice("ws://".length)}`,
            id,
            title,
            type: "node",
            url,
            webSocketDebuggerUrl: addressOf(this.port, id),
          })),
        );
      default:
        response.writeHead(404).end();
    }
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on("error", () => socket.destroy());
    if (await this.#refuses(request)) return void socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
    const id = (request.url ?? "").slice(1);
    this.#sockets.handleUpgrade(request, socket, head, (client) => {
      client.on("error", () => client.terminate());
      if (this.#options.connect(id, client)) return;
      this.#refused("nothing has the id that it asked for", request);
      client.close(1008);
    });
  }

  async #refuses(request: IncomingMessage): Promise<boolean> {
    // js-debug leaves out the port.
    const hosts = ["127.0.0.1", "localhost"].flatMap((name) => [name, `${name}:${this.port}`]);
    const reason = await strangeness(request, { hosts, origin: DEVTOOLS });
    if (reason !== undefined) this.#refused(reason, request);
    return reason !== undefined;
  }

  #refused(reason: string, { headers }: IncomingMessage): void {
    this.#options.onRefused(reason);
    this.#options.log.warn({ host: headers.host, origin: headers.origin, reason }, "a debugger was refused");
  }
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "Content-Type": "application/json; charset=UTF-8", "Cache-Control": "no-cache" });
  response.end(JSON.stringify(value));
}
