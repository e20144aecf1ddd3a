/**
 * The listener of AWS's APIs: one endpoint for all services, on loopback. What a web page or another program without
 * keys could reach ends here: exact Host, no Origin, a signature over every request. Which service is meant stands in
 * the signature's scope, since all share one endpoint.
 */
import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";

import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

import type { Log } from "../lib/log.ts";
import { WITHOUT_SCHEMAS } from "../lib/without-schemas.ts";
import { AwsError, accessDenied, internalFailure, requestTooLarge, unsupported } from "./aws-error.ts";
import { callIam } from "./iam.ts";
import { LAMBDA_ROUTES, type LambdaOperation } from "./lambda-routes.ts";
import { callLambda, type LambdaParts } from "./lambda.ts";
import { json, jsonError, queryError, queryResponse, restXmlError, type ApiResponse } from "./protocols.ts";
import { QueryParameters } from "./query.ts";
import { callS3 } from "./s3.ts";
import { hashedBody } from "./s3-body.ts";
import type { S3Store } from "./s3-store.ts";
import {
  isPresigned,
  readClaim,
  verify,
  verifyHash,
  verifyPresigned,
  type Claim,
  type SignedRequest,
} from "./sigv4.ts";
import { callSts } from "./sts.ts";

export type ApiOptions = {
  readonly parts: LambdaParts;
  readonly s3: S3Store;
  /** 0: any. */
  readonly port: number;
  status(): unknown;
  /** The package's file, where `target` is a link that this cloud gave out. */
  codeFile(target: string): string | undefined;
  /** Told why a request was refused that no service may see. */
  readonly onRefused: (reason: string) => void;
  readonly log: Log;
};

/** A package of 50 MB in base64. AWS's own bound. */
const MAX_BODY = 70_167_211;

export class Api {
  readonly port: number;
  readonly #app: FastifyInstance;

  private constructor(app: FastifyInstance) {
    this.#app = app;
    this.port = (app.server.address() as AddressInfo).port;
  }

  static async open(options: ApiOptions): Promise<Api> {
    // Only where it serves: the program's short commands need not wait for it to load.
    const { default: fastify } = await import("fastify");
    const app: FastifyInstance = fastify({
      ...WITHOUT_SCHEMAS,
      bodyLimit: MAX_BODY,
      exposeHeadRoutes: false,
      forceCloseConnections: true,
      routerOptions: { maxParamLength: 512 },
      genReqId: () => randomUUID(),
    });
    route(app, options);
    await app.listen({ host: "127.0.0.1", port: options.port });
    return new Api(app);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#app.close();
  }
}

function route(app: FastifyInstance, options: ApiOptions): void {
  const { parts, onRefused, log } = options;
  const { states } = parts;
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));

  // Before the body is read: what can be refused already.
  app.addHook("onRequest", async (request) => {
    guard(request, onRefused);
    if (isCodeLink(request) || isPresigned(signedRequest(request))) return;
    readClaim(signedRequest(request), states.state);
  });

  const admit = async (request: FastifyRequest): Promise<Claim> => {
    const signed = signedRequest(request);
    const claim = readClaim(signed, states.state);
    await verify(signed, claim, bodyOf(request));
    return claim;
  };

  const lambda = (operation: LambdaOperation) => async (request: FastifyRequest, reply: FastifyReply) => {
    const { region, service } = await admit(request);
    if (service !== "lambda") throw wrongService("lambda", service);
    const params = request.params as Record<string, string>;
    const query = queryOf(request);
    const call = {
      requestId: request.id,
      region,
      params,
      name: params["FunctionName"] ?? "",
      qualifier: query.get("Qualifier") ?? undefined,
      query,
      headers: headersOf(request),
      body: bodyOf(request),
    };
    return send(reply, await callLambda(operation, call, parts));
  };
  for (const [operation, method, url] of LAMBDA_ROUTES) {
    app.route({ method, url, handler: lambda(operation) });
    // The model's collections have a slash at their end in some SDKs.
    if (url.endsWith("functions")) app.route({ method, url: `${url}/`, handler: lambda(operation) });
  }

  app.post("/", async (request, reply) => {
    const { service, principal } = await admit(request);
    const query = new QueryParameters(bodyOf(request));
    switch (service) {
      case "iam":
        return send(reply, queryResponse(service, query.action, await callIam(query, states), request.id));
      case "sts":
        return send(
          reply,
          queryResponse(service, query.action, callSts(query, principal, states.state), request.id),
        );
      default:
        throw unsupported(`the service ${service}: it has Lambda, IAM, STS and S3`);
    }
  });

  app.get("/livedev/status", async (request, reply) => {
    await admit(request);
    return send(reply, json(200, options.status()));
  });

  app.get("/livedev/code/:file", async (request, reply) => {
    const file = options.codeFile(request.url);
    if (file === undefined) throw accessDenied("The link has expired, or was not made by this cloud.");
    return reply.header("content-type", "application/zip").send(createReadStream(file));
  });

  routeS3(app, options);

  app.setNotFoundHandler(async (request) => {
    const { service } = await admit(request);
    throw unsupported(`${service}: ${request.method} ${request.url.split("?")[0]}`);
  });

  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const shown = awsError(error);
    if (UNSIGNED_CODES.has(shown.code)) onRefused("it has no valid signature");
    if (shown.status >= 500 && shown.status !== 501)
      log.error({ err: error, url: request.url }, "request failed");
    else log.debug({ code: shown.code, message: shown.message, url: request.url }, "request refused");
    return send(reply, errorResponse(shown, request));
  });
}

/** Whatever no other service has a path for. Objects are not held in memory, so their bodies stay streams. */
function routeS3(app: FastifyInstance, { s3, parts: { states } }: ApiOptions): void {
  void app.register(async (plugin) => {
    plugin.removeAllContentTypeParsers();
    plugin.addContentTypeParser("*", (_request, payload, done) => done(null, payload));
    const handler = async (request: FastifyRequest, reply: FastifyReply) => {
      const signed = signedRequest(request);
      let declared = signed.headers["x-amz-content-sha256"] ?? EMPTY_HASH;
      let claim: Pick<Claim, "region" | "service">;
      if (isPresigned(signed)) {
        claim = verifyPresigned(signed, states.state);
        declared = UNSIGNED;
      } else {
        const signature = readClaim(signed, states.state);
        await verifyHash(signed, signature, declared);
        claim = signature;
      }
      const { region, service } = claim;
      const [path = ""] = request.url.split("?");
      if (service !== "s3") throw unsupported(`${service}: ${request.method} ${path}`);
      const [, bucket = "", key = ""] = /^\/([^/]*)\/?(.*)$/s.exec(path) ?? [];
      const payload = request.body instanceof Readable ? request.body : Readable.from([]);
      const call = {
        method: request.method,
        region,
        bucket: decoded(bucket),
        key: decoded(key),
        query: queryOf(request),
        headers: signed.headers,
        body: hashedBody(payload, declared),
      };
      return send(reply, await callS3(call, s3, states.state.accountId));
    };
    for (const url of ["/", "/*"]) {
      const methods = ["GET", "HEAD", "PUT", "DELETE", ...(url === "/" ? [] : ["POST"])];
      plugin.route({ method: methods, url, bodyLimit: Number.MAX_SAFE_INTEGER, handler });
    }
  });
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new AwsError(400, "InvalidURI", "Couldn't parse the specified URI.");
  }
}

/** A link says nothing of the body that will be sent with it. */
const UNSIGNED = "UNSIGNED-PAYLOAD";
const EMPTY_HASH = createHash("sha256").digest("hex");

function send(reply: FastifyReply, response: ApiResponse): FastifyReply {
  const { status, headers, body } = response;
  const ready = reply.code(status).headers({ ...headers, "x-amzn-RequestId": reply.request.id });
  if (body === undefined || typeof body === "string") return ready.send(body);
  if (body instanceof Uint8Array)
    return ready.send(Buffer.from(body.buffer, body.byteOffset, body.byteLength));
  return ready.send(Readable.from(body, { objectMode: false }));
}

/** Whoever sends these has no keys of this account, or none that it can sign with. */
const UNSIGNED_CODES = new Set([
  "MissingAuthenticationTokenException",
  "IncompleteSignatureException",
  "InvalidSignatureException",
  "UnrecognizedClientException",
]);

function guard(request: FastifyRequest, onRefused: ApiOptions["onRefused"]): void {
  const { origin, host } = request.headers;
  if (origin !== undefined) {
    onRefused("a web page sent it");
    throw accessDenied("Requests of web pages are refused.");
  }
  const port = request.socket.localPort;
  if (host !== `127.0.0.1:${port}` && host !== `localhost:${port}`) {
    onRefused("the Host is not this API's");
    throw accessDenied(`The Host header must be 127.0.0.1:${port}.`);
  }
}

const isCodeLink = (request: FastifyRequest) =>
  request.method === "GET" && request.url.startsWith("/livedev/code/");

function signedRequest(request: FastifyRequest): SignedRequest {
  return { method: request.method, target: request.url, headers: headersOf(request) };
}

/** A header that came twice is joined, as SigV4 wants it. */
function headersOf(request: FastifyRequest): Record<string, string | undefined> {
  const headers = Object.entries(request.headers);
  return Object.fromEntries(
    headers.map(([name, value]) => [name, Array.isArray(value) ? value.join(",") : value]),
  );
}

function bodyOf(request: FastifyRequest): Uint8Array {
  return request.body instanceof Uint8Array ? request.body : new Uint8Array(0);
}

function queryOf(request: FastifyRequest): URLSearchParams {
  return new URLSearchParams(request.url.split("?").slice(1).join("?"));
}

function awsError(error: Error & { statusCode?: number }): AwsError {
  if (error instanceof AwsError) return error;
  if (error.statusCode === 413) return requestTooLarge(MAX_BODY, "requested");
  if (error.statusCode !== undefined && error.statusCode < 500) {
    return new AwsError(error.statusCode, "InvalidRequestContentException", error.message);
  }
  return internalFailure();
}

function errorResponse(error: AwsError, request: FastifyRequest): ApiResponse {
  const service = serviceOf(request);
  if (service !== "iam" && service !== "sts" && service !== "s3") return jsonError(error);
  // The XML protocols' codes have no such ending.
  const code = error.code.replace(/Exception$/, "");
  const renamed = new AwsError(error.status, QUERY_CODES[code] ?? code, error.message, error.members);
  return service === "s3" ? restXmlError(renamed, request.id) : queryError(service, renamed, request.id);
}

/** What the Query services call the refusals of a signature. */
const QUERY_CODES: Readonly<Record<string, string>> = {
  InvalidSignature: "SignatureDoesNotMatch",
  UnrecognizedClient: "InvalidClientTokenId",
  ExpiredToken: "ExpiredToken",
  Service: "ServiceFailure",
};

/** By what the request says of itself: an error must be readable also where the signature is not right. */
function serviceOf(request: FastifyRequest): string | undefined {
  const claimed = request.headers.authorization ?? request.url.replaceAll(/%2F/gi, "/");
  const [, service] = /Credential=[^/]+\/\d+\/[^/]+\/([a-z0-9-]+)\//.exec(claimed) ?? [];
  return service;
}

const wrongService = (wanted: string, given: string) =>
  new AwsError(
    403,
    "InvalidSignatureException",
    `Credential should be scoped to correct service: '${wanted}', not '${given}'.`,
  );
