/** One function's builds: from its handler's name to an output on disk, or to errors with file and line. */
import { basename, join, relative } from "node:path";

import {
  build,
  type BuildFailure,
  type BuildOptions,
  type Message,
  type Metafile,
  type OutputFile,
} from "esbuild";

import type { WantedFunction } from "../../proto/app.ts";
import type { BuildError } from "../../proto/events.ts";
import { messageOf } from "../lib/errors.ts";
import type { Contexts } from "./contexts.ts";
import { esbuildOptions, nodeMajor, outputFile } from "./esbuild-options.ts";
import { EXTENSIONS, findHandler } from "./handler.ts";
import { completeInputs, filesOf, NO_INPUTS, type BuildInputs } from "./inputs.ts";
import type { Bundle, Outputs } from "./outputs.ts";

export type BuildResult =
  /** The receiver holds the bundle. */
  | {
      readonly kind: "built";
      readonly bundle: Bundle;
      readonly exportPath: string;
      readonly inputs: BuildInputs;
    }
  | { readonly kind: "failed"; readonly errors: readonly BuildError[]; readonly inputs: BuildInputs }
  | { readonly kind: "cancelled" };

export class Bundler {
  readonly #project: string;
  readonly #wanted: WantedFunction;
  readonly #contexts: Contexts;
  readonly #outputs: Outputs;
  /** The handler's file that the context was made for. */
  #entry: string | undefined;

  constructor(options: { project: string; wanted: WantedFunction; contexts: Contexts; outputs: Outputs }) {
    this.#project = options.project;
    this.#wanted = options.wanted;
    this.#contexts = options.contexts;
    this.#outputs = options.outputs;
  }

  /** One at a time. Never rejects for what is wrong with the user's code or settings. */
  async build(usedAt: number): Promise<BuildResult> {
    const { name, handler, runtime, nodejs } = this.#wanted;
    if (nodeMajor(runtime) === undefined)
      return failed(`The runtime ${runtime} cannot run here: only nodejs*.x can.`);
    const { file: entry, exportPath, missing } = await findHandler(this.#project, handler);
    if (entry === undefined) {
      return {
        kind: "failed",
        errors: [noHandler(this.#project, handler, missing)],
        inputs: { ...NO_INPUTS, looked: missing },
      };
    }
    if (entry !== this.#entry) {
      await this.#contexts.close(this);
      this.#entry = entry;
    }
    await this.#outputs.linkPackages(name, entry);
    const options = esbuildOptions({
      project: this.#project,
      wanted: this.#wanted,
      entry,
      outdir: join(this.#outputs.folder(name), "0".repeat(16)),
    });
    const complete = (read: readonly string[], messages: readonly Message[]) =>
      completeInputs({ read, missing, messages, project: this.#project, tsconfig: options.tsconfig });

    let made;
    try {
      made = await this.#contexts.build(this, options, usedAt);
    } catch (error) {
      if (!isBuildFailure(error)) return failed(messageOf(error), [entry, ...missing]);
      if (error.errors.some(({ text }) => text === "The build was canceled")) return { kind: "cancelled" };
      const inputs = await complete(await this.#inputsOfFailed(options, entry), [
        ...error.errors,
        ...error.warnings,
      ]);
      return { kind: "failed", errors: error.errors.map((message) => this.#buildError(message)), inputs };
    }
    const read = filesOf(made.metafile, this.#project);
    const inputs = await complete(read, made.warnings);
    const main = basename(outputFile("", nodejs.format));
    const output = made.outputFiles.find((file) => basename(file.path) === main);
    const key = relative(this.#project, entry).split("\\").join("/");
    const source = made.metafile.inputs[key];
    const exported =
      output === undefined ? undefined : exportsOf(output, entryExports(made.metafile, key), source?.format);
    const [wantedExport = ""] = exportPath.split(".");
    if (exported !== undefined && !exported.includes(wantedExport)) {
      return { kind: "failed", errors: [noExport(key, wantedExport, exported)], inputs };
    }
    const bundle = await this.#outputs.put(name, made.outputFiles, main);
    // esbuild gives an ES module of a CommonJS file one export: the whole of it.
    const inDefault = nodejs.format === "esm" && source?.format === "cjs";
    return { kind: "built", bundle, exportPath: inDefault ? `default.${exportPath}` : exportPath, inputs };
  }

  async cancel(): Promise<void> {
    await this.#contexts.cancel(this);
  }

  async close(): Promise<void> {
    await this.#contexts.close(this);
  }

  /**
   * esbuild gives no metafile for a failed build, yet the very file that must be mended is one of its inputs. A plugin
   * that sees every file would cost each good build a fifth of its time, so a failed one is gone over again with it.
   */
  async #inputsOfFailed(options: BuildOptions, entry: string): Promise<string[]> {
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

  #buildError({ text, location }: Message): BuildError {
    if (location === null) return { text };
    const { file, line, column, lineText } = location;
    return { text, file, line, column, lineText };
  }
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
  return { text: `${file} has no export named "${name}". ${has}`, file };
}

function failed(text: string, looked: readonly string[] = []): BuildResult {
  return { kind: "failed", errors: [{ text }], inputs: { ...NO_INPUTS, looked } };
}

function isBuildFailure(error: unknown): error is BuildFailure {
  return error instanceof Error && "errors" in error && Array.isArray(error.errors);
}
