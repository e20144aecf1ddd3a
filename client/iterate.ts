/**
 * A subscription as an iterator. What the reader has not taken yet is bounded: beyond that the subscription is let
 * go, and taken up again behind the last event that is still here once the reader has caught up. Pausing the
 * connection instead would hold up the answers to calls that the reader makes between two events.
 */
import type { Cursor, RecordedEvent } from "../proto/events.ts";

import { clientClosed, type LivedevError } from "./errors.ts";
import type { OnEvents, SubscribeRequest, Subscription } from "./subscription.ts";

const MAX_WAITING = 5_000;

type Source = {
  subscribe(request: SubscribeRequest, onEvents: OnEvents): Promise<Subscription>;
};

export async function* iterate(
  source: Source,
  options: SubscribeRequest & { readonly signal?: AbortSignal },
): AsyncGenerator<RecordedEvent, void, undefined> {
  const { signal, ...request } = options;
  const stopped = () => signal?.aborted === true;
  let waiting: RecordedEvent[] = [];
  let cursor: Cursor | undefined = request.after;
  let subscription: Subscription | undefined;
  let ended: { readonly error: LivedevError | undefined } | undefined;
  let wake = () => {};
  const onAbort = () => wake();
  signal?.addEventListener("abort", onAbort);

  const take: OnEvents = (events, at) => {
    waiting.push(...events);
    cursor = at;
    if (waiting.length > MAX_WAITING && subscription !== undefined) {
      void subscription.close();
      subscription = undefined;
    }
    wake();
  };
  const attach = async () => {
    const made = await source.subscribe({ ...request, after: cursor }, take);
    cursor ??= made.cursor;
    subscription = made;
    void made.closed.then((error) => {
      // One that was let go of, because the reader is behind, is no end.
      if (subscription !== made) return;
      ended = { error };
      wake();
    });
  };

  try {
    await attach();
    while (!stopped()) {
      const batch = waiting;
      waiting = [];
      for (const event of batch) {
        yield event;
        if (stopped()) return;
      }
      if (batch.length > 0) continue;
      if (ended !== undefined) throw ended.error ?? clientClosed();
      if (subscription === undefined) await attach();
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (
          waiting.length > 0 ||
          ended !== undefined ||
          subscription === undefined ||
          signal?.aborted === true
        ) {
          resolve();
        }
      });
    }
  } finally {
    signal?.removeEventListener("abort", onAbort);
    const last = subscription;
    subscription = undefined;
    await last?.close();
  }
}
