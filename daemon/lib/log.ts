/**
 * The daemon's own log: JSON lines by pino. `LIVEDEV_LOG` sets levels, for all or by component:
 * `LIVEDEV_LOG=debug`, `LIVEDEV_LOG=wire:trace,deploy:debug`.
 */
import { pino, type DestinationStream, type Logger } from "pino";

export type Log = Logger;

/** What never reaches a log, wherever it stands in an object that is logged. */
const SECRETS = ["environment", "*.environment", "proof", "*.proof", "key", "secret", "*.secret", "psk"];

export function openLog(destination: DestinationStream, spec = process.env["LIVEDEV_LOG"] ?? ""): Log {
  return pino({ level: levelFor(undefined, spec), base: null, redact: SECRETS }, destination);
}

/** A component's log, at the level that `LIVEDEV_LOG` gives the component. */
export function componentLog(log: Log, component: string, spec = process.env["LIVEDEV_LOG"] ?? ""): Log {
  if (log === silentLog) return log;
  return log.child({ component }, { level: levelFor(component, spec) });
}

/** Writes nothing: for tests and for parts that run without a daemon. */
export const silentLog: Log = pino({ level: "silent" });

const LEVELS = new Set(["trace", "debug", "info", "warn", "error", "fatal", "silent"]);

function levelFor(component: string | undefined, spec: string): string {
  let level = "info";
  for (const part of spec.split(",")) {
    const [left = "", right] = part.trim().split(":");
    if (right === undefined && LEVELS.has(left)) level = left;
    if (right !== undefined && left === component && LEVELS.has(right)) return right;
  }
  return level;
}
