/**
 * Entry of dist/watch-thread.js: chokidar, in a thread of its own, since its walk through a large project holds an
 * event loop for a second. It keeps the folders that are wanted under watch and posts what the kernel tells.
 *
 *     wanted ─► enter: a tree on the folder, or on the nearest one above that exists
 *                 └─► raw event ─► told, and where an entry came, went or was replaced: look at it
 *                                    └─► a folder that is not the one we watch: forget it, open a tree on it
 *
 * One thing is done at a time, whichever order events came in.
 */
import { access, readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { parentPort } from "node:worker_threads";

import { codeOf, messageOf } from "../lib/errors.ts";
import { ancestors } from "./inputs.ts";
import { isIgnoredFolder, isInTree, isWithin } from "./names.ts";
import { identityOf, Tree } from "./tree.ts";

/** All absolute. */
export type WantedFolders = {
  /** With all below them. */
  readonly trees: readonly string[];
  /** For the files that are expected in them. */
  readonly places: readonly string[];
  /**
   * Of the places above a tree, what is expected there: of anything else that happens in them nothing is told, since
   * a home or a folder for temporary files may be one of them.
   */
  readonly expected: readonly string[];
};

export type ToThread =
  | { readonly is: "wanted"; readonly id: number; readonly folders: WantedFolders }
  /** Events were lost: every watch is placed anew. */
  | { readonly is: "renew" };

export type FromThread =
  /** `events` of the kernel; paths found in new folders count as none. */
  | { readonly is: "told"; readonly paths: readonly string[]; readonly events: number }
  /** Watched from now on, wall clock, with what is wanted below it. */
  | { readonly is: "placed"; readonly folder: string; readonly at: number }
  | { readonly is: "refused"; readonly code: string | undefined; readonly message: string }
  | { readonly is: "applied"; readonly id: number };

const trees = new Map<string, Tree>();
let wanted: WantedFolders = { trees: [], places: [], expected: [] };
/** All that is wanted, and the folders above it. */
let above: ReadonlySet<string> = new Set();
let aboveTrees: ReadonlySet<string> = new Set();
let places: ReadonlySet<string> = new Set();
let expected: ReadonlySet<string> = new Set();

// ---- what is to be done, one at a time

const due = {
  wanted: undefined as Extract<ToThread, { is: "wanted" }> | undefined,
  renew: false,
  /** Path → whether it told of its own end. */
  looks: new Map<string, boolean>(),
};
let working = false;

parentPort?.on("message", (message: ToThread) => {
  if (message.is === "renew") due.renew = true;
  else due.wanted = message;
  void work();
});

async function work(): Promise<void> {
  if (working) return;
  working = true;
  for (;;) {
    const next = due.wanted;
    const [look] = due.looks;
    if (next !== undefined) {
      due.wanted = undefined;
      await apply(next.folders);
      post({ is: "applied", id: next.id });
    } else if (due.renew) {
      due.renew = false;
      await renew();
    } else if (look !== undefined) {
      due.looks.delete(look[0]);
      await lookAt(...look);
    } else break;
  }
  working = false;
}

async function apply(folders: WantedFolders): Promise<void> {
  const sameTrees = folders.trees.join("\n") === wanted.trees.join("\n");
  wanted = folders;
  above = new Set([...folders.trees, ...folders.places].flatMap((folder) => [folder, ...ancestors(folder)]));
  aboveTrees = new Set(folders.trees.flatMap((folder) => [...ancestors(folder)]));
  places = new Set(folders.places);
  expected = new Set(folders.expected);
  if (!sameTrees) return renew();
  for (const tree of trees.values()) if (!isWanted(tree.folder)) drop(tree);
  for (const folder of folders.places) await enter(folder, false);
}

/** The old watches go when the new ones stand. */
async function renew(): Promise<void> {
  due.looks.clear();
  const old = [...trees.values()];
  trees.clear();
  for (const folder of [...wanted.trees, ...wanted.places]) await enter(folder, false);
  for (const tree of old) await tree.close();
}

async function lookAt(path: string, ended: boolean): Promise<void> {
  const found = await identify(path);
  if (found === watching(path)?.identity(path) && !(ended && (await hasEnded(path)))) return;
  for (const tree of trees.values()) {
    if (isWithin(path, tree.folder)) drop(tree);
    else tree.forget(path);
  }
  tell(path, 0);
  if (found !== undefined && isWanted(path)) await open(path, true);
  for (const folder of [...wanted.trees, ...wanted.places])
    if (isWithin(path, folder)) await enter(folder, true);
}

/** Watches the folder, or the nearest one above it that exists, through which it will come. */
async function enter(folder: string, fresh: boolean): Promise<void> {
  for (let first = true; ; first = false) {
    const nearest = await nearestFolder(folder);
    if (watching(nearest) !== undefined) return;
    // It may have come while the one above was not watched yet.
    await open(nearest, fresh || !first || nearest !== folder);
  }
}

/** `fresh`: everything in it is a change. */
async function open(folder: string, fresh: boolean): Promise<void> {
  const tree = new Tree({ folder, deep: isInTree(wanted.trees, folder), told, refused });
  trees.set(folder, tree);
  await tree.opened;
  if (!fresh) post({ is: "placed", folder, at: Date.now() });
  await compare(tree, folder, fresh);
}

/** Folders that came, or became others, between their reading and their watch. */
async function compare(tree: Tree, folder: string, fresh: boolean): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!tree.deep || isIgnoredFolder(entry.name)) continue;
      if ((await identify(path)) === tree.identity(path)) await compare(tree, path, fresh);
      else await open(path, true);
    } else if (fresh) tell(path, 0);
  }
}

function told(folder: string, name: string | undefined, renamed: boolean): void {
  const path = name === undefined ? folder : join(folder, name);
  // Of its own end a folder tells by its own name; so does an entry that is called the same.
  if (renamed && name === basename(folder)) due.looks.set(folder, true);
  if (concerns(folder, path)) {
    tell(path, 1);
    if (renamed) due.looks.set(path, due.looks.get(path) ?? false);
  } else {
    count();
  }
  if (due.looks.size > 0) void work();
}

/** Where a folder alone is watched, not everything in it need be of interest. */
function concerns(folder: string, path: string): boolean {
  if (trees.get(folder)?.deep !== false || above.has(path)) return true;
  if (!places.has(folder)) return false;
  return !aboveTrees.has(folder) || expected.has(path);
}

function drop(tree: Tree): void {
  trees.delete(tree.folder);
  void tree.close();
}

// ---- questions

function isWanted(folder: string): boolean {
  return above.has(folder) || isInTree(wanted.trees, folder);
}

function watching(folder: string): Tree | undefined {
  for (const tree of trees.values()) if (tree.has(folder)) return tree;
  return undefined;
}

async function identify(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found?.isDirectory() === true ? identityOf(found) : undefined;
}

async function nearestFolder(folder: string): Promise<string> {
  for (const path of [folder, ...ancestors(folder)]) if ((await identify(path)) !== undefined) return path;
  return folder;
}

async function hasEnded(folder: string): Promise<boolean> {
  return access(join(folder, basename(folder))).then(
    () => false,
    () => true,
  );
}

// ---- what is told

const paths = new Set<string>();
let events = 0;
let countedSince = 0;

/** So many in a second are worth a message, though nothing of them is of interest: the kernel's queue fills all the same. */
const MANY_EVENTS = 1_000;

/** What the kernel told in one go is one message. */
function tell(path: string, ofKernel: number): void {
  if (paths.size === 0) setImmediate(flush);
  paths.add(path);
  events += ofKernel;
}

function count(): void {
  const now = performance.now();
  if (paths.size === 0 && now - countedSince > 1_000) {
    events = 0;
    countedSince = now;
  }
  events += 1;
  if (events >= MANY_EVENTS && paths.size === 0) flush();
}

function flush(): void {
  post({ is: "told", paths: [...paths], events });
  paths.clear();
  events = 0;
}

function refused(error: unknown): void {
  post({ is: "refused", code: codeOf(error), message: messageOf(error) });
}

function post(message: FromThread): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
  parentPort?.postMessage(message);
}
