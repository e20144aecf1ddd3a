/**
 * Whether debuggers may attach, switched by clients. While they may, debug/ stands; the rest of the daemon asks here,
 * and need not know whether it does.
 */
import type { WantedApp } from "../proto/app.ts";
import type { RpcParams, RpcResult } from "../proto/rpc.ts";

import { Debug, type DebugOptions } from "./debug/debug.ts";

/** `off`, and not absent: what was kept before is replaced by it. */
export type KeptDebugging =
  | { readonly port: number; readonly maxTimeout: boolean; readonly tokenOnly: boolean }
  | undefined;

type Status = RpcResult<"debug.status">;

export type DebuggingOptions = Omit<DebugOptions, "port" | "tells"> & {
  /** As an earlier daemon had it that was killed. */
  readonly kept: KeptDebugging;
  keep(debugging: KeptDebugging): void;
  /** The stubs' time-outs are to be others. */
  onTimeouts(): Promise<void>;
};

/** Node's own, which editors know. */
const PORT = 9229;
/** Lambda's longest. */
const MAX_TIMEOUT_MS = 900_000;

export class Debugging implements AsyncDisposable {
  readonly #options: DebuggingOptions;
  #debug: Debug | undefined;
  #maxTimeout: boolean;
  #tokenOnly: boolean;
  /** One switch at a time. */
  #switching: Promise<unknown> = Promise.resolve();

  static async open(options: DebuggingOptions): Promise<Debugging> {
    const debugging = new Debugging(options);
    if (options.kept !== undefined) await debugging.#open(options.kept.port);
    return debugging;
  }

  private constructor(options: DebuggingOptions) {
    this.#options = options;
    this.#maxTimeout = options.kept?.maxTimeout ?? false;
    this.#tokenOnly = options.kept?.tokenOnly ?? false;
  }

  /** Whether deployed time-outs are raised. */
  get maxTimeout(): boolean {
    return this.#maxTimeout;
  }

  get status(): Status {
    if (this.#debug === undefined) return { state: "off" };
    const { workers, targets, ...status } = this.#debug.status;
    return {
      state: "on",
      ...status,
      workers: [...workers],
      targets: [...targets],
      maxTimeout: this.#maxTimeout,
      tokenOnly: this.#tokenOnly,
    };
  }

  attachedTo(functionName: string): ReturnType<Debug["attachedTo"]> {
    return this.#debug?.attachedTo(functionName);
  }

  /** @throws LivedevError where time-outs cannot be raised; debugging is on all the same. */
  on({
    port,
    maxTimeout = this.#maxTimeout,
    tokenOnly = this.#tokenOnly,
  }: RpcParams<"debug.on">): Promise<Status> {
    return this.#switch(async () => {
      this.#tokenOnly = tokenOnly;
      if (this.#debug === undefined || (port !== undefined && port !== this.#debug.port)) {
        await this.#close();
        await this.#open(port ?? PORT);
      }
      await this.#timeouts(maxTimeout);
    });
  }

  off(): Promise<Status> {
    return this.#switch(async () => {
      await this.#close();
      this.#tokenOnly = false;
      this.#options.keep(undefined);
      await this.#timeouts(false);
    });
  }

  /** The app as it is deployed meanwhile. */
  deployable(app: WantedApp): WantedApp {
    if (!this.#maxTimeout) return app;
    return { ...app, functions: app.functions.map((wanted) => ({ ...wanted, timeoutMs: MAX_TIMEOUT_MS })) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#switching;
    await this.#debug?.[Symbol.asyncDispose]();
    this.#debug = undefined;
  }

  async #switch(work: () => Promise<void>): Promise<Status> {
    const switched = this.#switching.then(work);
    this.#switching = switched.catch(() => undefined);
    await switched;
    return this.status;
  }

  async #open(port: number): Promise<void> {
    this.#debug = await Debug.open({ ...this.#options, port, tells: () => !this.#tokenOnly });
  }

  async #close(): Promise<void> {
    const debug = this.#debug;
    this.#debug = undefined;
    await debug?.[Symbol.asyncDispose]();
    if (debug !== undefined) this.#options.onAttached();
  }

  async #timeouts(max: boolean): Promise<void> {
    const changed = this.#maxTimeout !== max;
    this.#maxTimeout = max;
    if (this.#debug !== undefined) {
      this.#options.keep({ port: this.#debug.port, maxTimeout: max, tokenOnly: this.#tokenOnly });
    }
    if (changed) await this.#options.onTimeouts();
  }
}
