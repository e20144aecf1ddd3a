/** SST's words for spans of time and sizes: "20 seconds", "1024 MB". */

const SECOND = 1000;
const UNITS = { second: SECOND, minute: 60 * SECOND, hour: 3600 * SECOND, day: 86_400 * SECOND } as const;

/** Undefined where it is no span of time. */
export function durationMs(text: string): number | undefined {
  const [, count, unit] = /^(\d+(?:\.\d+)?) +(second|minute|hour|day)s?$/.exec(text.trim()) ?? [];
  if (count === undefined || unit === undefined) return undefined;
  return Number(count) * UNITS[unit as keyof typeof UNITS];
}

/** Undefined where it is no size. */
export function sizeMb(text: string): number | undefined {
  const [, count, unit] = /^(\d+(?:\.\d+)?) +(MB|GB)$/.exec(text.trim()) ?? [];
  if (count === undefined) return undefined;
  return Number(count) * (unit === "GB" ? 1024 : 1);
}

/** Of storage: "20 GB", "1 TB". Undefined where it is none. */
export function sizeGb(text: string): number | undefined {
  const [, count, unit] = /^(\d+(?:\.\d+)?) +(GB|TB)$/.exec(text.trim()) ?? [];
  if (count === undefined) return undefined;
  return Number(count) * (unit === "TB" ? 1024 : 1);
}
