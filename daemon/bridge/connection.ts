/** One WebSocket connection of a stub: frames in, frames out. What a frame means is the session's affair. */
import type { TLSSocket } from "node:tls";

import type { RawData, WebSocket } from "ws";

import {
  decodeFrame,
  type Decoded,
  encodeFrame,
  type DownFrame,
  type UpFrame,
  FrameError,
} from "../../proto/frames.ts";
import { continuousMs } from "../lib/clock.ts";
import { type Log } from "../lib/log.ts";

/** Close codes of ours, in the range that the WebSocket protocol leaves to applications. */
export const CLOSE = {
  leaving: 1001,
  malformed: 1002,
  bug: 1011,
  /** A newer connection of the same sandbox has the session. */
  replaced: 4001,
  silent: 4002,
  refused: 4003,
  full: 4004,
} as const;

export type ConnectionEvents = {
  frame(decoded: Decoded<UpFrame>): void;
  closed(reason: string): void;
};

export class Connection {
  readonly #socket: WebSocket;
  readonly #log: Log;
  #events: ConnectionEvents | undefined;
  #reason: string | undefined;
  /** By which key the TLS handshake was made. */
  readonly key: Uint8Array;
  /** What both ends of this TLS connection, and nobody else, can compute. */
  readonly exported: Uint8Array;
  /** When it last said something, by `continuousMs()`. */
  heardAt = continuousMs();

  constructor(options: { socket: WebSocket; tls: TLSSocket; key: Uint8Array; log: Log }) {
    this.#socket = options.socket;
    this.#log = options.log;
    this.key = options.key;
    this.exported = options.tls.exportKeyingMaterial(32, "EXPERIMENTAL-livedev", Buffer.alloc(0));
    this.#socket.on("ping", () => (this.heardAt = continuousMs()));
    this.#socket.on("message", (data, isBinary) => this.#message(data, isBinary));
    this.#socket.on("error", (error) => (this.#reason ??= error.message));
    this.#socket.on("close", (code, text) => {
      this.#events?.closed(this.#reason ?? (text.toString() || `closed with code ${code}`));
    });
  }

  /** Whom frames go to from now on. */
  handle(events: ConnectionEvents): void {
    this.#events = events;
  }

  send(frame: DownFrame): void {
    this.write(encodeFrame(0, frame));
  }

  /** Writing to a connection that closes is no error: the link keeps the frame. */
  write(bytes: Uint8Array): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#log.trace({ to: "stub", code: bytes[0], bytes: bytes.length }, "frame");
    this.#socket.send(bytes, () => {});
  }

  /** Resolves when all that was written is with the kernel, or the connection is gone. */
  flushed(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.readyState !== this.#socket.OPEN) resolve();
      else this.#socket.ping(undefined, false, () => resolve());
    });
  }

  close(code: number, reason: string): void {
    this.#reason ??= reason;
    // A close reason is limited to 123 bytes.
    this.#socket.close(code, reason.slice(0, 100));
  }

  terminate(): void {
    this.#socket.terminate();
  }

  #message(data: RawData, isBinary: boolean): void {
    // ws still hands over what came in the same packet as the frame that closed the connection.
    if (this.#socket.readyState !== this.#socket.OPEN || this.#events === undefined) return;
    this.heardAt = continuousMs();
    try {
      if (!isBinary) throw new FrameError("a text message");
      const decoded = decodeFrame(data as Buffer);
      this.#log.trace({ from: "stub", type: decoded.frame.type, seq: decoded.seq }, "frame");
      this.#events.frame(decoded as Decoded<UpFrame>);
    } catch (error) {
      if (error instanceof FrameError) {
        this.#log.warn({ reason: error.message }, "a malformed frame; the connection is closed");
        this.close(CLOSE.malformed, error.message);
      } else {
        this.#log.error({ err: error }, "a frame could not be handled");
        this.close(CLOSE.bug, "internal error");
      }
    }
  }
}
