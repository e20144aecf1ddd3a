/**
 * Keeps what each process printed within a bound of its own: one that floods displaces its own past, and neither
 * another's nor the invocations'. What an earlier daemon recorded is not counted anew; it goes first, as a whole.
 */
import type { Database, Statement } from "better-sqlite3";

import { printedBytes, type Row } from "./rows.ts";

/** A stretch of one process's lines: up to this seq, so many bytes. */
type Block = { last: number; bytes: number };

type Printed = { readonly blocks: Block[]; bytes: number };

const ROW_BYTES = 100;
const BLOCK_BYTES = 256 * 1024;
/** Rows deleted in one turn. */
const STEP_ROWS = 200;

export class OutputBound {
  readonly #maxBytes: number;
  readonly #delete: Statement<[string, number, number]>;
  readonly #printed = new Map<string, Printed>();

  constructor(db: Database, maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#delete = db.prepare(
      `DELETE FROM events WHERE seq IN (
         SELECT seq FROM events WHERE type = 'process.logged' AND function_name = ? AND seq <= ? ORDER BY seq LIMIT ?)`,
    );
  }

  /** Committed. True where `step()` has something to do. */
  added(rows: readonly Row[]): boolean {
    for (const { seq, event } of rows) {
      if (event.type !== "process.logged") continue;
      this.#add(event.processName, seq, ROW_BYTES + printedBytes(event));
    }
    return this.#over() !== undefined;
  }

  /** Takes away a little; false when all are within the bound. */
  step(): boolean {
    const over = this.#over();
    if (over === undefined) return false;
    const [name, printed] = over;
    const [oldest] = printed.blocks;
    if (oldest === undefined) return false;
    if (this.#delete.run(name, oldest.last, STEP_ROWS).changes < STEP_ROWS) {
      printed.blocks.shift();
      printed.bytes -= oldest.bytes;
    }
    return true;
  }

  #add(name: string, seq: number, bytes: number): void {
    const printed = this.#printed.get(name) ?? { blocks: [], bytes: 0 };
    this.#printed.set(name, printed);
    printed.bytes += bytes;
    const newest = printed.blocks.at(-1);
    if (newest === undefined || newest.bytes > BLOCK_BYTES) printed.blocks.push({ last: seq, bytes });
    else {
      newest.last = seq;
      newest.bytes += bytes;
    }
  }

  #over(): [string, Printed] | undefined {
    for (const one of this.#printed) if (one[1].bytes > this.#maxBytes) return one;
    return undefined;
  }
}
