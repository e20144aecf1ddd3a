/**
 * Deployment packages, by the hash of their bytes: the zip as it was uploaded, and beside it what it unpacks to, which
 * is the task root of the environments that run it.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { invalidZip, requestTooLarge } from "./aws-error.ts";
import type { FunctionCode } from "./state.ts";
import { unzip, ZipError } from "./unzip.ts";

/** AWS's quotas for an upload, zipped and unzipped. */
const MAX_ZIPPED = 50 * 1024 * 1024;
const MAX_UNZIPPED = 250 * 1024 * 1024;

export class CodeStore {
  readonly #dir: string;
  /** How often each package is held by a request that has not made it part of the state yet. */
  readonly #held = new Map<string, number>();
  /** One change of the folder at a time, so that nothing is removed while somebody relies on finding it. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(dir: string) {
    this.#dir = dir;
  }

  static async open(stateDir: string): Promise<CodeStore> {
    const dir = join(stateDir, "code");
    await mkdir(dir, { recursive: true, mode: 0o700 });
    return new CodeStore(dir);
  }

  /**
   * Stores the package and holds it while `use` makes it part of the state. Throws an AwsError for what is no zip, or
   * one that AWS would not take; nothing is left behind then.
   */
  async add<T>(zip: Uint8Array, use: (code: FunctionCode) => Promise<T>): Promise<T> {
    if (zip.length === 0) throw invalidZip("the file is empty");
    if (zip.length > MAX_ZIPPED) throw requestTooLarge(70_167_211, "CreateFunction");
    const digest = createHash("sha256").update(zip).digest();
    const key = digest.toString("hex");
    this.#held.set(key, (this.#held.get(key) ?? 0) + 1);
    try {
      await this.#alone(() => this.#store(key, zip));
      return await use({ sha256: digest.toString("base64"), size: zip.length });
    } finally {
      const left = (this.#held.get(key) ?? 1) - 1;
      if (left === 0) this.#held.delete(key);
      else this.#held.set(key, left);
    }
  }

  taskRoot(code: FunctionCode): string {
    return join(this.#dir, keyOf(code));
  }

  zipFile(code: FunctionCode): string {
    return `${this.taskRoot(code)}.zip`;
  }

  /** Removes, by and by, whatever is not among `kept`; half-written leftovers of a killed cloud too. */
  collect(kept: () => readonly FunctionCode[]): Promise<void> {
    return this.#alone(async () => {
      const keys = new Set([...kept().map(keyOf), ...this.#held.keys()]);
      for (const name of await readdir(this.#dir)) {
        if (!keys.has(name.slice(0, 64))) await rm(join(this.#dir, name), { recursive: true, force: true });
      }
    });
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #store(key: string, zip: Uint8Array): Promise<void> {
    const root = join(this.#dir, key);
    if (await exists(root)) return;
    const fresh = `${root}.new`;
    await rm(fresh, { recursive: true, force: true });
    await mkdir(fresh, { mode: 0o755 });
    try {
      await unzip(zip, fresh, MAX_UNZIPPED);
      await writeFile(`${root}.zip`, zip, { mode: 0o600 });
      await rename(fresh, root);
    } catch (error) {
      await rm(fresh, { recursive: true, force: true });
      await rm(`${root}.zip`, { force: true });
      throw error instanceof ZipError ? invalidZip(error.message) : error;
    }
  }
}

const keyOf = (code: FunctionCode) => Buffer.from(code.sha256, "base64").toString("hex");

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );
