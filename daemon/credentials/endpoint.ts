/**
 * A container-credentials endpoint, for what runs beside the functions with their permissions: every AWS SDK asks it
 * again before its credentials expire, so that they last for as long as the program runs, and no key stands in an
 * environment. Each function has a path and a token of its own.
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { codeOf, LivedevError, messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { Variables } from "./credentials.ts";

export type CredentialsEndpointOptions = {
  /** Of an earlier daemon: whoever it started still asks there. 0: any. */
  readonly port: number;
  /** This machine's: tokens come of it, and so outlive a restart. */
  readonly key: Uint8Array;
  /** A function's freshest, by AWS's names. @throws LivedevError */
  readonly credentials: (functionName: string) => Promise<Variables>;
  readonly onRefused: (reason: string) => void;
  readonly log: Log;
};

const HOST = "127.0.0.1";
const PATH = /^\/credentials\/([\w%-]+)$/;
/**
 * SDKs ask again some minutes before: JavaScript's five, Python's ten to fifteen. So these ask at, or behind, each
 * call of theirs, which costs a request to this machine, and follow a rotation at once.
 */
const LASTS_MS = 4 * 60_000;

export class CredentialsEndpoint implements AsyncDisposable {
  readonly #options: CredentialsEndpointOptions;
  readonly #server: Server;

  static async open(options: CredentialsEndpointOptions): Promise<CredentialsEndpoint> {
    const server = createServer();
    const endpoint = new CredentialsEndpoint(options, server);
    server.on("request", (request, response) => void endpoint.#serve(request, response));
    try {
      await listen(server, options.port);
    } catch (error) {
      if (codeOf(error) !== "EADDRINUSE" || options.port === 0) throw error;
      options.log.warn({ port: options.port }, "the port of the credentials is taken; another one is used");
      await listen(server, 0);
    }
    return endpoint;
  }

  private constructor(options: CredentialsEndpointOptions, server: Server) {
    this.#options = options;
    this.#server = server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** What a program is given, in place of keys. */
  variables(functionName: string): Record<string, string> {
    return {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://${HOST}:${this.port}/credentials/${encodeURIComponent(functionName)}`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN: this.#token(functionName),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    const [, name] = PATH.exec(request.url ?? "") ?? [];
    const functionName = name === undefined ? undefined : decoded(name);
    const refusal = this.#refusal(request, functionName);
    if (refusal !== undefined || functionName === undefined) {
      this.#options.onRefused(refusal ?? "there is no such path");
      return answer(response, 403, { code: "AccessDenied", message: `Refused: ${refusal}.` });
    }
    try {
      const keys = await this.#options.credentials(functionName);
      const stated = Date.parse(keys["AWS_CREDENTIAL_EXPIRATION"] ?? "");
      const until = Math.min(Date.now() + LASTS_MS, Number.isNaN(stated) ? Infinity : stated);
      answer(response, 200, {
        AccessKeyId: keys["AWS_ACCESS_KEY_ID"],
        SecretAccessKey: keys["AWS_SECRET_ACCESS_KEY"],
        Token: keys["AWS_SESSION_TOKEN"],
        Expiration: new Date(until).toISOString(),
      });
    } catch (error) {
      if (!(error instanceof LivedevError))
        this.#options.log.error({ err: error }, "credentials could not be given");
      const { code, message } =
        error instanceof LivedevError ? error : { code: "bug", message: messageOf(error) };
      answer(response, 500, { code, message });
    }
  }

  /** In this order: who may reach the port at all, then who knows the token. */
  #refusal(request: IncomingMessage, functionName: string | undefined): string | undefined {
    const { host, origin, authorization = "" } = request.headers;
    if (host !== `${HOST}:${this.port}`) return "Host is another than this endpoint's";
    if (origin !== undefined) return "a web page may not ask for credentials";
    if (request.method !== "GET") return "only GET is answered";
    if (functionName === undefined) return "there is no such path";
    const token = Buffer.from(this.#token(functionName));
    const given = Buffer.from(authorization);
    if (given.length !== token.length || !timingSafeEqual(given, token)) return "the token is wrong";
    return undefined;
  }

  #token(functionName: string): string {
    return createHmac("sha256", this.#options.key).update(`credentials\0${functionName}`).digest("base64url");
  }
}

/** Before anything is checked: what a stranger wrote may be no encoding of a name at all. */
function decoded(name: string): string | undefined {
  try {
    return decodeURIComponent(name);
  } catch {
    return undefined;
  }
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(JSON.stringify(body));
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, HOST, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
