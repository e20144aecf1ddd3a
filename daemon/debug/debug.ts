/**
 * Debugging that survives a save: one port that stays, whatever processes come and go behind it.
 *
 *     a debugger attaches ──► onAttached: workers that cannot be debugged are replaced
 *     a worker starts ──────► adopt(): each debugger gets it before it has loaded its code
 *     it stops, it goes on ─► onPaused, onResumed: time stands still meanwhile
 */
import { createHmac } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";

import type { WebSocket } from "ws";

import { Backoff } from "../lib/backoff.ts";
import { codeOf, debuggerSilent, debugPortInUse, messageOf, waitsForDebugged } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { Scope } from "../lib/scope.ts";
import { Debuggee, type DebuggeeOptions, type Inspected } from "./debuggee.ts";
import { addressOf, Endpoint } from "./endpoint.ts";
import { RootSession } from "./root.ts";
import { TargetSession } from "./target.ts";

export type DebugOptions = DebuggeeOptions & {
  readonly port: number;
  /** Whether the port names its addresses to who asks it; they are in the status too. */
  readonly tells: () => boolean;
  /** What the targets' ids are made of, so that they are the same after a restart, and nobody guesses them. */
  readonly secret: Uint8Array;
  /** The functions that there are, and where their handlers lie. */
  readonly functions: () => readonly { readonly name: string; readonly url: string }[];
  /** Debuggers came, or went. */
  onAttached(): void;
  /** A function's developer should know. */
  say(functionName: string, text: string): void;
  readonly onRefused: (reason: string) => void;
  readonly workersPerFunction?: number;
  readonly patienceMs?: number;
  readonly log: Log;
};

export type DebugStatus = {
  readonly port: number;
  /** Why the port does not listen yet. */
  readonly waiting?: string;
  /** Of the root: whoever knows it may attach. */
  readonly websocketAddress: string;
  readonly targets: readonly { readonly functionName: string; readonly websocketAddress: string }[];
  readonly sessions: number;
  readonly workers: readonly {
    readonly functionName: string;
    readonly pid: number;
    readonly paused: boolean;
  }[];
};

/** What functions/ asks of it. */
export type Attached = {
  adopt(worker: Inspected): Promise<void>;
  readonly concurrency: number;
  readonly waits: string;
};

const WORKERS_PER_FUNCTION = 4;
/** How long a worker waits to be told that it may load its code. */
const PATIENCE_MS = 10_000;

export class Debug implements AsyncDisposable {
  readonly #options: DebugOptions;
  readonly #scope = new Scope();
  readonly #roots = new Set<RootSession>();
  readonly #targets = new Set<TargetSession>();
  readonly #debuggees = new Set<Debuggee>();
  #endpoint: Endpoint | undefined;
  #waiting: string | undefined = "not yet listening";

  /** It listens as soon as the port is free: `npx` under NODE_OPTIONS holds it until it ends. */
  static async open(options: DebugOptions): Promise<Debug> {
    const debug = new Debug(options);
    await debug.#tryToListen();
    if (debug.#endpoint === undefined) void debug.#listen();
    return debug;
  }

  private constructor(options: DebugOptions) {
    this.#options = options;
  }

  get port(): number {
    return this.#endpoint?.port ?? this.#options.port;
  }

  get status(): DebugStatus {
    return {
      port: this.port,
      ...(this.#waiting !== undefined && { waiting: this.#waiting }),
      websocketAddress: addressOf(this.port, this.#id("root")),
      targets: this.#options.functions().map(({ name }) => ({
        functionName: name,
        websocketAddress: addressOf(this.port, this.#targetId(name)),
      })),
      // One that says goodbye is none any more.
      sessions: [...this.#enabledRoots(), ...this.#targets].filter(({ open }) => open).length,
      workers: [...this.#debuggees].map(({ worker: { functionName, pid }, paused }) => ({
        functionName,
        pid,
        paused,
      })),
    };
  }

  /** Undefined while no debugger is attached to the function. */
  attachedTo(functionName: string): Attached | undefined {
    const target = this.#targetsOf(functionName).length > 0;
    if (!target && this.#enabledRoots().length === 0) return undefined;
    // A target is one process after another: two at once would be none of its.
    const concurrency = target ? 1 : (this.#options.workersPerFunction ?? WORKERS_PER_FUNCTION);
    return {
      concurrency,
      waits: waitsForDebugged(functionName, concurrency),
      adopt: (worker) => this.#adopt(worker),
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }

  async #listen(): Promise<void> {
    const backoff = new Backoff({ firstMs: 100, maxMs: 2_000 });
    const { signal } = this.#scope;
    while (this.#endpoint === undefined) {
      await wait(backoff.next(), undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      await this.#tryToListen();
    }
  }

  async #tryToListen(): Promise<void> {
    const { port, functions, tells, onRefused, log } = this.#options;
    try {
      const endpoint = await Endpoint.open({
        port,
        root: () => this.#id("root"),
        tells,
        targets: () => functions().map(({ name, url }) => ({ id: this.#targetId(name), title: name, url })),
        connect: (id, socket) => this.#connect(id, socket),
        onRefused,
        log,
      });
      if (this.#scope.closed) return await endpoint[Symbol.asyncDispose]();
      this.#endpoint = this.#scope.use(endpoint);
      this.#waiting = undefined;
    } catch (error) {
      const reason = codeOf(error) ?? messageOf(error);
      if (this.#waiting !== reason) log.warn(debugPortInUse(port, reason));
      this.#waiting = reason;
    }
  }

  #connect(id: string, socket: WebSocket): boolean {
    if (id === this.#id("root")) {
      const root = new RootSession(socket, () => {
        this.#options.onAttached();
        for (const debuggee of this.#debuggees) void root.attach(debuggee);
      });
      this.#roots.add(root);
      socket.once("close", () => this.#left(() => this.#roots.delete(root)));
      return true;
    }
    const found = this.#options.functions().find(({ name }) => this.#targetId(name) === id);
    if (found === undefined) return false;
    const target = new TargetSession(found.name, socket, (text) => this.#options.say(found.name, text));
    this.#targets.add(target);
    socket.once("close", () => this.#left(() => this.#targets.delete(target)));
    this.#options.onAttached();
    const newest = [...this.#debuggees].findLast(({ worker }) => worker.functionName === found.name);
    if (newest !== undefined) void target.attach(newest);
    return true;
  }

  #left(forget: () => void): void {
    forget();
    if (!this.#scope.closed) this.#options.onAttached();
  }

  async #adopt(worker: Inspected): Promise<void> {
    const { functionName } = worker;
    const debuggee = new Debuggee(worker, this.#options);
    this.#debuggees.add(debuggee);
    void worker.ended.then(() => this.#debuggees.delete(debuggee));
    const targets = this.#targetsOf(functionName);
    const ready = Promise.all([...this.#enabledRoots(), ...targets].map((front) => front.attach(debuggee)));
    const over = new AbortController();
    const patienceMs = this.#options.patienceMs ?? PATIENCE_MS;
    const late = wait(patienceMs, "late", { signal: over.signal, ref: false }).catch(() => undefined);
    const first = await Promise.race([ready, worker.ended, late]);
    over.abort();
    if (first !== "late") return;
    for (const target of targets) target.goesAlways();
    this.#options.say(functionName, debuggerSilent(functionName, patienceMs));
  }

  #enabledRoots(): RootSession[] {
    return [...this.#roots].filter(({ enabled }) => enabled);
  }

  #targetsOf(functionName: string): TargetSession[] {
    return [...this.#targets].filter((target) => target.functionName === functionName);
  }

  #targetId(functionName: string): string {
    return this.#id(`function ${functionName}`);
  }

  #id(what: string): string {
    return createHmac("sha256", this.#options.secret).update(what).digest("hex").slice(0, 32);
  }
}
