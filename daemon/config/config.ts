/**
 * livedev.config.ts → the wanted app. Bundled by esbuild, evaluated in a process of its own, validated here. Each
 * load starts from the files; keeping the last good app is the caller's part.
 */
import { access, mkdir, readFile, realpath } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";

import type { WantedApp } from "../../proto/app.ts";
import { CONFIG_FILES } from "../../proto/discovery.ts";
import { redact } from "../../proto/redact.ts";
import {
  configDied,
  configInvalid,
  configMissing,
  configNoDefault,
  configNotConfig,
  configReturnedNothing,
  configThrew,
  configTooSlow,
  LivedevError,
} from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { PROGRAMS } from "../lib/programs.ts";
import { Scope } from "../lib/scope.ts";
import { bundleConfig } from "./bundle.ts";
import { evaluate, type ChildResult, type OutputText } from "./child.ts";
import { envFiles, readEnvFiles } from "./env-files.ts";
import type { Evaluated, Place } from "./messages.ts";
import { prefix } from "./problems.ts";
import { templateFile } from "./stack.ts";
import { unknownComponent, wantedApp } from "./wanted.ts";

export type ConfigError = {
  readonly code: string;
  /** Names its place itself, `livedev.config.ts:12: …`; one line for each mistake. */
  readonly message: string;
  readonly hint?: string;
  /** Of the first mistake, relative to the project. */
  readonly file?: string;
  readonly line?: number;
};

export type ConfigResult = {
  /** Files whose change means another load, absolute; some may not exist yet. */
  readonly inputs: readonly string[];
  /** What the config printed. */
  readonly output: readonly OutputText[];
} & (
  | { readonly ok: true; readonly app: WantedApp; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly error: ConfigError }
);

export type ConfigOptions = {
  readonly project: string;
  readonly stage: string;
  /** `.livedev/build`; the bundle is written below it. */
  readonly outDir: string;
  readonly log: Log;
  readonly limitMs?: number;
  /** `false`: for a deployment. */
  readonly dev?: boolean;
  /** The daemon's own; only a few names of it reach the config. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
};

/** What a config sees of the daemon's environment; the rest comes from .env files. */
const PASSED_ON = ["PATH", "HOME", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"];

const LIMIT_MS = 10_000;

type Failure = { readonly error: LivedevError; readonly place?: Partial<Place> | undefined };

export class Config {
  readonly #options: ConfigOptions;
  readonly #scope = new Scope();
  /** Of the last good load: a file that was deleted is still watched, so that its return mends the config. */
  #lastInputs: readonly string[] = [];
  #loading = new AbortController();

  private constructor(options: ConfigOptions) {
    this.#options = options;
  }

  static async open(options: ConfigOptions): Promise<Config> {
    const outDir = join(options.outDir, "config");
    await mkdir(outDir, { recursive: true, mode: 0o700 });
    return new Config({ ...options, project: await realpath(options.project), outDir });
  }

  /** What is being evaluated is old: its process is ended, and its load comes to an error that says no more. */
  supersede(): void {
    this.#loading.abort();
  }

  async load(): Promise<ConfigResult> {
    const { project, stage } = this.#options;
    this.#loading = new AbortController();
    const inputs = new Set(envFiles(project, stage));
    const output: OutputText[] = [];
    try {
      const loaded = await this.#load(inputs, output);
      if ("app" in loaded) {
        this.#lastInputs = [...inputs];
        const { app, warnings } = loaded;
        return { ok: true, app, warnings, inputs: [...inputs], output };
      }
      return { ok: false, error: toError(loaded), inputs: this.#allInputs(inputs), output };
    } catch (error) {
      if (!(error instanceof LivedevError)) throw error;
      return { ok: false, error: toError({ error }), inputs: this.#allInputs(inputs), output };
    }
  }

  async #load(
    inputs: Set<string>,
    output: OutputText[],
  ): Promise<{ app: WantedApp; warnings: readonly string[] } | Failure> {
    const { project, stage, outDir, log } = this.#options;
    const config = await this.#find(inputs);
    if (config === undefined) return { error: configMissing(project) };
    const file = relative(project, config);

    const bundled = await bundleConfig({ config, project, outDir, sdk: PROGRAMS.sdk });
    for (const input of bundled.inputs) inputs.add(input);
    if (!bundled.ok) {
      const sentences = bundled.errors.map(({ text, place }) => prefix(place ?? { file }) + text);
      return { error: configInvalid(sentences), place: bundled.errors[0]?.place ?? { file } };
    }

    const own = this.#environment();
    const evaluation = {
      order: {
        type: "evaluate" as const,
        bundle: pathToFileURL(bundled.file).href,
        sdk: pathToFileURL(PROGRAMS.sdk).href,
        project,
        stage,
        dev: this.#options.dev ?? true,
        environment: { ...own, ...(await readEnvFiles(envFiles(project, stage))) },
      },
      limitMs: this.#options.limitMs ?? LIMIT_MS,
      environment: own,
    };
    const child = await this.#evaluate(evaluation);
    output.push(...child.output);
    for (const { stream, text } of child.output)
      log.info({ stream, text: redact(text) }, "the config printed");
    const files = await readTemplates(child, project, inputs);
    return this.#judge(child, file, files);
  }

  async #evaluate(evaluation: Omit<Parameters<typeof evaluate>[0], "signal">): Promise<ChildResult> {
    const loading = this.#loading;
    const { signal } = loading;
    const abort = () => loading.abort();
    this.#scope.signal.addEventListener("abort", abort);
    if (this.#scope.signal.aborted) abort();
    try {
      const child = await evaluate({ ...evaluation, signal });
      // Killed from outside, by a machine short of memory perhaps: until the next save nothing else would load it again.
      const again = child.ended === "died" && child.signal !== null && !signal.aborted;
      return again ? await evaluate({ ...evaluation, signal }) : child;
    } finally {
      this.#scope.signal.removeEventListener("abort", abort);
    }
  }

  #judge(
    child: ChildResult,
    file: string,
    files: ReadonlyMap<string, string>,
  ): { app: WantedApp; warnings: readonly string[] } | Failure {
    if (child.ended === "tooSlow") {
      return { error: configTooSlow(file, this.#options.limitMs ?? LIMIT_MS), place: { file } };
    }
    if (child.ended === "died") return { error: configDied(file, child), place: { file } };
    const { result } = child;
    if (result.type === "evaluated") return this.#wanted(result, file, files);
    if (result.type === "misshapen") {
      return {
        error: result.how === "noDefault" ? configNoDefault(file) : configNotConfig(file),
        place: { file },
      };
    }
    const place = result.place ?? { file };
    const instead = unknownComponent(result.message);
    if (instead !== undefined) return { error: configInvalid([prefix(place) + instead]), place };
    return { error: configThrew(prefix(place), result.during, result.message), place };
  }

  #wanted(
    result: Extract<Evaluated, { type: "evaluated" }>,
    file: string,
    files: ReadonlyMap<string, string>,
  ): { app: WantedApp; warnings: readonly string[] } | Failure {
    if (result.app === undefined || result.app === null) {
      return { error: configReturnedNothing(file), place: { file } };
    }
    const { AWS_REGION, AWS_DEFAULT_REGION } = this.#environment();
    const region = AWS_REGION ?? AWS_DEFAULT_REGION ?? "us-east-1";
    const wanted = wantedApp(result, {
      stage: this.#options.stage,
      region,
      dev: this.#options.dev ?? true,
      files,
    });
    if (wanted.ok) return wanted;
    const problems = wanted.problems.map(({ text, place }) => ({ text, place: place ?? { file } }));
    const sentences = problems.map(({ text, place }) => prefix(place) + text);
    return { error: configInvalid(sentences), place: problems[0]?.place };
  }

  async #find(inputs: Set<string>): Promise<string | undefined> {
    for (const name of CONFIG_FILES) {
      const file = join(this.#options.project, name);
      // One that is absent is an input too: it may appear, and come first.
      inputs.add(file);
      if (
        await access(file).then(
          () => true,
          () => false,
        )
      )
        return file;
    }
    return undefined;
  }

  #environment(): Record<string, string> {
    const from = this.#options.environment ?? process.env;
    return Object.fromEntries(
      PASSED_ON.flatMap((name) => (from[name] === undefined ? [] : [[name, from[name]]])),
    );
  }

  #allInputs(inputs: ReadonlySet<string>): string[] {
    return [...new Set([...inputs, ...this.#lastInputs])];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }
}

function toError({ error, place }: Failure): ConfigError {
  return {
    code: error.code,
    message: error.message,
    ...(error.hint !== undefined && { hint: error.hint }),
    ...(place?.file !== undefined && { file: place.file }),
    ...(place?.line !== undefined && { line: place.line }),
  };
}

/** What stacks' templates hold, by the name that the config gives; one that cannot be read is an input all the same. */
async function readTemplates(
  child: ChildResult,
  project: string,
  inputs: Set<string>,
): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  if (child.ended !== "evaluated" || child.result.type !== "evaluated") return files;
  for (const component of child.result.components) {
    const file = templateFile(component);
    if (file === undefined) continue;
    const path = resolve(project, file);
    inputs.add(path);
    try {
      files.set(file, await readFile(path, "utf8"));
    } catch {
      // The validation says that it cannot be read, with the component's place.
    }
  }
  return files;
}
