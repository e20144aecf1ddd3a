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
  #timer: NodeJS.Timeout | undefined;
  #tickedAt = continuousMs();
  #stoodSince: number | undefined;
  #wokeAt = 0;

  /** Only while a stub is connected does the kernel hold frames: nobody else is worth waking for. */
  watch(connected: boolean): void {
    if (connected === (this.#timer !== undefined)) return;
    this.close();
    if (!connected) return;
    this.#tickedAt = continuousMs();
    this.#stoodSince = undefined;
    this.#timer = setInterval(() => this.#tick(), TICK_MS).unref();
  }

  /** 0 where this process did not stand still. */
  unreadMs(): number {
    if (this.#timer === undefined) return 0;
    const now = continuousMs();
    if (now - this.#tickedAt > STILL_MS) return now - this.#tickedAt;
    return this.#stoodSince === undefined ? 0 : now - this.#stoodSince;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
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
