/** What functions/ is asked and what it answers: the types of its border. */
import type { BuildError, LivedevEvent } from "../../proto/events.ts";

/** One invocation, as the bridge (or a replay) hands it in. */
export type FunctionRequest = {
  /** The function's name in the config. */
  readonly functionName: string;
  readonly requestId: string;
  readonly event: Uint8Array;
  /** Epoch milliseconds, for the handler's `getRemainingTimeInMillis`. */
  readonly deadlineAt: number;
  remainingMs(): number;
  readonly functionArn: string;
  readonly traceId?: string;
  readonly clientContext?: string;
  readonly cognitoIdentity?: string;
  /** AWS's own variables of the deployed function, its credentials among them. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where it stands; called again when it changes. */
  position(state: "queued" | "building" | "running"): void;
  /** The handler is about to be given the event. */
  begun(info: { readonly codeHash: string; readonly coldStart: boolean }): void;
  /** A line that the handler printed during this invocation. A promise holds its output back until it settles. */
  logged(line: { readonly stream: "stdout" | "stderr"; readonly text: string }): void | Promise<void>;
};

/** Changed paths, from the watcher. A hint: paths may be missing (`overflow`) or too many. */
export type Changes = {
  /** Absolute. */
  readonly paths: readonly string[];
  /** More changed than is listed: everything must be checked. */
  readonly overflow: boolean;
  /** `performance.now()` of the first change in it; now where absent. */
  readonly at?: number;
};

export type FunctionState = {
  readonly name: string;
  readonly handler: string;
  readonly runtime: string;
  /** The version of ours, where it stands in for one of the runtime's. */
  readonly node?: string;
  readonly state: "idle" | "building" | "ready" | "broken";
  readonly codeHash?: string;
  readonly errors?: readonly BuildError[];
  /** Processes that are up for it. */
  readonly workers: number;
  /** Invocations that have a worker. */
  readonly running: number;
  /** Invocations that wait for their turn, a build, or a worker. */
  readonly queued: number;
};

export type RecordEvent = (event: LivedevEvent) => unknown;

/** Bounds, each named with what it keeps small. */
export type Limits = {
  /** Invocations of one function at a time; the rest wait in order. */
  readonly concurrency: number;
  /** Workers that one function keeps for its next invocations. */
  readonly idlePerFunction: number;
  /** Workers of all functions together; the longest idle makes room. */
  readonly processes: number;
  /** A worker without work ends after this long. */
  readonly idleMs: number;
  /** Processes kept started for each Node binary, so that a new worker needs no start-up. 0 while a debugger is attached. */
  readonly spares: number;
  /** esbuild contexts (parsed files kept in memory) of all functions together. */
  readonly contexts: number;
  /** An esbuild context that nothing used for this long is let go. */
  readonly contextIdleMs: number;
  /** Builds at once that nobody waits for. */
  readonly backgroundBuilds: number;
  /** Builds at once in all. */
  readonly builds: number;
  /** A bundle's inputs are checked by stat before an invocation when the last check is older. */
  readonly verifyAfterMs: number;
};

export const DEFAULT_LIMITS: Limits = {
  concurrency: 10,
  idlePerFunction: 2,
  processes: 32,
  idleMs: 600_000,
  spares: 1,
  contexts: 16,
  contextIdleMs: 600_000,
  backgroundBuilds: 2,
  builds: 4,
  verifyAfterMs: 1_000,
};
