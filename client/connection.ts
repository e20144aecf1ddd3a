/** One WebSocket to one daemon: calls, cancels, subscriptions' notifications. Ends when the socket does. */
import { connect as netConnect } from "node:net";

import { JSONRPCClient, JSONRPCErrorException, type JSONRPCID } from "json-rpc-2.0";
import { WebSocket } from "ws";

import { LivedevError, RPC_ERROR } from "../proto/errors.ts";
import type { RpcMethod, RpcNotificationParams, RpcParams, RpcResult } from "../proto/rpc.ts";

import {
  cancelled,
  codeOf,
  connectionLost,
  daemonBug,
  daemonUnresponsive,
  requestRefused,
} from "./errors.ts";

export type Recorded = RpcNotificationParams<"events.recorded">;
export type Reset = RpcNotificationParams<"events.reset">;

export type Listener = {
  recorded(notification: Recorded): void;
  reset(notification: Reset): void;
};

export class Connection {
  readonly #socket: WebSocket;
  readonly #rpc: JSONRPCClient<JSONRPCID>;
  readonly #listeners = new Map<string, Listener>();
  /** Listeners by the id of their `events.subscribe`, whose answer names the subscription. */
  readonly #subscribing = new Map<JSONRPCID, Listener>();
  #nextId = 0;
  #open = true;
  readonly closed: Promise<void>;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    this.#rpc = new JSONRPCClient((payload: unknown) => {
      if (!this.#open) throw new Error(LOST);
      this.#socket.send(JSON.stringify(payload));
    });
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        this.#open = false;
        this.#rpc.rejectAllPendingRequests(LOST);
        resolve();
      });
    });
    // A close event follows each error and tells all that matters.
    socket.on("error", () => {});
    socket.on("message", (data: Buffer) => this.#receive(data.toString()));
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** `undefined`: nobody listens there. A daemon that hangs still accepts, by its system, and never answers. */
  static open(socketPath: string, seconds = 10): Promise<Connection | undefined> {
    return new Promise((resolve, reject) => {
      // `ws+unix:` URLs cannot name a path with a colon in it.
      const socket = new WebSocket("ws://livedevd/rpc", {
        // Until it is upgraded; then ws takes the socket's timeout away.
        createConnection: () => netConnect({ path: socketPath, timeout: seconds * 1_000 }),
        handshakeTimeout: seconds * 1_000,
        perMessageDeflate: false,
      });
      const connection = new Connection(socket);
      const failed = (error: Error) => {
        const code = codeOf(error);
        // ECONNRESET, EPIPE: the daemon closed while we knocked. EAGAIN: its queue of connections is full.
        const nobody = ["ENOENT", "ENOTDIR", "ECONNREFUSED", "ECONNRESET", "EPIPE", "EAGAIN"];
        if (code !== undefined && nobody.includes(code)) resolve(undefined);
        // 503: it is leaving.
        else if (["socket hang up", "Unexpected server response: 503"].includes(error.message))
          resolve(undefined);
        else if (error.message === "Opening handshake has timed out") reject(daemonUnresponsive(seconds));
        else reject(error);
      };
      socket.once("error", failed);
      socket.once("open", () => {
        socket.off("error", failed);
        resolve(connection);
      });
    });
  }

  call<M extends RpcMethod>(method: M, params: RpcParams<M>, signal?: AbortSignal): Promise<RpcResult<M>> {
    return this.#call(method, params, signal);
  }

  /** The listener hears everything of the subscription, from its first notification on. */
  subscribe(
    params: RpcParams<"events.subscribe">,
    listener: Listener,
  ): Promise<RpcResult<"events.subscribe">> {
    return this.#call("events.subscribe", params, undefined, listener);
  }

  async unsubscribe(subscription: string): Promise<void> {
    this.#listeners.delete(subscription);
    await this.#call("events.unsubscribe", { subscription });
  }

  async close(): Promise<void> {
    if (this.#open) {
      const end = setTimeout(() => this.#socket.terminate(), 500);
      this.#socket.close(1000);
      await this.closed;
      clearTimeout(end);
    }
    await this.closed;
  }

  async #call<M extends RpcMethod>(
    method: M,
    params: unknown,
    signal?: AbortSignal,
    listener?: Listener,
  ): Promise<RpcResult<M>> {
    if (signal?.aborted === true) throw cancelled();
    const id = (this.#nextId += 1);
    if (listener !== undefined) this.#subscribing.set(id, listener);
    let stop = () => {};
    const aborted = new Promise<never>((_resolve, reject) => {
      stop = () => {
        this.#rpc.notify("$/cancelRequest", { id }, null);
        reject(cancelled());
      };
    });
    signal?.addEventListener("abort", stop, { once: true });
    try {
      const answered = Promise.resolve(this.#rpc.requestAdvanced({ jsonrpc: "2.0", id, method, params }, id));
      const answer = await (signal === undefined ? answered : Promise.race([answered, aborted]));
      if (answer.error === undefined) return answer.result;
      const { code, message, data } = answer.error;
      throw toError(method, new JSONRPCErrorException(message, code, data));
    } finally {
      signal?.removeEventListener("abort", stop);
      this.#subscribing.delete(id);
    }
  }

  #receive(text: string): void {
    const message = JSON.parse(text);
    if (typeof message.method === "string") {
      const listener = this.#listeners.get(message.params?.subscription);
      if (message.method === "events.recorded") listener?.recorded(message.params);
      if (message.method === "events.reset") {
        this.#listeners.delete(message.params.subscription);
        listener?.reset(message.params);
      }
      return;
    }
    // Here and not behind the promise: the first notification may already wait behind the answer.
    const listener = this.#subscribing.get(message.id);
    const subscription: unknown = message.result?.subscription;
    if (listener !== undefined && typeof subscription === "string")
      this.#listeners.set(subscription, listener);
    this.#rpc.receive(message);
  }
}

const LOST = "connection lost";

function toError(method: string, error: JSONRPCErrorException): LivedevError {
  const data = error.data as { code?: unknown; hint?: unknown } | undefined;
  if (error.code === RPC_ERROR.livedev && typeof data?.code === "string") {
    return new LivedevError(data.code, error.message, typeof data.hint === "string" ? data.hint : undefined);
  }
  if (error.message === LOST) return connectionLost();
  if (error.code === RPC_ERROR.cancelled) return cancelled();
  // The specification's own errors: parse, request, method, params.
  if (error.code !== RPC_ERROR.internal && error.code <= -32600) return requestRefused(method, error.message);
  return daemonBug(method, error.message);
}
