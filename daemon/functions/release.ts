/** A function's bundle for a real deployment: minified and mapped as the config says, at the place its handler names. */
import { basename, dirname, join, posix } from "node:path";

import { build, type Message } from "esbuild";

import type { WantedFunction } from "../../proto/app.ts";
import type { BuildError } from "../../proto/events.ts";
import { messageOf } from "../lib/errors.ts";
import { esbuildOptions, nodeMajor } from "./esbuild-options.ts";
import { findHandler } from "./handler.ts";

export type ReleaseBundle =
  | {
      readonly ok: true;
      /** As Lambda is told it. */
      readonly handler: string;
      readonly files: readonly { readonly path: string; readonly contents: Uint8Array }[];
    }
  | { readonly ok: false; readonly errors: readonly BuildError[] };

export async function bundleForRelease(wanted: WantedFunction, project: string): Promise<ReleaseBundle> {
  const { handler, runtime, nodejs } = wanted;
  const failed = (text: string): ReleaseBundle => ({ ok: false, errors: [{ text }] });
  if (nodeMajor(runtime) === undefined) {
    return failed(`The runtime ${runtime} cannot be bundled here: only nodejs*.x can.`);
  }
  const { file: entry, exportPath } = await findHandler(project, handler);
  if (entry === undefined) return failed(`The handler "${handler}" has no file.`);
  // Lambda splits the name at its first dot: a file's own dots would be taken for the export's.
  const stem = basename(handler.slice(0, handler.length - exportPath.length - 1)).replaceAll(".", "_");
  const folder = dirname(handler);
  const options = esbuildOptions({ project, wanted, entry, outdir: join(project, folder) });
  try {
    const made = await build({
      ...options,
      entryNames: stem,
      minify: nodejs.minify,
      sourcemap: nodejs.sourcemap ? "linked" : false,
      write: false,
    });
    return {
      ok: true,
      handler: `${folder === "." ? "" : `${folder}/`}${stem}.${exportPath}`,
      files: (made.outputFiles ?? []).map(({ path, contents }) => ({
        path: posix.join(folder, basename(path)),
        contents,
      })),
    };
  } catch (error) {
    const { errors } = error as { errors?: readonly Message[] };
    if (errors === undefined) return failed(messageOf(error));
    return {
      ok: false,
      errors: errors.map(({ text, location }) => (location === null ? { text } : at(text, location))),
    };
  }
}

const at = (
  text: string,
  { file, line, column, lineText }: NonNullable<Message["location"]>,
): BuildError => ({
  text,
  file,
  line,
  column,
  lineText,
});
