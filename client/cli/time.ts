/** Times as a user writes and reads them. */
import { InvalidArgumentError } from "commander";

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `250ms`, `10s`, `1.5m`, `2h`, `1d`. A bare number is refused: half of the world would mean seconds. */
export function parseDuration(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?$/.exec(text.trim()) ?? [];
  if (number !== undefined && unit === undefined && Number(number) > 0)
    throw new InvalidArgumentError(`Write its unit: ${number}s or ${number}ms.`);
  const factor = UNITS[unit ?? "ms"];
  if (number === undefined || factor === undefined) {
    throw new InvalidArgumentError("Write it as 250ms, 10s, 5m, 2h or 1d.");
  }
  return Number(number) * factor;
}

/** How long ago, or a date as ISO 8601 has it; milliseconds since the epoch. */
export function parseSince(text: string, now = Date.now()): number {
  if (/^\d{4}-\d\d/.test(text)) {
    const at = Date.parse(text);
    if (Number.isFinite(at)) return at;
  } else if (/^\d[\d.]*\s*(?:ms|s|m|h|d)$/.test(text.trim())) {
    return now - parseDuration(text);
  }
  throw new InvalidArgumentError("Write it as 10m, 2h, 1d, or as a date: 2030-01-31, 2030-01-31T09:30.");
}

export function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < 1 || count > 1_000_000_000) {
    throw new InvalidArgumentError("Write a whole number, 1 or more.");
  }
  return count;
}

/** `340 ms`, `2.4 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return pair(Math.floor(seconds / 60), "min", seconds % 60, "s");
  const minutes = Math.round(seconds / 60);
  if (minutes < 1_440) return pair(Math.floor(minutes / 60), "h", minutes % 60, "min");
  const hours = Math.round(minutes / 60);
  return pair(Math.floor(hours / 24), "d", hours % 24, "h");
}

function pair(many: number, unit: string, few: number, smaller: string): string {
  return few === 0 ? `${many} ${unit}` : `${many} ${unit} ${few} ${smaller}`;
}

/** The time of day here, and the day where it is not today. */
export function clock(at: number, now = Date.now()): string {
  const date = new Date(at);
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  if (date.toDateString() === new Date(now).toDateString()) return time;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`;
}

/** With milliseconds: for lines that lie close together. */
export function fineClock(at: number, now = Date.now()): string {
  return `${clock(at, now)}.${String(new Date(at).getMilliseconds()).padStart(3, "0")}`;
}

const two = (number: number): string => String(number).padStart(2, "0");
