/**
 * What a worker loads, as a debugger sees it: the bundle's files, their maps, and the sources as they were when the
 * worker came. Read once for each worker that a function's own target is attached to.
 */
import { readdir, readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { SourceMap, type Place, type SourceMapJson } from "./source-map.ts";

/** A place in a source file, and what stood in its line. */
export type InSource = Place & { readonly path: string; readonly text: string };

export type InBundle = Place & { readonly url: string };

type File = {
  readonly map: SourceMap;
  readonly sources: readonly string[];
  readonly json: SourceMapJson;
};

/** A line that so little stands in is found everywhere. */
const TELLING = /\w.*\w.*\w/;

export class Program {
  /** By the generated file's URL. */
  readonly #files: ReadonlyMap<string, File>;
  /** By path. */
  readonly #texts: ReadonlyMap<string, readonly string[]>;

  /** @param file the one that a worker loads. Others of the bundle lie beside it. */
  static async read(file: string): Promise<Program> {
    const folder = dirname(file);
    const files = new Map<string, File>();
    const texts = new Map<string, readonly string[]>();
    const names = await readdir(folder).catch(() => []);
    for (const name of names.filter((name) => name.endsWith(".map"))) {
      const map = await readMap(join(folder, name));
      if (map === undefined) continue;
      const sources = map.sources.map((source) => resolve(folder, map.sourceRoot ?? "", source));
      const content = await Promise.all(sources.map((path) => readFile(path, "utf8").catch(() => null)));
      for (const [index, path] of sources.entries()) texts.set(path, content[index]?.split("\n") ?? []);
      files.set(pathToFileURL(join(folder, name.slice(0, -".map".length))).href, {
        map: new SourceMap(map.mappings),
        sources,
        // A front end of Chrome's reads neither files nor maps by itself.
        json: {
          version: 3,
          names: map.names,
          mappings: map.mappings,
          sources: sources.map((path) => pathToFileURL(path).href),
          sourcesContent: content,
        },
      });
    }
    return new Program(files, texts);
  }

  private constructor(files: ReadonlyMap<string, File>, texts: ReadonlyMap<string, readonly string[]>) {
    this.#files = files;
    this.#texts = texts;
  }

  /** The URLs of the files that are loaded. */
  get urls(): string[] {
    return [...this.#files.keys()];
  }

  get sourceUrls(): string[] {
    return [...this.#texts.keys()].map((path) => pathToFileURL(path).href);
  }

  /** The map as a data URL. */
  mapOf(url: string): string | undefined {
    const json = this.#files.get(url)?.json;
    if (json === undefined) return undefined;
    return `data:application/json;base64,${Buffer.from(JSON.stringify(json)).toString("base64")}`;
  }

  /** Where something is set: in a file that is loaded, or in a source of one. */
  sourceAt(url: string, place: Place): InSource | undefined {
    const file = this.#files.get(url);
    if (file === undefined) return this.#inSource(pathOf(url), place);
    const found = file.map.sourceOf(place);
    return found === undefined ? undefined : this.#inSource(file.sources[found.source], found);
  }

  /**
   * Where a place of a source stands in the code that is loaded. A line that was moved by a save is found again by what
   * stands in it.
   */
  find(place: InSource): InBundle | undefined {
    const moved = { ...place, line: this.#lineOf(place) };
    for (const [url, { map, sources }] of this.#files) {
      const source = sources.indexOf(place.path);
      const found = source < 0 ? undefined : map.generatedOf({ ...moved, source });
      if (found !== undefined) return { url, ...found };
    }
    return undefined;
  }

  #inSource(path: string | undefined, { line, column }: Place): InSource | undefined {
    const text = path === undefined ? undefined : this.#texts.get(path);
    return path === undefined || text === undefined
      ? undefined
      : { path, line, column, text: text[line] ?? "" };
  }

  #lineOf({ path, line, text }: InSource): number {
    const lines = this.#texts.get(path) ?? [];
    if (lines[line] === text || !TELLING.test(text)) return line;
    let nearest: number | undefined;
    for (const [index, candidate] of lines.entries()) {
      if (candidate !== text) continue;
      if (nearest === undefined || Math.abs(index - line) < Math.abs(nearest - line)) nearest = index;
    }
    return nearest ?? line;
  }
}

async function readMap(file: string): Promise<SourceMapJson | undefined> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as SourceMapJson;
  } catch {
    return undefined;
  }
}

/** Of a file's URL, or of a path as it stands. */
export function pathOf(url: string): string | undefined {
  if (url.startsWith("/")) return url;
  try {
    return fileURLToPath(url);
  } catch {
    return undefined;
  }
}
