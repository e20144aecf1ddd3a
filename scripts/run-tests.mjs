/**
 * Runs built test files under tap, so many at once: `run-tests.mjs {"files":[…],"jobs":3,"timeoutS":600}`, TAP to stdout.
 * tap's own command loads its coverage recorder into each file, with a hook on every module: it took more time than
 * most files do.
 */
import { t } from "tap";

const { files, jobs, timeoutS } = JSON.parse(process.argv[2]);

t.jobs = jobs;
t.setTimeout(0);
for (const { file, name } of files) {
  const node = [process.execPath, "--no-warnings", "--enable-source-maps"];
  void t.spawn("env", ["-u", "NODE_OPTIONS", ...node, file], {
    name,
    buffered: true,
    timeout: timeoutS * 1000,
  });
}
