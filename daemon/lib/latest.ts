/**
 * One run at a time, and the newest wins: what is asked for while a run is under way is carried out once, after it,
 * for all who asked.
 */
export class Latest<T> {
  readonly #work: () => Promise<T>;
  #running: Promise<T> | undefined;
  #next: Promise<T> | undefined;

  constructor(work: () => Promise<T>) {
    this.#work = work;
  }

  /** The outcome of a run that began after this call. */
  run(): Promise<T> {
    // One that waits has not begun, also in the moment between the end of the last one and its own begin.
    if (this.#next !== undefined) return this.#next;
    if (this.#running === undefined) return this.#begin();
    this.#next = this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.#begin();
      });
    return this.#next;
  }

  /** Settles when nothing runs or waits. */
  async idle(): Promise<void> {
    for (let last = this.#last(); last !== undefined; last = this.#last()) await last.catch(() => undefined);
  }

  #last(): Promise<T> | undefined {
    return this.#next ?? this.#running;
  }

  #begin(): Promise<T> {
    const running = this.#work().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}
