/**
 * An HTTP request as the event of a function URL, payload format 2.0.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads
 */
import type { IncomingMessage } from "node:http";

export type UrlCaller = {
  readonly accessKeyId: string;
  readonly accountId: string;
  readonly userArn: string;
  readonly userId: string;
};

export type UrlRequest = {
  readonly request: IncomingMessage;
  readonly body: Uint8Array;
  readonly requestId: string;
  readonly traceId: string;
  /** Who signed; absent for `AuthType: NONE`. */
  readonly caller: UrlCaller | undefined;
};

export function urlEvent({ request, body, requestId, traceId, caller }: UrlRequest): Uint8Array {
  const [rawPath = "/", ...search] = (request.url ?? "/").split("?");
  const rawQueryString = search.join("?");
  const parameters = queryParameters(rawQueryString);
  const host = request.headers.host ?? "";
  const sourceIp = request.socket.remoteAddress ?? "127.0.0.1";
  const headers = eventHeaders(request, sourceIp, traceId);
  const cookies = request.headers.cookie?.split(/;\s*/).filter(Boolean) ?? [];
  const asText = isText(request.headers["content-type"]) && request.headers["content-encoding"] === undefined;
  const now = new Date();
  const event = {
    version: "2.0",
    routeKey: "$default",
    rawPath,
    rawQueryString,
    ...(cookies.length > 0 && { cookies }),
    headers,
    ...(Object.keys(parameters).length > 0 && { queryStringParameters: parameters }),
    requestContext: {
      accountId: caller?.accountId ?? "anonymous",
      apiId: host.split(":")[0],
      ...(caller !== undefined && { authorizer: { iam: iamAuthorizer(caller) } }),
      domainName: host,
      domainPrefix: host.split(":")[0],
      http: {
        method: request.method,
        path: rawPath,
        protocol: `HTTP/${request.httpVersion}`,
        sourceIp,
        userAgent: request.headers["user-agent"] ?? null,
      },
      requestId,
      routeKey: "$default",
      stage: "$default",
      time: logTime(now),
      timeEpoch: now.getTime(),
    },
    ...(body.length > 0 && { body: Buffer.from(body).toString(asText ? "utf8" : "base64") }),
    isBase64Encoded: body.length > 0 && !asText,
  };
  return Buffer.from(JSON.stringify(event));
}

function iamAuthorizer(caller: UrlCaller) {
  return {
    accessKey: caller.accessKeyId,
    accountId: caller.accountId,
    callerId: caller.userId,
    cognitoIdentity: null,
    principalOrgId: null,
    userArn: caller.userArn,
    userId: caller.userId,
  };
}

/** Names in lower case, what came twice joined by commas; cookies stand apart. */
function eventHeaders(request: IncomingMessage, sourceIp: string, traceId: string): Record<string, string> {
  const headers: [string, string][] = Object.entries(request.headersDistinct).flatMap(([name, values]) =>
    name === "cookie" || values === undefined ? [] : [[name, values.join(",")]],
  );
  return Object.fromEntries([
    ...headers,
    ["x-amzn-trace-id", traceId],
    ["x-forwarded-for", sourceIp],
    ["x-forwarded-port", String(request.socket.localPort)],
    ["x-forwarded-proto", "http"],
  ]);
}

function queryParameters(rawQueryString: string): Record<string, string> {
  const parameters = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(rawQueryString)) {
    const before = parameters.get(name);
    parameters.set(name, before === undefined ? value : `${before},${value}`);
  }
  return Object.fromEntries(parameters);
}

/** What reaches the function as text; anything else as base64, forms too, and what does not say its type. */
function isText(contentType = ""): boolean {
  const [type = ""] = contentType.toLowerCase().split(";");
  return /^(text\/.+|application\/(json|javascript|xml|.+\+(json|xml)))$/.test(type.trim());
}

/** `12/Mar/2020:19:03:58 +0000` */
function logTime(date: Date): string {
  const [, day, month, year, time] = /, (\d\d) (\w{3}) (\d{4}) ([\d:]+) GMT/.exec(date.toUTCString()) ?? [];
  return `${day}/${month}/${year}:${time} +0000`;
}
