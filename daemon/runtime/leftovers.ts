/**
 * The processes of execution environments, on record: whoever started them may be killed and leave them behind,
 * perhaps frozen, and the next one ends them; so too what left its environment's process group and outlived it. Never
 * one that is not ours: a process's start time, or the mark in its environment, which no other process has, must be
 * as recorded.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";

import { messageOf } from "../lib/errors.ts";
import { Latest } from "../lib/latest.ts";
import type { Log } from "../lib/log.ts";
import { isAlive, processIdentity } from "../lib/process-identity.ts";
import { endMarked, kill, list } from "./marks.ts";
import { Watchdog } from "./watchdog.ts";

type Recorded = { readonly pid: number; readonly identity: string; readonly mark: string };

export type LeftoversOptions = {
  readonly folder: string;
  /** Ends the processes that have one of these marks; here, where absent. */
  readonly endMarked?: (marks: readonly string[]) => Promise<unknown>;
  readonly log: Log;
};

export class Leftovers {
  readonly #folder: string;
  readonly #log: Log;
  readonly #endMarked: (marks: readonly string[]) => Promise<unknown>;
  readonly #pids = new Map<string, number>();
  readonly #watchdog = new Watchdog();
  /** Ended, but for the processes that may have left their group: those are looked for once for all of them. */
  #ended: string[] = [];
  readonly #sweep = new Latest(() => this.#endStrays());

  private constructor(options: LeftoversOptions) {
    this.#folder = options.folder;
    this.#log = options.log;
    this.#endMarked = options.endMarked ?? endMarked;
  }

  /** Ends what an earlier holder of the folder left behind: there may be one holder only. */
  static async open(options: LeftoversOptions): Promise<Leftovers> {
    const { folder, log } = options;
    const ended = await endRecorded(folder);
    if (ended > 0) log.warn({ ended }, "ended processes that an earlier run left behind");
    return new Leftovers(options);
  }

  /** Before a process with this mark is started: killed in between, we leave behind what the mark still finds. */
  expect(mark: string): void {
    this.#watchdog.expect(mark);
    this.#write({ pid: 0, identity: "", mark });
  }

  /**
   * Of a process that has the mark in its environment. Synchronous: nothing comes between its start and its record. On
   * a full disk it runs without one: events are answered all the same.
   */
  record(pid: number, mark: string): void {
    const identity = pid === 0 ? undefined : processIdentity(pid);
    if (identity === undefined) return;
    this.#pids.set(mark, pid);
    this.#watchdog.add(pid, mark);
    this.#write({ pid, identity, mark });
  }

  #write(recorded: Recorded): void {
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
      writeFileSync(this.#file(recorded.mark), JSON.stringify(recorded), { mode: 0o600 });
    } catch (error) {
      this.#log.warn({ pid: recorded.pid, reason: messageOf(error) }, "a process could not be put on record");
    }
  }

  /**
   * The process and its group have ended. Resolves when none of those that left the group is alive either. Never
   * rejects: most who end a process do not wait for it, and a file that stays is looked at by the next start.
   */
  ended(mark: string): Promise<void> {
    this.#watchdog.ended(this.#pids.get(mark) ?? 0);
    this.#pids.delete(mark);
    this.#ended.push(mark);
    return this.#sweep.run();
  }

  async #endStrays(): Promise<void> {
    // Many end in one turn of the event loop where code changes or everything closes.
    await turn();
    const marks = this.#ended.splice(0);
    if (marks.length === 0) return;
    try {
      await this.#endMarked(marks);
      this.#watchdog.forget(marks);
      for (const mark of marks) rmSync(this.#file(mark), { force: true });
    } catch (error) {
      this.#log.warn({ reason: messageOf(error) }, "a process's record could not be removed");
    }
    await this.#watchdog.settled();
  }

  #file(mark: string): string {
    return join(this.#folder, `${mark}.json`);
  }
}

async function endRecorded(folder: string): Promise<number> {
  const records = readRecords(folder);
  if (records.length === 0) return 0;
  let ended = 0;
  for (const { pid, identity } of records) {
    if (!isAlive(pid, identity)) continue;
    ended += 1;
    kill(-pid, pid);
  }
  ended += await endMarked(records.map(({ mark }) => mark));
  rmSync(folder, { recursive: true, force: true });
  return ended;
}

function readRecords(folder: string): Recorded[] {
  const files = list(folder).filter((name) => name.endsWith(".json"));
  return files.flatMap((name) => {
    try {
      return [JSON.parse(readFileSync(join(folder, name), "utf8")) as Recorded];
    } catch {
      // Cut short by the kill, within the instant after the process was started; the runner ends by itself.
      return [];
    }
  });
}
