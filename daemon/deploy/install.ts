/**
 * `nodejs.install`: packages that lie beside the bundle, as Lambda's platform needs them, whatever this machine is.
 * npm picks binaries by platform; what a package builds or downloads when it is installed can only be had where this
 * machine is like Lambda, and is refused elsewhere rather than deployed for the wrong one.
 */
import { execFile } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";

import type { WantedFunction } from "../../proto/app.ts";
import { installFailed, installNeedsPlatform, packageUnknown } from "../lib/errors.ts";

const LIMIT_MS = 10 * 60_000;

/** The folder `node_modules`, or undefined where nothing is installed. */
export async function installPackages(
  wanted: WantedFunction,
  { project, folder, signal }: { project: string; folder: string; signal: AbortSignal },
): Promise<string | undefined> {
  const { install } = wanted.nodejs;
  await mkdir(dirname(folder), { recursive: true });
  if (install.length === 0) return undefined;
  const dependencies = Object.fromEntries(
    await Promise.all(install.map(async (name) => [name, await versionOf(name, project, wanted)] as const)),
  );
  const cpu = wanted.architecture === "arm64" ? "arm64" : "x64";
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const manifest = { name: "livedev-release", private: true, dependencies };
  await writeFile(join(folder, "package.json"), JSON.stringify(manifest));
  const like = process.platform === "linux" && process.arch === cpu && isGlibc();
  await npm(wanted.name, folder, signal, [
    "install",
    "--omit=dev",
    "--no-audit",
    "--no-fund",
    "--ignore-scripts",
    // Copied, not linked: a link would lead nowhere in Lambda.
    "--install-links",
    "--os=linux",
    `--cpu=${cpu}`,
    "--libc=glibc",
  ]);
  const building = await withScripts(folder);
  if (building.length > 0) {
    if (!like) throw installNeedsPlatform(wanted.name, building, `linux-${cpu}`);
    await npm(wanted.name, folder, signal, ["rebuild", "--ignore-scripts=false"]);
  }
  return join(folder, "node_modules");
}

/** As it is installed in the project; what the project does not have installed, its package.json must name. */
async function versionOf(name: string, project: string, wanted: WantedFunction): Promise<string> {
  for (let at = join(project, dirname(wanted.handler)); ; at = dirname(at)) {
    const manifest = await json(join(at, "package.json"));
    const ranges = {
      ...(manifest?.["optionalDependencies"] as object),
      ...(manifest?.["dependencies"] as object),
    };
    const range = (ranges as Record<string, unknown>)[name];
    // A folder or an archive of one's own: its path is told from there.
    const own = typeof range === "string" ? /^(?:file|link):(.*)$/.exec(range)?.[1] : undefined;
    if (own !== undefined) return `file:${resolve(at, own)}`;
    const installed = await json(join(at, "node_modules", name, "package.json"));
    if (typeof installed?.["version"] === "string") return installed["version"];
    if (typeof range === "string") return range;
    if (at === dirname(at)) throw packageUnknown(wanted.name, name);
  }
}

/** Packages that npm would have run a script of. */
async function withScripts(folder: string): Promise<string[]> {
  const lock = await json(join(folder, "node_modules", ".package-lock.json"));
  const packages = (lock?.["packages"] ?? {}) as Record<string, { hasInstallScript?: boolean }>;
  return Object.entries(packages)
    .filter(([, entry]) => entry.hasInstallScript === true)
    .map(([path]) => path.replace(/^.*node_modules\//, ""));
}

function npm(functionName: string, cwd: string, signal: AbortSignal, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(
      "npm",
      [...args],
      { cwd, signal, timeout: LIMIT_MS, maxBuffer: 16 * 1024 * 1024, shell: process.platform === "win32" },
      (error, _stdout, stderr) => {
        if (error === null) resolve();
        else if (signal.aborted) reject(signal.reason as Error);
        else reject(installFailed(functionName, `npm ${args.join(" ")}`, stderr.trim() || error.message));
      },
    );
  });
}

/** musl has no such field. */
function isGlibc(): boolean {
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return header?.glibcVersionRuntime !== undefined;
}

async function json(file: string): Promise<Record<string, unknown> | undefined> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
