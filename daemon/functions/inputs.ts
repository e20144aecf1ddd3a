/** What a build read, and what it looked for in vain: whatever can make its result another. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, extname, isAbsolute, join, resolve, sep } from "node:path";

import type { Message, Metafile } from "esbuild";

import { EXTENSIONS } from "./handler.ts";

export type BuildInputs = {
  /** Absolute: files that were read. */
  readonly read: readonly string[];
  /** Absolute: files that were looked for, or stand where one that takes part may appear. */
  readonly looked: readonly string[];
  /** Paths without extension whose resolution failed. */
  readonly stems: readonly string[];
  /** An import failed whose file may appear anywhere (a package, an alias): every change in the project counts. */
  readonly wide: boolean;
};

export const NO_INPUTS: BuildInputs = { read: [], looked: [], stems: [], wide: false };

/** Files of a metafile; its keys are relative to the project and may carry a namespace or import attributes. */
export function filesOf(metafile: Metafile, project: string): string[] {
  const files = [];
  for (const key of Object.keys(metafile.inputs)) {
    const path = key.replace(/^\(disabled\):/, "").replace(/ with \{.*\}$/, "");
    if (!/^[a-z][\w-]+:/i.test(path)) files.push(isAbsolute(path) ? path : resolve(project, path));
  }
  return files;
}

export async function completeInputs(options: {
  readonly read: readonly string[];
  /** Handler candidates that do not exist. */
  readonly missing: readonly string[];
  readonly messages: readonly Message[];
  readonly project: string;
  readonly tsconfig: string | undefined;
}): Promise<BuildInputs> {
  const read = new Set(options.read);
  const looked = new Set(options.missing);
  const stems = new Set<string>();
  let wide = false;
  for (const settings of settingsFiles(read)) looked.add(settings);
  if (options.tsconfig !== undefined) looked.add(resolve(options.project, options.tsconfig));
  for (const config of [...looked]) {
    if (config.endsWith(".json")) await addExtended(config, looked);
  }
  for (const { text, location } of options.messages) {
    const path = /^Could not resolve "(.+?)"/.exec(text)?.[1];
    if (path === undefined) continue;
    if (location === null || !/^\.{0,2}\//.test(path)) {
      wide = true;
      continue;
    }
    const target = resolve(dirname(resolve(options.project, location.file)), path);
    for (const stem of [target, withoutExtension(target)]) {
      stems.add(stem);
      for (const extension of [...EXTENSIONS, "json"]) {
        looked.add(`${stem}.${extension}`).add(join(stem, `index.${extension}`));
      }
    }
    looked.add(target);
  }
  for (const file of read) looked.delete(file);
  return { read: [...read], looked: [...looked], stems: [...stems], wide };
}

/** `/a/b.ts` → `/a/b`: what an import without extension says. */
export function withoutExtension(path: string): string {
  const extension = extname(path);
  return extension === "" ? path : path.slice(0, -extension.length);
}

const NODE_MODULES = `${sep}node_modules${sep}`;

export function inNodeModules(path: string): boolean {
  return path.includes(NODE_MODULES);
}

/** Every package.json and tsconfig.json that takes part, or would if it appeared. */
function settingsFiles(files: Iterable<string>): Set<string> {
  const found = new Set<string>();
  const seen = new Set<string>();
  for (const file of files) {
    const start = file.lastIndexOf(NODE_MODULES);
    if (start >= 0) {
      const [scope = "", name = ""] = file.slice(start + NODE_MODULES.length).split(sep);
      const root =
        file.slice(0, start + NODE_MODULES.length) + (scope.startsWith("@") ? join(scope, name) : scope);
      found.add(join(root, "package.json"));
      continue;
    }
    for (let folder = dirname(file); !seen.has(folder); folder = dirname(folder)) {
      seen.add(folder);
      found.add(join(folder, "package.json")).add(join(folder, "tsconfig.json"));
    }
  }
  return found;
}

/** A tsconfig's `extends`, and theirs. Comments and trailing commas are legal there, so it is searched, not parsed. */
async function addExtended(config: string, found: Set<string>): Promise<void> {
  if (config.endsWith(`${sep}package.json`)) return;
  let text: string;
  try {
    text = await readFile(config, "utf8");
  } catch {
    return;
  }
  const value = /"extends"\s*:\s*("[^"]*"|\[[^\]]*\])/.exec(text)?.[1] ?? "";
  for (const [, name = ""] of value.matchAll(/"([^"]+)"/g)) {
    const file = resolveExtended(config, name);
    if (file === undefined || found.has(file)) continue;
    found.add(file);
    await addExtended(file, found);
  }
}

function resolveExtended(config: string, name: string): string | undefined {
  if (/^\.{0,2}\//.test(name)) {
    const file = resolve(dirname(config), name);
    return file.endsWith(".json") ? file : `${file}.json`;
  }
  const require = createRequire(config);
  for (const path of [name, `${name}.json`, `${name}/tsconfig.json`]) {
    try {
      return require.resolve(path);
    } catch {
      // The next spelling.
    }
  }
  return undefined;
}
