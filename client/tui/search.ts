/** Finding a text in lines, and going from match to match. Pure. */
export type Match = {
  /** Of the text that was searched. */
  readonly line: number;
  readonly from: number;
  readonly to: number;
};

/** Without regard to case, unless a capital is asked for. */
export function matches(texts: readonly string[], wanted: string): Match[] {
  if (wanted === "") return [];
  const exact = wanted !== wanted.toLowerCase();
  const needle = exact ? wanted : wanted.toLowerCase();
  return texts.flatMap((text, line) => {
    const lowered = exact ? text : text.toLowerCase();
    // Some letters have more of them in lower case: their places would be others.
    const hay = lowered.length === text.length ? lowered : text;
    const found: Match[] = [];
    for (let at = hay.indexOf(needle); at !== -1; at = hay.indexOf(needle, at + needle.length)) {
      found.push({ line, from: at, to: at + needle.length });
    }
    return found;
  });
}

/** The last at or above the line, where one begins to search; else the first one below. */
export function nearest(found: readonly Match[], line: number): number {
  const above = found.findLastIndex((match) => match.line <= line);
  return above === -1 ? 0 : above;
}

/** Round about. */
export const step = (at: number, by: 1 | -1, count: number): number =>
  count === 0 ? 0 : (at + by + count) % count;
