import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import type { Test } from "tap";

import { ROOT } from "./rig.ts";

/** A folder outside of this repository, whose own packages would be found from within; livedev's declarations are. */
export async function declarations(t: Pick<Test, "teardown">): Promise<string> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "livedev-types-")));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const installed = join(folder, "node_modules", "livedev");
  mkdirSync(installed, { recursive: true });
  await promisify(execFile)(process.execPath, [
    join(ROOT, "scripts", "types.mjs"),
    join(installed, "dist", "types"),
  ]);
  cpSync(join(ROOT, "package.json"), join(installed, "package.json"));
  return folder;
}
