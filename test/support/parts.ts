/** What not every machine has (scripts/parts.sh), and why a test that needs it is skipped where it is missing. */
import { existsSync } from "node:fs";
import { join } from "node:path";

import { ROOT } from "./rig.ts";

const missing = (path: string, what: string): string | false =>
  existsSync(path) || process.env["LIVEDEV_NO_SKIP"] === "1"
    ? false
    : `${what} is not installed: run \`source scripts/parts.sh\` (looked for ${path})`;

/** The package `sst`, unpacked. */
export const SST = process.env["LIVEDEV_SST"] ?? join(ROOT, ".parts", "sst", "node_modules", "sst");
export const sstMissing = missing(SST, "SST's SDK");

/** A Python with boto3. */
export const PYTHON = join(process.env["LIVEDEV_MOTO"] ?? join(ROOT, ".parts", "moto"), "bin", "python");
export const pythonMissing = missing(PYTHON, "boto3");
