/**
 * The way to a project's daemon, for every client: find it, open it where it is absent, compare versions.
 *
 *     await using livedev = await connect();
 *     const { functions } = await livedev.call("daemon.status", {});
 */
import { setTimeout as wait } from "node:timers/promises";

import { LivedevClient, type ConnectionState } from "./client.ts";
import { locate } from "./discovery.ts";
import { cancelled, daemonSlow, notRunning } from "./errors.ts";
import { greet, ourEnvironment } from "./greet.ts";
import { openDaemon } from "./open-daemon.ts";
import { VERSION } from "./programs.ts";

export { LivedevError } from "../proto/errors.ts";
export type { Cursor, LivedevEvent, RecordedEvent } from "../proto/events.ts";
export type {
  DaemonStatus,
  FunctionStatus,
  InvocationDetail,
  InvocationSummary,
  RpcMethod,
  RpcParams,
  RpcResult,
} from "../proto/rpc.ts";
export type { ConnectionState, LivedevClient } from "./client.ts";
export type { HistoryReset, SubscribeRequest, Subscription } from "./subscription.ts";

export type ConnectOptions = {
  /** The project's folder; where absent, the nearest one up with a livedev.config.ts. */
  readonly project?: string | undefined;
  /** Where absent, the project's current stage. */
  readonly stage?: string | undefined;
  /** Whether to open the daemon where none runs. */
  readonly open?: boolean | undefined;
  /** Told before a daemon is opened. */
  readonly onOpening?: ((project: string) => void) | undefined;
  /** Gives up connecting. */
  readonly signal?: AbortSignal | undefined;
  /** What the daemon compares with its own environment; where absent, AWS profile and region and PATH of ours. */
  readonly environment?: Record<string, string> | undefined;
  /** Told once where the daemon is of another version than this client, though they understand each other. */
  readonly onOtherVersion?:
    | ((versions: { readonly daemon: string; readonly client: string }) => void)
    | undefined;
  /** Told when the connection is lost, and when it is there again. */
  readonly onConnection?: ((state: ConnectionState) => void) | undefined;
};

const DEADLINE_SECONDS = 15;

export async function connect(options: ConnectOptions = {}): Promise<LivedevClient> {
  const { open = true, signal, environment = ourEnvironment(), onConnection } = options;
  // Absolute once: a client may change its working directory before it reconnects.
  const first = locate(options);
  const find = () => locate({ project: first.project, stage: options.stage });
  const deadline = performance.now() + DEADLINE_SECONDS * 1_000;
  let told = false;
  for (;;) {
    if (signal?.aborted === true) throw cancelled();
    const place = find();
    const greeted = await greet(place, environment, signal);
    if (greeted !== undefined) {
      const { version } = greeted.hello;
      if (version !== VERSION) options.onOtherVersion?.({ daemon: version, client: VERSION });
      return new LivedevClient({
        project: place.project,
        stage: greeted.hello.stage,
        greeted,
        dial: (closing) => greet(find(), environment, closing),
        onConnection,
      });
    }
    if (!open) throw notRunning(place.project, place.stageKnown ? place.stage : undefined);
    if (performance.now() > deadline) throw daemonSlow(DEADLINE_SECONDS, place.logFile);
    if (!told) options.onOpening?.(place.project);
    told = true;
    const opened = await withDeadline(
      signal,
      deadline,
      daemonSlow(DEADLINE_SECONDS, place.logFile),
      (bounded) => openDaemon(place, bounded),
    );
    if (opened === "elsewhere") await wait(20 + Math.random() * 60, undefined, { signal }).catch(() => {});
  }
}

/** The signal that `run` gets aborts with `late` at the deadline, and with the caller's own signal. */
async function withDeadline<T>(
  signal: AbortSignal | undefined,
  deadline: number,
  late: Error,
  run: (bounded: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(late), Math.max(0, deadline - performance.now()));
  const cancel = () => controller.abort(cancelled());
  signal?.addEventListener("abort", cancel);
  try {
    return await run(controller.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", cancel);
  }
}
