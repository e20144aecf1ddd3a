import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { parse } from "dotenv";

import { codeOf, configUnreadable } from "../lib/errors.ts";

/** `.env`, then `.env.<stage>`; the later wins. Both count as inputs, also while they are absent. */
export function envFiles(project: string, stage: string): string[] {
  return [join(project, ".env"), join(project, `.env.${stage}`)];
}

export async function readEnvFiles(files: readonly string[]): Promise<Record<string, string>> {
  const values: Record<string, string> = {};
  for (const file of files) {
    try {
      Object.assign(values, parse(await readFile(file, "utf8")));
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw configUnreadable(file, error);
    }
  }
  return values;
}
