/**
 * What the daemon says of the whole system, as it stands now: asked for again whenever an event says that it changed,
 * but not more often than a person can see. Lives over restarts of the daemon.
 *
 *     connected ──lost──► away since ──the client reconnects──► connected, everything asked anew
 */
import type { LivedevEvent, RecordedEvent } from "../../proto/events.ts";
import type { DaemonStatus, ProcessStatus, RpcResult } from "../../proto/rpc.ts";
import type { LivedevClient } from "../client.ts";
import { LivedevError, messageOf } from "../errors.ts";
import { Deployment } from "./deployment.ts";

/** Everything that a view shows, and no line of output: those are read by the pane that shows them. */
export const EVENT_TYPES = [
  "daemon.*",
  "config.*",
  "build.*",
  "deploy.*",
  "stage.lost",
  "secret.changed",
  "tunnel.*",
  "process.started",
  "process.ready",
  "process.waiting",
  "process.exited",
  "invocation.received",
  "invocation.begun",
  "invocation.answered",
  "invocation.delivered",
  "invocation.undelivered",
] as const;

/** Of what was before we looked. */
export const BEFORE_US = ["deploy.*", "process.exited", "invocation.answered"] as const;

const REFRESH_MS = 100;
/** A deployment that finds nothing to do ends without an event. */
const DEPLOYING_MS = 300;
/** How many run is told by no event, and a thousand a second are no reason to ask a thousand times. */
const BUSY_MS = 400;

export type InvocationEvent = Extract<LivedevEvent, { type: `invocation.${string}` }>;

export type SystemOptions = {
  readonly client: LivedevClient;
  /** Something that is shown is another now. */
  readonly changed: () => void;
  readonly onInvocation: (event: InvocationEvent) => void;
  readonly onConfigLoaded: () => void;
  /** The history is another one, or the daemon is. */
  readonly onReset: () => void;
};

/** The last error of whom it may concern, with when it was. */
export type LastError = { readonly at: number; readonly text: string };

export class System {
  readonly client: LivedevClient;
  readonly deployment: Deployment;
  readonly #options: SystemOptions;
  readonly #waiters = new Set<() => void>();
  #status: DaemonStatus | undefined;
  #tunnel: RpcResult<"tunnel.status"> | undefined;
  #awaySince: number | undefined;
  #version = 0;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #refreshedAt = Number.NEGATIVE_INFINITY;
  #due = false;
  #asking = false;
  #closed = false;
  /** Of processes that crashed, by name. */
  readonly #crashes = new Map<string, LastError>();
  /** Of functions whose last invocation failed, by name. */
  readonly #failures = new Map<string, LastError>();

  constructor(options: SystemOptions) {
    this.#options = options;
    this.client = options.client;
    this.deployment = new Deployment();
  }

  /** Another number when anything of it is another. */
  get version(): number {
    return this.#version;
  }

  get status(): DaemonStatus | undefined {
    return this.#status;
  }

  get processes(): readonly ProcessStatus[] {
    return this.#status?.processes ?? [];
  }

  /** Undefined: the daemon is of a version that knows no tunnel. */
  get tunnel(): RpcResult<"tunnel.status"> | undefined {
    return this.#tunnel;
  }

  /** Since when nobody answers. */
  get awaySince(): number | undefined {
    return this.#awaySince;
  }

  crash(name: string): LastError | undefined {
    return this.#crashes.get(name);
  }

  /** Of the function whose invocation failed last, and has not done better since. */
  get failure(): (LastError & { readonly functionName: string }) | undefined {
    const [name, last] = [...this.#failures].reduce<readonly [string, LastError] | readonly []>(
      (latest, one) => (latest[1] === undefined || one[1].at >= latest[1].at ? one : latest),
      [],
    );
    return name === undefined || last === undefined ? undefined : { ...last, functionName: name };
  }

  take(events: readonly RecordedEvent[]): void {
    for (const { event, at } of events) this.#take(event, at);
    this.#changed();
  }

  connection(state: "connected" | "disconnected"): void {
    if (state === "disconnected") this.#awaySince ??= Date.now();
    else {
      this.#awaySince = undefined;
      this.#options.onReset();
      this.refresh();
      for (const waiter of [...this.#waiters]) waiter();
    }
    this.#changed();
  }

  /** Resolves at once where somebody answers. */
  connected(signal: AbortSignal): Promise<void> {
    if (this.#awaySince === undefined || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        this.#waiters.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#waiters.add(done);
      signal.addEventListener("abort", done);
    });
  }

  /** Soon; many wishes are one. */
  refresh(): void {
    this.#refreshIn(Math.max(0, this.#refreshedAt + REFRESH_MS - performance.now()));
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #changed(): void {
    this.#version += 1;
    this.#options.changed();
  }

  async #refresh(): Promise<void> {
    this.#timerAt = Number.POSITIVE_INFINITY;
    this.#due = this.#asking;
    if (this.#asking) return;
    this.#asking = true;
    this.#refreshedAt = performance.now();
    try {
      const [status, tunnel] = await Promise.all([
        this.client.call("daemon.status", {}),
        this.client.call("tunnel.status", {}).catch(() => undefined),
      ]);
      this.#tunnel = tunnel;
      this.#status = status;
      this.deployment.stands(status);
    } catch (error) {
      // Asked anew when it is back; anything else is said by the next event.
      if (!(error instanceof LivedevError)) throw error;
    } finally {
      this.#asking = false;
      this.#changed();
      if (this.#awaySince === undefined) {
        if (this.#due) this.refresh();
        else if (this.#status?.live.state === "deploying") this.#refreshIn(DEPLOYING_MS);
      }
    }
  }

  /** The soonest wish counts. */
  #refreshIn(ms: number): void {
    const at = performance.now() + ms;
    if (this.#closed || at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => void this.#refresh(), ms);
  }

  #take(event: LivedevEvent, at: number): void {
    this.deployment.take(event, at);
    switch (event.type) {
      case "process.exited":
        if (event.reason === "crashed") this.#crashes.set(event.processName, { at, text: event.how });
        this.refresh();
        break;
      case "invocation.begun":
        this.#options.onInvocation(event);
        this.#refreshIn(BUSY_MS);
        break;
      case "invocation.received":
      case "invocation.logged":
      case "invocation.delivered":
      case "invocation.undelivered":
        this.#options.onInvocation(event);
        break;
      case "invocation.answered": {
        const { errorType, errorMessage } = event;
        const text = [errorType, errorMessage].filter((part) => part !== undefined).join(": ");
        if (event.status === "ok") this.#failures.delete(event.functionName);
        else this.#failures.set(event.functionName, { at, text: text === "" ? "error" : text });
        this.#options.onInvocation(event);
        this.#refreshIn(BUSY_MS);
        break;
      }
      case "config.loaded":
        this.#options.onConfigLoaded();
        this.refresh();
        break;
      case "daemon.started":
      case "daemon.stopped":
      case "config.failed":
      case "build.finished":
      case "build.failed":
      case "deploy.started":
      case "deploy.stepped":
      case "deploy.finished":
      case "deploy.failed":
      case "stage.lost":
      case "secret.changed":
      case "process.started":
      case "process.ready":
      case "process.waiting":
      case "tunnel.connected":
      case "tunnel.lost":
      case "tunnel.failed":
      case "tunnel.portTaken":
        this.refresh();
        break;
      case "worker.started":
      case "worker.ready":
      case "worker.exited":
      case "function.logged":
      case "process.logged":
      case "sandbox.connected":
      case "sandbox.disconnected":
      default:
        // Not asked for; or a newer daemon's.
        break;
    }
  }
}

/** An error for a line of the screen: what was wrong, and what to do next. */
export function errorLine(error: unknown): string {
  if (!(error instanceof LivedevError)) return messageOf(error);
  return error.hint === undefined ? error.message : `${error.message} ${error.hint}`;
}
