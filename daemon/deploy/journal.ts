/**
 * Each change is journaled before it is made and after, so that a kill at any moment leaves nothing that the next run
 * does not know of. What the tags of standing resources say is asked of AWS; the journal adds the names to ask for.
 */
export type Journal = {
  append(entry: JournalEntry & { readonly deployId: string }): unknown;
  /** Oldest first. */
  entries(): readonly JournalEntry[];
};

export type JournalEntry = {
  /** `role:NAME`, `function:NAME`, `url:NAME`, `bucket:NAME`, `stack:NAME`. */
  readonly resource: string;
  readonly action: string;
  readonly phase: "before" | "after";
  readonly data: unknown;
};

/** Names that may stand: some step was to make them, and none is known to have deleted them. */
export function mayStand(
  entries: readonly JournalEntry[],
  type: "role" | "function" | "bucket" | "stack",
): Set<string> {
  const names = new Set<string>();
  for (const { resource, action, phase } of entries) {
    if (!resource.startsWith(`${type}:`)) continue;
    const name = resource.slice(type.length + 1);
    if (action !== "delete") names.add(name);
    else if (phase === "after") names.delete(name);
  }
  return names;
}
