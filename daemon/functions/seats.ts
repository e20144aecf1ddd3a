/**
 * How many worker processes stand at once, of all functions together. Whoever finds no room waits, and gets whichever
 * comes first: a worker of its own function that became free, or the place of the worker that was idle for longest, of
 * whichever function. A place goes to the function that has fewest, and among its equals to the one that came first.
 */
import { deferred, type Deferred } from "../lib/scope.ts";
import { untilAborted } from "../lib/abort.ts";

/** A worker on its seat, free to be used. */
export type Seated = {
  /** `performance.now()` of when it began to be of use, and how long its start took. */
  readonly since: number;
  readonly startMs: number;
  /** Gives the seat up. */
  leave(): Promise<void>;
  /** It was given to somebody who does not want it any more. */
  unwanted(): void;
};

/**
 * While a function that has less waits, a worker keeps its seat for so many times as long as its start took. So a crowd
 * of functions does not spend its time on starting processes, on a busy machine neither, and none of them waits for
 * another's whole queue.
 */
const WORTH = 10;

/** Between two invocations of a queue lies a look at the code's files; so long nobody else is given the seat. */
const SOON_MS = 100;

type Waiting<S> = { readonly owner: object; readonly turn: Deferred<S | undefined> };

export class Seats<S extends Seated = Seated> {
  readonly #max: number;
  /** The longest idle first. */
  readonly #idle = new Set<S>();
  /** Those that their owner will use in a moment. */
  readonly #kept = new Set<S>();
  readonly #waiting: Waiting<S>[] = [];
  /** How many each has. */
  readonly #held = new Map<object, number>();
  #taken = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** For what nobody waits for: only a seat that is free now. */
  tryTake(owner: object): boolean {
    if (this.#taken >= this.#max) return false;
    this.#taken += 1;
    this.#count(owner, 1);
    return true;
  }

  /** Resolves with nothing when a seat is taken (`free()` must follow), or with one that the owner holds already. */
  async take(owner: object, signal: AbortSignal): Promise<S | undefined> {
    signal.throwIfAborted();
    if (this.tryTake(owner)) return undefined;
    const waiting = { owner, turn: deferred<S | undefined>() };
    this.#waiting.push(waiting);
    this.#makeRoom();
    try {
      return await untilAborted(waiting.turn.promise, signal);
    } catch (error) {
      const place = this.#waiting.indexOf(waiting);
      if (place >= 0) this.#waiting.splice(place, 1);
      // Given in the same turn as it was given up.
      else
        void waiting.turn.promise.then((given) =>
          given === undefined ? this.free(owner) : given.unwanted(),
        );
      throw error;
    }
  }

  free(owner: object): void {
    this.#count(owner, -1);
    let next: Waiting<S> | undefined;
    for (const waiting of this.#waiting) {
      if (next === undefined || this.#has(waiting.owner) < this.#has(next.owner)) next = waiting;
    }
    if (next === undefined) {
      this.#taken -= 1;
      return;
    }
    this.#waiting.splice(this.#waiting.indexOf(next), 1);
    this.#count(next.owner, 1);
    next.turn.resolve(undefined);
  }

  /**
   * A worker has nothing to do. True where it was given to one who waits, and is not idle after all. `soon`: its owner
   * has more for it, which is not here yet.
   */
  offer(owner: object, seated: S, soon: boolean): boolean {
    const own = this.#waiting.findIndex((waiting) => waiting.owner === owner);
    const fair =
      performance.now() - seated.since < WORTH * seated.startMs ||
      this.#waiting.every((waiting) => this.#has(waiting.owner) >= this.#has(owner));
    if (own >= 0 && fair) {
      this.#waiting.splice(own, 1)[0]?.turn.resolve(seated);
      return true;
    }
    if (soon && fair) {
      this.#kept.add(seated);
      setTimeout(() => {
        if (this.#kept.delete(seated)) this.#becomeIdle(seated);
      }, SOON_MS).unref();
    } else this.#becomeIdle(seated);
    return false;
  }

  busy(seated: S): void {
    this.#idle.delete(seated);
    this.#kept.delete(seated);
  }

  #becomeIdle(seated: S): void {
    this.#idle.add(seated);
    if (this.#waiting.length > 0) this.#makeRoom();
  }

  #has(owner: object): number {
    return this.#held.get(owner) ?? 0;
  }

  #count(owner: object, more: number): void {
    const count = this.#has(owner) + more;
    if (count === 0) this.#held.delete(owner);
    else this.#held.set(owner, count);
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
