/** The Runtime API from the runtime's side. */
import { Agent, type ClientRequest, type IncomingHttpHeaders } from "node:http";

import { postedError, type PostedError } from "./errors.ts";
import { printed, request } from "./taken.ts";

const PREFIX = "/2018-06-01/runtime/";
const ERROR_TYPE = "Lambda-Runtime-Function-Error-Type";
const ERROR_BODY = "Lambda-Runtime-Function-Error-Body";

export type Invocation = {
  readonly requestId: string;
  readonly headers: IncomingHttpHeaders;
  readonly event: Buffer;
  /** What is to be another in this process's environment: renewed credentials. */
  readonly environment: Readonly<Record<string, string>>;
};

type Reply = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: Buffer };

/** A response that is written as it comes. */
export type OpenResponse = {
  readonly request: ClientRequest;
  /** The Runtime API took it whole. */
  readonly taken: Promise<void>;
  endWith(error: unknown): void;
};

export class RuntimeClient {
  readonly #host: string;
  readonly #port: string;
  /** Idle connections do not keep the process alive, so an empty event loop is seen as one. */
  readonly #agent = new Agent({ keepAlive: true });

  constructor(address: string) {
    const colon = address.lastIndexOf(":");
    this.#host = address.slice(0, colon);
    this.#port = address.slice(colon + 1);
  }

  async next(): Promise<Invocation> {
    const { status, headers, body } = await this.#call("GET", "invocation/next");
    if (status !== 200) throw new Error(`The Runtime API answered /next with ${status}: ${body.toString()}`);
    const requestId = headers["lambda-runtime-aws-request-id"];
    if (typeof requestId !== "string") throw new Error("The Runtime API gave an invocation without an id");
    const renewed = headers["livedev-environment"];
    const environment =
      typeof renewed === "string" ? JSON.parse(Buffer.from(renewed, "base64").toString()) : {};
    return { requestId, headers, event: body, environment };
  }

  async respond(requestId: string, body: string): Promise<void> {
    await printed();
    await this.#call("POST", `invocation/${encodeURIComponent(requestId)}/response`, body);
  }

  async fail(requestId: string, error: unknown): Promise<void> {
    await this.#post(`invocation/${encodeURIComponent(requestId)}/error`, postedError(error));
  }

  async initError(error: unknown): Promise<void> {
    await this.#post("init/error", postedError(error));
  }

  openResponse(requestId: string, contentType: string): OpenResponse {
    const outgoing = this.#request("POST", `invocation/${encodeURIComponent(requestId)}/response`, {
      "Content-Type": contentType,
      "Lambda-Runtime-Function-Response-Mode": "streaming",
      "Transfer-Encoding": "chunked",
      Trailer: `${ERROR_TYPE}, ${ERROR_BODY}`,
    });
    const taken = replyTo(outgoing).then(() => undefined);
    // Whoever writes sees a lost connection by the write; nobody may be waiting here yet.
    taken.catch(() => undefined);
    const endWith = (error: unknown) => {
      const posted = postedError(error);
      outgoing.addTrailers({
        [ERROR_TYPE]: headerText(posted.errorType),
        [ERROR_BODY]: Buffer.from(JSON.stringify(posted)).toString("base64"),
      });
      outgoing.end();
    };
    return { request: outgoing, taken, endWith };
  }

  async #post(path: string, error: PostedError): Promise<Reply> {
    await printed();
    return this.#call("POST", path, JSON.stringify(error), { [ERROR_TYPE]: headerText(error.errorType) });
  }

  #call(method: string, path: string, body?: string, headers: Record<string, string> = {}): Promise<Reply> {
    const content =
      body === undefined
        ? {}
        : { "Content-Type": "application/json", "Content-Length": String(Buffer.byteLength(body)) };
    const outgoing = this.#request(method, path, { ...content, ...headers });
    const reply = replyTo(outgoing);
    outgoing.end(body);
    return reply;
  }

  #request(method: string, path: string, headers: Record<string, string>): ClientRequest {
    return request({
      method,
      host: this.#host,
      port: this.#port,
      path: PREFIX + path,
      headers,
      agent: this.#agent,
    });
  }
}

function replyTo(outgoing: ClientRequest): Promise<Reply> {
  return new Promise((resolve, reject) => {
    outgoing.once("error", reject);
    outgoing.once("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("error", reject);
      response.once("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
  });
}

/** An error's name is the user's and may hold what a header may not. */
const headerText = (text: string) => text.replaceAll(/[^\x20-\x7e]/g, "?");
