/** Where the control socket of a project and stage lies: the same words as its clients' (proto/discovery.ts). */
import { createHash } from "node:crypto";
import { homedir, tmpdir } from "node:os";

import { registryFile, registryFolder, socketPath, socketSeed } from "../../proto/discovery.ts";

export function controlSocket(project: string, stage: string): string {
  return socketPath(
    process.env["XDG_RUNTIME_DIR"] || tmpdir(),
    process.geteuid?.() ?? 0,
    digestOf(project, stage),
  );
}

/** This daemon's entry in the user's list of all daemons. */
export function registryEntry(project: string, stage: string): string {
  return registryFile(registryFolder(process.env, homedir()), digestOf(project, stage));
}

function digestOf(project: string, stage: string): string {
  return createHash("sha256").update(socketSeed(project, stage)).digest("hex");
}
