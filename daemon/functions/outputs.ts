/**
 * Built code on disk, at `<outDir>/<function>/<hash>/`. What lies there is named by its content and never changes, so
 * a worker that still runs old code keeps finding it (source map, lazily loaded add-ons). An output goes when it is
 * neither a function's newest nor any worker's.
 */
import { mkdir, readdir, readlink, rename, rm, rmdir, stat, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";

import { messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";

export type OutputFile = { readonly path: string; readonly contents: Uint8Array };

const HASH = /^[0-9a-f]{16}$/;
const TEMPORARY = /^[0-9a-f]{16}\.\d+\.tmp$/;

/** Someone's hold on one output. */
export class Bundle {
  readonly hash: string;
  /** The file that a worker loads. */
  readonly file: string;
  readonly bytes: number;
  #holds = 1;
  readonly #onFree: () => void;

  constructor(options: { hash: string; file: string; bytes: number; onFree: () => void }) {
    this.hash = options.hash;
    this.file = options.file;
    this.bytes = options.bytes;
    this.#onFree = options.onFree;
  }

  /** False when it is gone already. */
  hold(): boolean {
    if (this.#holds === 0) return false;
    this.#holds += 1;
    return true;
  }

  release(): void {
    this.#holds -= 1;
    if (this.#holds === 0) this.#onFree();
  }

  /** False when somebody else removed it (`rm -rf .livedev`). */
  async onDisk(): Promise<boolean> {
    return exists(this.file);
  }
}

export class Outputs {
  readonly #outDir: string;
  readonly #log: Log;
  readonly #bundles = new Map<string, Bundle>();
  /** Work on a folder is done in order: an output may come back (an undo) while it is being removed. */
  readonly #busy = new Map<string, Promise<void>>();
  /** Folders that are being written, under their temporary names. */
  readonly #writing = new Set<string>();
  #temporaries = 0;

  constructor(outDir: string, log: Log) {
    this.#outDir = outDir;
    this.#log = log;
  }

  folder(functionName: string): string {
    return join(this.#outDir, encodeURIComponent(functionName).replace(/^\.+/, "_"));
  }

  /** `files` lie in one folder; `main` is the one that a worker loads. The caller holds what it is given. */
  async put(
    functionName: string,
    { files, hash, main }: { files: readonly OutputFile[]; hash: string; main: string },
  ): Promise<Bundle> {
    const folder = join(this.folder(functionName), hash);
    return this.#inOrder(folder, async () => {
      const known = this.#bundles.get(folder);
      if (known?.hold()) {
        if (await known.onDisk()) return known;
        known.release();
      }
      await this.#write(folder, files);
      const bundle = new Bundle({
        hash,
        file: join(folder, main),
        bytes: files.find((file) => basename(file.path) === main)?.contents.byteLength ?? 0,
        onFree: () => {
          // Another one stands in its place where somebody had removed the folder.
          if (this.#bundles.get(folder) === bundle) this.#bundles.delete(folder);
          this.#inOrder(folder, async () => {
            // A failure is in the log.
            if (!this.#bundles.has(folder)) await rm(folder, { recursive: true, force: true });
          }).catch(() => undefined);
        },
      });
      this.#bundles.set(folder, bundle);
      return bundle;
    });
  }

  /** Packages that stay outside the bundle are found from where the handler's own are. */
  async linkPackages(functionName: string, entry: string): Promise<void> {
    const link = join(this.folder(functionName), "node_modules");
    const nearest = await nearestPackages(entry);
    const found = nearest !== undefined && `${this.#outDir}${sep}`.startsWith(`${dirname(nearest)}${sep}`);
    const packages = found ? undefined : nearest;
    const linked = await readlink(link).catch(() => undefined);
    if (linked === packages) return;
    await rm(link, { force: true });
    if (packages === undefined) return;
    await mkdir(dirname(link), { recursive: true, mode: 0o700 });
    await symlink(packages, link, "junction");
  }

  /** Removes what an earlier daemon left: of functions that are gone, and of builds that nobody holds. */
  async sweep(functionNames: readonly string[]): Promise<void> {
    const wanted = new Set(functionNames.map((name) => basename(this.folder(name))));
    for (const name of await list(this.#outDir)) {
      const folder = join(this.#outDir, name);
      for (const output of await list(folder)) {
        const path = join(folder, output);
        // Only what looks like ours: the folder may be one that somebody else uses too.
        const left = TEMPORARY.test(output) && !this.#writing.has(path);
        if (left || (HASH.test(output) && !this.#bundles.has(path))) {
          await this.#inOrder(path, async () => {
            if (!this.#bundles.has(path)) await rm(path, { recursive: true, force: true });
          }).catch(() => undefined);
        }
      }
      if (!wanted.has(name)) await removeIfOurs(folder);
    }
  }

  /** When what is being removed has been removed. */
  async settled(): Promise<void> {
    await Promise.all(this.#busy.values());
  }

  async #write(folder: string, files: readonly OutputFile[]): Promise<void> {
    // Complete or absent, whenever the daemon is killed.
    const temporary = `${folder}.${(this.#temporaries += 1)}.tmp`;
    this.#writing.add(temporary);
    try {
      await mkdir(temporary, { recursive: true, mode: 0o700 });
      await Promise.all(
        files.map(({ path, contents }) =>
          writeFile(join(temporary, basename(path)), contents, { mode: 0o600 }),
        ),
      );
      await rm(folder, { recursive: true, force: true });
      await rename(temporary, folder);
    } finally {
      this.#writing.delete(temporary);
    }
  }

  /** One thing at a time in each folder. */
  async #inOrder<T>(folder: string, work: () => Promise<T>): Promise<T> {
    const before = this.#busy.get(folder);
    const run = (async () => {
      await before;
      return work();
    })();
    const settled = run.then(
      () => undefined,
      (error: unknown) => {
        this.#log.warn({ folder, reason: messageOf(error) }, "build output could not be changed");
      },
    );
    this.#busy.set(folder, settled);
    void settled.then(() => {
      if (this.#busy.get(folder) === settled) this.#busy.delete(folder);
    });
    return run;
  }
}

async function nearestPackages(entry: string): Promise<string | undefined> {
  for (let folder = dirname(entry); ; folder = dirname(folder)) {
    const packages = join(folder, "node_modules");
    if (await exists(packages)) return packages;
    if (folder === dirname(folder)) return undefined;
  }
}

async function removeIfOurs(folder: string): Promise<void> {
  if ((await list(folder)).some((name) => name !== "node_modules")) return;
  // Neither removes a folder that has something in it.
  await rm(join(folder, "node_modules"), { force: true }).catch(() => undefined);
  await rmdir(folder).catch(() => undefined);
}

async function list(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
