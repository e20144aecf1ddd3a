/**
 * Seals payloads: AES-256-GCM with a key that lies beside the database, in a file of mode 0600. Every payload is
 * sealed as a whole, since what is sensitive in it can be told only by parsing it, which the hot path does not do
 * and which misses what no list of names knows. The key's loss costs the payloads, nothing else.
 *
 *     | version u8 | key id, 4 bytes | iv, 12 bytes | tag, 16 bytes | ciphertext |
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";

import { codeOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";

const VERSION = 1;
const IV_AT = 5;
const TAG_AT = 17;
const TEXT_AT = 33;

export class Vault {
  readonly #key: Buffer;
  readonly #id: Buffer;

  private constructor(key: Buffer) {
    this.#key = key;
    this.#id = createHash("sha256").update(key).digest().subarray(0, 4);
  }

  /** Makes the key where there is none. */
  static open(file: string, log: Log): Vault {
    let found = readKey(file);
    if (found === "malformed") {
      const movedTo = `${file}.broken-${Date.now()}`;
      renameSync(file, movedTo);
      log.error({ file, movedTo }, "history's key was damaged: older payloads can no longer be shown");
      found = undefined;
    }
    return new Vault(found ?? makeKey(file));
  }

  /** Without making one: undefined where there is no key. */
  static read(file: string): Vault | undefined {
    const found = readKey(file);
    return found === undefined || found === "malformed" ? undefined : new Vault(found);
  }

  /** `place` binds the bytes to their row: moved to another one, they do not open. */
  seal(bytes: Uint8Array, place: string): Buffer {
    const iv = randomBytes(12);
    const cipher = createCipheriv("aes-256-gcm", this.#key, iv);
    cipher.setAAD(Buffer.from(place));
    const text = cipher.update(bytes);
    cipher.final();
    return Buffer.concat([Buffer.of(VERSION), this.#id, iv, cipher.getAuthTag(), text]);
  }

  /** Undefined where another key sealed it, or the bytes were changed. */
  unseal(sealed: Uint8Array, place: string): Buffer | undefined {
    if (sealed[0] !== VERSION || !this.#id.equals(sealed.subarray(1, IV_AT))) return undefined;
    const decipher = createDecipheriv("aes-256-gcm", this.#key, sealed.subarray(IV_AT, TAG_AT));
    decipher.setAAD(Buffer.from(place));
    decipher.setAuthTag(sealed.subarray(TAG_AT, TEXT_AT));
    try {
      return Buffer.concat([decipher.update(sealed.subarray(TEXT_AT)), decipher.final()]);
    } catch {
      return undefined;
    }
  }
}

export const keyFileOf = (databaseFile: string) => databaseFile.replace(/(\.db)?$/, ".key");

function readKey(file: string): Buffer | "malformed" | undefined {
  let text: string;
  try {
    if ((statSync(file).mode & 0o077) !== 0) chmodSync(file, 0o600);
    text = readFileSync(file, "utf8").trim();
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
  return /^[0-9a-f]{64}$/.test(text) ? Buffer.from(text, "hex") : "malformed";
}

/** Whole or not there at all, also when killed in between; of two that make it at once, both use the first one's. */
function makeKey(file: string): Buffer {
  const draft = `${file}.${process.pid}.${randomBytes(4).toString("hex")}`;
  const key = randomBytes(32);
  const descriptor = openSync(draft, "wx", 0o600);
  try {
    writeSync(descriptor, `${key.toString("hex")}\n`);
    fsyncSync(descriptor);
    linkSync(draft, file);
    return key;
  } catch (error) {
    const other = codeOf(error) === "EEXIST" ? readKey(file) : undefined;
    if (other === undefined || other === "malformed") throw error;
    return other;
  } finally {
    closeSync(descriptor);
    rmSync(draft, { force: true });
  }
}
