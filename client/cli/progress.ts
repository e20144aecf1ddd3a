/**
 * What is going on, on a terminal: steps as they are done, and below them the one that runs with its seconds. On
 * anything else it says nothing. It writes to stderr, so that stdout holds the result alone, and leaves no trace of
 * the line that runs.
 */
import { paint } from "./output.ts";
import { duration } from "./time.ts";

const REDRAW_MS = 100;
/** What takes no longer says nothing. */
const SOON_MS = 1_000;

/** Says that it waits, once a person may wonder; gone before the answer is printed. */
export async function showWait<T>(title: string, quiet: boolean | undefined, wait: Promise<T>): Promise<T> {
  using _progress = new Progress(title, quiet, SOON_MS);
  return await wait;
}

export class Progress implements Disposable {
  readonly #shown = process.stderr.isTTY;
  #title: string;
  #began = performance.now();
  readonly #afterMs: number;
  #drawn = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(title: string, quiet = false, afterMs = 0) {
    this.#title = title;
    this.#afterMs = afterMs;
    if (quiet) this.#shown = false;
    if (this.#shown) this.#timer = setInterval(() => this.#draw(), REDRAW_MS);
  }

  /** What runs now. */
  title(text: string): void {
    this.#title = text;
    this.#began = performance.now();
  }

  done(what: string, tookMs?: number): void {
    const took = tookMs === undefined ? "" : paint("dim", `  ${duration(tookMs)}`, process.stderr);
    this.line(`  ${paint("green", "✓", process.stderr)} ${what}${took}`);
  }

  /** A line of its own, above the one that runs. */
  line(text: string): void {
    if (!this.#shown) return;
    this.#clear();
    process.stderr.write(`${text}\n`);
  }

  /** Away while a question is asked. */
  pause(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#clear();
  }

  resume(): void {
    if (this.#shown) this.#timer ??= setInterval(() => this.#draw(), REDRAW_MS);
  }

  [Symbol.dispose](): void {
    this.pause();
  }

  #draw(): void {
    if (performance.now() - this.#began < this.#afterMs) return;
    this.#drawn = true;
    const text = `${this.#title} … ${duration(performance.now() - this.#began)}`;
    // A line that wraps could not be cleared. A terminal that nobody measured says 0.
    process.stderr.write(`\r\u001B[K${text.slice(0, (process.stderr.columns || 80) - 1)}`);
  }

  #clear(): void {
    if (!this.#drawn) return;
    this.#drawn = false;
    process.stderr.write("\r\u001B[K");
  }
}
