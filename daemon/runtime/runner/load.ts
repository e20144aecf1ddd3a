/** Finds and loads the handler, in the order and with the errors of AWS's Node runtime. */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, extname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { handlerNotFound, importModuleError, malformedHandlerName, userCodeSyntaxError } from "./errors.ts";

// oxlint-disable-next-line typescript/no-explicit-any -- whatever the user exports
export type Handler = (...args: any[]) => unknown;

/** From `_HANDLER` and `LAMBDA_TASK_ROOT`: `path/module.nested.handler`. */
export async function loadFromTaskRoot(taskRoot: string, handler: string): Promise<Handler> {
  if (handler.includes("..")) {
    throw malformedHandlerName(
      `'${handler}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`,
    );
  }
  const base = basename(handler);
  const [, module, path] = /^([^.]*)\.(.*)$/.exec(base) ?? [];
  if (module === undefined || path === undefined) throw malformedHandlerName("Bad handler");
  const folder = resolve(taskRoot, handler.slice(0, handler.indexOf(base)));
  const exports = await translated(() => loadModule(taskRoot, folder, module));
  return resolveHandler(exports, path, handler);
}

/** From an absolute file and an export. */
export async function loadFromFile(file: string, path: string): Promise<Handler> {
  const exports = await translated(() => loadFile(file));
  return resolveHandler(exports, path, `${basename(file, extname(file))}.${path}`);
}

/** Loads for what loading does. */
export async function preload(file: string): Promise<void> {
  await translated(() => loadFile(file));
}

function resolveHandler(exports: unknown, path: string, name: string): Handler {
  let value: unknown = exports;
  for (const key of path.split(".")) {
    value = value === undefined || value === null ? undefined : (value as Record<string, unknown>)[key];
  }
  if (!value) throw handlerNotFound(`${name} is undefined or not exported`);
  if (typeof value !== "function") throw handlerNotFound(`${name} is not a function`);
  return value as Handler;
}

/** Extensionless, .js, .mjs, .cjs, and from Node 24 on .ts, .mts, .cts; then as `require` finds it. */
async function loadModule(taskRoot: string, folder: string, module: string): Promise<unknown> {
  const path = join(folder, module);
  const typescript = Number(process.versions.node.split(".")[0]) >= 24 ? [".ts", ".mts", ".cts"] : [];
  for (const extension of ["", ".js", ".mjs", ".cjs", ...typescript]) {
    if (existsSync(path + extension)) {
      // A folder of that name is for `require` to find, below.
      if (extension === "" && existsSync(join(path, "."))) continue;
      return loadFile(path + extension);
    }
  }
  // Relative to the task root: what it says about where it looked is then the user's own folder.
  const require = createRequire(join(taskRoot, "/"));
  return require(require.resolve(module, { paths: [taskRoot, folder] }));
}

/** CommonJS by `require`, so that its exports are there whole; an ES module by `import`. */
function loadFile(file: string): unknown {
  return isModule(file) ? import(pathToFileURL(file).href) : createRequire(file)(file);
}

function isModule(file: string): boolean {
  switch (extname(file)) {
    case ".mjs":
    case ".mts":
      return true;
    case ".js":
    case ".ts":
      return isModulePackage(dirname(file));
    default:
      return false;
  }
}

/** Whether the nearest package.json says `"type": "module"`. */
function isModulePackage(folder: string): boolean {
  if (basename(folder) === "node_modules") return false;
  const file = join(folder, "package.json");
  if (existsSync(file)) {
    try {
      return JSON.parse(readFileSync(file, "utf8"))?.type === "module";
    } catch (error) {
      console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
      return false;
    }
  }
  const up = dirname(folder);
  return up !== folder && isModulePackage(up);
}

async function translated<T>(load: () => T | Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if (error instanceof SyntaxError) throw userCodeSyntaxError(error);
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "MODULE_NOT_FOUND" || code === "ERR_MODULE_NOT_FOUND") {
      throw importModuleError(error as Error);
    }
    throw error;
  }
}
