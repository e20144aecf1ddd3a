import { existsSync } from "node:fs";
import { relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

import type { Place } from "./messages.ts";

/** `at run (file:///project/livedev.config.ts:12:5)`, `at /project/livedev.config.ts:12:5`. */
const FRAME = /^\s*at .*?\(?((?:file:\/\/)?\/[^()]*?):(\d+):\d+\)?$/;

/** The first frame that is the project's own code: relative to the project, lines from 1. */
export function placeOf(stack: string, project: string): Place | undefined {
  for (const text of stack.split("\n")) {
    const [, at, line] = FRAME.exec(text) ?? [];
    if (at === undefined) continue;
    const path = at.startsWith("file://") ? fileURLToPath(at) : at;
    const file = relative(project, path);
    const own =
      !file.startsWith("..") &&
      !file.split(sep).some((part) => part === "node_modules" || part === ".livedev");
    if (own && existsSync(path)) return { file, line: Number(line) };
  }
  return undefined;
}
