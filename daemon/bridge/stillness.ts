/**
 * How long what is read now may have lain unread: the kernel takes a stub's frames while this process stands still (a
 * laptop that sleeps, a stopped process), and nothing in a frame tells when it came.
 */
import { continuousMs } from "../lib/clock.ts";

const TICK_MS = 250;
/** A tick that is late by more was held up by more than a busy event loop. */
const STILL_MS = 1_000;
/** After waking, what was in the kernel is read within so long. */
const CATCH_UP_MS = 2_000;

export class Stillness {
  readonly #timer: NodeJS.Timeout;
  #tickedAt = continuousMs();
  #stoodSince: number | undefined;
  #wokeAt = 0;

  constructor() {
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  /** 0 where this process did not stand still. */
  unreadMs(): number {
    const now = continuousMs();
    if (now - this.#tickedAt > STILL_MS) return now - this.#tickedAt;
    return this.#stoodSince === undefined ? 0 : now - this.#stoodSince;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const now = continuousMs();
    if (now - this.#tickedAt > STILL_MS) {
      this.#stoodSince = this.#tickedAt;
      this.#wokeAt = now;
    } else if (now - this.#wokeAt > CATCH_UP_MS) {
      this.#stoodSince = undefined;
    }
    this.#tickedAt = now;
  }
}
