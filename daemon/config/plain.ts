import { PLAIN, UNKNOWN } from "../../proto/app.ts";

/** What a value that is no data becomes: named, so that the validation can say what stands there. */
export const NO_DATA = "livedev:noData";

const DEEPEST = 100;

/**
 * A config's value as plain data. Outputs and components give their own plain form; functions and the like become a
 * mark that names them; undefined properties are left out.
 */
export function plain(value: unknown, seen: readonly object[] = []): unknown {
  switch (typeof value) {
    case "string":
    case "number":
    case "boolean":
    case "undefined":
      return value;
    case "bigint":
      return { [NO_DATA]: "a bigint" };
    case "symbol":
      return { [NO_DATA]: "a symbol" };
    case "function":
      return { [NO_DATA]: "a function" };
    case "object":
      return value === null ? null : plainObject(value, seen);
  }
  return undefined;
}

function plainObject(value: object, seen: readonly object[]): unknown {
  if (seen.includes(value) || seen.length > DEEPEST) return { [NO_DATA]: "an object that holds itself" };
  const within = [...seen, value];
  if (PLAIN in value && typeof value[PLAIN] === "function") return plain(value[PLAIN](), within);
  if (Array.isArray(value)) return value.map((item) => plain(item, within) ?? null);
  if (value instanceof Promise) return { [NO_DATA]: "a promise (await it)" };
  if (value instanceof Date) return value.toISOString();
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) {
    return { [NO_DATA]: `a ${value.constructor?.name ?? "object"}` };
  }
  const entries = Object.entries(value).flatMap(([key, item]) => {
    const made = plain(item, within);
    return made === undefined ? [] : [[key, made] as const];
  });
  return Object.fromEntries(entries);
}

/** In words, what stands where data should; undefined where it is data. */
export function noData(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if (NO_DATA in value) return String(value[NO_DATA]);
  if (UNKNOWN in value)
    return `made from ${String(value[UNKNOWN])}, which is known only once the app is deployed`;
  return undefined;
}
