/**
 * A client's breakpoints by URL, which outlive the process that they were set in. Each has an id of ours; in the next
 * process it is set where the same line of the source stands in the code that is loaded there.
 */
import { readFile } from "node:fs/promises";

import { pathOf, type InSource, type Program } from "./program.ts";
import type { Place } from "./source-map.ts";
import type { Params } from "./wire.ts";

export type Breakpoint = {
  readonly id: string;
  readonly params: Params;
  /** Where the client believes it to be. Known as soon as a program was there that has the place. */
  asked: InSource | undefined;
  /** Where that line stands now. */
  source: InSource | undefined;
  /** Set in a bundle, and not in a source. */
  inBundle: boolean;
  /** In the process that stands. */
  real: string | undefined;
};

export class Breakpoints {
  readonly #byId = new Map<string, Breakpoint>();
  #count = 0;

  [Symbol.iterator](): Iterator<Breakpoint> {
    return this.#byId.values();
  }

  add(params: Params): Breakpoint {
    this.#count += 1;
    const breakpoint = {
      id: `livedev:${this.#count}`,
      params,
      asked: undefined,
      source: undefined,
      inBundle: false,
      real: undefined,
    };
    this.#byId.set(breakpoint.id, breakpoint);
    return breakpoint;
  }

  remove(id: unknown): Breakpoint | undefined {
    const found = typeof id === "string" ? this.#byId.get(id) : undefined;
    if (found !== undefined) this.#byId.delete(found.id);
    return found;
  }

  clear(): void {
    this.#byId.clear();
  }

  /** Our id for V8's; V8's own where it is none of these. */
  idOf(real: unknown): unknown {
    for (const breakpoint of this.#byId.values()) if (breakpoint.real === real) return breakpoint.id;
    return real;
  }
}

/** Where it is set in a source as that stands on the disk; undefined where it names none. */
export async function sourceNow(params: Params): Promise<InSource | undefined> {
  const { url } = params;
  const path = typeof url === "string" ? pathOf(url) : undefined;
  const text = path === undefined ? undefined : await readFile(path, "utf8").catch(() => undefined);
  if (path === undefined || text === undefined) return undefined;
  const place = placeOf(params);
  return { ...place, path, text: text.split("\n")[place.line] ?? "" };
}

/** Where it is set, by the sources of this program. */
export function placeIn(params: Params, program: Program): InSource | undefined {
  const url = urlFor(params, program);
  return url === undefined ? undefined : program.sourceAt(url, placeOf(params));
}

/** What to ask of a process that runs this program. What is in none of its files is asked as the client asked it. */
export function paramsFor(breakpoint: Breakpoint, program: Program): Params {
  const { params } = breakpoint;
  const asked = placeIn(params, program);
  if (asked !== undefined) {
    breakpoint.asked = asked;
    breakpoint.source ??= asked;
  }
  if (isInBundle(params, program)) {
    breakpoint.inBundle = true;
    // V8 knows best, unless a save moved what stood in that line.
    if (asked === undefined || breakpoint.source?.line === asked.line) return params;
  }
  const found = breakpoint.source === undefined ? undefined : program.find(breakpoint.source);
  if (breakpoint.source === undefined || found === undefined) return params;
  // What a later save moves is looked for from here.
  breakpoint.source = program.sourceAt(found.url, found) ?? breakpoint.source;
  const { condition } = params;
  return {
    url: found.url,
    lineNumber: found.line,
    columnNumber: found.column,
    ...(condition !== undefined && { condition }),
  };
}

/** The file that it stands in now, where it was set in one of a bundle that is gone. */
export function movedTo({ inBundle, params, source }: Breakpoint, program: Program): string | undefined {
  if (!inBundle || source === undefined || isInBundle(params, program)) return undefined;
  return program.find(source)?.url;
}

export function isInBundle(params: Params, program: Program): boolean {
  const url = urlFor(params, program);
  return url !== undefined && program.urls.includes(url);
}

function urlFor({ url, urlRegex }: Params, program: Program): string | undefined {
  if (typeof url === "string") return url;
  if (typeof urlRegex !== "string") return undefined;
  try {
    const fits = new RegExp(urlRegex);
    return [...program.urls, ...program.sourceUrls].find((candidate) => fits.test(candidate));
  } catch {
    return undefined;
  }
}

const placeOf = (params: Params): Place => ({
  line: numberOf(params["lineNumber"]),
  column: numberOf(params["columnNumber"]),
});

const numberOf = (value: unknown) => (typeof value === "number" ? value : 0);
