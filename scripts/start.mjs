/**
 * `npm start`: from a fresh clone to a live function. Installs what livedev needs to run (no development
 * dependency), builds it, then hands over to the demo.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";

import { ROOT, run, setup, SetupError, withProgress } from "./setup.mjs";

try {
  const { compiling } = await setup({ dev: false });
  await withProgress("Building livedev (a minute where SQLite must be compiled)", () =>
    Promise.all([run(process.execPath, [join(ROOT, "scripts", "build.mjs")]), compiling]),
  );
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(error.message);
  process.exit(1);
}

// The demo is a client like any other; it ends what it started, also on Ctrl-C, so signals are left to it.
const demo = spawn(process.execPath, [join(ROOT, "scripts", "demo.mjs"), ...process.argv.slice(2)], {
  cwd: ROOT,
  stdio: "inherit",
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => demo.kill(signal));
demo.on("close", (code, signal) => process.exit(signal === null ? code : 1));
