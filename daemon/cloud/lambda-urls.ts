/** CreateFunctionUrlConfig to DeleteFunctionUrlConfig. */
import { conflict, resourceNotFound, validation } from "./aws-error.ts";
import { findFunction } from "./function-name.ts";
import { named } from "./lambda-functions.ts";
import { Input } from "./lambda-input.ts";
import type { LambdaCall, LambdaParts } from "./lambda.ts";
import { json, type ApiResponse } from "./protocols.ts";
import type { Cors, FunctionUrl, LambdaFunction } from "./state.ts";

export async function createFunctionUrl(call: LambdaCall, parts: LambdaParts): Promise<ApiResponse> {
  const input = new Input(call.body);
  const authType = input.oneOf("AuthType", AUTH_TYPES);
  if (authType === undefined)
    throw validation(
      "1 validation error detected: Value null at 'authType' failed to satisfy constraint: Member must not be null",
    );
  const wanted = {
    authType,
    invokeMode: input.oneOf("InvokeMode", INVOKE_MODES) ?? "BUFFERED",
    cors: readCors(input),
  };
  if (named(call, parts).url !== undefined) throw urlExists();
  const now = new Date().toISOString();
  const port = await parts.urls.reserve();
  try {
    const lambda = await parts.states.update((draft) => {
      const lambda = findFunction(draft, call.name, call.region, call.qualifier);
      if (lambda.url !== undefined) throw urlExists();
      lambda.url = { ...wanted, port, createdAt: now, lastModified: now };
      return lambda;
    });
    return json(201, showUrl(lambda, urlOf(lambda), "created"));
  } finally {
    parts.urls.settle(port);
    await parts.changed();
  }
}

export async function getFunctionUrl(call: LambdaCall, parts: LambdaParts): Promise<ApiResponse> {
  const lambda = named(call, parts);
  return json(200, showUrl(lambda, urlOf(lambda)));
}

export async function listFunctionUrls(call: LambdaCall, parts: LambdaParts): Promise<ApiResponse> {
  const lambda = named(call, parts);
  return json(200, { FunctionUrlConfigs: lambda.url === undefined ? [] : [showUrl(lambda, lambda.url)] });
}

export async function updateFunctionUrl(call: LambdaCall, parts: LambdaParts): Promise<ApiResponse> {
  const input = new Input(call.body);
  const authType = input.oneOf("AuthType", AUTH_TYPES);
  const invokeMode = input.oneOf("InvokeMode", INVOKE_MODES);
  const cors = readCors(input);
  const lambda = await parts.states.update((draft) => {
    const lambda = findFunction(draft, call.name, call.region, call.qualifier);
    const url = urlOf(lambda);
    url.authType = authType ?? url.authType;
    url.invokeMode = invokeMode ?? url.invokeMode;
    if (input.has("Cors")) url.cors = cors;
    url.lastModified = new Date().toISOString();
    return lambda;
  });
  await parts.changed();
  return json(200, showUrl(lambda, urlOf(lambda)));
}

export async function deleteFunctionUrl(call: LambdaCall, parts: LambdaParts): Promise<ApiResponse> {
  await parts.states.update((draft) => {
    const lambda = findFunction(draft, call.name, call.region, call.qualifier);
    urlOf(lambda);
    lambda.url = undefined;
  });
  await parts.changed();
  return { status: 204 };
}

export const functionUrl = (url: FunctionUrl) => `http://127.0.0.1:${url.port}/`;

const AUTH_TYPES = ["NONE", "AWS_IAM"] as const;
const INVOKE_MODES = ["BUFFERED", "RESPONSE_STREAM"] as const;

const urlExists = () =>
  conflict(
    "Failed to create function url config for [functionArn]. Error message:  FunctionUrlConfig exists for this Lambda function",
  );

function urlOf(lambda: LambdaFunction): FunctionUrl {
  if (lambda.url === undefined) throw resourceNotFound("The resource you requested does not exist.");
  return lambda.url;
}

function showUrl(lambda: LambdaFunction, url: FunctionUrl, change?: "created") {
  return {
    FunctionUrl: functionUrl(url),
    FunctionArn: lambda.arn,
    AuthType: url.authType,
    Cors: url.cors,
    CreationTime: url.createdAt,
    InvokeMode: url.invokeMode,
    ...(change === undefined && { LastModifiedTime: url.lastModified }),
  };
}

function readCors(input: Input): Cors | undefined {
  const cors = input.object("Cors");
  if (cors === undefined) return undefined;
  const methods = cors.strings("AllowMethods");
  const wrong = methods?.find((method) => !/^([*]|GET|PUT|HEAD|POST|PATCH|DELETE)$/.test(method));
  if (wrong !== undefined)
    throw validation(
      `1 validation error detected: Value '${wrong}' at 'cors.allowMethods' failed to satisfy constraint: Member must satisfy enum value set: [*, GET, PUT, HEAD, POST, PATCH, DELETE]`,
    );
  const read = {
    AllowCredentials: cors.boolean("AllowCredentials"),
    AllowHeaders: cors.strings("AllowHeaders"),
    AllowMethods: methods,
    AllowOrigins: cors.strings("AllowOrigins"),
    ExposeHeaders: cors.strings("ExposeHeaders"),
    MaxAge: cors.integer("MaxAge", 0, 86_400),
  };
  return Object.fromEntries(Object.entries(read).filter(([, value]) => value !== undefined));
}
