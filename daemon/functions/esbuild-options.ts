/** A function's wanted build in esbuild's words. What development decides (no minifying, a source map) wins. */
import { dirname, join } from "node:path";

import type { BuildOptions, Loader, Plugin } from "esbuild";

import type { WantedFunction } from "../../proto/app.ts";
import { PROGRAMS } from "../lib/programs.ts";

/**
 * What CommonJS code expects inside an ES module. The two path names are ours and reach the code by `define`, which
 * leaves alone a module that declares its own `__dirname`.
 */
const COMMONJS_IN_ESM = [
  `import { createRequire as __livedevCreateRequire } from "node:module";`,
  `import { fileURLToPath as __livedevToPath } from "node:url";`,
  `const require = __livedevCreateRequire(import.meta.url);`,
  `const __livedevFilename = __livedevToPath(import.meta.url);`,
  `const __livedevDirname = __livedevToPath(new URL(".", import.meta.url)).slice(0, -1);`,
].join(" ");

/** Options that are ours: where the output goes and in which form it comes back. */
const OURS = new Set([
  "absWorkingDir",
  "allowOverwrite",
  "assetNames",
  "bundle",
  "chunkNames",
  "entryNames",
  "entryPoints",
  "format",
  "logLevel",
  "metafile",
  "minify",
  "minifyIdentifiers",
  "minifySyntax",
  "minifyWhitespace",
  "outExtension",
  "outbase",
  "outdir",
  "outfile",
  "plugins",
  "sourcemap",
  "splitting",
  "stdin",
  "write",
]);

export type BundlePlan = {
  readonly project: string;
  readonly wanted: Pick<WantedFunction, "runtime" | "nodejs">;
  /** The handler's file. */
  readonly entry: string;
  /** Where the output will lie: its depth decides the relative paths in the source map. */
  readonly outdir: string;
};

export function esbuildOptions({ project, wanted, entry, outdir }: BundlePlan): BuildOptions {
  const { nodejs } = wanted;
  const esm = nodejs.format === "esm";
  const extra = Object.fromEntries(
    Object.entries(nodejs.esbuild).filter(([name]) => !OURS.has(name)),
  ) as BuildOptions;
  const banner = [esm ? COMMONJS_IN_ESM : "", nodejs.banner ?? "", extra.banner?.["js"] ?? ""]
    .filter((part) => part !== "")
    .join("\n");
  return {
    platform: "node",
    target: `node${nodeMajor(wanted.runtime) ?? 20}`,
    legalComments: "none",
    // The files themselves lie beside; their text in every map would only cost time and memory.
    sourcesContent: false,
    keepNames: true,
    ...extra,
    absWorkingDir: project,
    entryPoints: [entry],
    entryNames: "index",
    outdir,
    bundle: true,
    write: false,
    metafile: true,
    sourcemap: "linked",
    minify: false,
    format: nodejs.format,
    // esbuild splits ES modules only.
    splitting: esm && nodejs.splitting,
    outExtension: { ".js": esm ? ".mjs" : ".cjs" },
    logLevel: "silent",
    banner: { ...extra.banner, js: banner },
    // A native add-on is copied beside the bundle.
    loader: {
      ".node": esm ? "file" : "copy",
      ...extra.loader,
      ...(nodejs.loader as { [extension: string]: Loader }),
    },
    external: [...(extra.external ?? []), ...nodejs.install],
    define: {
      ...(esm ? { __dirname: "__livedevDirname", __filename: "__livedevFilename" } : {}),
      ...extra.define,
    },
    plugins: esm && nodejs.loader[".node"] === undefined ? [ownSdk, addons] : [ownSdk],
  };
}

/** `nodejs20.x` → 20. */
export function nodeMajor(runtime: string): number | undefined {
  const digits = /^nodejs(\d+)\.x$/.exec(runtime)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** `import … from "livedev"` is ours where the project has no such package of its own. */
const ownSdk: Plugin = {
  name: "livedev-sdk",
  setup(build) {
    const asked = Symbol("asked");
    build.onResolve({ filter: /^livedev$/ }, async ({ path, pluginData, ...rest }) => {
      if (pluginData === asked) return undefined;
      const own = await build.resolve(path, {
        kind: rest.kind,
        importer: rest.importer,
        resolveDir: rest.resolveDir,
        pluginData: asked,
      });
      return own.errors.length === 0 ? own : { path: PROGRAMS.sdk };
    });
  },
};

/** An ES module cannot import a native add-on: the copy beside the bundle is required. */
const addons: Plugin = {
  name: "livedev-addons",
  setup(build) {
    const namespace = "livedev-addon";
    build.onResolve({ filter: /\.node$/ }, async ({ path, pluginData, ...rest }) => {
      if (pluginData === namespace) return undefined;
      const found = await build.resolve(path, {
        kind: rest.kind,
        importer: rest.importer,
        resolveDir: rest.resolveDir,
        pluginData: namespace,
      });
      return found.errors.length > 0 || found.external ? found : { path: found.path, namespace };
    });
    build.onLoad({ filter: /.*/, namespace }, ({ path }) => ({
      contents: `module.exports = require(require(${JSON.stringify(path)}));`,
      resolveDir: dirname(path),
      pluginData: namespace,
    }));
  },
};

export function outputFile(outdir: string, format: "esm" | "cjs"): string {
  return join(outdir, format === "esm" ? "index.mjs" : "index.cjs");
}
