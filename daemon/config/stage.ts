import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { dirname, join } from "node:path";

import { isStage, personalStage, STAGE_FILE, STAGE_VARIABLES, STATE_FOLDER } from "../../proto/discovery.ts";
import { codeOf, stageInvalid } from "../lib/errors.ts";

/**
 * The stage: the one asked for, else the environment's, else the project's personal one, which is the user's name the
 * first time and then kept in `.livedev/stage`, so that it outlives a change of user name.
 */
export async function resolveStage(options: {
  readonly project: string;
  readonly explicit?: string | undefined;
  readonly env?: Readonly<Record<string, string | undefined>>;
}): Promise<string> {
  const { project, explicit, env = process.env } = options;
  if (explicit !== undefined) return checked(explicit, "--stage");
  for (const name of STAGE_VARIABLES) {
    const value = env[name];
    if (value !== undefined && value !== "") return checked(value, name);
  }
  const file = join(project, STATE_FOLDER, STAGE_FILE);
  const kept = await readFile(file, "utf8").catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return "";
    throw error;
  });
  if (kept.trim() !== "") return checked(kept.trim(), file);
  const stage = personalStage(userName());
  await keep(file, stage);
  return stage;
}

function checked(stage: string, from: string): string {
  if (!isStage(stage)) throw stageInvalid(stage, from);
  return stage;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A user id without an entry in the system's user database, as in many containers.
    return "";
  }
}

/** Whole or not at all: two clients may start at once. */
async function keep(file: string, stage: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, `${stage}\n`);
  await rename(draft, file);
}
