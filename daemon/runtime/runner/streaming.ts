/** `awslambda`: handlers that write their answer as a stream. */
import { Writable, type WritableOptions } from "node:stream";

import { isThenable } from "./buffered.ts";
import type { Invocation, OpenResponse, RuntimeClient } from "./client.ts";
import { environmentContext, setTraceId } from "./context.ts";
import { invalidStreamingOperation, nodeJsExit, RuntimeError } from "./errors.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { Handler } from "./load.ts";

/** The same symbols as AWS's runtime, for bundles that carry their own `streamifyResponse`. */
const STREAMING = Symbol.for("aws.lambda.runtime.handler.streaming");
const HIGH_WATER_MARK = Symbol.for("aws.lambda.runtime.handler.streaming.highWaterMark");

type Marked = Handler & { [STREAMING]?: unknown; [HIGH_WATER_MARK]?: unknown };

export function installAwslambda(): void {
  if (["1", "true"].includes(process.env["AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA"] ?? "")) return;
  const awslambda = { streamifyResponse, HttpResponseStream };
  Object.defineProperty(globalThis, "awslambda", { value: awslambda, writable: true, configurable: true });
}

function streamifyResponse(handler: Marked, options?: { highWaterMark?: unknown }): Marked {
  handler[STREAMING] = "response";
  if (typeof options?.highWaterMark === "number")
    handler[HIGH_WATER_MARK] = Math.trunc(options.highWaterMark);
  return handler;
}

export function isStreaming(handler: Marked): boolean {
  const mark = handler[STREAMING];
  if (mark === undefined || mark === null || mark === false) return false;
  if (mark === "response") return true;
  throw new RuntimeError("MalformedStreamingHandler", "Only response streaming is supported.");
}

/** Status and headers of a function URL's answer, before the body: JSON, then eight zero bytes. */
const HttpResponseStream = {
  from(stream: ResponseStream, prelude: unknown): ResponseStream {
    stream.setContentType("application/vnd.awslambda.http-integration-response");
    const json = JSON.stringify(prelude);
    stream._onBeforeFirstWrite = (write) => {
      write(json);
      write(new Uint8Array(8));
    };
    return stream;
  },
};

class ResponseStream extends Writable {
  /** As in AWS's runtime, where HttpResponseStream (and copies of it in user code) sets it. */
  _onBeforeFirstWrite: ((write: (chunk: string | Uint8Array) => void) => void) | undefined;
  readonly #open: (contentType: string) => OpenResponse;
  #contentType = "application/octet-stream";
  #response: OpenResponse | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(open: (contentType: string) => OpenResponse, options: WritableOptions) {
    super({ ...options, decodeStrings: true });
    this.#open = open;
    // A stream that a pipeline destroyed is told by the handler's rejection.
    this.on("error", () => undefined);
  }

  setContentType(contentType: string): void {
    if (this.#response !== undefined) {
      throw invalidStreamingOperation("Cannot set content-type, too late.");
    }
    this.#contentType = contentType;
  }

  /** Whatever is no string and no bytes is written as JSON. */
  // oxlint-disable-next-line typescript/no-explicit-any -- the overloads of Writable
  override write(chunk: any, ...rest: any[]): boolean {
    const raw = typeof chunk === "string" || chunk instanceof Uint8Array;
    return (super.write as (...args: unknown[]) => boolean).call(
      this,
      raw ? chunk : JSON.stringify(chunk),
      ...rest,
    );
  }

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    const { request } = this.#begin();
    if (request.write(chunk)) callback();
    else request.once("drain", callback);
  }

  override _final(callback: (error?: Error) => void): void {
    const response = this.#begin();
    if (this.#failure === undefined) response.request.end();
    else response.endWith(this.#failure.error);
    void callBack(response.taken, callback);
  }

  /** Ends with an error, after what was written. False where nothing was: then it is an error like any other's. */
  async fail(error: unknown): Promise<boolean> {
    const response = this.#response;
    if (response === undefined) {
      this.destroy();
      return false;
    }
    this.#failure ??= { error };
    if (!this.destroyed) this.end();
    else if (!response.request.writableEnded) response.endWith(error);
    await response.taken;
    return true;
  }

  #begin(): OpenResponse {
    if (this.#response === undefined) {
      const response = this.#open(this.#contentType);
      this.#response = response;
      this._onBeforeFirstWrite?.((chunk) => response.request.write(chunk));
    }
    return this.#response;
  }
}

async function callBack(promise: Promise<void>, callback: (error?: Error) => void): Promise<void> {
  try {
    await promise;
  } catch (error) {
    return callback(error as Error);
  }
  callback();
}

export async function runStreaming(
  handler: Marked,
  invocation: Invocation,
  client: RuntimeClient,
  lifecycle: Lifecycle,
): Promise<void> {
  const { requestId } = invocation;
  const highWaterMark = handler[HIGH_WATER_MARK];
  const stream = new ResponseStream(
    (contentType) => client.openResponse(requestId, contentType),
    typeof highWaterMark === "number" ? { highWaterMark } : {},
  );
  const fail = async (error: unknown) => {
    if (!(await stream.fail(error))) await client.fail(requestId, error);
  };
  lifecycle.phase = { name: "invocation", fail };
  const failure = await failureOf(handler, invocation, stream, lifecycle);
  if (failure !== undefined && !lifecycle.dying) await fail(failure.error);
}

/** Undefined when the handler has returned and the stream was taken whole. */
function failureOf(
  handler: Handler,
  invocation: Invocation,
  stream: ResponseStream,
  lifecycle: Lifecycle,
): Promise<{ error: unknown } | undefined> {
  return new Promise((resolve) => {
    const closed = new Promise<void>((onClosed) => stream.once("close", onClosed));
    lifecycle.onEmpty = () => resolve({ error: nodeJsExit() });
    const run = async () => {
      setTraceId(invocation);
      const context = { ...environmentContext(invocation), callbackWaitsForEmptyEventLoop: true };
      const result = handler(JSON.parse(invocation.event.toString()), stream, context);
      if (!isThenable(result)) throw new Error("Streaming does not support non-async handlers.");
      if ((await result) !== undefined) console.warn("Streaming handlers ignore return values.");
      await closed;
      if (!stream.writableFinished) throw new Error("Response stream is not finished.");
    };
    run().then(
      () => resolve(undefined),
      (error: unknown) => resolve({ error }),
    );
  });
}
