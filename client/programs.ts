/** The package's own files, from a bundle in dist/ as from source. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The nearest folder up from here with a package.json. */
export const PACKAGE_ROOT = findRoot(dirname(fileURLToPath(import.meta.url)));

export const VERSION: string = JSON.parse(readFileSync(join(PACKAGE_ROOT, "package.json"), "utf8")).version;

export const DAEMON_PROGRAM = join(PACKAGE_ROOT, "dist", "daemon.js");
/** Reads a history where no daemon runs. */
export const HISTORY_PROGRAM = join(PACKAGE_ROOT, "dist", "history-reader.js");
/** Loaded into the CLI's own process. */
export const MULTIPLEXER_PROGRAM = join(PACKAGE_ROOT, "dist", "tui.js");
export const CLOUD_PROGRAM = join(PACKAGE_ROOT, "dist", "cloud.js");

function findRoot(from: string): string {
  if (existsSync(join(from, "package.json"))) return from;
  const up = dirname(from);
  if (up === from) throw new Error("livedev's package.json is missing");
  return findRoot(up);
}
