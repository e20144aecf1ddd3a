/**
 * What Chrome's front end does behind a save: once it has read the new bundle's source map, it takes each of its
 * breakpoints away and sets it again by the number of its line. Between the two there is none, so the new code is held
 * before its first line until all are set again; each keeps its place in the source meanwhile.
 *
 *     script parsed ──► taken away, set again, taken away, set again ──► all are there: the code runs
 *                  └──► 2 s ──► it runs all the same
 */
import { setTimeout as wait } from "node:timers/promises";

import { deferred, type Deferred } from "../lib/scope.ts";
import { movedTo, type Breakpoint } from "./breakpoints.ts";
import type { InSource, Program } from "./program.ts";

/** `untouched`: none was taken away in all the time, so that the client is none that does so. */
export type Settled = "settled" | "late" | "untouched";

/** Those of one file of the bundle. */
type File = {
  /** Where they were before the save. */
  readonly outdated: Set<Breakpoint>;
  /** Taken away, and not set again. */
  readonly kept: Set<Breakpoint>;
  /** Set again: in which line, and where that one stands now. */
  readonly claimed: { readonly place: InSource; readonly now: InSource | undefined }[];
  readonly over: Deferred<Settled>;
};

export const SETTLING_MS = 2_000;

export class Settling {
  readonly #files = new Map<string, File>();
  /** Their URLs. */
  readonly #stops = new Map<string, string>();
  readonly #over = new AbortController();
  #touched = false;

  constructor(breakpoints: Iterable<Breakpoint>, program: Program) {
    for (const breakpoint of breakpoints) {
      const url = movedTo(breakpoint, program);
      if (url === undefined) continue;
      const file = this.#files.get(url) ?? {
        outdated: new Set(),
        kept: new Set(),
        claimed: [],
        over: deferred(),
      };
      this.#files.set(url, file);
      file.outdated.add(breakpoint);
    }
  }

  /** The files that are to be held. */
  get urls(): string[] {
    return [...this.#files.keys()];
  }

  /** V8's breakpoint at the file's first line. An instrumentation breakpoint stops in no CommonJS file of Node's. */
  stopsBy(breakpointId: string | undefined, url: string): void {
    if (breakpointId !== undefined) this.#stops.set(breakpointId, url);
  }

  owns(breakpointId: unknown): boolean {
    return typeof breakpointId === "string" && this.#stops.has(breakpointId);
  }

  /** The client has it now, and its time begins. */
  async parsed(url: string): Promise<void> {
    const file = this.#files.get(url);
    if (file === undefined) return;
    const late = wait(SETTLING_MS, "late" as const, { signal: this.#over.signal, ref: false });
    await late.catch(() => undefined);
    this.#files.delete(url);
    file.over.resolve(this.#touched ? "late" : "untouched");
  }

  /** Resolves when the code that stands there may run on; undefined where it is not held. */
  before(hitBreakpoints: unknown): Promise<Settled> | undefined {
    const [id, another] = Array.isArray(hitBreakpoints) ? (hitBreakpoints as unknown[]) : [];
    const url = typeof id === "string" && another === undefined ? this.#stops.get(id) : undefined;
    if (url === undefined) return undefined;
    return this.#files.get(url)?.over.promise ?? Promise.resolve("settled");
  }

  /** The client took it away. */
  removed(breakpoint: Breakpoint): void {
    for (const { outdated, kept } of this.#files.values()) {
      if (!outdated.delete(breakpoint)) continue;
      kept.add(breakpoint);
      this.#touched = true;
    }
  }

  /**
   * Where a breakpoint stands now that the client sets again here. Of those taken away it is the nearest by its line. A
   * line with several places in the bundle is set in each of them: they are one breakpoint, and stay together.
   */
  claim(place: InSource): InSource | undefined {
    const distance = ({ asked }: Breakpoint) => Math.abs((asked?.line ?? 0) - place.line);
    for (const { outdated, kept, claimed, over } of this.#files.values()) {
      const [nearest] = [...kept]
        .filter(({ source }) => source?.path === place.path)
        .toSorted((one, other) => distance(one) - distance(other));
      if (nearest !== undefined) {
        kept.delete(nearest);
        claimed.push({ place, now: nearest.source });
        if (kept.size === 0 && outdated.size === 0) over.resolve("settled");
        return nearest.source;
      }
      const same = claimed.find((one) => one.place.path === place.path && one.place.line === place.line);
      if (same !== undefined) return same.now;
    }
    return undefined;
  }

  close(): void {
    this.#over.abort();
    for (const { over } of this.#files.values()) over.resolve("settled");
    this.#files.clear();
  }
}
