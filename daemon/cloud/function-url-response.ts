/**
 * A function's answer as an HTTP response, payload format 2.0, and the prelude of streamed ones.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads
 */
import type { Answer } from "../../proto/answer.ts";
import { whole } from "./lambda-invoke.ts";

export type UrlResponse = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: Uint8Array | AsyncIterable<Uint8Array>;
};

/** What the runtime announces where a stream begins with the response's status and headers. */
const INTEGRATION_RESPONSE = "application/vnd.awslambda.http-integration-response";
const PRELUDE_END = Buffer.alloc(8);
const MAX_PRELUDE = 64 * 1024;

export async function urlResponse(
  answer: Answer,
  mode: "BUFFERED" | "RESPONSE_STREAM",
): Promise<UrlResponse> {
  if (mode === "RESPONSE_STREAM" && answer.kind === "streamed") {
    return answer.contentType === INTEGRATION_RESPONSE
      ? withPrelude(answer.chunks)
      : { status: 200, headers: { "content-type": answer.contentType }, body: answer.chunks };
  }
  const { ok, body, contentType } = await whole(answer);
  if (!ok) return badGateway();
  if (contentType === INTEGRATION_RESPONSE) return withPrelude(once(body));
  if (mode === "RESPONSE_STREAM") return { status: 200, headers: { "content-type": contentType }, body };
  return mapped(body);
}

export function urlError(status: number, Message: string, code?: string): UrlResponse {
  const headers = {
    "content-type": "application/json",
    ...(code !== undefined && { "x-amzn-errortype": code }),
  };
  return { status, headers, body: Buffer.from(JSON.stringify({ Message })) };
}

export const badGateway = () => urlError(502, "Internal Server Error");

function mapped(body: Uint8Array): UrlResponse {
  const text = Buffer.from(body).toString("utf8");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return badGateway();
  }
  // A plain value is the body of a response, as it is.
  if (!isObject(value) || value["statusCode"] === undefined) {
    return { status: 200, headers: { "content-type": "application/json" }, body };
  }
  const head = readHead(value);
  const content = value["body"] ?? "";
  if (head === undefined) return badGateway();
  const encoding = value["isBase64Encoded"] === true ? "base64" : "utf8";
  return {
    ...head,
    body: Buffer.from(typeof content === "string" ? content : JSON.stringify(content), encoding),
  };
}

/** JSON, eight null bytes, the body. Without them in the first bytes it is no response. */
async function withPrelude(chunks: AsyncIterable<Uint8Array>): Promise<UrlResponse> {
  const source = chunks[Symbol.asyncIterator]();
  let read = Buffer.alloc(0);
  for (let at = -1; at < 0;) {
    const next = await source.next().catch(() => ({ done: true as const, value: undefined }));
    if (next.done === true || read.length > MAX_PRELUDE) {
      await source.return?.();
      return badGateway();
    }
    read = Buffer.concat([read, next.value]);
    at = read.indexOf(PRELUDE_END);
  }
  const at = read.indexOf(PRELUDE_END);
  const head = readPrelude(read.subarray(0, at).toString("utf8"));
  if (head === undefined) {
    await source.return?.();
    return badGateway();
  }
  return { ...head, body: joined(read.subarray(at + PRELUDE_END.length), source) };
}

function readPrelude(text: string): Pick<UrlResponse, "status" | "headers"> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? readHead({ statusCode: 200, ...value }) : undefined;
  } catch {
    return undefined;
  }
}

/** `undefined`: not a response that HTTP can carry. */
function readHead(value: Record<string, unknown>): Pick<UrlResponse, "status" | "headers"> | undefined {
  const status = Number(value["statusCode"]);
  const given = value["headers"] ?? {};
  const cookies = value["cookies"] ?? [];
  if (!Number.isInteger(status) || status < 200 || status > 599) return undefined;
  if (!isObject(given) || !Array.isArray(cookies)) return undefined;
  const headers: Record<string, string | string[]> = { "content-type": "application/json" };
  for (const [name, content] of Object.entries(given)) {
    if (content === null || content === undefined) continue;
    if (typeof content !== "string" && typeof content !== "number" && typeof content !== "boolean")
      return undefined;
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name) || !isHeaderText(String(content))) return undefined;
    if (!OURS.has(name.toLowerCase())) headers[name.toLowerCase()] = String(content);
  }
  if (cookies.length > 0) headers["set-cookie"] = cookies.map(String);
  return cookies.every((cookie) => isHeaderText(String(cookie))) ? { status, headers } : undefined;
}

/** Of the connection, not of the response. */
const OURS = new Set([
  "connection",
  "content-length",
  "keep-alive",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

const isHeaderText = (text: string) => /^[\t\u0020-\u007e\u0080-\u00ff]*$/.test(text);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

async function* once(body: Uint8Array): AsyncGenerator<Uint8Array> {
  yield body;
}

async function* joined(first: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (first.length > 0) yield first;
  yield* { [Symbol.asyncIterator]: () => rest };
}
