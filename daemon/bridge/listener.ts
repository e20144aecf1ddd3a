/**
 * The port that stubs connect to: TLS 1.3 by the stage's key (PSK, so there is no certificate to make, pin or renew)
 * and a WebSocket in it. Who does not know the key does not get past the handshake.
 */
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";

import { WebSocketServer } from "ws";

import { bridgeCannotListen, codeOf } from "../lib/errors.ts";
import { componentLog, type Log } from "../lib/log.ts";
import { nextLook } from "../lib/looks.ts";
import { deferred, Scope } from "../lib/scope.ts";
import { CLOSE, Connection } from "./connection.ts";

export type StageKey = { readonly keyId: string; readonly key: Uint8Array };

/** An event is at most 6 MB; beside it stand the frame's header and some room. More is an attack, or a bug. */
const MAX_FRAME_BYTES = 8 * 1024 * 1024 + 256 * 1024;
/** Beyond the connections that the bridge serves: those on their way, by which it learns that it must make room. */
const MORE_SOCKETS = 100;
/**
 * After so long a silence the system asks the other end's, and drops who is gone (Linux: after 11 minutes more). A
 * sandbox that is frozen for longer is dropped with them: it comes back by a new connection, to the same session.
 */
const KEEP_ALIVE_MS = 30 * 60 * 1_000;
const HANDSHAKE_MS = 5_000;
/** How long a stub has to answer the close before its socket is destroyed. */
const CLOSE_MS = 300;

export type Listener = {
  readonly address: string;
  /** Resolves when nobody can connect any more, though it was not closed; who is connected stays so. */
  readonly lost: Promise<Error>;
  /** A connection that came another way. */
  take(way: Duplex): void;
  close(): Promise<void>;
};

export async function listen(options: {
  host: string;
  port: number;
  maxConnections: number;
  keys(): readonly StageKey[];
  connected(connection: Connection): void;
  /** Told why somebody did not get through to the bridge. */
  onRefused?: ((reason: string) => void) | undefined;
  log: Log;
}): Promise<Listener> {
  const wire = componentLog(options.log, "wire");
  const keyOf = new WeakMap<object, Uint8Array>();
  const server = createServer({
    minVersion: "TLSv1.3",
    handshakeTimeout: HANDSHAKE_MS,
    pskCallback(socket, identity) {
      const key = options.keys().find((candidate) => candidate.keyId === identity)?.key;
      if (key === undefined) return null;
      keyOf.set(socket, key);
      return key;
    },
  });
  server.headersTimeout = HANDSHAKE_MS;
  server.requestTimeout = HANDSHAKE_MS;
  server.maxConnections = options.maxConnections + MORE_SOCKETS;
  server.on("request", (_request, response) => response.writeHead(426, { connection: "close" }).end());
  server.on("tlsClientError", (error) => {
    options.log.debug({ reason: error.message }, "a TLS handshake failed");
    // A stub whose way was cut within its handshake is no stranger.
    if (codeOf(error) !== "ECONNRESET") options.onRefused?.("it is not TLS with this stage's key");
  });

  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_FRAME_BYTES,
    perMessageDeflate: false,
    clientTracking: true,
  });
  server.on("upgrade", (request, socket, head) => {
    const key = keyOf.get(socket);
    if (key === undefined || !(socket instanceof TLSSocket)) {
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      options.connected(new Connection({ socket: webSocket, tls: socket, key, log: wire }));
    });
  });

  const scope = new Scope();
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(bridgeCannotListen(options.host, options.port, error)));
    server.listen(options.port, options.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  const lost = deferred<Error>();
  server.on("error", (error) => {
    // What it still holds of the port is given back: another is opened there.
    server.close();
    lost.resolve(error);
  });
  void look();
  async function look(): Promise<void> {
    while (await nextLook(scope.signal)) {
      if (!server.listening) return lost.resolve(new Error("it does not listen any more"));
    }
  }
  scope.defer(async () => {
    const closed = Promise.all([
      new Promise((resolve) => server.close(resolve)),
      ...[...sockets.clients].map((socket) => new Promise((resolve) => socket.once("close", resolve))),
    ]);
    for (const socket of sockets.clients) socket.close(CLOSE.leaving, "livedevd is leaving");
    const late = setTimeout(() => {
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
    }, CLOSE_MS);
    await closed;
    clearTimeout(late);
    sockets.close();
  });
  return {
    address: `tls://${options.host}:${port}`,
    lost: lost.promise,
    take: (way) => void server.emit("connection", way),
    close: () => scope.close(),
  };
}
