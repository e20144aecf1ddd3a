/**
 * `npm test [-- files or folders] [--jobs=N] [--grep=EXPRESSION] [--only]`: installs and builds what the tests need,
 * runs them, and prints each suite's time. The last line is `N passed, N failed`. With LIVEDEV_NO_SKIP=1 (CI) a skipped
 * test is a failure.
 */
import { spawn } from "node:child_process";
import { createWriteStream, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

import { ROOT, run, setup, SetupError, withProgress } from "./setup.mjs";

const noSkip = process.env.LIVEDEV_NO_SKIP === "1";

/** As many lines of a failed file are shown. */
const FAILURE_LINES = 40;
const JOBS = 4;
const FILE_TIMEOUT_S = 600;
/** They begin first, or the end of all would wait for one of them. */
const LONGEST = [
  "test/faults/F27-F28-aws.test.ts",
  "test/deploy/moto.test.ts",
  "test/deploy/kill-moto.test.ts",
  "test/faults/F1-kill.test.ts",
  "test/package/tarball.test.ts",
  "test/tunnel/inward.test.ts",
  "test/journeys/given-up.test.ts",
];

try {
  const { named, options } = readArguments();
  const { compiling } = await setup({ dev: true });
  const files = await withProgress("Building livedev and its tests", async () => {
    await run(process.execPath, [join(ROOT, "scripts", "build.mjs")]);
    // esbuild is there only now.
    const { buildTests } = await import("./build-tests.mjs");
    return buildTests(named);
  });
  process.exitCode = report(await runTests(files, compiling, options));
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        jobs: { type: "string", default: String(JOBS) },
        grep: { type: "string", multiple: true },
        only: { type: "boolean" },
      },
    });
    const absent = positionals.find((path) => !existsSync(join(ROOT, path)));
    if (absent !== undefined) throw new Error(`There is no ${absent}.`);
    const jobs = Number(values.jobs);
    if (!Number.isInteger(jobs) || jobs < 1) throw new Error(`--jobs=${values.jobs} is no number of files.`);
    return { named: positionals, options: { ...values, jobs } };
  } catch (error) {
    throw new SetupError(error.message);
  }
}

function longestFirst(files) {
  const first = ({ name }) => (LONGEST.includes(name) ? 0 : 1);
  return files.toSorted((one, other) => first(one) - first(other));
}

/** Reads tap's output as it comes: files stand at depth 0, their tests at depth 1, what went wrong in them deeper. */
async function runTests(tests, compiling, { jobs, grep, only }) {
  mkdirSync(join(ROOT, ".tap"), { recursive: true });
  const results = createWriteStream(join(ROOT, ".tap", "results.tap"));
  const env = {
    TAP_TIMEOUT: String(FILE_TIMEOUT_S),
    ...(grep !== undefined && { TAP_GREP: grep.join("\n") }),
    ...(only === true && { TAP_ONLY: "1" }),
  };
  const isLater = ({ compiled }) => compiling !== undefined && compiled;
  const ordered = longestFirst(tests);
  const [files, later] = [ordered.filter((test) => !isLater(test)), ordered.filter(isLater)];
  const order = JSON.stringify({ files, later, jobs, env });
  const tap = spawn(process.execPath, [join(ROOT, "scripts", "run-tests.mjs"), order], {
    cwd: ROOT,
    stdio: ["pipe", "pipe", "inherit"],
  });
  Promise.resolve(compiling).then(
    () => tap.stdin.end(),
    () => tap.kill(),
  );
  const ended = new Promise((resolve) => tap.on("close", (code) => resolve(code ?? 1)));
  const seen = { suites: new Map(), files: [], skipped: [], counts: [], failures: [], passed: 0, failed: 0 };
  const pending = { tests: 0, lines: [], diagnosing: false };
  for await (const line of createInterface({ input: tap.stdout })) {
    results.write(`${line}\n`);
    const test = /^ {4}(not )?ok \d+ - (.*)$/.exec(line);
    if (test !== null) {
      pending.tests += 1;
      const name = test[2] ?? "";
      if (/ # SKIP\b/i.test(name)) seen.skipped.push(name);
      else if (test[1] === undefined) seen.passed += 1;
      else seen.failed += 1;
    }
    const wrong = /^ +not ok /.test(line);
    if (wrong) pending.diagnosing = true;
    if (pending.diagnosing) {
      if (pending.lines.length < FAILURE_LINES) pending.lines.push(line);
      if (/^ *\.\.\.$/.test(line)) pending.diagnosing = false;
    }
    const count = /^ *# counted: (.*)$/.exec(line);
    if (count !== null) seen.counts.push(count[1]);
    const whole = /^(not )?ok \d+ - (\S+).*?# time=([\d.]+)ms/.exec(line);
    if (whole !== null) {
      const file = whole[2] ?? "";
      const suite = file.split("/")[1] ?? "";
      const sum = seen.suites.get(suite) ?? { tests: 0, ms: 0 };
      seen.suites.set(suite, { tests: sum.tests + pending.tests, ms: sum.ms + Number(whole[3]) });
      seen.files.push([file, Number(whole[3])]);
      if (whole[1] !== undefined) {
        seen.failures.push({ file, lines: pending.lines });
        console.log(`failed: ${file}`);
      }
      progress(`${seen.files.length} of ${tests.length} files`);
      Object.assign(pending, { tests: 0, lines: [], diagnosing: false });
    }
  }
  progress("");
  results.end();
  await compiling;
  return { ...seen, code: await ended };
}

/** Live, on a terminal alone. */
function progress(text) {
  if (process.stdout.isTTY) process.stdout.write(`\r\u001B[K${text}`);
}

/** Prints it all; gives the exit code. */
function report({ suites, files, passed, failed, skipped, counts, failures: failing, code }) {
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
  return failures + unexplained > 0 || passed === 0 ? 1 : 0;
}
