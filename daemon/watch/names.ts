/** Names that a walk through a project leaves alone. A file that a build read is watched all the same, wherever it is. */
import { sep } from "node:path";

const FOLDERS = new Set(["node_modules", "dist", "coverage", "cdk.out", "__pycache__"]);
/** Swap and backup files of vim and Emacs, and vim's probe for whether a folder can be written to. */
const EDITORS_OWN = /~$|\.sw[a-z]$|^\.#|^#.*#$|^4913$/;

/** Packages (their check is by stat), what builds make, and every folder with a dot: `.git`, `.livedev`, caches. */
export function isIgnoredFolder(name: string): boolean {
  return name.startsWith(".") || FOLDERS.has(name);
}

/** Of no interest where it changes, unless it was asked for. A name with a dot may be a file: `.env` counts. */
export function isNoise(name: string): boolean {
  return FOLDERS.has(name) || name === ".git" || name === ".livedev" || EDITORS_OWN.test(name);
}

/** The folder itself, or below it. */
export function isWithin(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

/** In one of the trees, and not left alone. */
export function isInTree(trees: Iterable<string>, folder: string): boolean {
  for (const tree of trees)
    if (isWithin(tree, folder) && !folder.slice(tree.length).split(sep).some(isIgnoredFolder)) return true;
  return false;
}
