/**
 * AWS that is busy is worth waiting for. An address where nobody listens, or a name that nobody knows, is most often a
 * wrong one: whoever waits is told within seconds.
 */
import type { RetryErrorInfo, RetryStrategyV2, RetryToken } from "@smithy/types";

import { codeOf } from "../lib/errors.ts";

/** What a client has of its retries; its own types differ by service. */
type Client = { readonly config: { retryStrategy(): Promise<RetryStrategyV2> } };

/** No connection came about. Six tries, as the SDK spaces them, come to at most three seconds. */
const REFUSED = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND", "EAI_AGAIN"]);
const REFUSED_TRIES = 6;
/** Each takes as long as the client's connectionTimeout. */
const SILENT_TRIES = 3;
/** A connection that broke: eight tries come to at most thirteen seconds. */
const BROKEN = new Set(["ECONNRESET", "EPIPE"]);
const BROKEN_TRIES = 8;

export function giveUpSoon(client: object): void {
  const { config } = client as Client;
  const bounded = config.retryStrategy().then(boundedBy);
  config.retryStrategy = () => bounded;
}

function boundedBy(strategy: RetryStrategyV2): RetryStrategyV2 {
  /** How often the call of that token met nobody. */
  const met = new WeakMap<RetryToken, number>();
  return {
    acquireInitialRetryToken: (scope) => strategy.acquireInitialRetryToken(scope),
    refreshRetryTokenForRetry: async (token, info) => {
      const limit = triesFor(info);
      const times = (met.get(token) ?? 0) + (limit === undefined ? 0 : 1);
      if (limit !== undefined && times >= limit) throw new Error("No retry: nobody is there");
      const next = await strategy.refreshRetryTokenForRetry(token, info);
      met.set(next, times);
      return next;
    },
    recordSuccess: (token) => strategy.recordSuccess(token),
  };
}

function triesFor({ error }: RetryErrorInfo): number | undefined {
  const code = codeOf(error) ?? "";
  if (REFUSED.has(code)) return REFUSED_TRIES;
  if (BROKEN.has(code)) return BROKEN_TRIES;
  // An answer that is late has a code.
  const silent = error?.name === "TimeoutError" && code === "";
  return silent ? SILENT_TRIES : undefined;
}
