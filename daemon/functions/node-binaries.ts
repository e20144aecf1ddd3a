/**
 * Which Node runs a function: one of its runtime's major version, where one is found, else ours. The places are those
 * of the version managers; `LIVEDEV_NODE_22=/path/to/node` names one by hand.
 */
import { accessSync, constants, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

import { nodeMajor } from "./esbuild-options.ts";

export type NodeChoice = { readonly path: string; readonly major: number; readonly exact: boolean };

type Environment = Readonly<Record<string, string | undefined>>;

export function chooseNode(major: number, env: Environment = process.env, home = homedir()): NodeChoice {
  const ours = Number(process.versions.node.split(".")[0]);
  const byHand = env[`LIVEDEV_NODE_${major}`];
  if (byHand !== undefined && runs(byHand)) return { path: byHand, major, exact: true };
  if (ours === major) return { path: process.execPath, major, exact: true };
  for (const { folder, binary } of managers(env, home)) {
    const newest = versions(folder, major).at(-1);
    const path = newest === undefined ? undefined : join(folder, newest, binary);
    if (path !== undefined && runs(path)) return { path, major, exact: true };
  }
  for (const folder of (env["PATH"] ?? "").split(delimiter)) {
    // Debian and Homebrew name them so: node22, node@22.
    for (const path of [join(folder, `node${major}`), join(folder, `node-${major}`)]) {
      if (runs(path)) return { path, major, exact: true };
    }
  }
  return { path: process.execPath, major: ours, exact: false };
}

/** Ours runs the functions of another version's runtime. */
export const standsIn = (path: string, runtime: string): boolean =>
  path === process.execPath && nodeMajor(runtime) !== Number(process.versions.node.split(".")[0]);

/** Where each keeps its versions, and where in one of them the program lies. */
function managers(env: Environment, home: string): { folder: string; binary: string }[] {
  const data = env["XDG_DATA_HOME"] || join(home, ".local", "share");
  const bin = join("bin", "node");
  return [
    { folder: join(env["NVM_DIR"] || join(home, ".nvm"), "versions", "node"), binary: bin },
    {
      folder: join(env["FNM_DIR"] || join(data, "fnm"), "node-versions"),
      binary: join("installation", bin),
    },
    { folder: join(home, ".fnm", "node-versions"), binary: join("installation", bin) },
    { folder: join(env["MISE_DATA_DIR"] || join(data, "mise"), "installs", "node"), binary: bin },
    { folder: join(env["VOLTA_HOME"] || join(home, ".volta"), "tools", "image", "node"), binary: bin },
    { folder: join(env["ASDF_DATA_DIR"] || join(home, ".asdf"), "installs", "nodejs"), binary: bin },
    { folder: join("/opt", "homebrew", "opt"), binary: bin },
    { folder: join("/usr", "local", "opt"), binary: bin },
  ];
}

/** `v22.9.0`, `22.9.0`, `node@22`; the newest last. */
function versions(folder: string, major: number): string[] {
  const pattern = new RegExp(String.raw`^(?:v|node@)?${major}(?:\.\d+){0,2}$`);
  try {
    return readdirSync(folder)
      .filter((name) => pattern.test(name))
      .sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  } catch {
    return [];
  }
}

function runs(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
