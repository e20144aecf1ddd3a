/**
 * Frontends that choose their port themselves take the first that is free, so that two that start at once may swap
 * theirs. They start one after the other, the one with the lowest port of the last time first.
 */
import { setImmediate as turn } from "node:timers/promises";

/** Who says nothing for so long holds up nobody any more. */
const PATIENCE_MS = 15_000;

type Waiting = { readonly rank: number; go(): void };

export class Turns {
  readonly #waiting = new Set<Waiting>();
  /** Of those that will come in a moment. */
  readonly #announced = new Map<object, number>();
  #current: object | undefined;
  #deciding = false;

  /**
   * Resolves when it is this one's turn, which ends with the function that it is given, by itself after a while.
   * Rejects with the signal.
   */
  take(rank: number, signal: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.delete(waiting);
        reject(signal.reason);
      };
      const waiting: Waiting = {
        rank,
        go: () => {
          signal.removeEventListener("abort", leave);
          resolve(this.#begin());
        },
      };
      if (signal.aborted) return leave();
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting.add(waiting);
      void this.#next();
    });
  }

  /** It will take its turn soon, and nobody of a higher rank goes before it. Until it does, or this is called. */
  announce(rank: number): () => void {
    const who = {};
    this.#announced.set(who, rank);
    return () => {
      if (this.#announced.delete(who)) void this.#next();
    };
  }

  #begin(): () => void {
    const current = {};
    this.#current = current;
    const end = () => {
      clearTimeout(timer);
      if (this.#current !== current) return;
      this.#current = undefined;
      void this.#next();
    };
    const timer = setTimeout(end, PATIENCE_MS);
    return end;
  }

  async #next(): Promise<void> {
    if (this.#deciding || this.#current !== undefined) return;
    this.#deciding = true;
    // All that came in this moment are compared.
    await turn();
    this.#deciding = false;
    if (this.#current !== undefined) return;
    const [first] = [...this.#waiting].sort((a, b) => a.rank - b.rank);
    if (first === undefined || [...this.#announced.values()].some((rank) => rank < first.rank)) return;
    this.#waiting.delete(first);
    first.go();
  }
}
