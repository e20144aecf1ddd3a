/** A client of the Chrome DevTools Protocol: requests with their answers, and what happens as it comes. */
import { WebSocket } from "ws";

import { connectionLost, debuggerFailed } from "./errors.ts";

// oxlint-disable-next-line typescript/no-explicit-any -- whatever the protocol says
export type CdpParams = Record<string, any>;

export type CdpEvent = { readonly method: string; readonly params: CdpParams };

type Message = Partial<CdpEvent> & {
  readonly id?: number;
  readonly result?: CdpParams;
  readonly error?: { readonly message: string };
};

type Waiting = { resolve(result: CdpParams): void; reject(error: Error): void };

export class Cdp implements AsyncDisposable {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, Waiting>();
  #ids = 0;
  readonly closed: Promise<void>;

  /** `onEvent` is called in order with the answers. */
  static async open(url: string, onEvent: (event: CdpEvent) => void): Promise<Cdp> {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    await new Promise<void>((resolve, reject) => {
      socket.once("open", resolve);
      socket.once("error", (error) => reject(debuggerFailed(error.message)));
    });
    return new Cdp(socket, onEvent);
  }

  private constructor(socket: WebSocket, onEvent: (event: CdpEvent) => void) {
    this.#socket = socket;
    // A close event follows each error.
    socket.on("error", () => {});
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        for (const waiting of this.#waiting.values()) waiting.reject(connectionLost());
        this.#waiting.clear();
        resolve();
      });
    });
    socket.on("message", (data: Buffer) => {
      const { id, method, params = {}, result = {}, error } = JSON.parse(data.toString()) as Message;
      if (id === undefined) {
        if (method !== undefined) onEvent({ method, params });
        return;
      }
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(debuggerFailed(error.message));
    });
  }

  send(method: string, params: CdpParams = {}): Promise<CdpParams> {
    if (this.#socket.readyState !== WebSocket.OPEN) return Promise.reject(connectionLost());
    this.#ids += 1;
    const id = this.#ids;
    this.#socket.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await this.closed;
  }
}
