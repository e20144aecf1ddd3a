/** What names a build: its files' content. */
import { createHash } from "node:crypto";
import { basename } from "node:path";

/** The map counts too, since stack traces and debuggers read it. */
export function hashOf(files: readonly { readonly path: string; readonly contents: Uint8Array }[]): string {
  const sorted = [...files].sort((a, b) => (a.path < b.path ? -1 : 1));
  const all = createHash("sha256").update(sorted.map((file) => basename(file.path)).join("\n"));
  for (const { contents } of sorted) all.update(createHash("sha256").update(contents).digest());
  return all.digest("hex").slice(0, 16);
}
