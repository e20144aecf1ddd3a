/** What a debugger knows of a process that stands at a breakpoint, in the words of the sources. */
import { SourceMap, type SourceMapPayload } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { join } from "node:path";

import type { Cdp, CdpParams } from "../cdp.ts";
import { PACKAGE_ROOT } from "../programs.ts";

/** Lines and columns count from 1. */
export type Frame = {
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** It called the ones before it, and waits for them no more on the stack but by a promise. */
  readonly async?: true;
};

export type Local = {
  readonly name: string;
  readonly type: string;
  /** Of what JSON can say. */
  readonly value?: unknown;
  readonly text: string;
};

export type StopPoint = { readonly stack: readonly Frame[]; readonly locals: readonly Local[] };

/** What was declared in the function; not the module's, nor the process's. */
const LOCAL = new Set(["local", "block", "catch"]);
const OURS = pathToFileURL(join(PACKAGE_ROOT, "dist", "/")).href;
const DATA = "data:application/json;base64,";

/** Code that is loaded, and the sources that it was made of. */
export class Script {
  readonly #url: string;
  readonly #map: SourceMap | undefined;
  readonly #lines = new Map<string, readonly string[]>();

  constructor({ url, sourceMapURL }: CdpParams) {
    this.#url = url;
    if (typeof sourceMapURL !== "string" || !sourceMapURL.startsWith(DATA)) return;
    const payload = JSON.parse(Buffer.from(sourceMapURL.slice(DATA.length), "base64").toString());
    const { sources, sourcesContent } = payload as SourceMapPayload;
    this.#map = new SourceMap(payload as SourceMapPayload);
    for (const [at, source] of sources.entries()) {
      this.#lines.set(source, sourcesContent[at]?.split("\n") ?? []);
    }
  }

  /** Whether it was made of sources at all. */
  get mapped(): boolean {
    return this.#map !== undefined;
  }

  has(sourceUrl: string): boolean {
    return this.#lines.has(sourceUrl);
  }

  /** Undefined for what is no code of the user's. */
  placeOf(lineNumber: number, columnNumber: number): Omit<Frame, "name"> | undefined {
    const entry = this.#map?.findEntry(lineNumber, columnNumber);
    const [url, line, column] =
      entry !== undefined && "originalSource" in entry
        ? [entry.originalSource, entry.originalLine, entry.originalColumn]
        : [this.#url, lineNumber, columnNumber];
    if (!url.startsWith("file:") || url.startsWith(OURS)) return undefined;
    return { file: fileURLToPath(url), line: line + 1, column: column + 1 };
  }

  /** The source's line. */
  text({ file, line }: Pick<Frame, "file" | "line">): string {
    return this.#lines.get(pathToFileURL(file).href)?.[line - 1] ?? "";
  }
}

export async function stopPoint(
  cdp: Cdp,
  { callFrames, asyncStackTrace }: CdpParams,
  scripts: ReadonlyMap<string, Script>,
): Promise<StopPoint> {
  const stack: Frame[] = [];
  const add = (functionName: string, { scriptId, lineNumber, columnNumber }: CdpParams, later: boolean) => {
    const place = scripts.get(scriptId)?.placeOf(lineNumber, columnNumber);
    if (place === undefined) return;
    const name = functionName === "" ? "(anonymous)" : functionName;
    stack.push({ name, ...place, ...(later && { async: true }) });
  };
  for (const { functionName, location } of callFrames) add(functionName, location, false);
  for (let trace = asyncStackTrace; trace !== undefined; trace = trace.parent) {
    for (const frame of trace.callFrames) add(frame.functionName, frame, true);
  }
  const locals = new Map<string, Local>();
  for (const { type, object } of callFrames[0].scopeChain) {
    if (!LOCAL.has(type)) continue;
    const { result } = await cdp.send("Runtime.getProperties", {
      objectId: object.objectId,
      ownProperties: true,
      generatePreview: true,
    });
    for (const { name, value } of result) {
      // The inner one hides the outer.
      if (value !== undefined && !locals.has(name)) locals.set(name, local(name, value));
    }
  }
  return { stack, locals: [...locals.values()] };
}

function local(name: string, { type, subtype, value, ...more }: CdpParams): Local {
  const kind = subtype ?? type;
  if (value !== undefined) return { name, type: kind, value, text: JSON.stringify(value) };
  return { name, type: kind, text: textOf({ type, ...more }) };
}

function textOf({ type, description, unserializableValue, preview }: CdpParams): string {
  if (type === "string") return JSON.stringify(description);
  if (preview === undefined) return unserializableValue ?? description ?? type;
  const { properties, entries = [], overflow, subtype, description: of } = preview;
  const inside = [
    // What a collection has besides is its size, which is told with its name.
    ...(entries.length > 0 ? [] : properties).map(({ name, ...property }: CdpParams) =>
      subtype === "array" && /^\d+$/.test(name) ? previewed(property) : `${name}: ${previewed(property)}`,
    ),
    ...entries.map(({ key, value }: CdpParams) =>
      key === undefined ? textOf(value) : `${textOf(key)} => ${textOf(value)}`,
    ),
    ...(overflow ? ["…"] : []),
  ].join(", ");
  if (subtype === "array") return `[${inside}]`;
  if (subtype === "error" || subtype === "date" || subtype === "regexp") return of;
  return `${of === "Object" ? "" : `${of} `}{${inside === "" ? "" : ` ${inside} `}}`;
}

/** V8 cuts long ones by itself. */
const previewed = ({ type, value, valuePreview }: CdpParams): string =>
  type === "string" ? JSON.stringify(value) : (valuePreview?.description ?? value ?? type);
