/** Invoke and InvokeWithResponseStream. */
import { MAX_EVENT_BYTES, StreamError, type Answer } from "../../proto/answer.ts";
import { invalidRequestContent, requestTooLarge, validation } from "./aws-error.ts";
import { eventStreamMessage } from "./event-stream.ts";
import { named } from "./lambda-functions.ts";
import type { LambdaCall, LambdaParts } from "./lambda.ts";
import type { ApiResponse } from "./protocols.ts";
import type { LambdaFunction } from "./state.ts";

/** What the API needs of the environments. */
export type Invoker = {
  /** The function's answer, whatever it is; throws an AwsError where the function could not be tried. */
  invoke(lambda: LambdaFunction, invocation: Invocation): Promise<Invoked>;
  /** Resolves when an asynchronous invocation is accepted: run later, again on error. Throws an AwsError where too much waits. */
  invokeLater(lambda: LambdaFunction, invocation: Invocation): Promise<void>;
};

export type Invocation = {
  readonly requestId: string;
  readonly event: Uint8Array;
  readonly traceId: string;
  /** JSON text. */
  readonly clientContext?: string;
};

export type Invoked = {
  readonly answer: Answer;
  /** The last 4 KB of what the invocation logged; of a streamed answer when its chunks have ended. */
  log(): Uint8Array;
};

/** AWS's quota of an asynchronous request. */
const MAX_ASYNC = 1024 * 1024;

const FUNCTION_ERROR = { "x-amz-function-error": "Unhandled" };
const EXECUTED = { "x-amz-executed-version": "$LATEST" };

export async function invoke(call: LambdaCall, parts: LambdaParts): Promise<ApiResponse> {
  const type = oneOf(call, "x-amz-invocation-type", ["RequestResponse", "Event", "DryRun"]);
  const withLog = oneOf(call, "x-amz-log-type", ["None", "Tail"]) === "Tail";
  const lambda = named(call, parts);
  const invocation = read(call, type === "Event" ? MAX_ASYNC : MAX_EVENT_BYTES);
  if (type === "DryRun") return { status: 204, headers: EXECUTED };
  if (type === "Event") {
    await parts.invoker.invokeLater(lambda, invocation);
    return { status: 202 };
  }
  const invoked = await parts.invoker.invoke(lambda, invocation);
  const { ok, body, contentType } = await whole(invoked.answer);
  const headers = {
    "content-type": contentType,
    "x-amzn-trace-id": invocation.traceId,
    ...EXECUTED,
    ...(!ok && FUNCTION_ERROR),
    ...(withLog && { "x-amz-log-result": Buffer.from(invoked.log()).toString("base64") }),
  };
  return { status: 200, headers, body };
}

export async function invokeWithResponseStream(call: LambdaCall, parts: LambdaParts): Promise<ApiResponse> {
  const type = oneOf(call, "x-amz-invocation-type", ["RequestResponse", "DryRun"]);
  const withLog = oneOf(call, "x-amz-log-type", ["None", "Tail"]) === "Tail";
  const lambda = named(call, parts);
  const invocation = read(call, MAX_EVENT_BYTES);
  if (type === "DryRun") return { status: 204, headers: EXECUTED };
  const invoked = await parts.invoker.invoke(lambda, invocation);
  const headers = {
    "content-type": "application/vnd.amazon.eventstream",
    "x-amzn-remapped-content-type": invoked.answer.contentType,
    ...EXECUTED,
  };
  return { status: 200, headers, body: eventStream(invoked, withLog) };
}

/** All of an answer: a streamed one is gathered, as AWS does for callers that do not stream. */
export async function whole(answer: Answer): Promise<{ ok: boolean; body: Uint8Array; contentType: string }> {
  const { contentType } = answer;
  if (answer.kind === "buffered") return { ok: answer.status === "ok", body: answer.body, contentType };
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of answer.chunks) chunks.push(chunk);
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    return { ok: false, body: error.body, contentType: "application/json" };
  }
  return { ok: true, body: Buffer.concat(chunks), contentType };
}

async function* eventStream(invoked: Invoked, withLog: boolean): AsyncGenerator<Uint8Array> {
  const { answer } = invoked;
  let failure: { ErrorCode: string; ErrorDetails: string } | undefined;
  try {
    if (answer.kind === "streamed") {
      for await (const chunk of answer.chunks) yield eventStreamMessage("PayloadChunk", chunk);
    } else if (answer.status === "ok") {
      yield eventStreamMessage("PayloadChunk", answer.body);
    } else {
      failure = failed(answer.errorType, answer.body);
    }
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    failure = failed(error.errorType, error.body);
  }
  const LogResult = withLog ? Buffer.from(invoked.log()).toString("base64") : undefined;
  const end = JSON.stringify({ ...failure, LogResult });
  yield eventStreamMessage("InvokeComplete", Buffer.from(end), "application/json");
}

function failed(errorType: string | undefined, body: Uint8Array) {
  return { ErrorCode: errorType ?? "Unhandled", ErrorDetails: Buffer.from(body).toString("utf8") };
}

function read(call: LambdaCall, limit: number): Invocation {
  if (call.body.length > limit) throw requestTooLarge(limit);
  const context = call.headers["x-amz-client-context"];
  const clientContext = context === undefined ? undefined : Buffer.from(context, "base64").toString("utf8");
  return {
    requestId: call.requestId,
    event: checkedEvent(call.body),
    traceId: call.headers["x-amzn-trace-id"] ?? newTraceId(),
    ...(clientContext !== undefined && { clientContext: checkedContext(clientContext) }),
  };
}

/** The bytes as they came: parsing and writing them again would change big numbers and the order of keys. */
function checkedEvent(body: Uint8Array): Uint8Array {
  if (body.length === 0) return Buffer.from("{}");
  try {
    JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8"));
    return body;
  } catch (error) {
    throw invalidRequestContent(`Could not parse request body into json: ${(error as Error).message}`);
  }
}

function checkedContext(text: string): string {
  try {
    JSON.parse(text);
    return text;
  } catch {
    throw invalidRequestContent("Client context must be a valid Base64-encoded JSON object.");
  }
}

/** X-Ray's form; nothing here is sampled. */
export function newTraceId(): string {
  const seconds = Math.floor(Date.now() / 1000).toString(16);
  return `Root=1-${seconds}-${randomHex(12)};Parent=${randomHex(8)};Sampled=0`;
}

const randomHex = (bytes: number) =>
  Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString("hex");

/** The first of `known` is the default. */
function oneOf<const T extends string>(call: LambdaCall, header: string, known: readonly [T, ...T[]]): T {
  const value = call.headers[header] ?? known[0];
  const found = known.find((word) => word === value);
  if (found !== undefined) return found;
  throw validation(
    `1 validation error detected: Value '${value}' of ${header} failed to satisfy constraint: Member must satisfy enum value set: [${known.join(", ")}]`,
  );
}
