/**
 * Where the programs lie that the daemon starts in other processes and threads: always the bundles in the package's
 * `dist/`, also when the daemon itself runs from source.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The package's folder: the nearest one up from here with a package.json. */
export const PACKAGE_ROOT = findRoot(dirname(fileURLToPath(import.meta.url)));

export const VERSION: string = JSON.parse(readFileSync(join(PACKAGE_ROOT, "package.json"), "utf8")).version;

const program = (file: string) => join(PACKAGE_ROOT, "dist", file);

/** Each is built by scripts/build.mjs under this name. */
export const PROGRAMS = {
  /** Node runner: speaks the Runtime API, runs a user's bundle. */
  runner: program("runner.mjs"),
  /** The stub, as it stands in a function's package. */
  stub: program("stub.mjs"),
  /** The local cloud. */
  cloud: program("cloud.js"),
  /** Evaluates a bundled livedev.config.ts and hands back its result. */
  configRunner: program("config-runner.mjs"),
  /** What `import … from "livedev"` means in a config. */
  sdk: program("sdk.js"),
  /** History's reader thread. */
  historyReader: program("history-reader.js"),
  /** The thread that watches files. */
  watchThread: program("watch-thread.js"),
  /** The thread that holds workers' processes. */
  processThread: program("process-thread.js"),
  /** The thread of frontends' and services' terminals. */
  terminalThread: program("terminal-thread.js"),
  /** The thread that functions are built in. */
  buildThread: program("build-thread.js"),
  /** The thread of the SSH connection. */
  tunnelThread: program("tunnel-thread.js"),
  /** What Node programs load first, to reach the VPC. */
  tunnelPreload: program("tunnel-preload.cjs"),
  /** Deploy's packager thread. */
  packager: program("packager.js"),
} as const;

function findRoot(from: string): string {
  if (existsSync(join(from, "package.json"))) return from;
  const up = dirname(from);
  if (up === from) throw new Error("livedev's package.json is missing");
  return findRoot(up);
}
