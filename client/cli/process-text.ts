/** Supervised processes, for reading. */
import type { ProcessStatus } from "../../proto/rpc.ts";

import { inert, paint, table, type Style } from "./output.ts";
import { duration } from "./time.ts";

const STATES: Readonly<Record<ProcessStatus["state"], Style>> = {
  waiting: "yellow",
  starting: "yellow",
  ready: "green",
  stopping: "yellow",
  crashed: "red",
  stopped: "dim",
};

export function processTable(processes: readonly ProcessStatus[], now = Date.now()): string {
  return table(
    processes.map((one) => [
      paint("bold", one.name),
      paint(STATES[one.state], one.state),
      `for ${duration(Math.max(0, now - one.since))}`,
      one.pid === undefined ? "" : `pid ${one.pid}`,
      one.cpu === undefined ? "" : `${Math.round(one.cpu * 100)} %`,
      one.memoryBytes === undefined ? "" : megabytes(one.memoryBytes),
      tail(one, now),
    ]),
  );
}

export function processLine(one: ProcessStatus, now = Date.now()): string {
  return `${paint("bold", one.name)} is ${paint(STATES[one.state], one.state)}  ${tail(one, now)}`.trimEnd();
}

function tail({ url, why, retryAt, restarts, restarted, state }: ProcessStatus, now: number): string {
  const up = state === "ready" || state === "starting" || state === "stopping";
  return [
    ...(url !== undefined && up ? [paint("cyan", url)] : []),
    ...(why === undefined ? [] : [inert(why)]),
    ...(retryAt === undefined ? [] : [`again in ${duration(Math.max(0, retryAt - now))}`]),
    ...(restarted === undefined ? [] : [paint("dim", restartsText(restarts, restarted, now))]),
  ].join("  ");
}

function restartsText(count: number, { at, why }: Restarted, now: number): string {
  const ago = `${duration(Math.max(0, now - at))} ago: ${inert(why)}`;
  return count === 1 ? `restarted ${ago}` : `${count} restarts, the last ${ago}`;
}

type Restarted = NonNullable<ProcessStatus["restarted"]>;

const megabytes = (bytes: number): string => `${Math.round(bytes / 1024 / 1024)} MB`;
