/** What the cloud keeps over restarts, as plain data: one JSON file, replaced as a whole by each change. */
import { randomBytes, randomInt } from "node:crypto";

export type CloudState = {
  readonly version: 1;
  readonly region: string;
  readonly accountId: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Seals session tokens, hex: sessions need no table and survive restarts. */
  readonly sessionKey: string;
  /** Of the API's listener; 0 until it first listened. */
  port: number;
  roles: Record<string, Role>;
  /** By ARN: names are unique in a region only. */
  functions: Record<string, LambdaFunction>;
};

export type Role = {
  readonly name: string;
  readonly id: string;
  readonly arn: string;
  readonly path: string;
  readonly createdAt: string;
  description: string | undefined;
  maxSessionDuration: number;
  trustPolicy: string;
  inlinePolicies: Record<string, string>;
  /** ARNs. */
  attachedPolicies: string[];
  tags: Record<string, string>;
};

export type LambdaFunction = {
  readonly name: string;
  readonly arn: string;
  readonly region: string;
  revisionId: string;
  lastModified: string;
  configuration: FunctionConfiguration;
  code: FunctionCode;
  tags: Record<string, string>;
  /** Statements of the resource policy, in order. */
  policy: PolicyStatement[];
  policyRevisionId: string;
  url: FunctionUrl | undefined;
};

export type FunctionConfiguration = {
  runtime: string;
  role: string;
  handler: string;
  description: string;
  timeout: number;
  memorySize: number;
  environment: Record<string, string>;
  architectures: string[];
  ephemeralStorage: number;
  tracingMode: string;
};

export type FunctionCode = {
  /** Base64, as Lambda shows it. */
  readonly sha256: string;
  readonly size: number;
};

export type PolicyStatement = {
  readonly sid: string;
  readonly action: string;
  readonly principal: string;
  readonly conditions: PolicyCondition[];
};
export type PolicyCondition = { readonly operator: string; readonly key: string; readonly value: string };

export type FunctionUrl = {
  /** Persisted, so that the URL stays the same. */
  readonly port: number;
  authType: "NONE" | "AWS_IAM";
  invokeMode: "BUFFERED" | "RESPONSE_STREAM";
  cors: Cors | undefined;
  readonly createdAt: string;
  lastModified: string;
};

/** @see https://docs.aws.amazon.com/lambda/latest/api/API_Cors.html */
export type Cors = {
  readonly AllowCredentials?: boolean;
  readonly AllowHeaders?: readonly string[];
  readonly AllowMethods?: readonly string[];
  readonly AllowOrigins?: readonly string[];
  readonly ExposeHeaders?: readonly string[];
  readonly MaxAge?: number;
};

/** A new account, with keys drawn at random. */
export function newState(region: string): CloudState {
  return {
    version: 1,
    region,
    accountId: String(randomInt(100_000_000_000, 281_474_976_710_655)).slice(0, 12),
    accessKeyId: randomKeyId("AKIA"),
    secretAccessKey: randomBytes(30).toString("base64"),
    sessionKey: randomBytes(32).toString("hex"),
    port: 0,
    roles: {},
    functions: {},
  };
}

const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** AWS's unique ids: a prefix that tells the kind, and 16 letters and digits. */
export function randomKeyId(prefix: "AKIA" | "ASIA" | "AROA"): string {
  return prefix + Array.from(randomBytes(16), (byte) => BASE32[byte % 32]).join("");
}
