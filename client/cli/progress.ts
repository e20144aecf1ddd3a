/**
 * What is going on, on a terminal: steps as they are done, and below them the one that runs with its seconds. On
 * anything else it says nothing. It writes to stderr, so that stdout holds the result alone.
 */
import { paint } from "./output.ts";
import { duration } from "./time.ts";

const REDRAW_MS = 100;

export class Progress implements Disposable {
  readonly #shown = process.stderr.isTTY;
  #title: string;
  #began = performance.now();
  #timer: NodeJS.Timeout | undefined;

  constructor(title: string, quiet = false) {
    this.#title = title;
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
    const text = `${this.#title} … ${duration(performance.now() - this.#began)}`;
    // A line that wraps could not be cleared.
    process.stderr.write(`\r\u001B[K${text.slice(0, (process.stderr.columns ?? 80) - 1)}`);
  }

  #clear(): void {
    if (this.#shown) process.stderr.write("\r\u001B[K");
  }
}
