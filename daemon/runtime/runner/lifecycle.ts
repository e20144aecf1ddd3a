/**
 * What can end an invocation, or the process, from outside the handler's promise or callback: an event loop that has
 * run empty, and errors that nobody caught.
 */
import type { RuntimeClient } from "./client.ts";
import { stackOf, unhandledPromiseRejection } from "./errors.ts";
import { exit, writeError } from "./taken.ts";

/** What an uncaught error is posted to. */
type Phase =
  | { readonly name: "init" }
  | { readonly name: "between" }
  | { readonly name: "invocation"; readonly fail: (error: unknown) => Promise<void> };

export class Lifecycle {
  readonly #client: RuntimeClient;
  #phase: Phase = { name: "init" };
  #onEmpty: (() => void) | undefined;
  #dying = false;

  constructor(client: RuntimeClient) {
    this.#client = client;
    process.on("beforeExit", () => {
      const onEmpty = this.#onEmpty;
      this.#onEmpty = undefined;
      onEmpty?.();
    });
    process.on("uncaughtException", (error) => this.#die("Uncaught Exception", error, 129));
    process.on("unhandledRejection", (reason) =>
      this.#die("Unhandled Promise Rejection", unhandledPromiseRejection(reason), 128),
    );
  }

  /** The loop ends here where the process is on its way out. */
  get dying(): boolean {
    return this.#dying;
  }

  set phase(phase: Phase) {
    this.#phase = phase;
    this.#onEmpty = undefined;
  }

  /** Called once when nothing is left that could wake the process. */
  set onEmpty(listener: (() => void) | undefined) {
    this.#onEmpty = listener;
  }

  /** As Lambda: the error is posted, then the process ends. */
  #die(what: string, error: unknown, code: number): void {
    if (this.#dying) return;
    this.#dying = true;
    writeError(`${what}\t${error instanceof Error ? stackOf(error) : String(error)}\n`);
    void this.#post(error).finally(() => exit(code));
  }

  async #post(error: unknown): Promise<void> {
    try {
      switch (this.#phase.name) {
        case "init":
          return await this.#client.initError(error);
        case "invocation":
          return await this.#phase.fail(error);
        case "between":
          return;
      }
    } catch {
      // The Runtime API is gone: there is nobody to tell.
    }
  }
}
