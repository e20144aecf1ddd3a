/** Runs a handler whose answer is one value: async, callback style, or `context.done`. */
import type { Invocation, RuntimeClient } from "./client.ts";
import { environmentContext, setTraceId } from "./context.ts";
import { nodeJsExit } from "./errors.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { Handler } from "./load.ts";
import { setImmediate } from "./taken.ts";

type Outcome = { readonly ok: true; readonly body: string } | { readonly ok: false; readonly error: unknown };

export async function runBuffered(
  handler: Handler,
  invocation: Invocation,
  client: RuntimeClient,
  lifecycle: Lifecycle,
): Promise<void> {
  lifecycle.phase = { name: "invocation", fail: (error) => client.fail(invocation.requestId, error) };
  const outcome = await outcomeOf(handler, invocation, lifecycle);
  if (lifecycle.dying) return;
  if (outcome.ok) await client.respond(invocation.requestId, outcome.body);
  else await client.fail(invocation.requestId, outcome.error);
}

/** Never rejects. The first of callback, context and promise decides. */
function outcomeOf(handler: Handler, invocation: Invocation, lifecycle: Lifecycle): Promise<Outcome> {
  return new Promise((resolve) => {
    let waits = true;
    let called = false;
    const settle = (error: unknown, result: unknown) => {
      lifecycle.onEmpty = undefined;
      resolve(error === undefined || error === null ? serialized(result) : { ok: false, error });
    };
    const once = (run: (error: unknown, result?: unknown) => void) => (error?: unknown, result?: unknown) => {
      if (called) return;
      called = true;
      run(error, result);
    };
    const done = once(settle);
    const callback = once((error, result) => {
      if (!waits || (error !== undefined && error !== null)) return settle(error, result);
      // As documented for callbackWaitsForEmptyEventLoop: what the handler left running finishes first.
      lifecycle.onEmpty = () => setImmediate(settle, undefined, result);
    });
    const succeed = (result?: unknown) => done(undefined, result);
    const fail = (error?: unknown) => done(error ?? "handled");
    lifecycle.onEmpty = () => {
      if (isAsync(handler)) fail(nodeJsExit());
      else succeed(null);
    };
    try {
      setTraceId(invocation);
      const context = {
        ...environmentContext(invocation),
        get callbackWaitsForEmptyEventLoop() {
          return waits;
        },
        set callbackWaitsForEmptyEventLoop(value: boolean) {
          waits = value;
        },
        done,
        succeed,
        fail,
      };
      const result = handler(JSON.parse(invocation.event.toString()), context, callback);
      if (isThenable(result)) result.then(succeed, fail);
    } catch (error) {
      fail(error);
    }
  });
}

function serialized(result: unknown): Outcome {
  try {
    return { ok: true, body: JSON.stringify(result) ?? "null" };
  } catch (cause) {
    return { ok: false, error: new Error("Unable to stringify response body", { cause }) };
  }
}

const isAsync = (handler: Handler) => handler.constructor?.name === "AsyncFunction";

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  return "then" in value && typeof value.then === "function";
}
