/**
 * `npm test [-- files, folders or tap options]`: installs and builds what the tests need, runs them, and prints each
 * suite's time. The last line is `N passed, N failed`. With LIVEDEV_NO_SKIP=1 (CI) a skipped test is a failure.
 */
import { spawn } from "node:child_process";
import { createReadStream, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { ROOT, run, setup, SetupError, TAP, withProgress } from "./setup.mjs";

const noSkip = process.env.LIVEDEV_NO_SKIP === "1";

/** As many lines of a failed file are repeated at the end. */
const FAILURE_LINES = 40;

const named = process.argv.slice(2).filter((word) => !word.startsWith("-") && existsSync(join(ROOT, word)));
const options = process.argv.slice(2).filter((word) => !named.includes(word));

let built;
let writtenAs;
try {
  await setup({ dev: true });
  built = await withProgress("Building livedev and its tests", async () => {
    await run(process.execPath, [join(ROOT, "scripts", "build.mjs")]);
    // esbuild is there only now.
    const tests = await import("./build-tests.mjs");
    writtenAs = tests.writtenAs;
    return tests.buildTests(named);
  });
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(error.message);
  process.exit(1);
}

const results = join(ROOT, ".tap", "results.tap");
mkdirSync(join(ROOT, ".tap"), { recursive: true });
const tap = spawn(
  process.execPath,
  // Elsewhere than on a terminal only what failed is worth a line.
  [
    TAP,
    `--reporter=${process.stdout.isTTY ? "terse" : "min"}`,
    `--output-file=${results}`,
    ...options,
    ...built,
  ],
  { cwd: ROOT, stdio: "inherit" },
);
const code = await new Promise((resolve) => {
  tap.on("close", (exit, signal) => resolve(signal === null ? exit : 1));
});

const { suites, files, passed, failed, skipped, counts, failures: failing } = await summarize(results);
if (counts.length > 0) console.log();
for (const line of counts) console.log(line);
console.log("\nsuite          tests   seconds");
for (const [suite, { tests, ms }] of [...suites].toSorted((a, b) => b[1].ms - a[1].ms)) {
  console.log(`${suite.padEnd(14)} ${String(tests).padStart(5)} ${(ms / 1000).toFixed(1).padStart(9)}`);
}
console.log("\nslowest files");
for (const [file, ms] of files.toSorted(([, a], [, b]) => b - a).slice(0, 12)) {
  console.log(`${(ms / 1000).toFixed(1).padStart(7)} s  ${file}`);
}
for (const name of skipped) console.log(`skipped: ${name}`);
// Once more at the end, where somebody who sees only the last lines of a log looks for them.
for (const { file, lines } of failing) console.log(`\nfailed: ${file}\n${lines.join("\n")}`);
const failures = failed + (noSkip ? skipped.length : 0);
// A file that dies without a failed test still fails the run.
const unexplained = code !== 0 && failures === 0 ? 1 : 0;
console.log(
  `${passed} passed, ${failures + unexplained} failed${noSkip ? "" : `, ${skipped.length} skipped`}`,
);
process.exit(failures + unexplained > 0 || passed === 0 ? 1 : 0);

/** Reads tap's own output: files stand at depth 0, their tests at depth 1, what went wrong in them deeper. */
async function summarize(file) {
  const suites = new Map();
  const files = [];
  const skipped = [];
  const counts = [];
  const failures = [];
  const pending = { tests: 0, lines: [] };
  let passed = 0;
  let failed = 0;
  for await (const line of createInterface({ input: createReadStream(file) })) {
    const test = /^ {4}(not )?ok \d+ - (.*)$/.exec(line);
    if (test !== null) {
      pending.tests += 1;
      const name = test[2] ?? "";
      if (/ # SKIP\b/i.test(name)) skipped.push(name);
      else if (test[1] === undefined) passed += 1;
      else failed += 1;
    }
    const wrong = /^ *not ok /.test(line);
    if (wrong) pending.diagnosing = true;
    if (wrong || pending.diagnosing) {
      if (pending.lines.length < FAILURE_LINES) pending.lines.push(line);
      if (/^ *\.\.\.$/.test(line)) pending.diagnosing = false;
    }
    const count = /^ *# counted: (.*)$/.exec(line);
    if (count !== null) counts.push(count[1]);
    const whole = /^(not )?ok \d+ - (\S+).*?# time=([\d.]+)ms/.exec(line);
    if (whole !== null) {
      const name = writtenAs(whole[2] ?? "");
      const suite = name.split("/")[1] ?? "";
      const sum = suites.get(suite) ?? { tests: 0, ms: 0 };
      suites.set(suite, { tests: sum.tests + pending.tests, ms: sum.ms + Number(whole[3]) });
      files.push([name, Number(whole[3])]);
      if (whole[1] !== undefined) failures.push({ file: name, lines: pending.lines });
      pending.tests = 0;
      pending.lines = [];
    }
  }
  return { suites, files, passed, failed, skipped, counts, failures };
}
