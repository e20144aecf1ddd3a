/**
 * What our loopback ports refused, counted, so that `livedev doctor` can tell of a web page or a program that tries
 * them. Reasons are sentences of ours, never a caller's text: their number is bounded.
 */
export type Refused = {
  readonly port: string;
  readonly reason: string;
  readonly count: number;
  /** Unix milliseconds. */
  readonly lastAt: number;
};

export class Refusals {
  readonly #counted = new Map<string, Refused>();

  /** The counter of one kind of port. */
  at(port: string): (reason: string) => void {
    return (reason) => {
      const key = `${port}\n${reason}`;
      const count = (this.#counted.get(key)?.count ?? 0) + 1;
      this.#counted.set(key, { port, reason, count, lastAt: Date.now() });
    };
  }

  list(): readonly Refused[] {
    return [...this.#counted.values()];
  }
}
