/** A stage's folder in the project's `.livedev/`: its user's alone, and not in git. */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { STATE_FOLDER } from "../proto/discovery.ts";

import { resolveStage } from "./config/stage.ts";
import { codeOf, LivedevError, stateNotWritable } from "./lib/errors.ts";

/** @throws LivedevError; `state.notWritable` where the system does not let us. */
export async function openStateFolder(
  project: string,
  explicit: string | undefined,
): Promise<{ readonly stage: string; readonly stateDir: string }> {
  const folder = join(project, STATE_FOLDER);
  let named = folder;
  try {
    const stage = await resolveStage({ project, explicit });
    const stateDir = join(folder, stage);
    named = stateDir;
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    await chmod(stateDir, 0o700);
    named = folder;
    await keepOutOfGit(folder);
    return { stage, stateDir };
  } catch (error) {
    throw error instanceof LivedevError ? error : stateNotWritable(named, error);
  }
}

/** The keys and the history of a stage are nobody else's. */
async function keepOutOfGit(folder: string): Promise<void> {
  await writeFile(join(folder, ".gitignore"), "*\n", { flag: "wx" }).catch((error: unknown) => {
    if (codeOf(error) !== "EEXIST") throw error;
  });
}
