/** One session with a worker's inspector. */
import { WebSocket } from "ws";

import { deferred, type Deferred } from "../lib/scope.ts";
import { textOf, type Event, type Params, type Reply } from "./wire.ts";

/** Ids of our own requests: clients count from 1. */
const OWN_IDS = 1_000_000_000;

export type ChannelOptions = {
  readonly address: string;
  /** What the client asked, answered, and what happens in the worker; not the answers to our own requests. */
  readonly received: (message: Reply | Event, text: string) => void;
  /** Once, for whatever reason. */
  readonly closed: () => void;
};

export class Channel {
  readonly #socket: WebSocket;
  readonly #own = new Map<number, Deferred<Reply>>();
  #ids = OWN_IDS;

  /** Undefined where the worker is gone. */
  static async open(options: ChannelOptions): Promise<Channel | undefined> {
    const socket = new WebSocket(options.address, {
      perMessageDeflate: false,
      // What waits for an answer goes on before the next event is looked at, also where both came in one packet.
      allowSynchronousEvents: false,
    });
    const opened = await new Promise<boolean>((resolve) => {
      socket.once("open", () => resolve(true));
      // Also for the time after it: a worker that dies resets its connections.
      socket.on("error", () => resolve(false));
    });
    if (!opened) return undefined;
    const channel = new Channel(socket, options);
    // A process that exits waits for its debuggers to go.
    void channel.ask("NodeRuntime.notifyWhenWaitingForDisconnect", { enabled: true });
    return channel;
  }

  private constructor(socket: WebSocket, { received, closed }: ChannelOptions) {
    this.#socket = socket;
    socket.on("message", (data) => {
      const text = textOf(data);
      const message = JSON.parse(text) as Reply | Event;
      if ("id" in message && message.id > OWN_IDS) {
        this.#own.get(message.id)?.resolve(message);
        this.#own.delete(message.id);
        return;
      }
      received(message, text);
      if ("method" in message && message.method === "NodeRuntime.waitingForDisconnect") this.close();
    });
    socket.once("close", () => {
      for (const [id, reply] of this.#own) reply.resolve({ id, error: { code: -32_000, message: "closed" } });
      this.#own.clear();
      closed();
    });
  }

  send(text: string): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(text);
  }

  /** Never rejects. */
  async ask(method: string, params: Params = {}): Promise<Reply> {
    this.#ids += 1;
    const id = this.#ids;
    if (this.#socket.readyState !== WebSocket.OPEN) {
      return { id, error: { code: -32_000, message: "closed" } };
    }
    const reply = deferred<Reply>();
    this.#own.set(id, reply);
    this.send(JSON.stringify({ id, method, params }));
    return reply.promise;
  }

  close(): void {
    this.#socket.close();
  }
}
