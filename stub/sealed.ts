/**
 * The way through a service that ends TLS (`wss://…`): a WebSocket to it, and in that TLS by the stage's key once more,
 * so that it carries sealed bytes. Whether its certificate is good is checked as for any website.
 */
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";

import { createWebSocketStream, WebSocket } from "ws";

/** livedevd takes no larger messages: who sends them need not know the key yet. */
const PIECE_BYTES = 64 * 1024;

type Connected = (error: Error | null, socket?: TLSSocket) => void;

/** For ws, in the place of its own connection. */
export function throughService(address: URL, timeoutMs: number) {
  return (options: ConnectionOptions, connected: Connected): undefined => {
    const outer = new WebSocket(address, { perMessageDeflate: false, handshakeTimeout: timeoutMs });
    let failure: Error | undefined;
    // Without its code, which would tell of the service's TLS where ours is meant.
    outer.on("error", ({ message }) => (failure ??= new Error(message)));
    const failed = () => connected(failure ?? new Error("the connection was closed"));
    outer.once("close", failed);
    outer.once("open", () => {
      outer.off("close", failed);
      const way = createWebSocketStream(outer);
      way.on("error", () => outer.terminate());
      way._write = (bytes: Buffer, _encoding, written) => {
        const last = Math.max(0, bytes.length - PIECE_BYTES);
        let at = 0;
        for (; at < last; at += PIECE_BYTES) outer.send(bytes.subarray(at, at + PIECE_BYTES));
        outer.send(bytes.subarray(at), written);
      };
      const tls = connect({ ...options, socket: way });
      tls.once("close", () => outer.terminate());
      connected(null, tls);
    });
  };
}
