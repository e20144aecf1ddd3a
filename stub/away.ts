/**
 * What the caller gets when nobody answers for the function: a valid 503 where the event is an HTTP request, else a
 * function error, so that queues and asynchronous invokes retry. Never a success that swallows the event.
 */
import { type BufferedAnswer, errorAnswer } from "../proto/answer.ts";

type Fields = Record<string, unknown>;

export function unavailable(event: Uint8Array, errorType: string, sentence: string): BufferedAnswer {
  const response = response503(event, sentence);
  if (response === undefined) return errorAnswer("interrupted", errorType, sentence);
  return {
    kind: "buffered",
    status: "ok",
    contentType: "application/json",
    body: Buffer.from(JSON.stringify(response)),
  };
}

/** What the runtime announces where a stream begins with the response's status and headers. */
export const INTEGRATION_RESPONSE = "application/vnd.awslambda.http-integration-response";

/**
 * The same 503 for a URL that streams, where a buffered answer would be the body of a 200: its head as JSON, eight null
 * bytes, the body. Undefined where the event did not come through the function's URL.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/config-rs-write-functions.html
 */
export function unavailableStream(event: Uint8Array, sentence: string): Uint8Array | undefined {
  if (!isOfUrl(event)) return undefined;
  const { statusCode, headers, body } = response503(event, sentence) as Fields;
  return Buffer.concat([
    Buffer.from(JSON.stringify({ statusCode, headers })),
    Buffer.alloc(8),
    Buffer.from(String(body)),
  ]);
}

/** An HTTP API sends events of the same shape; its name, or a domain of the user's, stands where a URL has its own. */
function isOfUrl(event: Uint8Array): boolean {
  if (shapeOf(event) !== "http2") return false;
  const { apiId, domainName } = fieldsOf(parsed(event)?.["requestContext"]) ?? {};
  if (typeof apiId !== "string" || typeof domainName !== "string") return false;
  return domainName.startsWith(apiId) && !domainName.includes(".execute-api.");
}

/** By the event's shape, since a function does not learn who invokes it. */
export function shapeOf(event: Uint8Array): "http2" | "http1" | "alb" | "other" {
  const json = parsed(event);
  const context = fieldsOf(json?.["requestContext"]);
  if (json === undefined || context === undefined) return "other";
  // An authorizer sees the same request; its answer is a policy, and an error denies.
  if (typeof json["type"] === "string" && ("methodArn" in json || "routeArn" in json)) return "other";
  if (fieldsOf(context["elb"]) !== undefined) return "alb";
  if (json["version"] === "2.0" && fieldsOf(context["http"]) !== undefined) return "http2";
  if (typeof json["httpMethod"] === "string" && typeof json["path"] === "string") return "http1";
  return "other";
}

function response503(event: Uint8Array, sentence: string): Fields | undefined {
  const body = `${sentence}\n`;
  const headers: Record<string, string> = {
    "content-type": "text/plain; charset=utf-8",
    "cache-control": "no-store",
  };
  const shape = shapeOf(event);
  if (shape === "other") return undefined;
  const response = { statusCode: 503, headers, body, isBase64Encoded: false };
  if (shape !== "alb") return response;
  const described = { ...response, statusDescription: "503 Service Unavailable" };
  if (parsed(event)?.["multiValueHeaders"] === undefined) return described;
  // A target group with multi-value headers reads only those.
  const multiValueHeaders = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, [value]]),
  );
  return { ...described, headers: undefined, multiValueHeaders };
}

function parsed(event: Uint8Array): Fields | undefined {
  try {
    return fieldsOf(JSON.parse(Buffer.from(event).toString()));
  } catch {
    return undefined;
  }
}

const fieldsOf = (value: unknown): Fields | undefined =>
  typeof value === "object" && value !== null ? (value as Fields) : undefined;
