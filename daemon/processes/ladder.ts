/**
 * How a tree of processes is ended: asked (SIGINT to its group, which is what Ctrl-C in its terminal does), then
 * SIGTERM and at last SIGKILL to every one of it. A rung is left as soon as none is alive.
 */
import { setTimeout as sleep } from "node:timers/promises";

import { membersOf, type Root } from "./tree.ts";

export type Patience = {
  /** 0: not asked, for what is left of a tree whose first process has ended. */
  readonly askMs: number;
  readonly termMs: number;
};

/** What was killed is gone at the next look, or the system holds it (a disk that does not answer). */
const KILL_MS = 2_000;
const LOOK_MS = 50;
/** A look reads of each process of the machine: who takes long to end is looked at less and less often. */
const SELDOM_MS = 250;
/** Who has ended leaves its children this long to notice. */
const ORPHANS_MS = 500;

/** Gives how many are alive still: 0, but for what the system does not let go of. */
export async function endTree(root: Root, { askMs, termMs }: Patience): Promise<number> {
  if (askMs > 0) {
    send(-root.pid, "SIGINT");
    if (await gone(root, askMs, true)) return 0;
  }
  for (const { pid } of await membersOf(root)) {
    // A stopped process takes its signals when it goes on.
    send(pid, "SIGTERM");
    send(pid, "SIGCONT");
  }
  if (await gone(root, termMs, false)) return 0;
  const until = performance.now() + KILL_MS;
  let alive = await membersOf(root);
  while (alive.length > 0 && performance.now() < until) {
    for (const { pid } of alive) send(pid, "SIGKILL");
    await sleep(LOOK_MS);
    alive = await membersOf(root);
  }
  return alive.length;
}

async function gone(root: Root, withinMs: number, asked: boolean): Promise<boolean> {
  let until = performance.now() + withinMs;
  let orphaned = false;
  for (let pauseMs = LOOK_MS; ; pauseMs = Math.min(SELDOM_MS, 1.5 * pauseMs)) {
    const members = await membersOf(root);
    if (members.length === 0) return true;
    if (asked && !orphaned && !members.some(({ pid }) => pid === root.pid)) {
      orphaned = true;
      until = Math.min(until, performance.now() + ORPHANS_MS);
    }
    const leftMs = until - performance.now();
    if (leftMs <= 0) return false;
    await sleep(Math.min(pauseMs, leftMs));
  }
}

function send(target: number, signal: NodeJS.Signals): void {
  try {
    process.kill(target, signal);
  } catch {
    // Gone meanwhile.
  }
}
