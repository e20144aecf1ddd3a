/**
 * Replay, then follow, over any history that can be read after a sequence number and watched:
 *
 *     behind ──page that is not full──► current ──more live events than the reader takes──► behind
 *
 * The watch begins before the first page is read, and everything is delivered by sequence number, so that the seam
 * has neither gap nor duplicate. A reader that falls behind costs no memory: what does not fit is dropped here and
 * read again from the database.
 */
import type { RecordedEvent } from "../../proto/events.ts";

import type { Follow, FollowRequest } from "./methods.ts";

/** What following needs of the store. */
export type History = {
  readonly databaseId: string;
  /** Highest sequence number assigned. */
  readonly lastSeq: number;
  /** Lowest sequence number still there (1 where nothing was pruned yet). */
  readonly firstSeq?: number;
  /** Committed events after a sequence number, oldest first. */
  events(query: {
    after?: number;
    limit?: number;
    types?: readonly string[];
    functionName?: string;
  }): Promise<{ events: readonly RecordedEvent[] }>;
  /** Called after each commit, in order; gives back how to stop. */
  watch(listener: (events: readonly RecordedEvent[]) => void): () => void;
};

const PAGE = 500;
const MAX_WAITING = 2_000;

export function followHistory(history: History): Follow {
  return async (request, sink, signal) => {
    const { databaseId: database, lastSeq, firstSeq = 1 } = history;
    if (request.after !== undefined) {
      // A seq beyond the end belongs to rows that this database lost: its numbers will be given out again.
      const foreign = request.after.database !== database || request.after.seq > lastSeq;
      const pruned = request.after.seq < firstSeq - 1;
      if (foreign || pruned) {
        const cursor = { database, seq: foreign ? lastSeq : firstSeq - 1 };
        sink.begun(cursor);
        sink.reset(foreign ? "database" : "pruned", cursor);
        return;
      }
    }

    let position = request.after?.seq ?? lastSeq;
    let behind = position < lastSeq;
    let waiting: RecordedEvent[] = [];
    let wake = () => {};
    const unwatch = history.watch((events) => {
      if (!behind) waiting.push(...events);
      if (waiting.length > MAX_WAITING) {
        waiting = [];
        behind = true;
      }
      wake();
    });
    const onAbort = () => wake();
    signal.addEventListener("abort", onAbort);
    try {
      sink.begun({ database, seq: position });
      while (!signal.aborted) {
        if (behind) {
          // From here on the watch keeps what it is told; what it dropped before is committed, thus in this page.
          behind = false;
          const { events } = await history.events({ ...filterOf(request), after: position, limit: PAGE });
          position = events.at(-1)?.seq ?? position;
          if (events.length >= PAGE) {
            behind = true;
            waiting = [];
          }
          if (events.length > 0) await sink.events(events, { database, seq: position });
          continue;
        }
        const next = waiting;
        waiting = [];
        const fresh = next.filter(({ seq }) => seq > position);
        const last = fresh.at(-1);
        if (last !== undefined) {
          position = last.seq;
          const wanted = fresh.filter(({ event }) => matches(event, request));
          if (wanted.length > 0) await sink.events(wanted, { database, seq: position });
          continue;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (waiting.length > 0 || behind || signal.aborted) resolve();
        });
      }
    } finally {
      unwatch();
      signal.removeEventListener("abort", onAbort);
    }
  };
}

/** `invocation.*` matches a family. */
export function matches(
  event: RecordedEvent["event"],
  filter: { readonly types?: readonly string[] | undefined; readonly functionName?: string | undefined },
): boolean {
  const { types, functionName } = filter;
  if (functionName !== undefined && !("functionName" in event && event.functionName === functionName)) {
    return false;
  }
  if (types === undefined) return true;
  return types.some((type) =>
    type.endsWith(".*") ? event.type.startsWith(type.slice(0, -1)) : event.type === type,
  );
}

function filterOf(request: FollowRequest): { types?: readonly string[]; functionName?: string } {
  return {
    ...(request.types === undefined ? {} : { types: request.types }),
    ...(request.functionName === undefined ? {} : { functionName: request.functionName }),
  };
}
