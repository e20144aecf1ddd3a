/** What a handler's run came to, in Lambda's own shapes. The user's error is a value here, never a thrown error of ours. */

/**
 * Lambda's limits of an event, and of an answer in one piece. The quotas say 6 MB of both; what AWS's own errors name
 * differs by 100 bytes.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
 */
export const MAX_EVENT_BYTES = 6 * 1024 * 1024;
export const MAX_PAYLOAD_BYTES = MAX_EVENT_BYTES + 100;

export type Answer = BufferedAnswer | StreamedAnswer;

export type BufferedAnswer = {
  readonly kind: "buffered";
  /** `error`: the body is Lambda's `{ errorType, errorMessage, stackTrace }`. */
  readonly status: "ok" | "error";
  readonly body: Uint8Array;
  readonly contentType: string;
  /** As Lambda's `Lambda-Runtime-Function-Error-Type` carries it, for example `Runtime.ExitError`. */
  readonly errorType?: string;
  /** What ended it, where the handler did not end it itself. */
  readonly cause?: FailureCause;
};

export type StreamedAnswer = {
  readonly kind: "streamed";
  readonly contentType: string;
  /** Throws StreamError for an error in mid-stream. Backpressure: the next chunk is read when it is asked for. */
  readonly chunks: AsyncIterable<Uint8Array>;
};

/** An error after a stream has begun, as Lambda's trailers carry it. */
export class StreamError extends Error {
  override readonly name = "StreamError";
  readonly errorType: string;
  readonly body: Uint8Array;
  constructor(errorType: string, body: Uint8Array) {
    super(`the stream ended with ${errorType}`);
    this.errorType = errorType;
    this.body = body;
  }
}

/** `handler`: it threw. The rest is what happened around it. */
export type FailureCause =
  | "handler"
  | "init"
  | "build"
  | "exit"
  | "timeout"
  | "cancelled"
  | "interrupted"
  | "expired";

/** Lambda's error body. @see https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-invokeerror */
export type LambdaErrorBody = {
  readonly errorType: string;
  readonly errorMessage: string;
  readonly stackTrace: readonly string[];
};

export function errorAnswer(
  cause: FailureCause,
  errorType: string,
  errorMessage: string,
  stackTrace: readonly string[] = [],
): BufferedAnswer {
  const body: LambdaErrorBody = { errorType, errorMessage, stackTrace };
  return {
    kind: "buffered",
    status: "error",
    body: new TextEncoder().encode(JSON.stringify(body)),
    contentType: "application/json",
    errorType,
    cause,
  };
}

/** Lambda's own, with the size in it: of the answer itself nothing is kept. */
export const tooLarge = (bytes: number): BufferedAnswer =>
  errorAnswer(
    "handler",
    "Function.ResponseSizeTooLarge",
    `Response payload size (${bytes} bytes) exceeded maximum allowed payload size (${MAX_PAYLOAD_BYTES} bytes).`,
  );
