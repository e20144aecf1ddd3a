/** What the daemon gives the control API, and what the control API gives a method. */
import type { Cursor, RecordedEvent } from "../../proto/events.ts";
import type { RPC, RpcMethod, RpcResult } from "../../proto/rpc.ts";
import type * as z from "zod";

/** The methods that the control API answers itself. */
export type OwnMethod = "rpc.discover" | "events.subscribe" | "events.unsubscribe";

/** Params as the schema gives them out, defaults filled in. */
export type MethodParams<M extends RpcMethod> = z.output<(typeof RPC)[M]["params"]>;

export type MethodTable = {
  readonly [M in Exclude<RpcMethod, OwnMethod>]: (
    params: MethodParams<M>,
    context: MethodContext,
  ) => Promise<RpcResult<M>>;
};

export type MethodContext = {
  /** Aborted by `$/cancelRequest`, when the caller goes away, and when the daemon closes. */
  readonly signal: AbortSignal;
  /** The WebSocket that called; absent for `POST /rpc`. */
  readonly connection?: { readonly id: number };
  /** Runs when the answer has been handed to the system: what ends the daemon must not cut off its own answer. */
  readonly afterAnswer: (then: () => void) => void;
};

export type FollowRequest = {
  /** Absent: only what is recorded from now on. */
  readonly after?: Cursor | undefined;
  readonly types?: readonly string[] | undefined;
  readonly functionName?: string | undefined;
};

/** Where a follower's events go. */
export type FollowSink = {
  /** Once, before anything else: the place in history after which the events come. */
  begun(cursor: Cursor): void;
  /** Resolves when the reader has room for more. `cursor` is the place after these events. */
  events(events: readonly RecordedEvent[], cursor: Cursor): Promise<void>;
  /** The wanted place is not in this history; the subscription ends with it. `cursor`: where history begins now. */
  reset(reason: "database" | "pruned", cursor: Cursor): void;
};

/** Replays what was recorded after the cursor, then follows, without gap or duplicate, until the signal aborts. */
export type Follow = (request: FollowRequest, sink: FollowSink, signal: AbortSignal) => Promise<void>;
