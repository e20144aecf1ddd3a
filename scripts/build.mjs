/**
 * Builds `dist/` by esbuild: `node scripts/build.mjs [--watch] [--types]`. Plain JavaScript, since it runs before any
 * development dependency is there.
 */
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";

import { context } from "esbuild";

const root = join(import.meta.dirname, "..");
const watch = process.argv.includes("--watch");

/** Bundled CommonJS packages that call `require` need one inside an ES module. */
const REQUIRE = `import { createRequire as livedevRequire } from "node:module"; const require = livedevRequire(import.meta.url);`;

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
  // The daemon and the cloud run beside node_modules; the AWS clients load when they are first used.
  {
    ...common,
    entryPoints: {
      daemon: "daemon/main.ts",
      cloud: "daemon/cloud/main.ts",
      "history-reader": "daemon/store/reader.ts",
      packager: "daemon/deploy/packager.ts",
      "watch-thread": "daemon/watch/thread.ts",
      "process-thread": "daemon/runtime/process-thread.ts",
      "terminal-thread": "daemon/processes/terminal-thread.ts",
      "build-thread": "daemon/functions/build-thread.ts",
    },
    packages: "external",
  },
  whole({ client: "client/connect.ts", sdk: "client/sdk/index.ts" }),
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
];

if (!watch) rmSync(join(root, "dist"), { recursive: true, force: true });
for (const build of builds) {
  const made = await context(build);
  if (watch) await made.watch();
  else {
    await made.rebuild();
    await made.dispose();
  }
}
if (process.argv.includes("--types")) {
  const { status } = spawnSync(process.execPath, ["scripts/types.mjs"], { cwd: root, stdio: "inherit" });
  process.exitCode = status ?? 1;
}
if (watch) console.log("livedev: watching; each save rebuilds dist/");
