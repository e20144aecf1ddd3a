/**
 * A client of Lambda's Runtime API: bytes in, bytes out.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
 */
import { Agent, type ClientRequest, type IncomingMessage, request } from "node:http";

import type { LambdaErrorBody } from "../proto/answer.ts";

export type RuntimeEvent = {
  readonly requestId: string;
  readonly event: Buffer;
  /** Milliseconds since the epoch. */
  readonly deadlineAt: number;
  readonly functionArn: string;
  readonly traceId?: string;
  readonly clientContext?: string;
  readonly cognitoIdentity?: string;
  /** As they came, for whoever speaks the Runtime API behind us. */
  readonly headers: IncomingMessage["headers"];
};

const VERSION = "/2018-06-01/runtime";

export class RuntimeApi {
  readonly #host: string;
  readonly #port: number;
  /** No timeouts: `/next` answers when there is an event, and a freeze may lie in between. */
  readonly #agent = new Agent({ keepAlive: true, maxFreeSockets: 2 });

  /** `address` is AWS_LAMBDA_RUNTIME_API: host:port. */
  constructor(address: string) {
    const { hostname, port } = new URL(`http://${address}`);
    this.#host = hostname;
    this.#port = Number(port || 80);
  }

  /** The next event. Rejects when the Runtime API is gone: the environment ends. */
  async next(): Promise<RuntimeEvent> {
    const { status, headers, body } = await this.#send("GET", "/invocation/next", {});
    if (status !== 200) throw new Error(`/next answered ${status}: ${body.toString().slice(0, 200)}`);
    const header = (name: string) => {
      const value = headers[name];
      return typeof value === "string" && value !== "" ? value : undefined;
    };
    const traceId = header("lambda-runtime-trace-id");
    const clientContext = header("lambda-runtime-client-context");
    const cognitoIdentity = header("lambda-runtime-cognito-identity");
    return {
      requestId: header("lambda-runtime-aws-request-id") ?? "",
      event: body,
      deadlineAt: Number(header("lambda-runtime-deadline-ms") ?? Number.NaN),
      functionArn: header("lambda-runtime-invoked-function-arn") ?? "",
      ...(traceId !== undefined && { traceId }),
      ...(clientContext !== undefined && { clientContext }),
      ...(cognitoIdentity !== undefined && { cognitoIdentity }),
      headers,
    };
  }

  async respond(requestId: string, contentType: string, body: Uint8Array): Promise<void> {
    await this.#post(`/invocation/${requestId}/response`, { "content-type": contentType }, body);
  }

  async fail(requestId: string, errorType: string, body: Uint8Array): Promise<void> {
    await this.#post(`/invocation/${requestId}/error`, errorHeaders(errorType), body);
  }

  async failInit(error: LambdaErrorBody): Promise<void> {
    await this.#post("/init/error", errorHeaders(error.errorType), Buffer.from(JSON.stringify(error)));
  }

  /** `refused`: nobody takes the rest. */
  stream(requestId: string, contentType: string, refused: () => void): StreamedResponse {
    const call = this.#request("POST", `/invocation/${requestId}/response`, {
      "content-type": contentType,
      "lambda-runtime-function-response-mode": "streaming",
      "transfer-encoding": "chunked",
      trailer: "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
    });
    call.flushHeaders();
    return new StreamedResponse(call, refused);
  }

  async #post(path: string, headers: Record<string, string>, body: Uint8Array): Promise<void> {
    const { status, body: said } = await this.#send("POST", path, headers, body);
    // 413 and the like: Lambda has told the caller. The next event may be fine.
    if (status >= 300)
      console.error(`livedev: POST ${path} was answered ${status}: ${said.toString().slice(0, 200)}`);
  }

  async #send(
    method: string,
    path: string,
    headers: Record<string, string>,
    body?: Uint8Array,
  ): Promise<{ status: number; headers: IncomingMessage["headers"]; body: Buffer }> {
    for (;;) {
      const call = this.#request(method, path, {
        ...headers,
        ...(body && { "content-length": String(body.length) }),
      });
      call.end(body);
      try {
        return await answerOf(call);
      } catch (error) {
        // The server may end an idle connection at the moment we use it; that says nothing about the request.
        if (!call.reusedSocket || (error as NodeJS.ErrnoException).code !== "ECONNRESET") throw error;
      }
    }
  }

  #request(method: string, path: string, headers: Record<string, string>): ClientRequest {
    return request({
      host: this.#host,
      port: this.#port,
      agent: this.#agent,
      method,
      path: `${VERSION}${path}`,
      headers,
    });
  }
}

/** A response that is posted while it is made. */
export class StreamedResponse {
  readonly #call: ClientRequest;
  readonly #answer: Promise<{ status: number; body: Buffer }>;
  #state: "open" | "ended" | "refused" = "open";

  constructor(call: ClientRequest, refused: () => void) {
    this.#call = call;
    this.#answer = answerOf(call);
    // An answer before the end, or none.
    const over = () => {
      if (this.#state !== "open") return;
      this.#state = "refused";
      refused();
    };
    call.on("response", over);
    this.#answer.catch(over);
  }

  /** Resolves when there is room for more. */
  async write(chunk: Uint8Array): Promise<void> {
    if (this.#state !== "open" || this.#call.write(chunk)) return;
    await new Promise<void>((resolve) => {
      const done = () => {
        this.#call.off("drain", done).off("response", done).off("close", done);
        resolve();
      };
      this.#call.on("drain", done).on("response", done).on("close", done);
    });
  }

  async end(error?: { errorType: string; body: Uint8Array }): Promise<void> {
    if (this.#state === "open") this.#state = "ended";
    if (error !== undefined) {
      this.#call.addTrailers({
        "Lambda-Runtime-Function-Error-Type": error.errorType,
        "Lambda-Runtime-Function-Error-Body": Buffer.from(error.body).toString("base64"),
      });
    }
    this.#call.end();
    const { status, body } = await this.#answer;
    if (status >= 300)
      console.error(`livedev: the stream was answered ${status}: ${body.toString().slice(0, 200)}`);
  }
}

const errorHeaders = (errorType: string) => ({
  "content-type": "application/json",
  "lambda-runtime-function-error-type": errorType,
});

function answerOf(
  call: ClientRequest,
): Promise<{ status: number; headers: IncomingMessage["headers"]; body: Buffer }> {
  return new Promise((resolve, reject) => {
    call.on("error", reject);
    call.on("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) });
      });
    });
  });
}
