/** The stage's key: what a stub proves itself with to the bridge. One for each state directory. */
import { createHash, randomBytes } from "node:crypto";
import { chmod, link, mkdir, readFile, stat, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { codeOf, stageKeyBroken } from "../lib/errors.ts";

export type StageKey = {
  /** Names the key without giving anything of it away. */
  readonly keyId: string;
  readonly key: Uint8Array;
};

const BYTES = 32;

/** The key of the state directory, drawn the first time. Two at once get the same one. */
export async function loadStageKey(dir: string): Promise<StageKey> {
  const file = join(dir, "stage.key");
  const kept = await read(file);
  if (kept !== undefined) return kept;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}.${randomBytes(4).toString("hex")}`;
  await writeFile(draft, `${randomBytes(BYTES).toString("hex")}\n`, { mode: 0o600, flag: "wx" });
  try {
    // A link, not a rename: the first one stays, whole, and the second sees that it is there.
    await link(draft, file);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  } finally {
    await unlink(draft);
  }
  const drawn = await read(file);
  if (drawn === undefined) throw stageKeyBroken(file);
  return drawn;
}

async function read(file: string): Promise<StageKey | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
    // A copy, a restored backup or an editor may have opened it to others.
    if (((await stat(file)).mode & 0o077) !== 0) await chmod(file, 0o600);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
  if (!/^[0-9a-f]{64}\n?$/.test(text)) throw stageKeyBroken(file);
  const key = Buffer.from(text.trim(), "hex");
  return {
    key,
    keyId: createHash("sha256").update("livedev key id\0").update(key).digest("hex").slice(0, 16),
  };
}
