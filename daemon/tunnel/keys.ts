/** Private keys in files, read as carefully as OpenSSH reads them. */
import { readFileSync, statSync } from "node:fs";

import { codeOf, keyEncrypted, keyUnreadable, messageOf, tunnelFileUnsafe } from "../lib/errors.ts";
import type { Hop } from "./hops.ts";

export type Key = { readonly file: string; readonly text: Buffer };

/** `parse` gives what is wrong with a key. @throws LivedevError where nothing is left to be let in by. */
export function keysOf(hop: Hop, parse: (text: Buffer) => Error | undefined): readonly Key[] {
  const keys: Key[] = [];
  const passed: Error[] = [];
  for (const { file, named } of hop.identities) {
    try {
      const key = read(file, parse);
      if (key !== undefined) keys.push(key);
      else if (named) passed.push(keyUnreadable(file, "there is no such file"));
    } catch (error) {
      // The agent may hold it, unlocked.
      if (hop.agent === undefined && named) throw error;
      passed.push(error as Error);
    }
  }
  const [why] = passed;
  if (keys.length === 0 && hop.agent === undefined && why !== undefined) throw why;
  return keys;
}

/** Undefined where there is none. */
function read(file: string, parse: (text: Buffer) => Error | undefined): Key | undefined {
  let text: Buffer;
  try {
    text = readFileSync(file);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw keyUnreadable(file, messageOf(error));
  }
  // What others can read is nobody's secret.
  if ((statSync(file).mode & 0o077) !== 0)
    throw tunnelFileUnsafe(file, "others may read it", `chmod 600 ${file}`);
  const wrong = parse(text);
  if (wrong === undefined) return { file, text };
  throw /encrypted/i.test(wrong.message) ? keyEncrypted(file) : keyUnreadable(file, wrong.message);
}
