/**
 * From a handler's name to bundled files, or to errors with file and line: the part of a build that computes. Runs in
 * the build thread.
 */
import { basename, relative } from "node:path";

import {
  build,
  stop,
  type BuildFailure,
  type BuildOptions,
  type Message,
  type Metafile,
  type OutputFile,
} from "esbuild";

import type { WantedFunction } from "../../proto/app.ts";
import type { BuildError } from "../../proto/events.ts";
import { messageOf } from "../lib/errors.ts";
import { Contexts } from "./contexts.ts";
import { esbuildOptions, nodeMajor, outputFile } from "./esbuild-options.ts";
import { EXTENSIONS, findHandler } from "./handler.ts";
import { hashOf } from "./hash.ts";
import { completeInputs, filesOf, NO_INPUTS, type BuildInputs } from "./inputs.ts";

export type CompileOrder = {
  /** Whose build it is: its parsed files are kept for its next one. */
  readonly owner: number;
  readonly project: string;
  readonly wanted: Pick<WantedFunction, "handler" | "runtime" | "nodejs">;
  /** Where the output will lie. */
  readonly outdir: string;
  /** `performance.now()` of the function's last use. */
  readonly usedAt: number;
};

export type Compiled =
  | {
      readonly kind: "compiled";
      readonly files: readonly { readonly path: string; readonly contents: Uint8Array<ArrayBuffer> }[];
      readonly hash: string;
      /** The name of the file that a worker loads. */
      readonly main: string;
      /** The handler's file. */
      readonly entry: string;
      readonly exportPath: string;
      readonly inputs: BuildInputs;
    }
  | { readonly kind: "failed"; readonly errors: readonly BuildError[]; readonly inputs: BuildInputs }
  | { readonly kind: "cancelled" };

export class Compiler {
  readonly #contexts: Contexts;
  /** The handler's file that each owner's context was made for. */
  readonly #entries = new Map<number, string>();

  constructor(options: { contexts: number }) {
    this.#contexts = new Contexts(options.contexts);
  }

  /** One at a time for each owner. Never rejects for what is wrong with the user's code or settings. */
  async compile({ owner, project, wanted, outdir, usedAt }: CompileOrder): Promise<Compiled> {
    const { handler, runtime, nodejs } = wanted;
    if (nodeMajor(runtime) === undefined)
      return failed(`The runtime ${runtime} cannot run here: only nodejs*.x can.`);
    const { file: entry, exportPath, missing } = await findHandler(project, handler);
    if (entry === undefined) {
      return {
        kind: "failed",
        errors: [noHandler(project, handler, missing)],
        inputs: { ...NO_INPUTS, looked: missing },
      };
    }
    if (entry !== this.#entries.get(owner)) {
      await this.#contexts.close(owner);
      this.#entries.set(owner, entry);
    }
    const options = esbuildOptions({ project, wanted, entry, outdir });
    const complete = (read: readonly string[], messages: readonly Message[]) =>
      completeInputs({ read, missing, messages, project, tsconfig: options.tsconfig });

    let made;
    try {
      made = await this.#contexts.build(owner, options, usedAt);
    } catch (error) {
      if (!isBuildFailure(error)) return failed(messageOf(error), [entry, ...missing]);
      if (error.errors.some(({ text }) => text === "The build was canceled")) return { kind: "cancelled" };
      const inputs = await complete(await inputsOfFailed(options, entry), [
        ...error.errors,
        ...error.warnings,
      ]);
      return { kind: "failed", errors: error.errors.map(buildError), inputs };
    }
    const inputs = await complete(filesOf(made.metafile, project), made.warnings);
    const main = basename(outputFile("", nodejs.format));
    const output = made.outputFiles.find((file) => basename(file.path) === main);
    const key = relative(project, entry).split("\\").join("/");
    const source = made.metafile.inputs[key];
    const exported =
      output === undefined ? undefined : exportsOf(output, entryExports(made.metafile, key), source?.format);
    const [wantedExport = ""] = exportPath.split(".");
    if (exported !== undefined && !exported.includes(wantedExport)) {
      return { kind: "failed", errors: [noExport(key, wantedExport, exported)], inputs };
    }
    // A copy that is its own: esbuild's files may be parts of one buffer, which is handed over whole.
    const files = made.outputFiles.map(({ path, contents }) => ({
      path,
      contents: new Uint8Array(contents),
    }));
    // esbuild gives an ES module of a CommonJS file one export: the whole of it.
    const inDefault = nodejs.format === "esm" && source?.format === "cjs";
    return {
      kind: "compiled",
      files,
      hash: hashOf(files),
      main,
      entry,
      exportPath: inDefault ? `default.${exportPath}` : exportPath,
      inputs,
    };
  }

  async cancel(owner: number): Promise<void> {
    await this.#contexts.cancel(owner);
  }

  async forget(owner: number): Promise<void> {
    this.#entries.delete(owner);
    await this.#contexts.close(owner);
  }

  async closeUnusedSince(time: number): Promise<void> {
    await this.#contexts.closeUnusedSince(time);
  }

  /** With esbuild's process. */
  async close(): Promise<void> {
    await this.#contexts.closeAll();
    await stop();
  }
}

/**
 * esbuild gives no metafile for a failed build, yet the very file that must be mended is one of its inputs. A plugin
 * that sees every file would cost each good build a fifth of its time, so a failed one is gone over again with it.
 */
async function inputsOfFailed(options: BuildOptions, entry: string): Promise<string[]> {
  const read = new Set([entry]);
  await build({
    ...options,
    sourcemap: false,
    plugins: [
      ...(options.plugins ?? []),
      {
        name: "livedev-inputs",
        setup(build) {
          build.onLoad({ filter: /.*/, namespace: "file" }, ({ path }) => {
            read.add(path);
            return undefined;
          });
        },
      },
    ],
  }).catch(() => undefined);
  return [...read];
}

function buildError({ text, location }: Message): BuildError {
  if (location === null) return { text };
  const { file, line, column, lineText } = location;
  return { text, file, line, column, lineText };
}

/** Undefined: cannot be known from the outside (a CommonJS handler file, an external `export *`). */
function exportsOf(
  output: OutputFile,
  entry: readonly string[] | undefined,
  source: "esm" | "cjs" | undefined,
): readonly string[] | undefined {
  if (source !== "esm") return undefined;
  if (output.path.endsWith(".mjs")) {
    if (/^export \* from /m.test(output.text)) return undefined;
    return entry;
  }
  // esbuild annotates CommonJS output with its names, for Node's own analysis.
  const names = /^0 && \(module\.exports = \{([^}]*)\}\);?$/m.exec(output.text.slice(-100_000))?.[1];
  if (names === undefined || names.includes("...")) return undefined;
  return names
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}

/** A chunk that is imported dynamically has an entry point too, another one. */
function entryExports({ outputs }: Metafile, entry: string): readonly string[] | undefined {
  return Object.values(outputs).find(({ entryPoint }) => entryPoint === entry)?.exports;
}

function noHandler(project: string, handler: string, missing: readonly string[]): BuildError {
  const stems = new Set(missing.map((file) => relative(project, file).replace(/\.\w+$/, "")));
  const tried = [...stems].map((stem) => `${stem}.{${EXTENSIONS.join(",")}}`);
  if (tried.length === 0)
    return { text: `The handler "${handler}" names no export: it should be like "src/api.handler".` };
  return { text: `The handler "${handler}" has no file: looked for ${tried.join(" and ")}.` };
}

function noExport(file: string, name: string, exported: readonly string[]): BuildError {
  const has = exported.length === 0 ? "It exports nothing." : `It exports: ${exported.join(", ")}.`;
  return { text: `There is no export named "${name}". ${has}`, file };
}

function failed(text: string, looked: readonly string[] = []): Compiled {
  return { kind: "failed", errors: [{ text }], inputs: { ...NO_INPUTS, looked } };
}

function isBuildFailure(error: unknown): error is BuildFailure {
  return error instanceof Error && "errors" in error && Array.isArray(error.errors);
}
