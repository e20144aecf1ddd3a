/** Which processes are ready before which start. Two that link to each other wait for nobody on the way round. */
import type { RunnableProcess } from "./types.ts";

export function acyclic(
  wanted: readonly Pick<RunnableProcess, "name" | "after">[],
): ReadonlyMap<string, readonly string[]> {
  const links = new Map(wanted.map(({ name, after }) => [name, after]));
  const result = new Map<string, string[]>();
  const onTheWay = new Set<string>();
  const visit = (name: string): void => {
    if (result.has(name)) return;
    onTheWay.add(name);
    const after: string[] = [];
    for (const other of links.get(name) ?? []) {
      if (onTheWay.has(other) || !links.has(other)) continue;
      visit(other);
      after.push(other);
    }
    onTheWay.delete(name);
    result.set(name, after);
  };
  for (const { name } of wanted) visit(name);
  return result;
}
