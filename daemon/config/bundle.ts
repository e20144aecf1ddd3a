/**
 * livedev.config.ts and what it imports, as one file. Every file that was read is an input, also of a bundle that
 * failed: esbuild gives no metafile then, and the very file that must be mended would not be watched.
 */
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, extname, join, resolve, sep } from "node:path";
import { pathToFileURL } from "node:url";

import { build, type BuildFailure, type Loader, type Message, type Plugin } from "esbuild";

import { notWritten } from "../lib/errors.ts";
import type { Place } from "./messages.ts";

export type Bundled = { readonly inputs: readonly string[] } & (
  | { readonly ok: true; readonly file: string }
  | { readonly ok: false; readonly errors: readonly { readonly text: string; readonly place?: Place }[] }
);

export async function bundleConfig(options: {
  readonly config: string;
  readonly project: string;
  readonly outDir: string;
  /** What `import … from "livedev"` is. */
  readonly sdk: string;
}): Promise<Bundled> {
  const inputs = new Set<string>([options.config]);
  const file = join(options.outDir, "livedev.config.mjs");
  try {
    const { outputFiles } = await build({
      entryPoints: [options.config],
      outfile: file,
      write: false,
      absWorkingDir: options.project,
      bundle: true,
      platform: "node",
      format: "esm",
      target: "node20",
      sourcemap: "inline",
      sourcesContent: false,
      logLevel: "silent",
      define: {
        "import.meta.url": "__livedevUrl",
        "import.meta.dirname": "__dirname",
        "import.meta.filename": "__filename",
      },
      plugins: [packagesOutside(options.sdk, inputs), ownPlace(inputs)],
    });
    // A config may hold what is nobody else's; and what the disk refuses is no mistake in it, as esbuild would say.
    for (const { contents } of outputFiles) {
      await writeFile(file, contents, { mode: 0o600 }).catch((error: unknown) => {
        throw notWritten(file, error);
      });
    }
    return { ok: true, file, inputs: [...inputs] };
  } catch (error) {
    if (!isBuildFailure(error)) throw error;
    return { ok: false, errors: error.errors.map(toError), inputs: [...inputs] };
  }
}

function isBuildFailure(error: unknown): error is BuildFailure {
  return error instanceof Error && "errors" in error && Array.isArray(error.errors);
}

function toError({ text, location }: Message): { text: string; place?: Place } {
  return location === null ? { text } : { text, place: { file: location.file, line: location.line } };
}

const WITHIN = Symbol("this resolution is our own");

/**
 * Installed packages stay outside and load as Node loads them; a workspace's own packages, linked into node_modules,
 * are source and are bundled.
 */
function packagesOutside(sdk: string, inputs: Set<string>): Plugin {
  return {
    name: "livedev-packages",
    setup(build) {
      build.onResolve({ filter: /^livedev$/ }, () => ({ path: pathToFileURL(sdk).href, external: true }));
      build.onResolve({ filter: /./ }, async ({ path, kind, resolveDir, importer, pluginData }) => {
        if (pluginData === WITHIN || kind === "entry-point" || path.startsWith("node:")) return undefined;
        const found = await build.resolve(path, { kind, resolveDir, importer, pluginData: WITHIN });
        if (found.errors.length > 0) {
          if (path.startsWith("."))
            for (const candidate of candidates(resolve(resolveDir, path))) inputs.add(candidate);
          return found;
        }
        if (found.external || !found.path.includes(`${sep}node_modules${sep}`)) return found;
        return {
          path: kind === "require-call" ? found.path : pathToFileURL(found.path).href,
          external: true,
        };
      });
    },
  };
}

/** Where a missing file may appear. */
function candidates(path: string): string[] {
  const extensions = extname(path) === "" ? [".ts", ".mts", ".js", ".mjs", ".json"] : [];
  return [path, ...extensions.map((extension) => path + extension)];
}

const LOADERS: Record<string, Loader> = {
  ".ts": "ts",
  ".mts": "ts",
  ".cts": "ts",
  ".js": "js",
  ".mjs": "js",
  ".cjs": "js",
};

/** Notes each file that is read, and keeps `import.meta` and `__dirname` true in each though all become one file. */
function ownPlace(inputs: Set<string>): Plugin {
  return {
    name: "livedev-own-place",
    setup(build) {
      build.onLoad({ filter: /./ }, async ({ path, namespace }) => {
        if (namespace !== "file") return undefined;
        inputs.add(path);
        const loader = LOADERS[extname(path)];
        if (loader === undefined || !existsSync(path)) return undefined;
        const contents = await readFile(path, "utf8");
        if (!/\b(?:__dirname|__filename|import\.meta)\b/.test(contents)) return undefined;
        // On the first line, so that lines stay what they are.
        const place = { __dirname: dirname(path), __filename: path, __livedevUrl: pathToFileURL(path).href };
        const names = Object.entries(place).map(([name, value]) => `${name} = ${JSON.stringify(value)}`);
        return { contents: `var ${names.join(", ")}; ${contents}`, loader, resolveDir: dirname(path) };
      });
    },
  };
}
