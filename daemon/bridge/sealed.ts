/**
 * The port for a service that ends TLS and passes its WebSockets on in clear. In each, TLS by the stage's key begins
 * once more, so that the service carries sealed bytes; what comes of it is a connection as at the bridge's own port.
 */
import { createServer } from "node:http";
import type { Duplex } from "node:stream";

import { createWebSocketStream, WebSocketServer } from "ws";

import { bridgeCannotListen } from "../lib/errors.ts";
import { deferred } from "../lib/scope.ts";

/** A stub sends pieces of 64 KB. */
const MAX_MESSAGE_BYTES = 256 * 1024;
const HEADERS_MS = 5_000;
/** Such services cut who says nothing for a minute, also in the middle of a long invocation. */
const SIGN_OF_LIFE_MS = 25_000;

export type SealedPort = { readonly lost: Promise<Error>; close(): Promise<void> };

export async function listenSealed(options: {
  host: string;
  port: number;
  maxConnections: number;
  readonly take: (way: Duplex) => void;
  onRefused?: ((reason: string) => void) | undefined;
}): Promise<SealedPort> {
  const { host, port, maxConnections, take, onRefused } = options;
  const server = createServer((_request, response) => response.writeHead(426, { connection: "close" }).end());
  server.headersTimeout = HEADERS_MS;
  server.requestTimeout = HEADERS_MS;
  server.maxConnections = maxConnections;
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
    clientTracking: true,
  });
  server.on("upgrade", (request, socket, head) => {
    // A stub has none: this is a web page. It could not say anything here, but need not try.
    if (request.headers.origin !== undefined) {
      onRefused?.("a web page's request");
      socket.destroy();
      return;
    }
    sockets.handleUpgrade(request, socket, head, (outer) => {
      const way = createWebSocketStream(outer);
      way.on("error", () => outer.terminate());
      way.once("close", () => outer.terminate());
      take(way);
    });
  });
  const signs = setInterval(() => {
    for (const socket of sockets.clients) socket.ping();
  }, SIGN_OF_LIFE_MS);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => {
      clearInterval(signs);
      reject(bridgeCannotListen(host, port, error));
    });
    server.listen(port, host, resolve);
  });
  const lost = deferred<Error>();
  server.on("error", (error) => {
    server.close();
    lost.resolve(error);
  });
  return {
    lost: lost.promise,
    close: async () => {
      clearInterval(signs);
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      await closed;
      sockets.close();
    },
  };
}
