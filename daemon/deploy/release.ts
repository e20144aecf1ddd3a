/** A function's own package for a real deployment: its bundle, what is installed and copied beside it, as one zip. */
import { stat } from "node:fs/promises";
import { join, resolve, sep } from "node:path";

import type { WantedFunction } from "../../proto/app.ts";
import type { BuildError } from "../../proto/events.ts";
import { copyMissing, packageTooLarge, releaseBroken } from "../lib/errors.ts";
import type { PackageEntry } from "./entries.ts";
import { installPackages } from "./install.ts";
import type { Packaged } from "./packager.ts";
import type { SealedLinks } from "./links.ts";
import { zipInThread } from "./zip.ts";

/** What the bundler is asked for: the handler's name as Lambda is told it, and the files of the package. */
export type BuildForRelease = (wanted: WantedFunction) => Promise<BuiltForRelease>;

export type BuiltForRelease =
  | { readonly ok: true; readonly handler: string; readonly files: readonly PackageEntry[] }
  | { readonly ok: false; readonly errors: readonly BuildError[] };

export type Release = Packaged & {
  readonly handler: string;
  readonly file: string;
  /** As it was made first: what is sealed anew begins there. */
  readonly base: string;
  /** Of the links that are sealed in it. */
  readonly linksKey: string;
};

/** Unzipped, with its layers; zipped it would be less. @see https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html */
const MAX_BYTES = 250 * 1024 * 1024;

export type ReleaseOptions = {
  readonly project: string;
  /** Ours, for what is installed and zipped. */
  readonly workDir: string;
  readonly build: BuildForRelease;
  /** As far as they are known before anything is made. */
  readonly links: SealedLinks;
  readonly signal: AbortSignal;
};

/** @throws LivedevError where it does not build, or cannot be made for Lambda's platform. */
export async function makeRelease(wanted: WantedFunction, options: ReleaseOptions): Promise<Release> {
  const { project, workDir, build, links, signal } = options;
  const built = await build(wanted);
  if (!built.ok) throw releaseBroken(wanted.name, built.errors);
  const copies = await Promise.all(
    wanted.copyFiles.map(async ({ from, to }) => {
      const path = resolve(project, from);
      const there = await stat(path).catch(() => undefined);
      if (there === undefined) throw copyMissing(wanted.name, from);
      return { from: path, to: to.replace(/^\.?\/+|\/+$/g, "").replace(/^\.$/, "") };
    }),
  );
  const folder = join(workDir, encodeURIComponent(wanted.name).replace(/^\.+/, "_"));
  const installed = await installPackages(wanted, { project, folder, signal });
  if (installed !== undefined) copies.push({ from: installed, to: "node_modules" });
  const file = `${folder.endsWith(sep) ? folder.slice(0, -1) : folder}.zip`;
  const entries = [links.entry, ...built.files];
  const packaged = await zipInThread({ entries, copies, zips: [], out: file }, signal);
  if (packaged.unzippedBytes > MAX_BYTES) {
    throw packageTooLarge(wanted.name, Math.ceil(packaged.unzippedBytes / 1024 / 1024));
  }
  return { ...packaged, handler: built.handler, file, base: file, linksKey: links.key };
}

/** The same package with the links as they are known now. */
export async function withLinks(release: Release, links: SealedLinks, signal: AbortSignal): Promise<Release> {
  const out = `${release.base}.sealed`;
  const order = { entries: [links.entry], copies: [], zips: [release.base], out };
  return { ...release, ...(await zipInThread(order, signal)), file: out, linksKey: links.key };
}
