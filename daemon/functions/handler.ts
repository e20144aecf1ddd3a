/**
 * Which file and which export a handler such as `src/api.handler` names. Lambda splits the last path segment at its
 * first dot; a file name with dots of its own (`src/api.v2.handler`) is found too, by trying the last dot first.
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";

/** In the order in which esbuild itself prefers them, TypeScript first. */
export const EXTENSIONS = ["ts", "tsx", "mts", "cts", "js", "jsx", "mjs", "cjs"] as const;

export type HandlerPlace = {
  /** Absolute; undefined where no candidate exists. */
  readonly file: string | undefined;
  /** `handler`, or a path into an export: `api.handler`. */
  readonly exportPath: string;
  /** Candidates that do not exist: should one appear, the answer is another. */
  readonly missing: readonly string[];
};

export async function findHandler(project: string, handler: string): Promise<HandlerPlace> {
  const missing: string[] = [];
  for (const { stem, exportPath } of splits(handler)) {
    for (const extension of EXTENSIONS) {
      const file = join(project, `${stem}.${extension}`);
      if (await isFile(file)) return { file, exportPath, missing };
      missing.push(file);
    }
  }
  return { file: undefined, exportPath: "", missing };
}

function splits(handler: string): { stem: string; exportPath: string }[] {
  const nameStart = handler.lastIndexOf("/") + 1;
  const name = handler.slice(nameStart);
  const found = [];
  for (let dot = name.lastIndexOf("."); dot > 0; dot = name.lastIndexOf(".", dot - 1)) {
    const exportPath = name.slice(dot + 1);
    if (exportPath !== "") found.push({ stem: handler.slice(0, nameStart + dot), exportPath });
  }
  return found;
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
