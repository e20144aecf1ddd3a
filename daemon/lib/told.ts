/** A failure is told once, though one save may come as two changes, and what is tried again fails again. */
import { same, type Fingerprints } from "./fingerprints.ts";

export class Told {
  #last: { readonly failure: string; readonly seen: Fingerprints } | undefined;

  /** Notes it as told. `false`: it has been, and its files are what they were. */
  isNews(failure: unknown, seen: Fingerprints): boolean {
    const last = this.#last;
    this.#last = { failure: JSON.stringify(failure), seen };
    return last?.failure !== this.#last.failure || !same(last.seen, seen);
  }

  /** All is well: should it fail as before, that is news. */
  mended(): void {
    this.#last = undefined;
  }
}
