/**
 * Bundles test files into `.tap/built/`, with the packages they use, as plain JavaScript for Node: a test file starts
 * in a fifth of the time that it takes with a hook on each module (tsx, tap's mocks), and in half of what finding the
 * hundreds of files of tap and of an AWS client costs. What a file knows by `import.meta` stays that of the file as
 * it is written.
 */
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { pathToFileURL } from "node:url";

import { build, transform } from "esbuild";

import { OUTSIDE, REQUIRE } from "./bundling.mjs";
import { ROOT } from "./setup.mjs";

const OUT = join(".tap", "built");
/** Packages that are compiled when they are installed, and the part of the tests by which they run all of livedev. */
const COMPILED = ["better-sqlite3", "ssh2", "test/support/rig.ts"];

/**
 * Of the files and folders that are named; of all where none is. Gives what was built, as what it is written, and
 * whether it needs what is compiled.
 */
export async function buildTests(named) {
  const files = (named.length > 0 ? named : ["test"]).flatMap((path) =>
    statSync(join(ROOT, path)).isDirectory() ? filesOf(path) : [path],
  );
  rmSync(join(ROOT, OUT), { recursive: true, force: true });
  const { metafile } = await build({
    metafile: true,
    absWorkingDir: ROOT,
    entryPoints: files,
    outdir: OUT,
    outbase: "test",
    bundle: true,
    splitting: true,
    chunkNames: "pieces/[name]-[hash]",
    platform: "node",
    target: "node20",
    format: "esm",
    outExtension: { ".js": ".mjs" },
    mainFields: ["module", "main"],
    banner: { js: REQUIRE },
    external: OUTSIDE,
    sourcemap: "linked",
    sourcesContent: false,
    logLevel: "warning",
    plugins: [{ name: "where it is written", setup: keepPlaces }],
  });
  // Each file would parse tap's at its start, for what nobody reads.
  for (const [piece, { inputs }] of Object.entries(metafile.outputs)) {
    if (Object.keys(inputs).every((input) => input.startsWith("node_modules/")))
      rmSync(join(ROOT, `${piece}.map`), { force: true });
  }
  return files.map((name) => ({
    name,
    file: join(OUT, relative("test", name)).replace(/\.ts$/, ".mjs"),
    compiled: needs(metafile, name, COMPILED),
  }));
}

/** Whether a test imports one of these, itself or by what it imports, or a file of the tests names one. */
function needs({ inputs }, test, wanted) {
  const seen = new Set([test]);
  for (const from of seen) for (const { path } of inputs[from]?.imports ?? []) seen.add(path);
  const texts = [...seen]
    .filter((path) => path.startsWith("test/"))
    .map((path) => readFileSync(join(ROOT, path), "utf8"));
  return wanted.some((one) => seen.has(one) || texts.some((text) => text.includes(one)));
}

const filesOf = (folder) =>
  readdirSync(join(ROOT, folder), { recursive: true })
    .filter((path) => path.endsWith(".test.ts"))
    .map((path) => join(folder, path))
    .toSorted();

function keepPlaces({ onLoad }) {
  onLoad({ filter: /\.ts$/ }, async ({ path }) => {
    const text = readFileSync(path, "utf8");
    if (!text.includes("import.meta.")) return { contents: text, loader: "ts" };
    const { code } = await transform(text, {
      loader: "ts",
      target: "esnext",
      sourcefile: path,
      sourcemap: "inline",
      sourcesContent: false,
      define: {
        "import.meta.dirname": JSON.stringify(dirname(path)),
        "import.meta.filename": JSON.stringify(path),
        "import.meta.url": JSON.stringify(pathToFileURL(path).href),
      },
    });
    return { contents: code, loader: "js" };
  });
}
