/**
 * The user's list of daemons: one file each, left behind where one was killed. Reading it tells the living from the
 * dead by pid and start time, and clears the dead away.
 */
import { linkSync, readdirSync, renameSync, unlinkSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

import { parseDaemonFile, registryFolder, type DaemonFile } from "../../proto/discovery.ts";

import { isAlive, readText } from "../discovery.ts";
import { codeOf } from "../errors.ts";

export function livingDaemons(): DaemonFile[] {
  const folder = registryFolder(process.env, homedir());
  const living: DaemonFile[] = [];
  for (const name of names(folder)) {
    const file = join(folder, name);
    const text = readText(file);
    const daemon = text === undefined ? undefined : parseDaemonFile(text);
    if (daemon === undefined || text === undefined) continue;
    if (isAlive(daemon)) living.push(daemon);
    else clear(file, text);
  }
  return living.toSorted((a, b) => a.project.localeCompare(b.project) || a.stage.localeCompare(b.stage));
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => /^[0-9a-f]{16}\.json$/.test(name));
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return [];
    throw error;
  }
}

/** A new daemon may have written its own entry since we looked: taken aside first, and put back where it is another. */
function clear(file: string, judged: string): void {
  const aside = `${file}.${process.pid}`;
  try {
    renameSync(file, aside);
    // A link never replaces what has come in its place meanwhile, as a rename would.
    if (readText(aside) !== judged) linkSync(aside, file);
    unlinkSync(aside);
  } catch {
    // Another `list` was at it, or the folder is not ours to write: it is only a list.
  }
}
