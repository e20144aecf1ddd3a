/** What an answer came to, as history keeps it. */
import {
  errorAnswer,
  StreamError,
  type BufferedAnswer,
  type FailureCause,
  type StreamedAnswer,
} from "../../proto/answer.ts";

/** Of a streamed answer, so much is kept; Lambda streams up to 200 MB. */
const MAX_KEPT_BYTES = 1024 * 1024;
const MAX_MESSAGE = 4_096;

export type Summary = {
  readonly status: "ok" | "error";
  readonly cause?: FailureCause;
  readonly errorType?: string;
  readonly errorMessage?: string;
};

export function summaryOf({ status, cause, errorType, body }: BufferedAnswer): Summary {
  if (status === "ok") return { status };
  const posted = errorBody(body);
  const type = errorType ?? posted?.errorType;
  return {
    status,
    cause: cause ?? "handler",
    ...(type !== undefined && { errorType: type }),
    ...(posted !== undefined && { errorMessage: posted.errorMessage.slice(0, MAX_MESSAGE) }),
  };
}

/** Why an invocation was ended from outside its handler: the reason of its signal. */
export class Stopped extends Error {
  readonly answer: BufferedAnswer;
  constructor(answer: BufferedAnswer) {
    super(answer.errorType);
    this.answer = answer;
  }
}

/**
 * The same chunks, with the first megabyte kept. `signal` aborts with Stopped, which is what its end is told as. The end
 * is told to the reader when `settled` has resolved.
 */
export function capture(
  answer: StreamedAnswer,
  signal: AbortSignal,
  settled: () => Promise<void>,
): {
  readonly answer: StreamedAnswer;
  outcome(): { body: Uint8Array; bytes: number; failure?: BufferedAnswer };
} {
  const kept: Uint8Array[] = [];
  let keptBytes = 0;
  let bytes = 0;
  let failure: BufferedAnswer | undefined;
  let ended = false;
  async function* chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for await (const chunk of answer.chunks) {
        bytes += chunk.length;
        const room = MAX_KEPT_BYTES - keptBytes;
        if (room > 0) {
          const part = chunk.length > room ? chunk.subarray(0, room) : chunk;
          // A copy: the rest of a cut chunk would stay in memory with it.
          kept.push(part === chunk ? part : Uint8Array.from(part));
          keptBytes += part.length;
        }
        yield chunk;
      }
      ended = true;
      await settled();
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
      failure = signal.aborted ? (signal.reason as Stopped).answer : fromStreamError(error);
      await settled();
      throw new StreamError(failure.errorType ?? "Runtime.Unknown", failure.body);
    }
  }
  return {
    answer: { ...answer, chunks: chunks() },
    outcome: () => {
      const body = Buffer.concat(kept);
      if (ended) return { body, bytes };
      const stopped = failure ?? (signal.aborted ? (signal.reason as Stopped).answer : cut());
      return { body, bytes, failure: stopped };
    },
  };
}

function fromStreamError({ errorType, body }: StreamError): BufferedAnswer {
  return {
    kind: "buffered",
    status: "error",
    cause: "handler",
    errorType,
    body,
    contentType: "application/json",
  };
}

/** Nobody read it to its end. */
function cut(): BufferedAnswer {
  return errorAnswer("cancelled", "Livedev.StreamCut", "The stream was not read to its end.");
}

function errorBody(body: Uint8Array): { errorType?: string; errorMessage: string } | undefined {
  try {
    const { errorType, errorMessage } = JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>;
    if (typeof errorMessage !== "string") return undefined;
    return { errorMessage, ...(typeof errorType === "string" && { errorType }) };
  } catch {
    return undefined;
  }
}
