/** Times as a user writes and reads them. */
import { InvalidArgumentError } from "commander";

export { clock, duration, fineClock } from "../time.ts";

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
