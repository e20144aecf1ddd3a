/**
 * Lambda's Runtime API as one environment's process sees it. Payloads are bytes both ways: nothing is parsed.
 *
 * @see https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import {
  errorAnswer,
  MAX_PAYLOAD_BYTES,
  tooLarge,
  StreamError,
  type Answer,
  type BufferedAnswer,
} from "../../proto/answer.ts";
import type { Log } from "../lib/log.ts";
import { strangeness } from "../lib/peer.ts";
import { deferred } from "../lib/scope.ts";
import { Session, type InitOutcome, type Refusal, type RuntimeInvocation, type Turn } from "./session.ts";

const PREFIX = "/2018-06-01/runtime/";
const ERROR_TYPE = "lambda-runtime-function-error-type";
const ERROR_BODY = "lambda-runtime-function-error-body";
/** JSON in base64: with the event, so that neither comes without the other. */
const ENVIRONMENT = "Livedev-Environment";
const RESPONSE_MODE = "lambda-runtime-function-response-mode";

export type RuntimeApiOptions = {
  /** Told why a call was refused that is not of the process behind this port. */
  readonly onRefused?: ((reason: string) => void) | undefined;
  readonly log: Log;
};

export class RuntimeApi {
  /** Waits for what was printed before an answer; set by the environment. */
  drain: () => Promise<void> = async () => undefined;
  onIdle: () => void = () => undefined;
  /** A streamed answer broke off. No runtime comes back from that, so its process must end, and the turn with it. */
  onTorn: () => void = () => undefined;
  readonly address: string;
  readonly #server: Server;
  readonly #session = new Session(() => this.onIdle());
  readonly #options: RuntimeApiOptions;
  readonly #ended = deferred<(requestId: string | undefined) => BufferedAnswer>();

  static async open(options: RuntimeApiOptions): Promise<RuntimeApi> {
    const server = createServer({
      // A runtime polls and computes for as long as it likes: no limit of Node's may cut its connections.
      requestTimeout: 0,
      headersTimeout: 0,
      keepAliveTimeout: 0,
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: "127.0.0.1", port: 0 }, resolve);
    });
    return new RuntimeApi(server, options);
  }

  private constructor(server: Server, options: RuntimeApiOptions) {
    this.#server = server;
    this.#options = options;
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("request", (request, response) => {
      this.#serve(request, response).catch((error: unknown) => {
        options.log.error({ err: error, url: request.url }, "runtime api");
        response.destroy();
      });
    });
  }

  get ready(): Promise<InitOutcome> {
    return this.#session.ready;
  }

  /** Whether the runtime waits for its next invocation. */
  get idle(): boolean {
    return this.#session.idle;
  }

  get requestId(): string | undefined {
    return this.#session.current?.invocation.requestId;
  }

  /** Resolves when no invocation is in the runtime's hands. */
  async settled(): Promise<void> {
    await this.#session.current?.over.promise;
  }

  async invoke(invocation: RuntimeInvocation, signal: AbortSignal): Promise<Answer> {
    const turn = this.#session.invoke(invocation);
    const onAbort = () => {
      this.#session.giveUp(turn);
      turn.answer.reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await turn.answer.promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** The process is gone. */
  end(answer: (requestId: string | undefined) => BufferedAnswer): void {
    this.#ended.resolve(answer);
    this.#session.end(answer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A peer that vanishes shows as an incomplete body or a lost poll, never as an uncaught error.
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    // Runtime clients can send neither token nor path, so the port itself is the secret.
    const refusal = await strangeness(request, { hosts: [this.address] });
    if (refusal !== undefined) {
      this.#options.onRefused?.(refusal);
      this.#options.log.warn(
        { url: request.url, host: request.headers.host, refusal },
        "runtime api call refused",
      );
      return refuse(request, response, { status: 403, errorType: "Forbidden", errorMessage: refusal });
    }
    const path = request.url?.startsWith(PREFIX) === true ? request.url.slice(PREFIX.length) : "";
    const [, requestId, verb] = /^invocation\/([^/?]+)\/(response|error)$/.exec(path) ?? [];
    if (request.method === "GET" && path === "invocation/next") return this.#next(request, response);
    if (request.method === "POST" && path === "init/error") return this.#initError(request, response);
    if (request.method === "POST" && requestId !== undefined) {
      return this.#answer(request, response, requestId, verb === "response" ? "ok" : "error");
    }
    return refuse(request, response, { status: 404, errorType: "NotFound", errorMessage: "No such call" });
  }

  #next(request: IncomingMessage, response: ServerResponse): void {
    const poll = {
      deliver: (invocation: RuntimeInvocation) => {
        response.writeHead(200, headersOf(invocation));
        response.end(invocation.event);
      },
    };
    response.once("close", () => this.#session.lost(poll));
    const refusal = this.#session.next(poll);
    if (refusal !== undefined) refuse(request, response, refusal);
  }

  async #initError(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bodyOf(request);
    if (body === "truncated") return refuse(request, response, REFUSALS.truncated);
    if ("tooLarge" in body) return refuse(request, response, REFUSALS.tooLarge);
    await this.drain();
    const refusal = this.#session.initError(posted(request, "error", body, "init"));
    if (refusal !== undefined) return this.#stray(request, response, "init error", refusal);
    accept(response);
  }

  /** Nobody waits for it, and it changes nothing: the log alone tells that it came. */
  #stray(
    request: IncomingMessage,
    response: ServerResponse,
    stray: "answer" | "init error",
    refusal: Refusal,
    requestId?: string,
  ): void {
    this.#options.log.warn(
      { stray, requestId, refusal: refusal.errorMessage },
      "a stray of a runtime's was refused",
    );
    refuse(request, response, refusal);
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    requestId: string,
    status: "ok" | "error",
  ): Promise<void> {
    // As it stands in the path: a request id has no character that a runtime's client would escape.
    const turn = this.#session.begin(requestId);
    if ("status" in turn) return this.#stray(request, response, "answer", turn, requestId);
    const mode = request.headers[RESPONSE_MODE];
    if (status === "ok" && mode === "streaming") return this.#stream(request, response, turn);
    const body = await bodyOf(request);
    if (body === "truncated") {
      // Most often the process died while it posted: then its exit is the answer.
      turn.answer.resolve(this.#afterExit(turn.invocation.requestId, TRUNCATED));
      return this.#session.finish(turn);
    }
    await this.drain();
    this.#session.finish(turn);
    if ("tooLarge" in body) {
      refuse(request, response, REFUSALS.tooLarge);
      turn.answer.resolve(tooLarge(body.tooLarge));
    } else {
      accept(response);
      turn.answer.resolve(posted(request, status, body, "handler"));
    }
  }

  #stream(request: IncomingMessage, response: ServerResponse, turn: Turn): void {
    const done = deferred<void>();
    const torn = deferred<BufferedAnswer>();
    request.once("end", () => {
      void this.drain().then(() => {
        this.#session.finish(turn);
        accept(response);
        done.resolve();
      });
    });
    // Also where nobody reads it any more.
    request.once("close", () => {
      if (!request.readableEnded) torn.resolve(this.#torn(turn));
    });
    turn.answer.resolve({
      kind: "streamed",
      contentType: request.headers["content-type"] ?? "application/octet-stream",
      chunks: this.#chunks(request, done.promise, torn.promise),
    });
  }

  async #torn(turn: Turn): Promise<BufferedAnswer> {
    const answer = await this.#afterExit(turn.invocation.requestId, TRUNCATED);
    this.onTorn();
    return answer;
  }

  async *#chunks(
    request: IncomingMessage,
    done: Promise<void>,
    torn: Promise<BufferedAnswer>,
  ): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of request.iterator({ destroyOnReturn: false })) yield chunk as Uint8Array;
      await done;
    } catch {
      const answer = await torn;
      throw new StreamError(answer.errorType ?? "Runtime.Unknown", answer.body);
    } finally {
      // Who stops listening does not stop the function.
      request.resume();
    }
    const errorType = request.trailers[ERROR_TYPE];
    if (errorType !== undefined) {
      throw new StreamError(errorType, Buffer.from(request.trailers[ERROR_BODY] ?? "", "base64"));
    }
  }

  /** The exit's answer where the process is on its way out, else `fallback`. */
  async #afterExit(requestId: string, fallback: BufferedAnswer): Promise<BufferedAnswer> {
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, 1000, undefined);
    });
    const exit = await Promise.race([this.#ended.promise, patience]);
    clearTimeout(timer);
    return exit?.(requestId) ?? fallback;
  }
}

const TRUNCATED = errorAnswer("handler", "Runtime.TruncatedResponse", "The runtime's answer was cut short");

const REFUSALS = {
  tooLarge: {
    status: 413,
    errorType: "RequestEntityTooLarge",
    errorMessage: `Exceeded maximum allowed payload size (${MAX_PAYLOAD_BYTES} bytes).`,
  },
  truncated: {
    status: 400,
    errorType: "TruncatedHTTPRequest",
    errorMessage: "HTTP request detected as truncated",
  },
} as const;

function headersOf(invocation: RuntimeInvocation): Record<string, string> {
  const { traceId, clientContext, cognitoIdentity, environment } = invocation;
  return {
    // AWS's own Node client fails where it is missing.
    "Content-Type": "application/json",
    "Content-Length": String(invocation.event.length),
    "Lambda-Runtime-Aws-Request-Id": invocation.requestId,
    "Lambda-Runtime-Deadline-Ms": String(Math.round(invocation.deadlineAt)),
    "Lambda-Runtime-Invoked-Function-Arn": invocation.functionArn,
    ...(traceId === undefined ? {} : { "Lambda-Runtime-Trace-Id": headerText(traceId) }),
    ...(clientContext === undefined ? {} : { "Lambda-Runtime-Client-Context": headerText(clientContext) }),
    ...(cognitoIdentity === undefined
      ? {}
      : { "Lambda-Runtime-Cognito-Identity": headerText(cognitoIdentity) }),
    ...(environment === undefined
      ? {}
      : { [ENVIRONMENT]: Buffer.from(JSON.stringify(environment)).toString("base64") }),
  };
}

/** JSON that fits a header: line breaks between its tokens become spaces, the rest is escaped as JSON allows. */
function headerText(json: string): string {
  return json
    .replaceAll(/[\r\n\t]/g, " ")
    .replaceAll(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The whole body; a longer one than Lambda takes is read to its end and dropped, so that the runtime gets its 413. */
async function bodyOf(
  request: IncomingMessage,
): Promise<Buffer | { readonly tooLarge: number } | "truncated"> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of request) {
      length += (chunk as Buffer).length;
      if (length <= MAX_PAYLOAD_BYTES) chunks.push(chunk as Buffer);
      else chunks.length = 0;
    }
  } catch {
    return "truncated";
  }
  if (!request.complete) return "truncated";
  return length > MAX_PAYLOAD_BYTES ? { tooLarge: length } : Buffer.concat(chunks, length);
}

function posted(
  request: IncomingMessage,
  status: "ok" | "error",
  body: Buffer,
  cause: "handler" | "init",
): BufferedAnswer {
  const contentType = request.headers["content-type"] ?? "application/json";
  if (status === "ok") return { kind: "buffered", status, body, contentType };
  const header = request.headers[ERROR_TYPE];
  const errorType = (Array.isArray(header) ? header[0] : header) ?? errorTypeIn(body);
  return { kind: "buffered", status, body, contentType, cause, ...(errorType ? { errorType } : {}) };
}

function errorTypeIn(body: Buffer): string | undefined {
  try {
    const { errorType } = JSON.parse(body.toString());
    return typeof errorType === "string" ? errorType : undefined;
  } catch {
    return undefined;
  }
}

function accept(response: ServerResponse): void {
  json(response, 202, { status: "OK" });
}

function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  refusal: Omit<Refusal, "status"> & { readonly status: number },
): void {
  // The body that was not wanted is read away: the connection goes on.
  request.resume();
  const { status, ...body } = refusal;
  json(response, status, body);
}

function json(response: ServerResponse, status: number, body: unknown): void {
  if (response.destroyed) return;
  const text = JSON.stringify(body);
  response.writeHead(status, {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(text),
  });
  response.end(text);
}
