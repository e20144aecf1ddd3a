/** A key of 32 bytes in a file of its own, drawn at its first use; nobody else may read it. */
import { createHash, randomBytes } from "node:crypto";
import { chmod, link, mkdir, open, readFile, rename, stat, unlink, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

import { codeOf, type LivedevError } from "../lib/errors.ts";

export const KEY_BYTES = 32;

/** Names a key without giving anything of it away; `of` tells names of different kinds apart. */
export const idOf = (key: Uint8Array, of: string): string =>
  createHash("sha256").update(`${of}\0`).update(key).digest("hex").slice(0, 16);

/** Two who ask at once get the same one. @throws `broken` where the file holds something else. */
export async function loadKey(file: string, broken: (file: string) => LivedevError): Promise<Buffer> {
  const kept = await read(file, broken);
  if (kept !== undefined) return kept;
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const draft = draftOf(file);
  await writeFile(draft, `${randomBytes(KEY_BYTES).toString("hex")}\n`, { mode: 0o600, flag: "wx" });
  try {
    // A link, not a rename: the first one stays, whole, and the second sees that it is there.
    await link(draft, file);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  } finally {
    await unlink(draft);
  }
  const drawn = await read(file, broken);
  if (drawn === undefined) throw broken(file);
  return drawn;
}

/** As a whole, and on the disk when it resolves: a loss of power leaves the one or the other. */
export async function replaceFile(file: string, text: string): Promise<void> {
  const draft = draftOf(file);
  try {
    const handle = await open(draft, "wx", 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, file);
  } catch (error) {
    await unlink(draft).catch(() => {});
    throw error;
  }
}

const draftOf = (file: string): string => `${file}.${process.pid}.${randomBytes(4).toString("hex")}`;

async function read(file: string, broken: (file: string) => LivedevError): Promise<Buffer | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
    // A copy, a restored backup or an editor may have opened it to others.
    if (((await stat(file)).mode & 0o077) !== 0) await chmod(file, 0o600);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
  if (!/^[0-9a-f]{64}\n?$/.test(text)) throw broken(file);
  return Buffer.from(text.trim(), "hex");
}
