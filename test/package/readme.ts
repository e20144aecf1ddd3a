/** Code blocks of README.md, so that what it shows is what the tests run. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { ROOT } from "../support/rig.ts";

export const README = readFileSync(join(ROOT, "README.md"), "utf8");

/** The first block in this language below this heading. */
export function block(heading: string, language: "sh" | "ts" | "python"): string {
  const section = README.split(/^## /m).find((text) => text.startsWith(`${heading}\n`));
  const found = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, "ms").exec(section ?? "")?.[1];
  if (found === undefined) throw new Error(`README.md has no ${language} block under ${heading}`);
  return found;
}
