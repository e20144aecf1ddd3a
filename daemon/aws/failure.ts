/** What the SDK throws, as a sentence that says what to do; a bug stays what it is. */
import {
  awsDenied,
  awsFailed,
  awsThrottled,
  awsUnreachable,
  codeOf,
  credentialsFailed,
  LivedevError,
} from "../lib/errors.ts";

const CREDENTIALS = new Set([
  "CredentialsProviderError",
  "TokenProviderError",
  "ExpiredToken",
  "ExpiredTokenException",
  "InvalidClientTokenId",
  "InvalidSignatureException",
  "SignatureDoesNotMatch",
  "UnrecognizedClientException",
  "InvalidAccessKeyId",
  "UnauthorizedException",
]);

const UNREACHABLE = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
  "ETIMEDOUT",
  "EPIPE",
]);

const THROTTLED = new Set([
  "ThrottlingException",
  "Throttling",
  "TooManyRequestsException",
  "RequestLimitExceeded",
  "SlowDown",
]);

/** The name of an AWS error, `ResourceConflictException`. */
export function awsName(error: unknown): string | undefined {
  return error instanceof Error && isAws(error) ? error.name : undefined;
}

/** AWS, or the SDK before it asked, takes these credentials for absent, wrong or over. */
export const isRefusal = (error: Error) => CREDENTIALS.has(error.name);

export type Where = {
  readonly profile: string | undefined;
  readonly endpoint: string;
  /** The credentials are keys that this process was started with. */
  readonly fromEnvironment?: boolean;
};

/** `doing`: the operation and its object, `CreateFunction of aws.Function "MyApi"`. */
export function explainAws(error: unknown, doing: string, where: Where): unknown {
  if (!(error instanceof Error) || error instanceof LivedevError || error.name === "AbortError") return error;
  if (isRefusal(error)) return credentialsFailed(where, error);
  if (UNREACHABLE.has(codeOf(error) ?? "") || error.name === "TimeoutError") {
    return awsUnreachable(where.endpoint, describe(error));
  }
  if (THROTTLED.has(error.name)) return awsThrottled(doing, error);
  if (/^(AccessDenied|UnauthorizedOperation)/.test(error.name)) {
    const [, action] = /not authorized to perform: ([\w:*-]+)/.exec(error.message) ?? [];
    return awsDenied(action, doing, error);
  }
  return isAws(error) ? awsFailed(doing, error.name, error) : error;
}

function isAws(error: Error): boolean {
  return "$metadata" in error || "$fault" in error;
}

/** Node's AggregateError of several addresses has no message of its own. */
function describe(error: Error): Error {
  return error.message === "" ? new Error(codeOf(error) ?? error.name, { cause: error }) : error;
}
