/** What functions/ needs of a debugger that is attached: debug/ is one. */

/** A worker whose inspector is open, and that has not loaded its code. */
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

export type Debugger = {
  /** Resolves when the worker may load its code; never rejects. */
  adopt(worker: Inspected): Promise<void>;
  /** How many invocations of the function may run at once meanwhile. */
  readonly concurrency: number;
  /** What an invocation that waits for its turn is told. */
  readonly waits: string;
};
