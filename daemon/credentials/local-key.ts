/**
 * What this stage's daemon is known by, and what its own ports' tokens come of: it stays on this machine, and with it
 * all that outlives a new stage key. The stage's key itself lies in each stub's package, where whoever may read the
 * function's code finds it.
 */
import { join } from "node:path";

import { localKeyBroken } from "../lib/errors.ts";
import { idOf, loadKey } from "./key-file.ts";

export type LocalKey = {
  /** The same over restarts; gives nothing of the key away. */
  readonly id: string;
  readonly key: Uint8Array;
};

/** Drawn the first time. */
export async function loadLocalKey(dir: string): Promise<LocalKey> {
  const key = await loadKey(join(dir, "local.key"), localKeyBroken);
  return {
    key,
    id: idOf(key, "livedev local id"),
  };
}
