/**
 * CORS as a function URL's config says. The URL answers preflight requests by itself; the function never sees them.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html#urls-cors
 */
import type { IncomingMessage } from "node:http";

import type { Cors } from "./state.ts";
import type { UrlResponse } from "./function-url-response.ts";

export function isPreflight(request: IncomingMessage): boolean {
  const { origin, "access-control-request-method": method } = request.headers;
  return request.method === "OPTIONS" && origin !== undefined && method !== undefined;
}

export function preflight(request: IncomingMessage, cors: Cors): UrlResponse {
  const { origin = "", "access-control-request-method": method = "" } = request.headers;
  const asked =
    request.headers["access-control-request-headers"]?.split(",").map((name) => name.trim()) ?? [];
  const allowed =
    allows(cors.AllowOrigins, origin) &&
    allows(cors.AllowMethods, method) &&
    asked.every((name) => allows(cors.AllowHeaders, name));
  return {
    status: 200,
    body: new Uint8Array(0),
    headers: !allowed
      ? {}
      : {
          ...corsHeaders(request, cors),
          "access-control-allow-methods": cors.AllowMethods?.includes("*") ? method : list(cors.AllowMethods),
          ...(asked.length > 0 && { "access-control-allow-headers": asked.join(",") }),
          ...(cors.MaxAge !== undefined && { "access-control-max-age": String(cors.MaxAge) }),
        },
  };
}

/** Nothing for an origin that is not allowed: the browser then withholds the response from the page. */
export function corsHeaders(request: IncomingMessage, cors: Cors): Record<string, string> {
  const { origin } = request.headers;
  if (origin === undefined || !allows(cors.AllowOrigins, origin)) return {};
  const anybody = cors.AllowOrigins?.includes("*") === true && cors.AllowCredentials !== true;
  return {
    "access-control-allow-origin": anybody ? "*" : origin,
    ...(!anybody && { vary: "Origin" }),
    ...(cors.AllowCredentials === true && { "access-control-allow-credentials": "true" }),
    ...(cors.ExposeHeaders !== undefined && { "access-control-expose-headers": list(cors.ExposeHeaders) }),
  };
}

/** `*` alone stands for all, and within a name for any part of it. */
function allows(patterns: readonly string[] = [], asked: string): boolean {
  return patterns.some((pattern) => {
    const parts = pattern
      .toLowerCase()
      .split("*")
      .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
    return new RegExp(`^${parts.join(".*")}$`).test(asked.toLowerCase());
  });
}

const list = (names: readonly string[] = []) => names.join(",");
