/** A worker whose inspector is open: who is attached to it, and whether it stands at a breakpoint. */

/** A worker as functions/ hands it over. */
export type Inspected = {
  readonly functionName: string;
  readonly pid: number;
  /** Of its inspector: a secret. */
  readonly address: string;
  /** What it will load. */
  readonly file: string;
  /** Never rejects. */
  readonly ended: Promise<void>;
  /** Of the invocation that it runs now. */
  requestId(): string | undefined;
};

export type Standing = { readonly functionName: string; readonly requestId: string };

export type DebuggeeOptions = {
  /** The first of its sessions saw it stop at a breakpoint. */
  onPaused(standing: Standing): void;
  /** None of them sees it stand any more. */
  onResumed(standing: Standing): void;
};

export class Debuggee {
  readonly worker: Inspected;
  readonly #options: DebuggeeOptions;
  /** Sessions that see it stand. */
  readonly #seen = new Set<object>();
  #standing: Standing | undefined;

  constructor(worker: Inspected, options: DebuggeeOptions) {
    this.worker = worker;
    this.#options = options;
  }

  get paused(): boolean {
    return this.#seen.size > 0;
  }

  /** Each session tells what its inspector says. */
  heard(session: object, method: string): void {
    if (method === "Debugger.paused") this.#paused(session);
    else if (method === "Debugger.resumed") this.left(session);
  }

  /** Who detaches from it lets it run. */
  left(session: object): void {
    if (!this.#seen.delete(session) || this.#seen.size > 0) return;
    const standing = this.#standing;
    this.#standing = undefined;
    if (standing !== undefined) this.#options.onResumed(standing);
  }

  #paused(session: object): void {
    this.#seen.add(session);
    const requestId = this.worker.requestId();
    if (this.#standing !== undefined || requestId === undefined) return;
    this.#standing = { functionName: this.worker.functionName, requestId };
    this.#options.onPaused(this.#standing);
  }
}
