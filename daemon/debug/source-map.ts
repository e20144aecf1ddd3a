/** A source map, read both ways. Lines and columns count from 0, as in the protocol. */
import { decode } from "@jridgewell/sourcemap-codec";

export type SourceMapJson = {
  readonly version: 3;
  readonly sources: readonly string[];
  readonly sourcesContent?: readonly (string | null)[];
  readonly names: readonly string[];
  readonly mappings: string;
  readonly sourceRoot?: string;
};

export type Place = { readonly line: number; readonly column: number };

export type SourcePlace = Place & {
  /** Index into the map's sources. */
  readonly source: number;
};

type Segment = { readonly generated: Place; readonly source: SourcePlace };

export class SourceMap {
  /** In the order of the generated code. */
  readonly #segments: readonly Segment[];
  #bySource: Map<number, Segment[]> | undefined;

  constructor(mappings: string) {
    this.#segments = decode(mappings).flatMap((segments, line) =>
      segments.flatMap((segment) => {
        if (segment.length === 1) return [];
        const [column, source, sourceLine, sourceColumn] = segment;
        return { generated: { line, column }, source: { source, line: sourceLine, column: sourceColumn } };
      }),
    );
  }

  /** Where generated code comes from: what stands at or before it in its line, else what comes first behind it. */
  sourceOf({ line, column }: Place): SourcePlace | undefined {
    let before: Segment | undefined;
    for (const segment of this.#segments) {
      const { generated } = segment;
      if (generated.line < line) continue;
      if (generated.line > line) return before?.source;
      if (generated.column > column) return (before ?? segment).source;
      before = segment;
    }
    return before?.source;
  }

  /** Where a source's line begins in the generated code; that of the next line with code, where it has none. */
  generatedOf({ source, line, column }: SourcePlace): Place | undefined {
    this.#bySource ??= grouped(this.#segments);
    const segments = this.#bySource.get(source) ?? [];
    const onLine = segments.find(({ source: at }) => at.line >= line)?.source.line;
    if (onLine === undefined) return undefined;
    const candidates = segments.filter(({ source: at }) => at.line === onLine);
    const exact = onLine === line ? candidates.find(({ source: at }) => at.column >= column) : undefined;
    return (exact ?? candidates[0])?.generated;
  }
}

/** By source, in the source's order; of equal places the first of the generated code. */
function grouped(segments: readonly Segment[]): Map<number, Segment[]> {
  const groups = new Map<number, Segment[]>();
  for (const segment of segments) {
    const group = groups.get(segment.source.source);
    if (group === undefined) groups.set(segment.source.source, [segment]);
    else group.push(segment);
  }
  for (const group of groups.values()) {
    group.sort((a, b) => a.source.line - b.source.line || a.source.column - b.source.column);
  }
  return groups;
}
