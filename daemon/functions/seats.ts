/**
 * How many worker processes stand at once, of all functions together. Whoever finds no room waits in order, and gets
 * whichever comes first: a worker of its own function that became free, or the place of the worker that was idle for
 * longest, of whichever function.
 */
import { deferred, type Deferred } from "../lib/scope.ts";
import { untilAborted } from "./abort.ts";

/** A worker on its seat, free to be used. */
export type Seated = {
  /** `performance.now()` of when it took the seat. */
  readonly since: number;
  /** Gives the seat up. */
  leave(): Promise<void>;
  /** It was given to somebody who does not want it any more. */
  unwanted(): void;
};

/**
 * While others wait, a function keeps a seat for so long: a worker's start costs a tenth of it, so that a crowd of
 * functions does not spend its time on starting processes, and none of them waits for another's whole queue.
 */
const SLICE_MS = 1_000;

type Waiting<S> = { readonly owner: object; readonly turn: Deferred<S | undefined> };

export class Seats<S extends Seated = Seated> {
  readonly #max: number;
  /** The longest idle first. */
  readonly #idle = new Set<S>();
  readonly #waiting: Waiting<S>[] = [];
  #taken = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** For what nobody waits for: only a seat that is free now. */
  tryTake(): boolean {
    if (this.#taken >= this.#max) return false;
    this.#taken += 1;
    return true;
  }

  /** Resolves with nothing when a seat is taken (`free()` must follow), or with one that the owner holds already. */
  async take(owner: object, signal: AbortSignal): Promise<S | undefined> {
    signal.throwIfAborted();
    if (this.tryTake()) return undefined;
    const waiting = { owner, turn: deferred<S | undefined>() };
    this.#waiting.push(waiting);
    this.#makeRoom();
    try {
      return await untilAborted(waiting.turn.promise, signal);
    } catch (error) {
      const place = this.#waiting.indexOf(waiting);
      if (place >= 0) this.#waiting.splice(place, 1);
      // Given in the same turn as it was given up.
      else void waiting.turn.promise.then((given) => (given === undefined ? this.free() : given.unwanted()));
      throw error;
    }
  }

  free(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#taken -= 1;
    else next.turn.resolve(undefined);
  }

  /** A worker has nothing to do. True where it was given to one who waits, and is not idle after all. */
  offer(owner: object, seated: S): boolean {
    const own = this.#waiting.findIndex((waiting) => waiting.owner === owner);
    const alone = this.#waiting.every((waiting) => waiting.owner === owner);
    if (own >= 0 && (alone || performance.now() - seated.since < SLICE_MS)) {
      this.#waiting.splice(own, 1)[0]?.turn.resolve(seated);
      return true;
    }
    this.#idle.add(seated);
    if (this.#waiting.length > 0) this.#makeRoom();
    return false;
  }

  busy(seated: S): void {
    this.#idle.delete(seated);
  }

  /** One that is asked to leave frees its seat when it is gone. */
  #makeRoom(): void {
    for (const seated of this.#idle) {
      this.#idle.delete(seated);
      void seated.leave();
      return;
    }
  }
}
