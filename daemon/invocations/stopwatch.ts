import { continuousMs } from "../lib/clock.ts";

/** How long something lasted in all, while it lasts too. */
export class Stopwatch {
  #before = 0;
  #since: number | undefined;

  get used(): boolean {
    return this.runs || this.#before > 0;
  }

  get runs(): boolean {
    return this.#since !== undefined;
  }

  get ms(): number {
    return this.#before + (this.#since === undefined ? 0 : continuousMs() - this.#since);
  }

  start(): void {
    this.#since ??= continuousMs();
  }

  stop(): void {
    this.#before = this.ms;
    this.#since = undefined;
  }
}
