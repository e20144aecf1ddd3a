/**
 * The links of deployed code: a sealed file in its package, whose key stands in the environment. As SST has them:
 * AES-256-GCM, a nonce of zeros (no key seals two texts), the tag at the end.
 */
import { createDecipheriv } from "node:crypto";
import { readFileSync } from "node:fs";

const TAG_BYTES = 16;
const NONCE = new Uint8Array(12);

type Links = Readonly<Record<string, Record<string, unknown>>>;

let opened: { readonly file: string; readonly key: string; readonly links: Links } | undefined;

/** By name; none where this code was not deployed with any. */
export function sealedLinks(environment: Readonly<Record<string, string | undefined>>): Links {
  const { SST_KEY_FILE: file, SST_KEY: key } = environment;
  if (file === undefined || key === undefined) return {};
  if (opened?.file === file && opened.key === key) return opened.links;
  const bytes = readFileSync(file);
  const decipher = createDecipheriv("aes-256-gcm", Buffer.from(key, "base64"), NONCE);
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
  const text = Buffer.concat([decipher.update(bytes.subarray(0, -TAG_BYTES)), decipher.final()]);
  opened = { file, key, links: JSON.parse(text.toString()) as Links };
  return opened.links;
}
