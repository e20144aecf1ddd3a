/** The stage's key: what a stub proves itself with to the bridge. One for each state directory. */
import { createHash } from "node:crypto";
import { join } from "node:path";

import { stageKeyBroken } from "../lib/errors.ts";
import { loadKey } from "./key-file.ts";

export type StageKey = {
  /** Names the key without giving anything of it away. */
  readonly keyId: string;
  readonly key: Uint8Array;
};

/** The key of the state directory, drawn the first time. Two at once get the same one. */
export async function loadStageKey(dir: string): Promise<StageKey> {
  const key = await loadKey(join(dir, "stage.key"), stageKeyBroken);
  return {
    key,
    keyId: createHash("sha256").update("livedev key id\0").update(key).digest("hex").slice(0, 16),
  };
}
