/**
 * One message of text in, its answer's text out. Knows no socket: HTTP and WebSocket both end here.
 *
 * Limits, and what they stop: depth (recursion in whatever walks a value later), batch length (one message that
 * starts unbounded work), requests in progress per caller (a caller that never waits). The length of a message is
 * bounded by the transports.
 */
import {
  createJSONRPCErrorResponse,
  isJSONRPCID,
  isJSONRPCRequest,
  JSONRPCErrorCode,
  JSONRPCErrorException,
  JSONRPCServer,
  type JSONRPCID,
  type JSONRPCResponse,
} from "json-rpc-2.0";
import type * as z from "zod";

import { RPC_ERROR } from "../../proto/errors.ts";
import { isDiskFull, LivedevError, storageFull, tooManyRequests } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";

import { depthExceeds } from "./depth.ts";
import { describeIssues } from "./issues.ts";
import type { MethodContext } from "./methods.ts";

const MAX_DEPTH = 100;
const MAX_BATCH = 1_000;
const MAX_IN_PROGRESS = 2_000;

/** One WebSocket, or one HTTP request. */
export type Caller = {
  /** Aborted when the caller is gone. */
  readonly signal: AbortSignal;
  /** Requests in progress by id, for `$/cancelRequest`. */
  readonly inProgress: Map<JSONRPCID, AbortController>;
  readonly connection?: { readonly id: number };
};

export type Reply = {
  /** Absent where only notifications came. */
  readonly text?: string;
  /** What waits for the reply to be sent. */
  readonly afterwards: readonly (() => void)[];
};

type Context = { readonly caller: Caller; readonly method: MethodContext };

export class Dispatcher {
  readonly #server: JSONRPCServer<Context>;
  readonly #log: Log;

  constructor(options: { log: Log }) {
    this.#log = options.log;
    // Without these hooks json-rpc-2.0 prints errors on the console and sends a bug's own message to the client.
    this.#server = new JSONRPCServer<Context>({
      errorListener: (message, error) => this.#note(message, error),
    });
    this.#server.mapErrorToJSONRPCErrorResponse = (id, error) => errorResponse(id, error);
  }

  add<P extends z.ZodType>(
    name: string,
    params: P,
    run: (params: z.output<P>, context: MethodContext, caller: Caller) => unknown,
  ): void {
    this.#server.addMethod(name, async (given: unknown, { caller, method }) => {
      const parsed = params.safeParse(given ?? {});
      if (!parsed.success) {
        throw new JSONRPCErrorException(describeIssues(parsed.error), JSONRPCErrorCode.InvalidParams);
      }
      try {
        return await run(parsed.data, method, caller);
      } catch (error) {
        // Whatever a method throws once its signal is aborted comes of the cancel.
        if (method.signal.aborted && !(error instanceof LivedevError)) {
          throw new JSONRPCErrorException("The request was cancelled.", RPC_ERROR.cancelled);
        }
        // Whatever of it could not be written: no bug of ours, and its caller can mend it.
        if (isDiskFull(error)) throw storageFull(pathOf(error) ?? "what it had to keep", error);
        throw error;
      }
    });
  }

  /** Never rejects: whatever came in, the answer says what is wrong with it. */
  async receive(text: string, caller: Caller): Promise<Reply> {
    const afterwards: (() => void)[] = [];
    const answered = await this.#receive(text, caller, (then) => afterwards.push(then));
    return answered === undefined ? { afterwards } : { text: JSON.stringify(answered), afterwards };
  }

  async #receive(
    text: string,
    caller: Caller,
    afterAnswer: (then: () => void) => void,
  ): Promise<JSONRPCResponse | JSONRPCResponse[] | undefined> {
    if (depthExceeds(text, MAX_DEPTH)) return invalidRequest(null, `nested deeper than ${MAX_DEPTH} levels`);
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch {
      return createJSONRPCErrorResponse(null, JSONRPCErrorCode.ParseError, "Parse error: not JSON");
    }
    if (!Array.isArray(message)) return this.#one(message, caller, afterAnswer);
    if (message.length === 0) return invalidRequest(null, "an empty batch");
    if (message.length > MAX_BATCH) return invalidRequest(null, `a batch of more than ${MAX_BATCH} requests`);
    const answers = await Promise.all(message.map((one: unknown) => this.#one(one, caller, afterAnswer)));
    const sent = answers.filter((answer) => answer !== undefined);
    return sent.length > 0 ? sent : undefined;
  }

  async #one(
    request: unknown,
    caller: Caller,
    afterAnswer: (then: () => void) => void,
  ): Promise<JSONRPCResponse | undefined> {
    if (typeof request !== "object" || request === null || Array.isArray(request)) {
      return invalidRequest(null, "not an object");
    }
    const given = "id" in request ? request.id : undefined;
    const id = isJSONRPCID(given) ? given : null;
    if (given !== undefined && !isJSONRPCID(given)) return invalidRequest(null, "id is no string or number");
    if (!isJSONRPCRequest(request)) return invalidRequest(id, 'no "jsonrpc": "2.0" with a method');
    if (typeof request.method !== "string") return invalidRequest(id, "method is not a string");

    if (request.method === "$/cancelRequest") {
      const wanted: unknown = request.params?.id;
      if (isJSONRPCID(wanted)) caller.inProgress.get(wanted)?.abort(new Error("cancelled"));
      return given === undefined ? undefined : { jsonrpc: "2.0", id, result: null };
    }
    if (given !== undefined && given !== null && caller.inProgress.has(id)) {
      return invalidRequest(id, "a request with this id is still in progress");
    }
    if (caller.inProgress.size >= MAX_IN_PROGRESS) {
      return given === undefined ? undefined : errorResponse(id, tooManyRequests(MAX_IN_PROGRESS));
    }

    const controller = new AbortController();
    const abort = () => controller.abort(new Error("the caller is gone"));
    if (caller.signal.aborted) abort();
    caller.signal.addEventListener("abort", abort);
    // Notifications are counted too, under a key that no request can have.
    const key = (given === undefined || given === null ? Symbol("unnamed") : id) as JSONRPCID;
    caller.inProgress.set(key, controller);
    try {
      const method: MethodContext = {
        signal: controller.signal,
        afterAnswer,
        ...(caller.connection === undefined ? {} : { connection: caller.connection }),
      };
      const answer = await this.#server.receive(request, { caller, method });
      return answer ?? undefined;
    } finally {
      caller.inProgress.delete(key);
      caller.signal.removeEventListener("abort", abort);
    }
  }

  #note(message: string, error: unknown): void {
    if (error instanceof LivedevError) this.#log.debug({ code: error.code }, error.message);
    else if (!(error instanceof JSONRPCErrorException)) this.#log.error({ err: error }, message);
  }
}

const pathOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).path;

function invalidRequest(id: JSONRPCID, what: string): JSONRPCResponse {
  return createJSONRPCErrorResponse(id, JSONRPCErrorCode.InvalidRequest, `Invalid Request: ${what}`);
}

function errorResponse(id: JSONRPCID, error: unknown) {
  if (error instanceof LivedevError) {
    const data = { code: error.code, ...(error.hint === undefined ? {} : { hint: error.hint }) };
    return createJSONRPCErrorResponse(id, RPC_ERROR.livedev, error.message, data);
  }
  if (error instanceof JSONRPCErrorException) {
    return createJSONRPCErrorResponse(id, error.code, error.message);
  }
  // A bug's message and stack stay in the log: they may hold what a client should not see.
  return createJSONRPCErrorResponse(
    id,
    RPC_ERROR.internal,
    "Internal error: livedevd's log has the details.",
  );
}
