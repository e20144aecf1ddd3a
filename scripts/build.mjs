/**
 * Builds `dist/` by esbuild: `node scripts/build.mjs [--watch] [--types]`. Plain JavaScript, since it runs before any
 * development dependency is there.
 */
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";

import { context } from "esbuild";

import { OUTSIDE, REQUIRE } from "./bundling.mjs";
import { writeLicenses } from "./licenses.mjs";

const root = join(import.meta.dirname, "..");
const watch = process.argv.includes("--watch");

const common = {
  absWorkingDir: root,
  outdir: "dist",
  bundle: true,
  platform: "node",
  target: "node20",
  format: "esm",
  sourcemap: "linked",
  logLevel: "warning",
  legalComments: "none",
  metafile: true,
};

/** Programs that run where our packages are not installed, or must start fast: everything inside. */
const whole = (entryPoints, more = {}) => ({
  ...common,
  entryPoints,
  banner: { js: REQUIRE },
  external: ["bufferutil", "utf-8-validate"],
  ...more,
});

const builds = [
  // The daemon, its threads and the cloud, in pieces that they share; an AWS client is a piece of its own, which loads
  // when it is first used. Beside node_modules only for what is native.
  {
    ...common,
    splitting: true,
    chunkNames: "pieces/[name]-[hash]",
    sourcesContent: false,
    banner: { js: REQUIRE },
    mainFields: ["module", "main"],
    entryPoints: {
      daemon: "daemon/main.ts",
      cloud: "daemon/cloud/main.ts",
      "history-reader": "daemon/store/reader.ts",
      packager: "daemon/deploy/packager.ts",
      "watch-thread": "daemon/watch/thread.ts",
      "process-thread": "daemon/runtime/process-thread.ts",
      "terminal-thread": "daemon/processes/terminal-thread.ts",
      "build-thread": "daemon/functions/build-thread.ts",
      "tunnel-thread": "daemon/tunnel/thread.ts",
    },
    external: OUTSIDE,
  },
  whole({ client: "client/connect.ts", sdk: "client/sdk/index.ts", tui: "client/tui/main.ts" }),
  whole(
    { livedev: "client/cli/livedev.ts", livedevd: "client/cli/livedevd.ts" },
    {
      banner: { js: `#!/usr/bin/env node\n${REQUIRE}` },
    },
  ),
  // What travels: no source map beside it, smaller where it costs a cold start.
  whole({ stub: "stub/main.ts" }, { outExtension: { ".js": ".mjs" }, minify: true, sourcemap: false }),
  whole(
    { runner: "daemon/runtime/runner/main.ts", "config-runner": "daemon/config/runner.ts" },
    { outExtension: { ".js": ".mjs" }, sourcemap: false },
  ),
  // Loaded by `--require` into whatever Node program runs, of any age.
  {
    ...whole({ "tunnel-preload": "daemon/tunnel/preload/main.ts" }),
    banner: {},
    format: "cjs",
    outExtension: { ".js": ".cjs" },
    target: "node18",
    minify: true,
    sourcemap: false,
  },
];

if (!watch) rmSync(join(root, "dist"), { recursive: true, force: true });
const metafiles = [];
for (const build of builds) {
  const made = await context(build);
  if (watch) await made.watch();
  else {
    metafiles.push((await made.rebuild()).metafile);
    await made.dispose();
  }
}
if (!watch) writeLicenses(root, metafiles);
if (process.argv.includes("--types")) {
  const { status } = spawnSync(process.execPath, ["scripts/types.mjs"], { cwd: root, stdio: "inherit" });
  process.exitCode = status ?? 1;
}
if (watch) console.log("livedev: watching; each save rebuilds dist/");
