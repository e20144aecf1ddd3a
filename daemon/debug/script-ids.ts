/**
 * V8 counts scripts from 1 in each process. A client that outlives processes must not take one's scripts for
 * another's, so their ids carry the number of the process: `3.57`.
 */

/** Inside of what the user's code returned, only what V8 says is a place is one. */
const PLACE = "internal#location";

export function withGeneration(message: unknown, generation: number): unknown {
  return walk(message, (id) => `${generation}.${id}`);
}

/** Undefined where it names a script of another process. */
export function withoutGeneration<T>(params: T, generation: number): T | undefined {
  const prefix = `${generation}.`;
  let stale = false;
  const plain = walk(params, (id) => {
    if (!id.startsWith(prefix)) stale = true;
    return id.slice(prefix.length);
  });
  return stale ? undefined : (plain as T);
}

function walk(
  value: unknown,
  change: (id: string) => string,
  parent?: { readonly subtype?: unknown },
): unknown {
  if (Array.isArray(value)) return value.map((item) => walk(item, change));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => {
      if (name === "scriptId" && typeof inner === "string") return [name, change(inner)];
      // A descriptor's `value` is V8's own object; that in it is the user's.
      if (name === "value" && "type" in value && parent?.subtype !== PLACE) {
        return [name, "subtype" in value && value.subtype === PLACE ? walk(inner, change) : inner];
      }
      return [name, walk(inner, change)];
    }),
  );
}
