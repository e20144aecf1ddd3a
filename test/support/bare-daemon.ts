/** Speaks the bridge's frames as a daemon, by hand: for what no real one would say. */
import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";

import { WebSocketServer } from "ws";

import { decodeFrame, type DownFrame, encodeFrame, type Invoke } from "../../proto/frames.ts";
import { BRIDGE_PROTOCOL } from "../../proto/version.ts";
import { KEY } from "./stub.ts";

export type Say = (frame: DownFrame, payload?: string | Uint8Array) => void;

export class BareDaemon implements AsyncDisposable {
  readonly #server = createServer({
    minVersion: "TLSv1.3",
    pskCallback: () => Buffer.from(KEY, "hex"),
  });
  readonly #sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  connections = 0;

  static async open(invoked: (invoke: Invoke, event: Uint8Array, say: Say) => void): Promise<BareDaemon> {
    const daemon = new BareDaemon();
    daemon.#server.on("upgrade", (request, socket, head) => {
      daemon.#sockets.handleUpgrade(request, socket, head, (stub) => {
        daemon.connections += 1;
        let sent = 0;
        const say: Say = (frame, payload = "") => {
          const sequenced = frame.type !== "welcome" && frame.type !== "ack" && frame.type !== "refuse";
          stub.send(encodeFrame(sequenced ? (sent += 1) : 0, frame, Buffer.from(payload)));
        };
        stub.on("error", () => {});
        stub.on("message", (data: Buffer) => {
          const { frame, seq, payload } = decodeFrame(data);
          if (frame.type === "hello")
            say({
              type: "welcome",
              protocol: BRIDGE_PROTOCOL,
              epoch: String(daemon.connections),
              received: 0,
            });
          if (seq > 0) say({ type: "ack", received: seq });
          if (frame.type === "invoke") invoked(frame, payload, say);
        });
      });
    });
    daemon.#server.listen(0, "127.0.0.1");
    await once(daemon.#server, "listening");
    return daemon;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}
