/**
 * What a part opened, closed again in reverse; one AbortController whose signal every timer and loop of the part
 * takes. A hand-made AsyncDisposableStack, which Node 20 lacks.
 */
import { setMaxListeners } from "node:events";

export class Scope {
  readonly #controller = new AbortController();
  readonly #closers: (() => unknown)[] = [];
  #closing: Promise<void> | undefined;

  constructor() {
    // One signal is shared by many waits; Node would take that for a leak.
    setMaxListeners(0, this.#controller.signal);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** Runs at close, in reverse order. */
  defer(close: () => unknown): void {
    this.#closers.push(close);
  }

  /** Gives `part` back, and closes it with the scope. */
  use<T extends AsyncDisposable>(part: T): T {
    this.defer(() => part[Symbol.asyncDispose]());
    return part;
  }

  /** Aborts the signal, then closes in reverse; once. One failing closer does not keep the others from running. */
  close(): Promise<void> {
    if (this.#closing !== undefined) return this.#closing;
    // Closed for whoever looks while the first closers run.
    const closing = deferred<void>();
    this.#closing = closing.promise;
    this.#run().then(closing.resolve, closing.reject);
    return closing.promise;
  }

  async #run(): Promise<void> {
    this.#controller.abort(new Error("closed"));
    const errors: unknown[] = [];
    for (const close of this.#closers.reverse()) {
      try {
        await close();
      } catch (error) {
        errors.push(error);
      }
    }
    this.#closers.length = 0;
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1) throw new AggregateError(errors, "several parts failed to close");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Promise.withResolvers, which Node 20 lacks. */
export type Deferred<T> = {
  readonly promise: Promise<T>;
  readonly resolve: (value: T | PromiseLike<T>) => void;
  readonly reject: (reason: unknown) => void;
};

export function deferred<T>(): Deferred<T> {
  let resolve!: Deferred<T>["resolve"];
  let reject!: Deferred<T>["reject"];
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
