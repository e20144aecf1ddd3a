/**
 * Secrets of home "local": a file each, sealed (AES-256-GCM) with a key that lies beside them; all of mode 0600. One
 * file each, so that two daemons of a project that set the app's fallback at once undo nothing of each other's.
 *
 *     <project>/.livedev/_secrets/key
 *                                 dev/StripeKey
 *                                 _fallback/StripeKey     no stage begins with _
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { watch } from "node:fs";
import { mkdir, readdir, readFile, rename, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { codeOf, secretBroken, secretsKeyBroken } from "../lib/errors.ts";
import { loadKey } from "./key-file.ts";
import { isSecretName, type KeptSecrets, type SecretScope, type SecretStore } from "./secrets.ts";

const IV = 12;
const TAG = 16;

export class LocalSecrets implements SecretStore {
  readonly #folder: string;
  readonly #stage: string;

  /** `folder`: the project's `.livedev/_secrets`. */
  constructor(folder: string, stage: string) {
    this.#folder = folder;
    this.#stage = stage;
  }

  async read(): Promise<KeptSecrets> {
    const [stage, fallback] = await Promise.all([this.#readScope("stage"), this.#readScope("fallback")]);
    return { stage, fallback };
  }

  async set(scope: SecretScope, values: Readonly<Record<string, string>>): Promise<void> {
    const folder = this.#of(scope);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const key = await this.#key();
    for (const [name, value] of Object.entries(values)) {
      const draft = join(folder, `.${name}.${process.pid}`);
      await writeFile(draft, seal(key, value, this.#place(scope, name)), { mode: 0o600 });
      await rename(draft, join(folder, name));
    }
  }

  async remove(scope: SecretScope, name: string): Promise<boolean> {
    try {
      await unlink(join(this.#of(scope), name));
      return true;
    } catch (error) {
      if (codeOf(error) === "ENOENT") return false;
      throw error;
    }
  }

  /** Another stage's daemon, or an older one of this stage, may change them too. */
  async follow(changed: () => void, signal: AbortSignal): Promise<void> {
    for (const scope of ["stage", "fallback"] as const) {
      await mkdir(this.#of(scope), { recursive: true, mode: 0o700 });
      if (signal.aborted) return;
      // A folder that is deleted is no reason to end; what is set next is read at the next look.
      watch(this.#of(scope), { signal, persistent: false }, changed).on("error", () => {});
    }
  }

  async #readScope(scope: SecretScope): Promise<Record<string, string>> {
    const names = await readdir(this.#of(scope)).catch((error: unknown) => {
      if (codeOf(error) === "ENOENT") return [];
      throw error;
    });
    const found: Record<string, string> = {};
    for (const name of names.filter(isSecretName)) {
      const file = join(this.#of(scope), name);
      const sealed = await readFile(file, "utf8").catch((error: unknown) => {
        // Removed since the folder was read.
        if (codeOf(error) === "ENOENT") return undefined;
        throw error;
      });
      if (sealed === undefined) continue;
      const value = unseal(await this.#key(), sealed, this.#place(scope, name));
      if (value === undefined) throw secretBroken(name, file);
      found[name] = value;
    }
    return found;
  }

  #key(): Promise<Buffer> {
    return loadKey(join(this.#folder, "key"), secretsKeyBroken);
  }

  #of(scope: SecretScope): string {
    return join(this.#folder, scope === "fallback" ? "_fallback" : this.#stage);
  }

  /** Binds a value to its place: copied to another, it does not open. */
  #place(scope: SecretScope, name: string): string {
    return `${scope === "fallback" ? "" : this.#stage}/${name}`;
  }
}

function seal(key: Uint8Array, value: string, place: string): string {
  const iv = randomBytes(IV);
  const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(Buffer.from(place));
  const text = Buffer.concat([cipher.update(value, "utf8"), cipher.final()]);
  return `${Buffer.concat([iv, cipher.getAuthTag(), text]).toString("base64")}\n`;
}

function unseal(key: Uint8Array, sealed: string, place: string): string | undefined {
  const bytes = Buffer.from(sealed, "base64");
  if (bytes.length < IV + TAG) return undefined;
  const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, IV)).setAAD(Buffer.from(place));
  decipher.setAuthTag(bytes.subarray(IV, IV + TAG));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(IV + TAG)), decipher.final()]).toString("utf8");
  } catch {
    return undefined;
  }
}
