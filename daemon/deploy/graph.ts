/** Work in the order in which one needs the other; what does not wait runs at once, as much as `each` lets it. */
export type Node = {
  readonly name: string;
  readonly needs: readonly string[];
  readonly run: () => Promise<void>;
};

/** A circle of names, the first one again at its end; undefined where there is none. */
export function cycleIn(nodes: readonly Pick<Node, "name" | "needs">[]): string[] | undefined {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const done = new Set<string>();
  const visit = (name: string, path: readonly string[]): string[] | undefined => {
    const seen = path.indexOf(name);
    if (seen !== -1) return [...path.slice(seen), name];
    if (done.has(name)) return undefined;
    for (const need of byName.get(name)?.needs ?? []) {
      const found = byName.has(need) ? visit(need, [...path, name]) : undefined;
      if (found !== undefined) return found;
    }
    done.add(name);
    return undefined;
  };
  for (const { name } of nodes) {
    const found = visit(name, []);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** At most `width` at once. After an error nothing new begins; what is under way comes to its end. No cycles. */
export async function runGraph(nodes: readonly Node[], width: number): Promise<void> {
  const left = new Set(nodes);
  const undone = new Set(nodes.map(({ name }) => name));
  const errors: unknown[] = [];
  let running = 0;
  await new Promise<void>((resolve) => {
    const go = () => {
      for (const node of left) {
        if (errors.length > 0 || running === width) break;
        if (node.needs.some((need) => undone.has(need))) continue;
        left.delete(node);
        running += 1;
        void node
          .run()
          .catch((error: unknown) => errors.push(error))
          .then(() => {
            running -= 1;
            undone.delete(node.name);
            go();
          });
      }
      if (running === 0) resolve();
    };
    go();
  });
  if (errors.length > 0) throw errors[0];
}
