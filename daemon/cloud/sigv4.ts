/**
 * Signature Version 4, both ways. A request is checked by signing it again with the key that it names, over exactly
 * the headers that it says it signed, and comparing in constant time.
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
import { createHash, createHmac, timingSafeEqual, type Hash, type Hmac } from "node:crypto";

import type { SignatureV4 } from "@smithy/signature-v4";

import { AwsError } from "./aws-error.ts";
import { readSession, rootPrincipal, type Principal } from "./sessions.ts";
import type { CloudState } from "./state.ts";

export type SignedRequest = {
  readonly method: string;
  /** Path and query as they stood on the wire. */
  readonly target: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
};

/** What a request's Authorization header claims; nothing of it is proven yet. */
export type Claim = {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly principal: Principal;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly signedAt: Date;
};

export type Credentials = {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
};

/** AWS's own bound. */
const MAX_SKEW_MS = 5 * 60_000;

/**
 * All that can be refused before the body is read: no such key, an expired session, a clock that is off, a host that
 * is not signed.
 */
export function readClaim(request: SignedRequest, state: Readonly<CloudState>): Claim {
  const header = request.headers["authorization"];
  if (header === undefined) throw missingToken();
  const [, fields = ""] = /^AWS4-HMAC-SHA256\s+(.*)$/.exec(header) ?? [];
  const given = Object.fromEntries(fields.split(",").map((field) => split(field.trim(), "=")));
  const [accessKeyId, day, region, service, end] = (given["Credential"] ?? "").split("/");
  const signedHeaders = (given["SignedHeaders"] ?? "").split(";").filter(Boolean);
  const signature = given["Signature"] ?? "";
  if (
    !accessKeyId ||
    !day ||
    !region ||
    !service ||
    end !== "aws4_request" ||
    !/^[0-9a-f]{64}$/.test(signature)
  ) {
    throw incomplete(
      "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters.",
    );
  }
  if (!signedHeaders.includes("host"))
    throw incomplete("'Host' must be a 'SignedHeader' in the AWS Authorization.");
  const signedAt = parseDate(request.headers["x-amz-date"]);
  if (signedAt === undefined || !(request.headers["x-amz-date"] ?? "").startsWith(day)) {
    throw incomplete("Authorization header requires a valid 'X-Amz-Date' header of the credential's day.");
  }
  const skew = Date.now() - signedAt.getTime();
  if (Math.abs(skew) > MAX_SKEW_MS) throw skewed(signedAt, skew);
  return {
    ...keyOf(request, accessKeyId, state),
    accessKeyId,
    region,
    service,
    signedHeaders,
    signature,
    signedAt,
  };
}

/** Throws unless the claim's key signed exactly this request and this body. */
export async function verify(request: SignedRequest, claim: Claim, body: Uint8Array): Promise<void> {
  const declared = request.headers["x-amz-content-sha256"];
  const hash = createHash("sha256").update(body).digest("hex");
  if (declared !== undefined && declared !== hash) throw hashMismatch();
  await verifyHash(request, claim, hash);
}

/**
 * Throws unless the claim's key signed this request with a payload of this hash, or with what S3 takes in its place
 * (`UNSIGNED-PAYLOAD`, `STREAMING-…`).
 */
export async function verifyHash(request: SignedRequest, claim: Claim, hash: string): Promise<void> {
  const headers: Record<string, string> = { "x-amz-content-sha256": hash };
  for (const name of claim.signedHeaders) {
    const value = request.headers[name];
    if (value === undefined) throw mismatch(`The signed header ${name} is missing.`);
    headers[name] = value;
  }
  const signed = await (
    await signer(claim, claim.region, claim.service)
  ).sign(
    { method: request.method, protocol: "http:", hostname: "", headers, ...splitTarget(request.target) },
    {
      signingDate: claim.signedAt,
      signableHeaders: new Set(claim.signedHeaders),
      // Without it the hash alone, which the request may carry unsigned, would become part of the signed headers.
      unsignableHeaders: new Set(
        ["x-amz-content-sha256", "x-amz-date"].filter((name) => !claim.signedHeaders.includes(name)),
      ),
    },
  );
  const [, expected = ""] = /Signature=([0-9a-f]+)$/.exec(signed.headers["authorization"] ?? "") ?? [];
  mustEqual(expected, claim.signature);
}

function mustEqual(expected: string, given: string): void {
  if (expected.length === 64 && timingSafeEqual(Buffer.from(expected), Buffer.from(given))) return;
  throw mismatch(
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
  );
}

/** A link that carries its signature in the query: whoever has it may use it until it expires. */
export const isPresigned = ({ target }: SignedRequest) => /[?&]X-Amz-Signature=/i.test(target);

/**
 * Throws unless the link's key signed exactly this request.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
 */
export function verifyPresigned(
  request: SignedRequest,
  state: Readonly<CloudState>,
): Pick<Claim, "region" | "service"> {
  const [path, search] = split(request.target, "?");
  const query = search
    .split("&")
    .filter(Boolean)
    .map((part) => split(part, "=").map(decode) as [string, string]);
  const given = new Map(query.map(([name, value]) => [name.toLowerCase(), value]));
  const [accessKeyId = "", day = "", region = "", service = ""] = (given.get("x-amz-credential") ?? "").split(
    "/",
  );
  const signedAt = parseDate(given.get("x-amz-date"));
  const seconds = Number(given.get("x-amz-expires"));
  if (signedAt === undefined || !Number.isInteger(seconds) || seconds < 1 || seconds > 604_800) {
    throw incomplete("The link requires valid 'X-Amz-Date' and 'X-Amz-Expires' parameters.");
  }
  if (Date.now() > signedAt.getTime() + seconds * 1_000)
    throw new AwsError(403, "AccessDenied", "Request has expired");
  const token = given.get("x-amz-security-token");
  const { secretAccessKey } = keyOf(
    { ...request, headers: { "x-amz-security-token": token } },
    accessKeyId,
    state,
  );
  const signedHeaders = (given.get("x-amz-signedheaders") ?? "").split(";").filter(Boolean);
  if (!signedHeaders.includes("host")) throw incomplete("'Host' must be signed.");
  const canonical = [
    request.method,
    path,
    query
      .filter(([name]) => name.toLowerCase() !== "x-amz-signature")
      .map(([name, value]) => `${encode(name)}=${encode(value)}`)
      .sort()
      .join("&"),
    ...signedHeaders.map((name) => `${name}:${(request.headers[name] ?? "").trim().replaceAll(/ +/g, " ")}`),
    "",
    signedHeaders.join(";"),
    given.get("x-amz-content-sha256") ?? request.headers["x-amz-content-sha256"] ?? "UNSIGNED-PAYLOAD",
  ].join("\n");
  const scope = `${day}/${region}/${service}/aws4_request`;
  const hash = createHash("sha256").update(canonical).digest("hex");
  const text = ["AWS4-HMAC-SHA256", given.get("x-amz-date"), scope, hash].join("\n");
  const hmac = (key: string | Buffer, data: string) => createHmac("sha256", key).update(data).digest();
  const key = hmac(hmac(hmac(hmac(`AWS4${secretAccessKey}`, day), region), service), "aws4_request");
  mustEqual(hmac(key, text).toString("hex"), given.get("x-amz-signature") ?? "");
  return { region, service };
}

/** As SigV4 wants it: also what encodeURIComponent leaves alone. */
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** The headers to send. `body` must be what is sent. */
export async function signRequest(
  request: { method: string; url: URL; body?: Uint8Array },
  credentials: Credentials,
  region: string,
  service: string,
): Promise<Record<string, string>> {
  const { url } = request;
  const signed = await (
    await signer(credentials, region, service)
  ).sign({
    method: request.method,
    protocol: url.protocol,
    hostname: url.hostname,
    headers: { host: url.host },
    body: request.body,
    ...splitTarget(url.pathname + url.search),
  });
  return signed.headers;
}

async function signer(credentials: Credentials, region: string, service: string): Promise<SignatureV4> {
  // When it is first used: the program's short commands need not wait for it to load.
  const { SignatureV4 } = await import("@smithy/signature-v4");
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  return new SignatureV4({
    credentials: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) },
    region,
    service,
    sha256: Sha256,
    applyChecksum: false,
    // S3 alone signs the path as it stands on the wire.
    uriEscapePath: service !== "s3",
  });
}

/** Node's own hash, in the form that the signer wants: a deployment package of 50 MB is hashed natively. */
class Sha256 {
  readonly #hash: Hash | Hmac;
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    if (secret === undefined) this.#hash = createHash("sha256");
    else this.#hash = createHmac("sha256", typeof secret === "string" ? secret : bytesOf(secret));
  }
  update(chunk: Uint8Array): void {
    this.#hash.update(chunk);
  }
  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }
  reset(): void {
    throw new Error("a signer's hash is used once");
  }
}

function bytesOf(value: ArrayBuffer | ArrayBufferView): Uint8Array {
  return ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : new Uint8Array(value);
}

function keyOf(request: SignedRequest, accessKeyId: string, state: Readonly<CloudState>) {
  const token = request.headers["x-amz-security-token"];
  if (token === undefined) {
    if (accessKeyId !== state.accessKeyId) throw unknownToken();
    return { secretAccessKey: state.secretAccessKey, principal: rootPrincipal(state) };
  }
  const session = readSession(state, token);
  if (session === undefined || session.accessKeyId !== accessKeyId) throw unknownToken();
  if (session.expiresAt.getTime() < Date.now()) throw expiredToken();
  return { secretAccessKey: session.secretAccessKey, principal: session.principal };
}

/** The signer wants path and query apart, the query decoded. */
function splitTarget(target: string): { path: string; query: Record<string, string | string[]> } {
  const [path, search] = split(target, "?");
  const query: Record<string, string[]> = Object.create(null);
  for (const part of search.split("&").filter(Boolean)) {
    const [name, value] = split(part, "=").map(decode);
    (query[name ?? ""] ??= []).push(value ?? "");
  }
  return { path, query: { ...query } };
}

function split(text: string, by: string): [string, string] {
  const at = text.indexOf(by);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + by.length)];
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw incomplete("The query is not correctly URL-encoded.");
  }
}

function parseDate(text = ""): Date | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (match === null) return undefined;
  const [year = 0, month = 0, day, hour, minute, second] = match.slice(1).map(Number);
  return new Date(Date.UTC(year, month - 1, day, hour, minute, second));
}

const missingToken = () =>
  new AwsError(403, "MissingAuthenticationTokenException", "Missing Authentication Token");
const incomplete = (message: string) => new AwsError(403, "IncompleteSignatureException", message);
const unknownToken = () =>
  new AwsError(
    403,
    "UnrecognizedClientException",
    "The security token included in the request is invalid. (The local cloud prints its keys with `env`.)",
  );
const expiredToken = () =>
  new AwsError(403, "ExpiredTokenException", "The security token included in the request is expired");
const mismatch = (message: string) => new AwsError(403, "InvalidSignatureException", message);
export const hashMismatch = () =>
  mismatch("The provided 'x-amz-content-sha256' header does not match what was computed.");
const skewed = (signedAt: Date, skew: number) =>
  mismatch(
    `Signature ${skew > 0 ? "expired" : "not yet current"}: ${signedAt.toISOString()} is ${Math.round(Math.abs(skew) / 1000)} s away from this clock; at most 5 min. are allowed.`,
  );
