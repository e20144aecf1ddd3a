/** Who may build now: what somebody waits for first, then what was used last; the rest in the background, few at once. */
import { deferred, type Deferred } from "../lib/scope.ts";

export type Ticket = {
  /** Somebody waits for it, or will in a moment. */
  readonly urgent: boolean;
  /** When the function was last used; higher goes first. */
  readonly usedAt: number;
};

export class Gate {
  readonly #max: number;
  readonly #background: number;
  readonly #waiting = new Map<Ticket, Deferred<boolean>>();
  #running = 0;

  constructor(options: { max: number; background: number }) {
    this.#max = options.max;
    this.#background = options.background;
  }

  /** False where the ticket was taken back. After true, `leave()` must follow. */
  async enter(ticket: Ticket): Promise<boolean> {
    const turn = deferred<boolean>();
    this.#waiting.set(ticket, turn);
    this.check();
    return turn.promise;
  }

  leave(): void {
    this.#running -= 1;
    this.check();
  }

  withdraw(ticket: Ticket): void {
    this.#waiting.get(ticket)?.resolve(false);
    this.#waiting.delete(ticket);
  }

  /** Looks again: a ticket may have become urgent. */
  check(): void {
    for (;;) {
      let best: Ticket | undefined;
      for (const ticket of this.#waiting.keys())
        if (best === undefined || before(ticket, best)) best = ticket;
      if (best === undefined || this.#running >= (best.urgent ? this.#max : this.#background)) return;
      this.#running += 1;
      this.#waiting.get(best)?.resolve(true);
      this.#waiting.delete(best);
    }
  }
}

function before(a: Ticket, b: Ticket): boolean {
  return a.urgent === b.urgent ? a.usedAt > b.usedAt : a.urgent;
}
