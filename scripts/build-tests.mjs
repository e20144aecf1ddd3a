/**
 * Bundles test files into `.tap/built/`, as plain JavaScript for Node: without a hook on each module of theirs (tsx,
 * tap's mocks) a test file starts in a third of the time. What they know by `import.meta` stays that of the file as it
 * is written.
 */
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { pathToFileURL } from "node:url";

import { build, transform } from "esbuild";

import { ROOT } from "./setup.mjs";

const OUT = join(".tap", "built");

/** Of the files and folders that are named; of all where none is. Gives what was built, and as what it is written. */
export async function buildTests(named) {
  const files = (named.length > 0 ? named : ["test"]).flatMap((path) =>
    statSync(join(ROOT, path)).isDirectory() ? filesOf(path) : [path],
  );
  rmSync(join(ROOT, OUT), { recursive: true, force: true });
  await build({
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
    packages: "external",
    sourcemap: "linked",
    sourcesContent: false,
    logLevel: "warning",
    plugins: [{ name: "where it is written", setup: keepPlaces }],
  });
  return files.map((name) => ({
    name,
    file: join(OUT, relative("test", name)).replace(/\.ts$/, ".mjs"),
  }));
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
