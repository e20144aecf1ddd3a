/** Lambda's Runtime API as a test plays it: events in, and what the client posted for each. */
import { EventEmitter, once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Server } from "node:net";

export type Posted = {
  readonly to: "response" | "error";
  readonly headers: IncomingHttpHeaders;
  readonly trailers: NodeJS.Dict<string>;
  readonly body: Buffer;
};

type Pending = {
  readonly requestId: string;
  readonly event: Buffer;
  readonly timeoutMs: number;
  readonly headers: Record<string, string>;
  readonly chunk: (chunk: Buffer) => unknown;
  readonly leaves: boolean;
  readonly resolve: (posted: Posted) => void;
};

export class TestRuntimeApi extends EventEmitter {
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  readonly #queue: Pending[] = [];
  readonly #given = new Map<string, Pending>();
  #poll: ServerResponse | undefined;
  #count = 0;
  /** How many answers came for an id that was not under way: each is a fault of the client. */
  strays = 0;

  /** `listening`: a server that listens already, elsewhere than on this machine's loopback perhaps. */
  static async open(listening?: Server): Promise<TestRuntimeApi> {
    const api = new TestRuntimeApi();
    api.#server.requestTimeout = 0;
    api.#server.keepAliveTimeout = 0;
    await new Promise<void>((resolve) =>
      listening === undefined
        ? api.#server.listen(0, "127.0.0.1", resolve)
        : api.#server.listen(listening, resolve),
    );
    return api;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Resolves when a client waits for an event. */
  async polled(): Promise<void> {
    if (this.#poll === undefined) await once(this, "polled");
  }

  /** Resolves with what is posted to /init/error. */
  async initError(): Promise<Posted> {
    const [posted] = await once(this, "init.error");
    return posted as Posted;
  }

  invoke(
    event: string | Buffer,
    options: {
      timeoutMs?: number;
      requestId?: string;
      headers?: Record<string, string>;
      /** Called with each piece of the answer; the next one is read when it has resolved. */
      chunk?: (chunk: Buffer) => unknown;
      /** The caller leaves when the first piece has come. */
      leaves?: boolean;
    } = {},
  ): Promise<Posted> {
    this.#count += 1;
    const requestId = options.requestId ?? `request-${this.#count}`;
    return new Promise((resolve) => {
      this.#queue.push({
        requestId,
        event: Buffer.from(event),
        timeoutMs: options.timeoutMs ?? 30_000,
        headers: options.headers ?? {},
        chunk: options.chunk ?? (() => {}),
        leaves: options.leaves ?? false,
        resolve,
      });
      this.#hand();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #hand(): void {
    if (this.#poll === undefined) return;
    const pending = this.#queue.shift();
    if (pending === undefined) return;
    const poll = this.#poll;
    this.#poll = undefined;
    this.#given.set(pending.requestId, pending);
    poll.writeHead(200, {
      "content-type": "application/json",
      "lambda-runtime-aws-request-id": pending.requestId,
      "lambda-runtime-deadline-ms": String(Date.now() + pending.timeoutMs),
      "lambda-runtime-invoked-function-arn": "arn:aws:lambda:eu-west-1:123456789012:function:shop-dev-api",
      "lambda-runtime-trace-id": "Root=1-5e1b4151;Sampled=1",
      ...pending.headers,
    });
    poll.end(pending.event);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? "").replace("/2018-06-01/runtime/", "");
    if (request.method === "GET" && path === "invocation/next") {
      this.#poll = response;
      response.on("close", () => {
        if (this.#poll === response) this.#poll = undefined;
      });
      this.emit("polled");
      this.#hand();
      return;
    }
    const [, requestId = "", to = ""] = /^invocation\/([^/]+)\/(response|error)$/.exec(path) ?? [];
    const pending = this.#given.get(requestId);
    const chunks: Buffer[] = [];
    request.on("error", () => {});
    try {
      for await (const chunk of request) {
        chunks.push(chunk as Buffer);
        await pending?.chunk(chunk as Buffer);
        if (pending?.leaves === true) request.socket.destroy();
      }
    } catch {
      // It was cut short, by either side.
    }
    const posted: Posted = {
      to: to === "error" ? "error" : "response",
      headers: request.headers,
      trailers: request.trailers,
      body: Buffer.concat(chunks),
    };
    response.writeHead(202, { "content-type": "application/json" }).end('{"status":"OK"}');
    if (path === "init/error") this.emit("init.error", posted);
    else if (pending === undefined) this.strays += 1;
    else {
      this.#given.delete(requestId);
      pending.resolve(posted);
    }
  }
}
