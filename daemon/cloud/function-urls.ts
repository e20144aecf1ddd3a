/** The function URLs: one loopback listener for each, on a port that stays the same. */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";

import { MAX_EVENT_BYTES } from "../../proto/answer.ts";
import { messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { Scope } from "../lib/scope.ts";
import { AwsError } from "./aws-error.ts";
import { corsHeaders, isPreflight, preflight } from "./function-url-cors.ts";
import { urlEvent, type UrlCaller } from "./function-url-event.ts";
import { badGateway, urlError, urlResponse, type UrlResponse } from "./function-url-response.ts";
import { newTraceId, type Invoker } from "./lambda-invoke.ts";
import { allowsPublicUrl } from "./lambda-policy.ts";
import { readClaim, verify } from "./sigv4.ts";
import type { StateFile } from "./state-file.ts";
import type { FunctionUrl, LambdaFunction } from "./state.ts";

export type FunctionUrlsOptions = {
  readonly states: StateFile;
  readonly invoker: Pick<Invoker, "invoke">;
  /** Told why a request was refused that no function may see. */
  readonly onRefused: (reason: string) => void;
  readonly log: Log;
};

type Listener =
  | { readonly server: Server; readonly error?: undefined }
  | { readonly server?: undefined; readonly error: string };

export class FunctionUrls {
  readonly #options: FunctionUrlsOptions;
  readonly #listeners = new Map<number, Listener>();
  /** Reserved for a config that is about to be stored. */
  readonly #reserved = new Set<number>();
  readonly #scope = new Scope();
  #applying: Promise<void> = Promise.resolve();

  private constructor(options: FunctionUrlsOptions) {
    this.#options = options;
    this.#scope.defer(async () => {
      await this.#applying;
      await Promise.all([...this.#listeners.values()].map(close));
    });
  }

  static open(options: FunctionUrlsOptions): FunctionUrls {
    return new FunctionUrls(options);
  }

  /** A port that listens already, so that nobody else has it; kept until settle(), then as the state says. */
  async reserve(): Promise<number> {
    const server = await this.#listen(0);
    const { port } = server.address() as AddressInfo;
    this.#listeners.set(port, { server });
    this.#reserved.add(port);
    return port;
  }

  settle(port: number): void {
    this.#reserved.delete(port);
  }

  /** Why the URL on this port does not answer. */
  error(port: number): string | undefined {
    return this.#listeners.get(port)?.error;
  }

  /** Listens for the URLs of the state, and for no others. */
  apply(): Promise<void> {
    this.#applying = this.#applying.then(() => (this.#scope.closed ? undefined : this.#apply()));
    return this.#applying;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }

  async #apply(): Promise<void> {
    const functions = Object.values(this.#options.states.state.functions);
    const wanted = new Set(functions.flatMap(({ url }) => (url === undefined ? [] : [url.port])));
    for (const port of wanted) {
      if (this.#listeners.get(port)?.server !== undefined) continue;
      this.#listeners.set(port, await this.#tryListen(port));
    }
    for (const [port, listener] of this.#listeners) {
      if (wanted.has(port) || this.#reserved.has(port)) continue;
      this.#listeners.delete(port);
      await close(listener);
    }
  }

  async #tryListen(port: number): Promise<Listener> {
    try {
      return { server: await this.#listen(port) };
    } catch (error) {
      this.#options.log.warn(
        { port, error: messageOf(error) },
        "a function URL's port cannot be listened on",
      );
      return { error: `port ${port}: ${messageOf(error)}` };
    }
  }

  #listen(port: number): Promise<Server> {
    const server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => {
        this.#options.log.error({ err: error }, "a function URL's request failed");
        response.destroy();
      });
    });
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: "127.0.0.1", port }, () => {
        server.off("error", reject);
        resolve(server);
      });
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.on("error", () => undefined);
    const requestId = randomUUID();
    const lambda = this.#functionOn(request.socket.localPort);
    const cors = lambda?.url?.cors;
    const answer = await this.#answer(request, requestId, lambda).catch((error: unknown) => {
      if (error instanceof AwsError && error.status < 500)
        return urlError(error.status, error.message, error.code);
      this.#options.log.error({ err: error }, "a function URL's invocation failed");
      return badGateway();
    });
    // A preflight's own answer says all, and to an origin that is refused nothing.
    const added = cors === undefined || isPreflight(request) ? {} : corsHeaders(request, cors);
    const headers = { ...answer.headers, ...added };
    await send(response, { ...answer, headers: { ...headers, "x-amzn-requestid": requestId } });
  }

  async #answer(
    request: IncomingMessage,
    requestId: string,
    lambda: LambdaFunction | undefined,
  ): Promise<UrlResponse> {
    const url = lambda?.url;
    const port = request.socket.localPort;
    const { host } = request.headers;
    if (lambda === undefined || url === undefined)
      return urlError(404, "Not Found", "ResourceNotFoundException");
    if (host !== `127.0.0.1:${port}` && host !== `localhost:${port}`) {
      this.#options.onRefused("the Host is not this URL's");
      return FORBIDDEN;
    }
    if (url.cors !== undefined && isPreflight(request)) return preflight(request, url.cors);
    if (url.authType === "NONE" && !allowsPublicUrl(lambda)) return FORBIDDEN;
    const body = await readBody(request);
    if (body === undefined)
      return urlError(
        413,
        `Request must be smaller than ${MAX_EVENT_BYTES} bytes`,
        "RequestTooLargeException",
      );
    const caller = url.authType === "AWS_IAM" ? await this.#caller(request, body) : undefined;
    const traceId = newTraceId();
    const event = urlEvent({ request, body, requestId, traceId, caller });
    const { answer } = await this.#options.invoker.invoke(lambda, { requestId, event, traceId });
    return urlResponse(answer, url.invokeMode);
  }

  async #caller(request: IncomingMessage, body: Uint8Array): Promise<UrlCaller> {
    const { state } = this.#options.states;
    const headers = Object.entries(request.headersDistinct).map(([name, values]) => [
      name,
      values?.join(","),
    ]);
    const signed = {
      method: request.method ?? "GET",
      target: request.url ?? "/",
      headers: Object.fromEntries(headers) as Record<string, string | undefined>,
    };
    const claim = readClaim(signed, state);
    await verify(signed, claim, body);
    if (claim.service !== "lambda")
      throw new AwsError(
        403,
        "InvalidSignatureException",
        "Credential should be scoped to correct service: 'lambda'.",
      );
    const { arn: userArn, userId } = claim.principal;
    return { accessKeyId: claim.accessKeyId, accountId: state.accountId, userArn, userId };
  }

  #functionOn(port: number | undefined): LambdaFunction | undefined {
    const functions = Object.values(this.#options.states.state.functions);
    return functions.find(
      ({ url }: { url: FunctionUrl | undefined }) => url !== undefined && url.port === port,
    );
  }
}

const FORBIDDEN = urlError(403, "Forbidden", "AccessDeniedException");

async function readBody(request: IncomingMessage): Promise<Uint8Array | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    length += (chunk as Buffer).length;
    // Read to its end, so that the client gets its answer; but not kept.
    if (length <= MAX_EVENT_BYTES) chunks.push(chunk as Buffer);
    else chunks.length = 0;
  }
  return length > MAX_EVENT_BYTES ? undefined : Buffer.concat(chunks);
}

async function send(response: ServerResponse, { status, headers, body }: UrlResponse): Promise<void> {
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (body instanceof Uint8Array) {
    response.end(body);
    return;
  }
  try {
    await pipeline(body, response);
  } catch {
    // In mid-stream nothing but a cut connection tells that it did not end well. A client that left is no error.
    response.destroy();
  }
}

async function close({ server }: Listener): Promise<void> {
  if (server === undefined) return;
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
