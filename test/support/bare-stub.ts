/** Speaks the bridge's frames as a stub, by hand: for what no real one would say, and to measure the daemon alone. */
import { createHmac, randomBytes } from "node:crypto";
import type { TLSSocket } from "node:tls";

import { WebSocket } from "ws";

import { decodeFrame, type Decoded, type DownFrame, encodeFrame, type Hello } from "../../proto/frames.ts";
import { BRIDGE_PROTOCOL } from "../../proto/version.ts";

export type BareStubOptions = {
  readonly port: number;
  readonly key: Uint8Array;
  readonly keyId: string;
  readonly app: string;
  readonly stage: string;
  readonly functionName: string;
};

export class BareStub {
  readonly socket: WebSocket;
  /** Each frame that came, of which nothing is acked here. */
  onFrame: (decoded: Decoded<DownFrame>) => void = () => {};
  #sent = 0;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (data: Buffer) => this.onFrame(decodeFrame(data) as Decoded<DownFrame>));
    socket.on("error", () => {});
  }

  /** With its TLS connection; it has not said hello. */
  static async dial({
    port,
    key,
    keyId,
  }: Pick<BareStubOptions, "port" | "key" | "keyId">): Promise<BareStub> {
    const socket = new WebSocket(`wss://127.0.0.1:${port}`, {
      pskCallback: () => ({ psk: key, identity: keyId }),
      checkServerIdentity: () => undefined,
      minVersion: "TLSv1.3",
      perMessageDeflate: false,
    } as never);
    await new Promise<void>((resolve, reject) => socket.once("open", resolve).once("error", reject));
    return new BareStub(socket);
  }

  /** Said hello, and was welcomed. */
  static async open(options: BareStubOptions, hello: Partial<Hello> = {}): Promise<BareStub> {
    const stub = await BareStub.dial(options);
    stub.hello(options, hello);
    await new Promise<void>((resolve, reject) => {
      stub.onFrame = ({ frame }) => {
        if (frame.type === "welcome") resolve();
        else if (frame.type === "refuse") reject(new Error(frame.message));
      };
    });
    stub.onFrame = () => {};
    return stub;
  }

  hello({ key, app, stage, functionName }: BareStubOptions, more: Partial<Hello> = {}): void {
    const tls = (this.socket as unknown as { _socket: TLSSocket })._socket;
    const exported = tls.exportKeyingMaterial(32, "EXPERIMENTAL-livedev", Buffer.alloc(0));
    this.socket.send(
      encodeFrame(0, {
        type: "hello",
        protocol: BRIDGE_PROTOCOL,
        app,
        stage,
        functionName,
        sandbox: randomBytes(8).toString("hex"),
        epoch: null,
        received: 0,
        proof: createHmac("sha256", key).update(exported).digest("hex"),
        environment: {},
        ...more,
      }),
    );
  }

  ack(seq: number): void {
    this.socket.send(encodeFrame(0, { type: "ack", received: seq }));
  }

  /** Sends an event under a new key; gives the frame's seq. */
  invoke(event: string, requestId?: string): number {
    const { seq, bytes } = this.invokeFrame(event, requestId);
    this.socket.send(bytes);
    return seq;
  }

  /** The next frame, to be sent by hand. */
  invokeFrame(
    event: string,
    requestId = randomBytes(16).toString("hex"),
  ): { readonly seq: number; readonly bytes: Uint8Array } {
    this.#sent += 1;
    const key = { requestId, nonce: randomBytes(16).toString("hex") };
    const fields = { remainingMs: 30_000, deadlineAt: Date.now() + 30_000, functionArn: "arn:bare" };
    const bytes = encodeFrame(this.#sent, { type: "invoke", key, ...fields }, Buffer.from(event));
    return { seq: this.#sent, bytes };
  }

  close(): void {
    this.socket.terminate();
  }
}
