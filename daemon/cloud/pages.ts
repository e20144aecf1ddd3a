/** Lists in pages. The marker is the last name of the page before: it holds when the list changes in between. */
import { validation } from "./aws-error.ts";

export type Page<T> = { readonly entries: T[]; readonly next: string | undefined };

export function page<T>(
  all: readonly T[],
  keyOf: (entry: T) => string,
  marker: string | undefined,
  limit: number,
): Page<T> {
  const after = marker === undefined ? undefined : decodeMarker(marker);
  const sorted = all.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  const rest = after === undefined ? sorted : sorted.filter((entry) => keyOf(entry) > after);
  const entries = rest.slice(0, limit);
  const last = entries.at(-1);
  const next = rest.length > limit && last !== undefined ? encodeMarker(keyOf(last)) : undefined;
  return { entries, next };
}

const encodeMarker = (key: string) => Buffer.from(key, "utf8").toString("base64url");

function decodeMarker(marker: string): string {
  if (!/^[\w-]+$/.test(marker)) throw validation("The provided marker is invalid.");
  return Buffer.from(marker, "base64url").toString("utf8");
}
