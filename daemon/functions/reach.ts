/** Whom a saved file reaches: path → the functions whose last build read it, or looked for it in vain. */
import { inNodeModules, withoutExtension, type BuildInputs } from "./inputs.ts";
import { EXTENSIONS } from "./handler.ts";
import { basename, dirname, extname } from "node:path";

const RESOLVABLE = new Set<string>([...EXTENSIONS.map((extension) => `.${extension}`), ".json"]);

export class Reach<Owner> {
  readonly #byPath = new Map<string, Set<Owner>>();
  /** Paths without extension: `foo.ts` appears beside the `foo.js` that was read, or where `./foo` failed. */
  readonly #byStem = new Map<string, Set<Owner>>();
  readonly #wide = new Set<Owner>();
  readonly #keys = new Map<Owner, { readonly paths: readonly string[]; readonly stems: readonly string[] }>();

  /** Replaces what was known. Gives the paths back, as strings that all functions share. */
  set(owner: Owner, inputs: BuildInputs): readonly string[] {
    this.delete(owner);
    const paths = [...inputs.read, ...inputs.looked].map((path) => add(this.#byPath, path, owner));
    const stems = new Set(inputs.stems);
    for (const path of inputs.read) {
      if (!inNodeModules(path)) for (const stem of stemsOf(path)) stems.add(stem);
    }
    for (const stem of stems) add(this.#byStem, stem, owner);
    if (inputs.wide) this.#wide.add(owner);
    this.#keys.set(owner, { paths, stems: [...stems] });
    return paths;
  }

  delete(owner: Owner): void {
    const keys = this.#keys.get(owner);
    if (keys === undefined) return;
    this.#keys.delete(owner);
    this.#wide.delete(owner);
    for (const path of keys.paths) remove(this.#byPath, path, owner);
    for (const stem of keys.stems) remove(this.#byStem, stem, owner);
  }

  owners(paths: Iterable<string>): Set<Owner> {
    const found = new Set<Owner>();
    const addAll = (owners: Iterable<Owner> | undefined) => {
      for (const owner of owners ?? []) found.add(owner);
    };
    for (const path of paths) {
      const known = this.#byPath.get(path);
      addAll(known);
      addAll(this.#wide);
      if (known === undefined && RESOLVABLE.has(extname(path))) {
        for (const stem of stemsOf(path)) addAll(this.#byStem.get(stem));
      }
    }
    return found;
  }

  /** Files whose changes matter: what a watcher must see. Installed packages are left to the check by stat. */
  files(): string[] {
    return [...this.#byPath.keys()].filter((path) => !inNodeModules(path));
  }
}

function stemsOf(path: string): string[] {
  const stem = withoutExtension(path);
  return basename(stem) === "index" ? [stem, dirname(stem)] : [stem];
}

function add<Owner>(map: Map<string, Set<Owner>>, key: string, owner: Owner): string {
  const owners = map.get(key);
  if (owners === undefined) map.set(key, new Set([owner]));
  else owners.add(owner);
  return key;
}

function remove<Owner>(map: Map<string, Set<Owner>>, key: string, owner: Owner): void {
  const owners = map.get(key);
  owners?.delete(owner);
  if (owners?.size === 0) map.delete(key);
}
