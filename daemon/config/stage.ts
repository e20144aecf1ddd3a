import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { dirname, join } from "node:path";

import { codeOf, stageInvalid } from "../lib/errors.ts";

/** Part of every name in AWS, of the local part of tags and of file names. */
const STAGE = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,18}[A-Za-z0-9])?$/;

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
  for (const name of ["LIVEDEV_STAGE", "SST_STAGE"]) {
    const value = env[name];
    if (value !== undefined && value !== "") return checked(value, name);
  }
  const file = join(project, ".livedev", "stage");
  const kept = await readFile(file, "utf8").catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return "";
    throw error;
  });
  if (kept.trim() !== "") return checked(kept.trim(), file);
  const stage = personalStage(userName());
  await keep(file, stage);
  return stage;
}

/** A user's name as a stage: `Ann O'Neil` becomes `ann-o-neil`. */
export function personalStage(user: string): string {
  const name = user
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .slice(0, 20)
    .replaceAll(/^-+|-+$/g, "");
  return name === "" || name === "root" ? "dev" : name;
}

function checked(stage: string, from: string): string {
  if (!STAGE.test(stage)) throw stageInvalid(stage, from);
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
