/**
 * All processes that came of one, wherever they went: in its session, in its group, with its mark in their environment
 * (kept over setsid and the death of their parents), and the children of all these. Looked up anew each time, since
 * numbers are given out again: a number alone is never a proof.
 */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { promisify } from "node:util";

import { processIdentity } from "../lib/process-identity.ts";
import { markOf } from "../runtime/marks.ts";

export type Root = {
  readonly pid: number;
  /** Of that process while it lived (process-identity.ts). */
  readonly identity: string;
  readonly mark: string;
};

export type Member = {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** A zombie runs no more; whoever is its parent has not asked how it ended. */
  readonly zombie: boolean;
  readonly cpuMs: number;
  readonly memoryBytes: number;
};

/** Files read in one turn of the event loop. */
const AT_ONCE = 40;
/** Of the kernel's clock, on every Linux that Node runs on. */
const TICK_MS = 10;
const PAGE_BYTES = 4096;

export async function membersOf(root: Root): Promise<Member[]> {
  return (await membersOfEach([root]))[0] ?? [];
}

/** One look at the machine for all of them. */
export async function membersOfEach(roots: readonly Root[]): Promise<Member[][]> {
  if (roots.length === 0) return [];
  const all = process.platform === "linux" ? await readProc() : await askPs();
  return roots.map((root) => choose(root, all));
}

type Seen = Member & { readonly mark: string | undefined };

function choose(root: Root, all: readonly Seen[]): Member[] {
  const alive = processIdentity(root.pid) === root.identity;
  const ours = new Map<number, Seen>();
  for (const one of all) {
    if (one.mark === root.mark || (alive && one.pid === root.pid)) ours.set(one.pid, one);
  }
  // While any of ours is in it, the system gives the number of a session or group to nobody else.
  const isOurs = (of: (one: Seen) => number) => [...ours.values()].some((one) => of(one) === root.pid);
  const session = isOurs((one) => one.session);
  const group = isOurs((one) => one.group);
  for (const one of all) {
    if ((session && one.session === root.pid) || (group && one.group === root.pid)) ours.set(one.pid, one);
  }
  for (let before = -1; before !== ours.size;) {
    before = ours.size;
    for (const one of all) if (ours.has(one.parent)) ours.set(one.pid, one);
  }
  // Ourselves among them would be a root that started the daemon.
  ours.delete(process.pid);
  return [...ours.values()].filter(({ zombie }) => !zombie);
}

async function readProc(): Promise<Seen[]> {
  const seen: Seen[] = [];
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  for (const [index, pid] of pids.entries()) {
    if (index % AT_ONCE === AT_ONCE - 1) await turn();
    const stat = read(`/proc/${pid}/stat`);
    // The name, in brackets, may hold anything.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields.length < 22) continue;
    const [state = "", parent, group, session] = fields;
    seen.push({
      pid: Number(pid),
      parent: Number(parent),
      group: Number(group),
      session: Number(session),
      zombie: state === "Z" || state === "X",
      cpuMs: (Number(fields[11]) + Number(fields[12])) * TICK_MS,
      memoryBytes: Number(fields[21]) * PAGE_BYTES,
      mark: markOf(Number(pid)),
    });
  }
  return seen;
}

/** Elsewhere the system shows no environments to us: what leaves its group and its parents is not found there. */
async function askPs(): Promise<Seen[]> {
  const { stdout } = await promisify(execFile)("ps", ["-axo", "pid=,ppid=,pgid=,state=,time=,rss="], {
    env: { PATH: process.env["PATH"], LC_ALL: "C" },
    maxBuffer: 16 * 1024 * 1024,
  });
  return stdout.split("\n").flatMap((line) => {
    const [pid, parent, group, state = "", time = "", rss] = line.trim().split(/\s+/);
    if (rss === undefined) return [];
    return [
      {
        pid: Number(pid),
        parent: Number(parent),
        group: Number(group),
        session: Number(group),
        zombie: state.startsWith("Z"),
        cpuMs: timeMs(time),
        memoryBytes: Number(rss) * 1024,
        mark: undefined,
      },
    ];
  });
}

/** `[[dd-]hh:]mm:ss[.cc]` */
function timeMs(text: string): number {
  const [days, clock] = text.includes("-") ? text.split("-") : ["0", text];
  const seconds = (clock ?? "").split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
  return (Number(days) * 86_400 + seconds) * 1000;
}

function read(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}
