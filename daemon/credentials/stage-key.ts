/**
 * The stage's key: what a stub proves itself with to the bridge. One for each state directory. Where another is drawn,
 * those before it count for a while longer: for stubs that have not been put in place anew yet, and for what runs in
 * their environments, which Lambda lets finish.
 *
 *     stage.key            the current one
 *     stage.key.previous   [{ key, until }], the newest first; the file goes with the last of them
 */
import { randomBytes } from "node:crypto";
import { chmod, readFile, unlink } from "node:fs/promises";
import { join } from "node:path";

import { continuousMs } from "../lib/clock.ts";
import { codeOf, notWritten, stageKeyBroken } from "../lib/errors.ts";
import { idOf, KEY_BYTES, loadKey, replaceFile } from "./key-file.ts";

export type StageKey = {
  /** Names the key without giving anything of it away. */
  readonly keyId: string;
  readonly key: Uint8Array;
};

/** Lambda's longest invocation: one that began in an old stub is over by then. */
export const PREVIOUS_MS = 15 * 60_000;

/** The key of the state directory, drawn the first time. Two at once get the same one. */
export async function loadStageKey(dir: string): Promise<StageKey> {
  return named(await loadKey(fileIn(dir), stageKeyBroken));
}

/** A key that was the current one. `until` is on the disk, by the wall clock; `untilMs` by ours, which nobody sets. */
type Previous = StageKey & { readonly until: number; readonly untilMs: number };

export type StageKeysOptions = {
  readonly dir: string;
  /** A key counts no more. */
  onExpired(): void;
  readonly previousMs?: number;
};

export class StageKeys implements AsyncDisposable {
  readonly #options: StageKeysOptions;
  readonly #previousMs: number;
  #current: StageKey;
  #previous: readonly Previous[];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<unknown> = Promise.resolve();

  /** @throws LivedevError `stage.keyBroken` */
  static async open(options: StageKeysOptions): Promise<StageKeys> {
    const [current, previous] = await Promise.all([
      loadStageKey(options.dir),
      readPrevious(options.dir, options.previousMs ?? PREVIOUS_MS),
    ]);
    return new StageKeys(options, current, previous);
  }

  private constructor(options: StageKeysOptions, current: StageKey, previous: readonly Previous[]) {
    this.#options = options;
    this.#previousMs = options.previousMs ?? PREVIOUS_MS;
    this.#current = current;
    // Killed between the two files, an earlier daemon left the current one among those before it.
    this.#previous = previous.filter(({ keyId }) => keyId !== current.keyId);
    this.#watch();
  }

  get current(): StageKey {
    return this.#current;
  }

  /** What a stub may prove itself with, the current one first. */
  accepted(): readonly StageKey[] {
    return [this.#current, ...this.#previous.filter(counts)];
  }

  /** Another one from here on. On the disk when it resolves. @throws LivedevError where the disk refuses. */
  rotate(): Promise<void> {
    const rotating = this.#writing.then(() => this.#rotate());
    this.#writing = rotating.catch(() => undefined);
    return rotating;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    await this.#writing;
    clearTimeout(this.#timer);
  }

  async #rotate(): Promise<void> {
    const next = named(randomBytes(KEY_BYTES));
    const left = { until: Date.now() + this.#previousMs, untilMs: continuousMs() + this.#previousMs };
    const previous = [{ ...this.#current, ...left }, ...this.#previous.filter(counts)];
    const { dir } = this.#options;
    const file = fileIn(dir);
    try {
      // In this order: killed between the two, no stub is left with a key that nobody knows.
      await writePrevious(dir, previous);
      await replaceFile(file, `${hex(next.key)}\n`);
    } catch (error) {
      throw notWritten(file, error);
    }
    this.#current = next;
    this.#previous = previous;
    this.#watch();
  }

  /** The timer stands still while the machine sleeps: a key that is over counts no more before it tells. */
  #watch(): void {
    clearTimeout(this.#timer);
    const next = Math.min(...this.#previous.map(({ untilMs }) => untilMs));
    if (next === Infinity) return;
    this.#timer = setTimeout(() => this.#expire(), Math.max(0, next - continuousMs()) + 1);
  }

  #expire(): void {
    const left = this.#previous.filter(counts);
    if (left.length < this.#previous.length) {
      this.#previous = left;
      // What cannot be written is read again by the next daemon, which sees that it is over.
      this.#writing = this.#writing
        .then(() => writePrevious(this.#options.dir, this.#previous))
        .catch(() => {});
      this.#options.onExpired();
    }
    this.#watch();
  }
}

const counts = ({ untilMs }: Previous): boolean => untilMs > continuousMs();

const hex = (key: Uint8Array): string => Buffer.from(key).toString("hex");

const fileIn = (dir: string): string => join(dir, "stage.key");

const previousIn = (dir: string): string => `${fileIn(dir)}.previous`;

function named(key: Uint8Array): StageKey {
  return {
    key,
    keyId: idOf(key, "livedev key id"),
  };
}

/** What cannot be read is none: its stubs are refused, and told what to do. */
async function readPrevious(dir: string, atMostMs: number): Promise<readonly Previous[]> {
  const file = previousIn(dir);
  try {
    const kept = JSON.parse(await readFile(file, "utf8")) as { key: string; until: number }[];
    await chmod(file, 0o600);
    return kept.flatMap(({ key, until }) => {
      // Whoever sets the clock back does not make an old key live for longer.
      const leftMs = Math.min(until - Date.now(), atMostMs);
      return leftMs > 0
        ? [{ ...named(Buffer.from(key, "hex")), until, untilMs: continuousMs() + leftMs }]
        : [];
    });
  } catch {
    return [];
  }
}

async function writePrevious(dir: string, previous: readonly Previous[]): Promise<void> {
  const file = previousIn(dir);
  if (previous.length > 0) {
    await replaceFile(file, JSON.stringify(previous.map(({ key, until }) => ({ key: hex(key), until }))));
    return;
  }
  await unlink(file).catch((error: unknown) => {
    if (codeOf(error) !== "ENOENT") throw error;
  });
}
