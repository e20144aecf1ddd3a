/**
 * A man in the middle who knows the stage's key: he ends the stub's TLS, speaks to the daemon over one of his own, and
 * so sees the frames, and can cut the connection at any one of them. A hello is signed again, since its proof is bound
 * to the connection that it travels over.
 */
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";

import { WebSocket, WebSocketServer } from "ws";

import { type Decoded, decodeFrame, encodeFrame, type FrameType } from "../../proto/frames.ts";

export type Side = "stub" | "daemon";

/**
 * When the connection breaks, seen from the frame: the peer never has it; the peer has it and what it said to it is
 * lost; the peer has it and the sender knows.
 */
export type Phase = "before" | "unacked" | "acked";
export const PHASES: readonly Phase[] = ["before", "unacked", "acked"];

export type Cut = { readonly type: FrameType; readonly to: Side; readonly phase: Phase };

type Pair = {
  readonly sockets: Readonly<Record<Side, WebSocket>>;
  /** Frames from this side are dropped: what it says is lost. */
  deaf: Side | undefined;
  /** The cut waits until this seq is acked towards the sender. */
  awaiting: { readonly from: Side; readonly seq: number } | undefined;
};

const TLS = {
  minVersion: "TLSv1.3",
  checkServerIdentity: () => undefined,
  perMessageDeflate: false,
} as const;

export class FrameProxy implements AsyncDisposable {
  readonly #target: number;
  readonly #key: Buffer;
  readonly #keyId: string;
  readonly #server;
  readonly #sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  readonly #pairs = new Set<Pair>();
  /** Is carried out once, then it is undefined. */
  cut: Cut | undefined;
  cuts = 0;

  private constructor(options: { target: number; key: string; keyId: string }) {
    this.#target = options.target;
    this.#key = Buffer.from(options.key, "hex");
    this.#keyId = options.keyId;
    this.#server = createServer({ minVersion: "TLSv1.3", pskCallback: () => this.#key });
    this.#server.on("upgrade", (request, socket, head) => {
      this.#sockets.handleUpgrade(request, socket, head, (stub) => void this.#carry(stub));
    });
    this.#server.on("tlsClientError", () => {});
  }

  static async open(options: { target: number; key: string; keyId: string }): Promise<FrameProxy> {
    const proxy = new FrameProxy(options);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** All connections break. */
  cutAll(): void {
    for (const pair of this.#pairs) this.#end(pair);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cutAll();
    this.#server.closeAllConnections();
    await closed;
  }

  async #carry(stub: WebSocket): Promise<void> {
    const early: Buffer[] = [];
    stub.on("message", (data: Buffer) => early.push(data));
    stub.on("error", () => {});
    const daemon = new WebSocket(`wss://127.0.0.1:${this.#target}`, {
      ...TLS,
      pskCallback: () => ({ psk: this.#key, identity: this.#keyId }),
    } as never);
    daemon.on("error", () => {});
    const pair: Pair = { sockets: { stub, daemon }, deaf: undefined, awaiting: undefined };
    this.#pairs.add(pair);
    stub.on("close", () => this.#end(pair));
    daemon.on("close", () => this.#end(pair));
    daemon.on("message", (data: Buffer) => void this.#pass(pair, data, "stub"));
    await new Promise((resolve) => daemon.once("open", resolve).once("close", resolve));
    stub.removeAllListeners("message");
    stub.on("message", (data: Buffer) => void this.#pass(pair, data, "daemon"));
    for (const data of early) void this.#pass(pair, data, "daemon");
  }

  async #pass(pair: Pair, data: Buffer, to: Side): Promise<void> {
    const from = to === "stub" ? "daemon" : "stub";
    if (pair.deaf === from) return;
    const decoded = decodeFrame(data);
    const { cut } = this;
    const hit = cut !== undefined && cut.to === to && cut.type === decoded.frame.type;
    if (hit) this.cut = undefined;
    if (hit && cut.phase === "before") return this.#break(pair);
    if (hit && cut.phase === "unacked") pair.deaf = to;
    pair.sockets[to].send(this.#signed(decoded, pair) ?? data);
    if (hit && cut.phase === "acked" && decoded.seq > 0) pair.awaiting = { from, seq: decoded.seq };
    else if (hit) {
      await this.#read(pair.sockets[to]);
      // Whatever it said to that is with the sender.
      if (cut.phase === "acked") await this.#read(pair.sockets[from]);
      this.#break(pair);
    }
    const { awaiting } = pair;
    if (awaiting?.from !== to || decoded.frame.type !== "ack" || decoded.frame.received < awaiting.seq)
      return;
    await this.#read(pair.sockets[to]);
    this.#break(pair);
  }

  /** Resolves when that end has read all that was sent to it, or is gone: a pong stands behind it. */
  async #read(socket: WebSocket): Promise<void> {
    if (socket.readyState !== WebSocket.OPEN) return;
    const read = new Promise<void>((resolve) => socket.once("pong", () => resolve()).once("close", resolve));
    socket.ping();
    await read;
  }

  #break(pair: Pair): void {
    this.cuts += 1;
    this.#end(pair);
  }

  #end(pair: Pair): void {
    this.#pairs.delete(pair);
    pair.sockets.stub.terminate();
    pair.sockets.daemon.terminate();
  }

  #signed({ frame }: Decoded, { sockets }: Pair): Uint8Array | undefined {
    if (frame.type !== "hello") return undefined;
    const tls = (sockets.daemon as unknown as { _socket: TLSSocket | null })._socket;
    if (tls === null) return undefined;
    const exported = tls.exportKeyingMaterial(32, "EXPERIMENTAL-livedev", Buffer.alloc(0));
    const proof = createHmac("sha256", this.#key).update(exported).digest("hex");
    return encodeFrame(0, { ...frame, proof });
  }
}
