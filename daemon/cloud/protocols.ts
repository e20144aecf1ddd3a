/** The protocols that the APIs speak: REST with JSON (Lambda), Query with XML (IAM, STS), REST with XML (S3). */
import type { AwsError } from "./aws-error.ts";

export type ApiResponse = {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array>;
};

export function json(status: number, value: unknown): ApiResponse {
  return { status, headers: { "content-type": "application/json" }, body: JSON.stringify(value) };
}

/** Lambda's: the type in a header, `Type` and `Message` in the body. */
export function jsonError(error: AwsError): ApiResponse {
  const body = { Type: error.status < 500 ? "User" : "Service", Message: error.message, ...error.members };
  const response = json(error.status, body);
  return { ...response, headers: { ...response.headers, "x-amzn-ErrorType": error.code } };
}

export type XmlValue =
  | string
  | number
  | boolean
  | undefined
  | readonly XmlValue[]
  | { readonly [name: string]: XmlValue };

export const XMLNS = {
  iam: "https://iam.amazonaws.com/doc/2010-05-08/",
  sts: "https://sts.amazonaws.com/doc/2011-06-15/",
} as const;
export type QueryService = keyof typeof XMLNS;

/** S3's. */
export function restXml(
  status: number,
  name: string,
  value: { readonly [name: string]: XmlValue },
): ApiResponse {
  const inner = Object.entries(value).map(([child, content]) => repeated(child, content));
  const body = `<${name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inner.join("")}</${name}>`;
  return { ...xml(status, body), headers: { "content-type": "application/xml" } };
}

/** S3's lists are elements of the same name, without a `<member>`. */
function repeated(name: string, value: XmlValue): string {
  if (isList(value)) return value.map((item) => repeated(name, item)).join("");
  if (typeof value !== "object") return element(name, value);
  const inner = Object.entries(value).map(([child, content]) => repeated(child, content));
  return `<${name}>${inner.join("")}</${name}>`;
}

export function restXmlError(error: AwsError, requestId: string): ApiResponse {
  const { code: Code, message: Message, members } = error;
  const body = element("Error", { Code, Message, ...members, RequestId: requestId });
  return { ...xml(error.status, body), headers: { "content-type": "application/xml" } };
}

export function queryResponse(
  service: QueryService,
  action: string,
  result: XmlValue,
  requestId: string,
): ApiResponse {
  const inner = result === undefined ? "" : element(`${action}Result`, result);
  const metadata = element("ResponseMetadata", { RequestId: requestId });
  return xml(200, `<${action}Response xmlns="${XMLNS[service]}">${inner}${metadata}</${action}Response>`);
}

export function queryError(service: QueryService, error: AwsError, requestId: string): ApiResponse {
  const { code: Code, message: Message } = error;
  const shown = { Type: error.status < 500 ? "Sender" : "Receiver", Code, Message };
  const inner = element("Error", shown) + element("RequestId", requestId);
  return xml(error.status, `<ErrorResponse xmlns="${XMLNS[service]}">${inner}</ErrorResponse>`);
}

/** A list's entries are `<member>`s, as in the Query protocol; `undefined` is left out. */
export function element(name: string, value: XmlValue): string {
  if (value === undefined) return "";
  if (isList(value)) return `<${name}>${value.map((entry) => element("member", entry)).join("")}</${name}>`;
  if (typeof value === "object") {
    const inner = Object.entries(value).map(([child, content]) => element(child, content));
    return `<${name}>${inner.join("")}</${name}>`;
  }
  return `<${name}>${escapeXml(String(value))}</${name}>`;
}

// Array.isArray does not narrow readonly arrays.
const isList = (value: XmlValue): value is readonly XmlValue[] => Array.isArray(value);

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
  // A parser would make a bare carriage return a line feed.
  "\r": "&#xD;",
};

function escapeXml(text: string): string {
  return (
    text
      .replace(/[&<>"'\r]/g, (character) => ENTITIES[character] ?? character)
      // Characters that XML 1.0 cannot hold in any form.
      // oxlint-disable-next-line no-control-regex
      .replace(/[\u0000-\u0008\u000B\u000C\u000E-\u001F\uFFFE\uFFFF]/g, "\uFFFD")
  );
}

function xml(status: number, body: string): ApiResponse {
  return {
    status,
    headers: { "content-type": "text/xml" },
    body: `<?xml version="1.0" encoding="UTF-8"?>\n${body}`,
  };
}
