/** One invocation as other programs take it. Pure: what is sealed stays as it is shown. */
import type { FunctionStatus, InvocationDetail } from "../../proto/rpc.ts";

export type Reach = {
  readonly fn: Pick<FunctionStatus, "url" | "functionArn"> | undefined;
  /** Of the local cloud, where that is the home. */
  readonly endpoint: string | undefined;
};

export const asJson = (invocation: InvocationDetail): string => JSON.stringify(invocation, null, 2);

export const asInvoke = ({ functionName, event }: InvocationDetail): string =>
  `livedev invoke ${quoted(functionName)} --event ${quoted(event.text)}`;

/**
 * The request again that an HTTP event was; for any other event an Invoke of the function, which curl signs with the
 * credentials of the environment (`livedev cloud env` prints the local cloud's).
 */
export function asCurl(invocation: InvocationDetail, reach: Reach): string {
  const request = httpRequest(invocation.event.text, reach.fn?.url);
  return request === undefined ? invokeByCurl(invocation, reach) : requestByCurl(request);
}

type HttpRequest = {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string | undefined;
  readonly base64: boolean;
};

type Fields = Readonly<Record<string, unknown>>;

const fieldsOf = (value: unknown): Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

/** A function URL's or an HTTP API's event, a REST API's, a load balancer's; undefined: none of them. */
function httpRequest(text: string, ownUrl: string | undefined): HttpRequest | undefined {
  let event: Fields;
  try {
    event = fieldsOf(JSON.parse(text));
  } catch {
    return undefined;
  }
  const http = fieldsOf(fieldsOf(event["requestContext"])["http"]);
  const method = textOf(http["method"]) ?? textOf(event["httpMethod"]);
  const path = textOf(event["rawPath"]) ?? textOf(event["path"]);
  if (method === undefined || path === undefined) return undefined;
  const given = headersOf(event);
  const host = given.find(([name]) => name.toLowerCase() === "host")?.[1];
  const base = ownUrl ?? (host === undefined ? undefined : `https://${host}`);
  if (base === undefined) return undefined;
  const query = textOf(event["rawQueryString"]) ?? queryOf(event);
  const cookies = Array.isArray(event["cookies"]) ? event["cookies"].map(String) : [];
  return {
    method,
    url: `${base.replace(/\/$/, "")}${path}${query === "" ? "" : `?${query}`}`,
    headers: [
      ...given.filter(([name]) => !MADE_ON_THE_WAY.test(name)),
      ...(cookies.length > 0 ? [["cookie", cookies.join("; ")] as const] : []),
    ],
    body: textOf(event["body"]),
    base64: event["isBase64Encoded"] === true,
  };
}

/** By the client's own connection, by proxies, by AWS: the next request gets its own. */
const MADE_ON_THE_WAY =
  /^(?:host|content-length|connection|accept-encoding|transfer-encoding|via|cookie|x-forwarded-.*|x-amz.*|forwarded)$/i;

function headersOf(event: Fields): [string, string][] {
  const many = Object.entries(fieldsOf(event["multiValueHeaders"])).flatMap(([name, values]) =>
    Array.isArray(values) ? values.map((value): [string, string] => [name, String(value)]) : [],
  );
  if (many.length > 0) return many;
  return Object.entries(fieldsOf(event["headers"])).map(([name, value]) => [name, String(value)]);
}

function queryOf(event: Fields): string {
  const query = new URLSearchParams();
  const many = Object.entries(fieldsOf(event["multiValueQueryStringParameters"]));
  for (const [name, values] of many)
    if (Array.isArray(values)) for (const value of values) query.append(name, String(value));
  if (many.length === 0)
    for (const [name, value] of Object.entries(fieldsOf(event["queryStringParameters"])))
      query.append(name, String(value));
  return query.toString();
}

function requestByCurl({ method, url, headers, body, base64 }: HttpRequest): string {
  const bytes = base64 && body !== undefined ? Buffer.from(body, "base64") : undefined;
  const text = bytes?.toString("utf8") ?? body;
  // Bytes that are no text come by a pipe.
  const binary = bytes !== undefined && !Buffer.from(text ?? "", "utf8").equals(bytes);
  const parts = [
    "curl",
    ...(method === "GET" && body === undefined ? [] : ["-X", quoted(method)]),
    quoted(url),
    ...headers.flatMap(([name, value]) => ["-H", quoted(`${name}: ${value}`)]),
    ...(body === undefined ? [] : binary ? ["--data-binary", "@-"] : ["--data-raw", quoted(text ?? "")]),
  ];
  const command = parts.join(" ");
  return binary ? `printf %s ${quoted(body ?? "")} | base64 -d | ${command}` : command;
}

function invokeByCurl({ functionName, event }: InvocationDetail, { fn, endpoint }: Reach): string {
  const arn = fn?.functionArn ?? "";
  const region = arn.split(":")[3] ?? "us-east-1";
  const name = arn.split(":")[6] ?? functionName;
  const base = endpoint ?? `https://lambda.${region}.amazonaws.com`;
  return [
    "curl",
    "--aws-sigv4",
    quoted(`aws:amz:${region}:lambda`),
    "--user",
    '"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY"',
    '${AWS_SESSION_TOKEN:+-H "x-amz-security-token: $AWS_SESSION_TOKEN"}',
    quoted(`${base.replace(/\/$/, "")}/2015-03-31/functions/${name}/invocations`),
    "-H",
    quoted("content-type: application/json"),
    "--data-raw",
    quoted(event.text),
  ].join(" ");
}

/** For a shell; bare where it needs nothing. */
export function quoted(text: string): string {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
