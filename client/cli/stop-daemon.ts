/**
 * Ends the daemon of a place, whatever state it is in, and waits until its process is gone:
 *
 *     ask (daemon.stop) ──it drains, then ends──► gone
 *        │ no answer, another protocol     │ over the bound
 *        └──► SIGTERM ─────────────────────┴──► SIGKILL
 *
 * It greets nobody: a daemon of another protocol, or one that hangs, must be stoppable as well. A signal is only
 * sent to the very process that wrote daemon.json (its start time is compared).
 */
import { setTimeout as wait } from "node:timers/promises";

import { Connection } from "../connection.ts";
import { checkSocketDirectory, isAlive, startTimeOfProcess, type Place } from "../discovery.ts";
import { notStopped } from "../errors.ts";

export type Stopped =
  | { readonly state: "notRunning" }
  | {
      readonly state: "stopped";
      readonly pid: number;
      readonly tookMs: number;
      readonly killed: boolean;
      /** The local cloud that it deployed to, which lives on: as AWS would. */
      readonly cloud: string | undefined;
    };

type Process = { readonly pid: number; readonly startTime: string };

export type StopOptions = {
  readonly restarting?: boolean;
  readonly signal: AbortSignal;
  /** Told once, where it takes a moment: invocations that run may finish. */
  readonly onDraining?: (running: number) => void;
};

/** The daemon drains for 10 s at most and then closes its parts. */
const CLOSING_MS = 20_000;
/** One that does not answer is given as long as a drain takes. */
const HANGING_MS = 11_000;
const KILLED_MS = 5_000;
const ANSWER_SECONDS = 2;
const FIRST_LOOK_MS = 10;
const LAST_LOOK_MS = 100;
const PATIENCE_MS = 400;

export async function stopDaemon(place: Place, options: StopOptions): Promise<Stopped> {
  const began = performance.now();
  const asked = await ask(place, options);
  const daemon = asked.daemon ?? living(place);
  if (daemon === undefined) return { state: "notRunning" };
  if (!asked.heard) send(daemon, "SIGTERM");
  const tell = setTimeout(() => options.onDraining?.(asked.running), PATIENCE_MS);
  let killed = false;
  try {
    if (!(await gone(daemon, asked.heard ? CLOSING_MS : HANGING_MS, options.signal))) {
      killed = true;
      send(daemon, "SIGKILL");
      if (!(await gone(daemon, KILLED_MS, options.signal))) throw notStopped(daemon.pid, KILLED_MS / 1_000);
    }
  } finally {
    clearTimeout(tell);
  }
  const { cloud } = asked;
  return { state: "stopped", pid: daemon.pid, tookMs: performance.now() - began, killed, cloud };
}

type Asked = {
  readonly heard: boolean;
  readonly running: number;
  readonly cloud: string | undefined;
  readonly daemon: Process | undefined;
};

async function ask(place: Place, { restarting, signal }: StopOptions): Promise<Asked> {
  const unheard: Asked = { heard: false, running: 0, cloud: undefined, daemon: undefined };
  if (!checkSocketDirectory(place.socket)) return unheard;
  let connection: Connection | undefined;
  try {
    connection = await Connection.open(place.socket, ANSWER_SECONDS);
    if (connection === undefined) return unheard;
    const bound = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_SECONDS * 1_000)]);
    const { running, cloud } = await connection.call("daemon.status", {}, bound).then(
      ({ functions, cloud }) => ({
        running: functions.reduce((sum, fn) => sum + fn.running, 0),
        cloud: cloud?.endpoint,
      }),
      () => unheard,
    );
    const stop = restarting === true ? { restarting } : {};
    const { pid } = await connection.call("daemon.stop", stop, bound);
    const startTime = startTimeOfProcess(pid);
    return { heard: true, running, cloud, daemon: startTime === undefined ? undefined : { pid, startTime } };
  } catch {
    signal.throwIfAborted();
    return unheard;
  } finally {
    void connection?.close();
  }
}

function living({ file }: Place): Process | undefined {
  return file !== undefined && isAlive(file) ? file : undefined;
}

function send(daemon: Process, signal: NodeJS.Signals): void {
  if (!isAlive(daemon)) return;
  try {
    process.kill(daemon.pid, signal);
  } catch {
    // It ended between the look and the signal.
  }
}

/** Nobody but its parent is told of a process's end, so this looks. `false`: it still lives after that long. */
async function gone(daemon: Process, ms: number, signal: AbortSignal): Promise<boolean> {
  const until = performance.now() + ms;
  for (let pause = FIRST_LOOK_MS; isAlive(daemon); pause = Math.min(pause * 2, LAST_LOOK_MS)) {
    if (performance.now() > until) return false;
    await wait(pause, undefined, { signal });
  }
  return true;
}
