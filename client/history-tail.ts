/**
 * The last events that fit. History is read forward from a sequence number, so this goes back in windows that grow,
 * and stops where there are enough, where the beginning of what was asked for is passed, or at the first event.
 */
import type { Cursor, RecordedEvent } from "../proto/events.ts";
import type { RpcParams, RpcResult } from "../proto/rpc.ts";

/** The daemon, or who reads its file. */
export type EventSource = {
  ask(method: "event.list", params: RpcParams<"event.list">): Promise<RpcResult<"event.list">>;
};

export type TailQuery = {
  readonly types: readonly string[];
  readonly functionName?: string;
  /** Wall clock, milliseconds since the epoch. */
  readonly since?: number | undefined;
  readonly limit: number;
  readonly fits?: (event: RecordedEvent) => boolean;
};

export type Tail = {
  readonly events: readonly RecordedEvent[];
  /** Behind all of them: where to follow from. */
  readonly cursor: Cursor;
};

const FIRST_WINDOW = 2_000;
const GROWTH = 8;
const PAGE = 10_000;

export async function tailEvents(history: EventSource, query: TailQuery): Promise<Tail> {
  const { types, functionName, since = 0, limit, fits = () => true } = query;
  const filter = { types: [...types], ...(functionName === undefined ? {} : { functionName }) };
  // No type fits, so that it costs nothing: it says where history ends now.
  const { cursor } = await history.ask("event.list", { types: [], limit: 1 });
  const windows: RecordedEvent[][] = [];
  let found = 0;
  let span = FIRST_WINDOW;
  for (let end = cursor.seq; end > 0 && found < limit;) {
    const events: RecordedEvent[] = [];
    const start = Math.max(0, end - span);
    let passed = false;
    for (let after = start; after < end;) {
      const page = await history.ask("event.list", { ...filter, after, limit: PAGE });
      for (const event of page.events) {
        if (event.seq > end) break;
        if (event.at < since) passed = true;
        else if (fits(event)) events.push(event);
      }
      after = page.cursor.seq;
    }
    windows.unshift(events);
    found += events.length;
    if (passed) break;
    end = start;
    span *= GROWTH;
  }
  const events = windows.flat();
  return { cursor, events: found > limit ? events.slice(-limit) : events };
}
