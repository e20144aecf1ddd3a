/** One WebSocket connection to livedevd, from the dial to the end. It never outlives its first sign of trouble. */
import { createHmac } from "node:crypto";
import type { ConnectionOptions, TLSSocket } from "node:tls";

import { WebSocket } from "ws";

import {
  type Decoded,
  decodeFrame,
  type DownFrame,
  encodeFrame,
  type Hello,
  type Welcome,
} from "../proto/frames.ts";
import { BRIDGE_PROTOCOL } from "../proto/version.ts";
import { throughService } from "./sealed.ts";
import { addressOf, type Settings } from "./settings.ts";

export type Dialled =
  | { readonly is: "open"; readonly connection: Connection; readonly welcome: Welcome }
  /** livedevd is there and says no; the sentence goes to the caller. */
  | { readonly is: "refused"; readonly message: string }
  /** Nobody answers there. */
  | { readonly is: "failed"; readonly message: string };

export type ConnectionEvents = {
  frame(decoded: Decoded<DownFrame>): void;
  /** A probe was answered. */
  alive(): void;
  /** `silent`: it was given up, since a probe was not. */
  closed(silent: boolean): void;
};

/** An answer is at most 6 MB in one piece; what is larger is streamed in chunks. */
const MAX_FRAME_BYTES = 8 * 1024 * 1024 + 256 * 1024;

export class Connection {
  readonly #socket: WebSocket;
  readonly #tls: TLSSocket;
  readonly #events: ConnectionEvents;
  #smoothedRttMs: number;
  #probe:
    | {
        readonly name: string;
        readonly sentAt: number;
        readonly until: number;
        readonly timer: NodeJS.Timeout;
      }
    | undefined;
  #probes = 0;
  #silent = false;
  #draining: Promise<void> | undefined;

  private constructor(socket: WebSocket, tls: TLSSocket, rttMs: number, events: ConnectionEvents) {
    this.#socket = socket;
    this.#tls = tls;
    this.#smoothedRttMs = rttMs;
    this.#events = events;
    socket.on("pong", (data) => this.#pong(data.toString()));
    socket.on("message", (data, isBinary) => this.#message(data as Buffer, isBinary));
    socket.on("close", () => this.#closed());
  }

  /**
   * `settled` is called once, within `timeoutMs`; `events` only for a connection that opened, and after it. A callback,
   * since the frames behind the welcome may come in the same turn, before a promise would have told of the opening.
   */
  static dial(options: {
    settings: Settings;
    hello: Pick<Hello, "sandbox" | "epoch" | "received" | "environment">;
    timeoutMs: number;
    events: ConnectionEvents;
    settled(dialled: Dialled): void;
  }): void {
    const { settings } = options;
    const address = addressOf(settings);
    let tls: TLSSocket | undefined;
    let saidHelloAt = 0;
    // ws hands these on to tls.connect(); its types know of the HTTP request's options only.
    const tlsOptions: ConnectionOptions & { createConnection?: unknown } = {
      minVersion: "TLSv1.3",
      // The key proves both ends to each other. A server that does not know it could still come with a certificate:
      // no authority is trusted, so that handshake fails, and the hello, which holds credentials, is never said.
      pskCallback: () => ({ identity: settings.keyId, psk: settings.key }),
      checkServerIdentity: () => undefined,
      ca: [],
      ...(address.protocol === "wss:" && { createConnection: throughService(address, options.timeoutMs) }),
    };
    const socket = new WebSocket(`wss://${address.host}/`, {
      ...(tlsOptions as object),
      perMessageDeflate: false,
      maxPayload: MAX_FRAME_BYTES,
    });
    socket.binaryType = "nodebuffer";
    let isSettled = false;
    const settle = (dialled: Dialled) => {
      if (isSettled) return;
      isSettled = true;
      clearTimeout(late);
      socket.off("message", first).off("close", closed);
      if (dialled.is !== "open") socket.terminate();
      options.settled(dialled);
    };
    const failed = (message: string) => settle({ is: "failed", message });
    const closed = () => failed("the connection was closed");
    const first = (data: Buffer) => {
      const decoded = decode(data);
      if (decoded?.frame.type === "refuse") settle({ is: "refused", message: decoded.frame.message });
      else if (decoded?.frame.type !== "welcome" || tls === undefined)
        failed("livedevd's greeting was malformed");
      else {
        const connection = new Connection(socket, tls, performance.now() - saidHelloAt, options.events);
        settle({ is: "open", connection, welcome: decoded.frame });
      }
    };
    const late = setTimeout(() => failed(`no connection within ${options.timeoutMs} ms`), options.timeoutMs);
    socket.on("upgrade", (response) => (tls = response.socket as TLSSocket));
    socket.on("open", () => {
      tls?.setNoDelay(true);
      saidHelloAt = performance.now();
      const hello: Hello = {
        type: "hello",
        protocol: BRIDGE_PROTOCOL,
        app: settings.app,
        stage: settings.stage,
        functionName: settings.functionName,
        // The process is as old as its environment.
        ageMs: performance.now(),
        proof: proofOf(tls as TLSSocket, settings.key),
        ...options.hello,
      };
      socket.send(encodeFrame(0, hello));
    });
    socket.on("message", first);
    socket.on("close", closed);
    // Stays for the life of the socket: "close" follows every error.
    socket.on("error", (error: NodeJS.ErrnoException) => {
      // A TLS alert: somebody listens there, but with another key.
      if (error.code === "EPROTO") settle({ is: "refused", message: KEY_REFUSED });
      else failed(error.message);
    });
  }

  get open(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** No sign of life for this long after a probe means a dead connection. */
  get patienceMs(): number {
    return Math.max(150, 4 * this.#smoothedRttMs + 100);
  }

  write(bytes: Uint8Array): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(bytes, () => {});
  }

  /** Resolves true when `bytes` have left this process, false when the connection is gone before. */
  flush(bytes: Uint8Array): Promise<boolean> {
    return new Promise((resolve) => {
      if (!this.open) resolve(false);
      else this.#socket.send(bytes, (error) => resolve(error ? false : this.#drained()));
    });
  }

  async #drained(): Promise<boolean> {
    if (this.#tls.writableLength > 0) {
      // One wait for all: a stalled line may have many acks behind it.
      this.#draining ??= new Promise<void>((resolve) => {
        const done = () => {
          this.#tls.off("drain", done).off("close", done);
          this.#draining = undefined;
          resolve();
        };
        this.#tls.on("drain", done).on("close", done);
      });
      await this.#draining;
    }
    return this.open;
  }

  /**
   * Asks for a sign of life. Written before a frame that matters, it tells within one round trip whether the
   * connection outlived a freeze, however large that frame is. No pong, and no byte moved either way, within the
   * patience: the connection is closed. Only the pong counts: data of before the freeze may still lie in the kernel.
   * One that is more patient, perhaps from before the freeze, gives way.
   */
  probe(patienceMs = this.patienceMs): void {
    const sentAt = performance.now();
    const until = sentAt + patienceMs;
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    if (this.#probe !== undefined && this.#probe.until <= until) return;
    this.#endProbe();
    this.#probes += 1;
    const name = String(this.#probes);
    this.#probe = { name, sentAt, until, timer: this.#watch(name, patienceMs) };
    this.#socket.ping(name);
  }

  terminate(): void {
    this.#socket.terminate();
  }

  #watch(name: string, patienceMs: number): NodeJS.Timeout {
    const { bytesRead, writableLength } = this.#tls;
    const verdict = () => {
      if (this.#probe?.name !== name) return;
      // A large frame on a slow line: the pong stands behind it.
      const moved = this.#tls.bytesRead > bytesRead || this.#tls.writableLength < writableLength;
      if (moved) {
        this.#probe = { ...this.#probe, timer: this.#watch(name, patienceMs) };
        return;
      }
      this.#silent = true;
      this.#socket.terminate();
    };
    // Where this process is late itself, the pong lies unread: a turn of the event loop reads it.
    return setTimeout(() => setImmediate(() => setImmediate(verdict)), patienceMs);
  }

  #pong(name: string): void {
    if (this.#probe?.name !== name) return;
    const rttMs = performance.now() - this.#probe.sentAt;
    this.#smoothedRttMs += (rttMs - this.#smoothedRttMs) / 8;
    this.#endProbe();
    this.#events.alive();
  }

  #endProbe(): void {
    clearTimeout(this.#probe?.timer);
    this.#probe = undefined;
  }

  #message(data: Buffer, isBinary: boolean): void {
    const decoded = isBinary ? decode(data) : undefined;
    if (decoded === undefined) this.#socket.terminate();
    else this.#events.frame(decoded);
  }

  #closed(): void {
    this.#endProbe();
    this.#events.closed(this.#silent);
  }
}

const KEY_REFUSED =
  "livedevd does not accept this stub's key: run `livedevd start` to deploy the stub again.";

const proofOf = (tls: TLSSocket, key: Buffer): string =>
  createHmac("sha256", key)
    .update(tls.exportKeyingMaterial(32, "EXPERIMENTAL-livedev", Buffer.alloc(0)))
    .digest("hex");

function decode(data: Buffer): Decoded<DownFrame> | undefined {
  try {
    return decodeFrame(data) as Decoded<DownFrame>;
  } catch {
    return undefined;
  }
}
