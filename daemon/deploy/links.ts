/**
 * A deployed function's links: a file in its package, sealed, since Lambda takes 4 KB of environment and shows it to
 * whoever may look at the function. The key stands in the environment. File, variables and cipher are those that
 * SST's SDK reads, and ours with it.
 */
import { createCipheriv, createHmac } from "node:crypto";

import { resolveOutputs, type WantedApp, type WantedFunction } from "../../proto/app.ts";
import type { PackageEntry } from "./entries.ts";
import type { Lookup } from "./stubs.ts";

export const LINKS_FILE = "resource.enc";
export const LINKS_KEY = "SST_KEY";

export type SealedLinks = {
  /** Base64. Of these values alone: other values, another key. */
  readonly key: string;
  readonly entry: PackageEntry;
};

/** SST's. It may stay the same, since no key seals two texts. */
const NONCE = Buffer.alloc(12);

/**
 * The same links give the same bytes, so that what stands can be compared with what is wanted. `stageSecret` keeps
 * whoever sees a key from finding out by trial what it seals.
 */
export function sealLinks(
  app: Pick<WantedApp, "name" | "stage">,
  { name, link }: Pick<WantedFunction, "name" | "link">,
  stageSecret: string,
  lookup: Lookup,
): SealedLinks {
  const values = Object.fromEntries(
    link.map(({ name, properties }) => [name, resolveOutputs(properties, lookup)]),
  );
  const text = JSON.stringify({ ...values, App: { name: app.name, stage: app.stage } });
  const key = createHmac("sha256", stageSecret).update(`${name}\0${text}`).digest();
  const cipher = createCipheriv("aes-256-gcm", key, NONCE);
  const contents = Buffer.concat([cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
  return { key: key.toString("base64"), entry: { path: LINKS_FILE, contents } };
}
