/**
 * The tunnel: one SSH connection to a bastion, both ways. This is the daemon's end of it; the connection itself lives in
 * a thread (thread.ts, carrier.ts).
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";

import type { WantedBastion } from "../../proto/app.ts";
import type { LivedevEvent } from "../../proto/events.ts";
import { LivedevError, tunnelDown, tunnelNotYet } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { PROGRAMS } from "../lib/programs.ts";
import { deferred, Scope, type Deferred } from "../lib/scope.ts";
import type { CarrierSettings, CarrierStatus, Kept, LinkedHost, Telling } from "./carrier.ts";
import type { WayIn } from "./inward.ts";
import { parseRanges } from "./ranges.ts";
import type { FromTunnel, ToTunnel } from "./thread.ts";

export type { CarrierStatus, Kept as KeptTunnel, LinkedHost } from "./carrier.ts";

export type TunnelEvent = Extract<
  LivedevEvent,
  { type: "tunnel.connected" | "tunnel.lost" | "tunnel.failed" | "tunnel.portTaken" }
>;

export type TunnelOptions = {
  /** For the hook's files; nobody else may enter it. */
  readonly folder: string;
  /** The hook's socket, beside the control socket. */
  readonly gate: string;
  readonly bridgePort: () => number;
  /** This daemon's, the same over restarts: whose ports of the bastion are whose. */
  readonly id: string;
  readonly kept: Kept;
  readonly keep: (kept: Kept) => void;
  readonly record: (event: TunnelEvent) => void;
  /** The way in has another address than before, or has come up, or gone. */
  readonly onWayIn: () => void;
  readonly onRefused: (reason: string) => void;
  readonly log: Log;
};

export type TunnelWanted = {
  readonly bastion: WantedBastion;
  readonly hosts: readonly LinkedHost[];
  /** By which the way in is tried. */
  readonly key: { readonly keyId: string; readonly key: Uint8Array };
};

const PATIENCE_MS = 20_000;

export class Tunnel implements AsyncDisposable {
  readonly #options: TunnelOptions;
  readonly #log: Log;
  readonly #scope = new Scope();
  readonly #asked = new Map<number, Deferred<CarrierStatus>>();
  #ids = 0;
  #thread: Worker | undefined;
  #wanted: TunnelWanted | undefined;
  #kept: Kept;
  #wayIn: WayIn | LivedevError | undefined;
  #down: { readonly since: number; readonly reason: string; readonly hint?: string } | undefined;
  /** Renewed with each change of what is known of the connection. */
  /** The file that Node programs load, as it was written last. */
  #hook: string | undefined;
  #changed: Deferred<void> = deferred();
  /** Settles when the ends of the last order stand: ports, the hook's socket. */
  #applied: Deferred<void> = deferred();

  static open(options: TunnelOptions): Promise<Tunnel> {
    return Promise.resolve(new Tunnel(options));
  }

  private constructor(options: TunnelOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#kept = options.kept;
    this.#scope.defer(() => this.#end());
  }

  get wanted(): boolean {
    return this.#wanted !== undefined;
  }

  /** Nobody comes in by it now; undefined where there is none, or it stands. */
  get down(): { readonly since: number; readonly reason: string; readonly hint?: string } | undefined {
    return this.#down;
  }

  /** Undefined: no bastion. Does nothing where all is as before. */
  apply(wanted: TunnelWanted | undefined): void {
    if (this.#scope.closed || JSON.stringify(wanted) === JSON.stringify(this.#wanted)) return;
    const began = this.#wanted === undefined;
    this.#wanted = wanted;
    if (wanted === undefined) {
      this.#down = undefined;
      this.#wayIn = undefined;
      this.#post({ is: "apply", settings: undefined });
      return;
    }
    if (began)
      this.#down = { since: Date.now(), reason: `the connection to ${wanted.bastion.host} is being made` };
    this.#order(wanted);
  }

  async status(): Promise<CarrierStatus | undefined> {
    if (this.#wanted === undefined || this.#thread === undefined) return undefined;
    this.#ids += 1;
    const answer = deferred<CarrierStatus>();
    this.#asked.set(this.#ids, answer);
    this.#post({ is: "status", id: this.#ids });
    return answer.promise;
  }

  /**
   * Where stubs reach us: as it was before, where the connection is not up yet. Waits for a first one.
   *
   * @throws LivedevError with the tunnel's own reason.
   */
  async wayIn(signal: AbortSignal): Promise<WayIn> {
    const until = performance.now() + PATIENCE_MS;
    for (;;) {
      if (this.#wayIn instanceof LivedevError) throw this.#wayIn;
      const known = this.#wayIn ?? this.#kept.wayIn;
      if (known !== undefined) return known;
      signal.throwIfAborted();
      const left = until - performance.now();
      if (left <= 0)
        throw this.#down === undefined ? tunnelNotYet() : tunnelDown(this.#down.reason, this.#down.hint);
      const late = deferred<void>();
      const timer = setTimeout(late.resolve, left);
      await Promise.race([this.#changed.promise, late.promise]);
      clearTimeout(timer);
    }
  }

  /** Resolves when the ports of the last `apply` are open, or named as taken. */
  async applied(): Promise<void> {
    if (this.#wanted !== undefined) await this.#applied.promise;
  }

  /** What a Node program loads first; it holds all that the hook must know. Undefined without a bastion. */
  hook(): string | undefined {
    const wanted = this.#wanted;
    if (wanted === undefined || wanted.bastion.ranges.length === 0) return undefined;
    const { folder, gate } = this.#options;
    const ranges = parseRanges(wanted.bastion.ranges).map(({ from, bits }) => [from, bits]);
    const settings = { gate, ranges, names: wanted.bastion.names.map((name) => name.toLowerCase()) };
    const program = `require(${JSON.stringify(PROGRAMS.tunnelPreload)}).install({ ...${JSON.stringify(settings)}, file: __filename });\n`;
    // Another name for other settings: who was started with the old ones is told apart by it, and may start more.
    const name = `hook-${createHash("sha256").update(program).digest("hex").slice(0, 12)}.cjs`;
    const file = join(folder, name);
    // Not again while it stands: a process that starts meanwhile would read half of it.
    if (this.#hook === file && existsSync(file)) return file;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(file, program, { mode: 0o600 });
    this.#hook = file;
    return file;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }

  #order({ bastion, hosts, key }: TunnelWanted): void {
    const { bridgePort, id, gate } = this.#options;
    const settings: CarrierSettings = {
      bastion,
      hosts,
      gate,
      inward: { bridgePort: bridgePort(), seed: seedOf(id), ...key },
      kept: this.#kept,
    };
    this.#applied = deferred();
    this.#post({ is: "apply", settings });
  }

  #post(message: ToTunnel): void {
    if (this.#thread === undefined && this.#wanted === undefined) return;
    this.#thread ??= this.#start();
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
    this.#thread.postMessage(message);
  }

  #start(): Worker {
    const thread = new Worker(PROGRAMS.tunnelThread, { execArgv: [], argv: [] });
    let cause: Error = new Error("the tunnel's thread ended");
    thread.on("message", (message: FromTunnel) => this.#take(message));
    thread.on("error", (error) => (cause = error));
    thread.on("exit", () => {
      if (this.#thread !== thread) return;
      this.#thread = undefined;
      for (const { reject } of this.#asked.values()) reject(cause);
      this.#asked.clear();
      if (this.#scope.closed || this.#wanted === undefined) return;
      this.#log.error({ err: cause }, "the tunnel's thread ended by a fault; another one begins");
      this.#order(this.#wanted);
    });
    return thread;
  }

  #take(message: FromTunnel): void {
    switch (message.is) {
      case "status":
        this.#asked.get(message.id)?.resolve(message.status);
        this.#asked.delete(message.id);
        break;
      case "applied":
        this.#applied.resolve();
        break;
      case "broken":
        this.#log.error({ reason: message.message }, "the tunnel's local ends could not be opened");
        this.#applied.resolve();
        break;
      case "closed":
        break;
      case "connected":
      case "lost":
      case "failed":
      case "taken":
      case "refused":
      case "kept":
        this.#told(message);
        break;
      default:
        message satisfies never;
    }
  }

  #told(telling: Telling): void {
    const { record, keep, onRefused, onWayIn } = this.#options;
    const host = this.#wanted?.bastion.host ?? "";
    switch (telling.is) {
      case "connected": {
        const { tookMs, cipher, native, wayIn, wayInProblem, last } = telling;
        this.#log.info(
          { host, cipher, last },
          native
            ? "the tunnel is up, with ssh2's compiled ciphers"
            : "the tunnel is up, with Node's ciphers: ssh2's compiled ones are not installed",
        );
        record({
          type: "tunnel.connected",
          host,
          tookMs: Math.round(tookMs),
          cipher,
          native,
          ...(wayIn !== undefined && { address: `${wayIn.address}:${wayIn.port}` }),
          ...(wayInProblem !== undefined && { problem: wayInProblem.message }),
        });
        this.#wayIn =
          wayIn ??
          (wayInProblem === undefined
            ? undefined
            : new LivedevError(wayInProblem.code, wayInProblem.message, wayInProblem.hint));
        this.#down =
          wayInProblem === undefined
            ? undefined
            : {
                since: this.#down?.since ?? Date.now(),
                reason: wayInProblem.message,
                ...(wayInProblem.hint !== undefined && { hint: wayInProblem.hint }),
              };
        if (wayInProblem !== undefined) this.#log.error({ code: wayInProblem.code }, wayInProblem.message);
        onWayIn();
        break;
      }
      case "lost":
        this.#log.warn({ host, reason: telling.reason }, "the tunnel was lost");
        record({ type: "tunnel.lost", host, reason: telling.reason });
        this.#down = { since: Date.now(), reason: telling.reason };
        break;
      case "failed": {
        const { code, message, hint } = telling.problem;
        this.#log.warn({ host, code, hint }, message);
        record({ type: "tunnel.failed", host, message, ...(hint !== undefined && { hint }) });
        this.#down = {
          since: this.#down?.since ?? Date.now(),
          reason: message,
          ...(hint !== undefined && { hint }),
        };
        break;
      }
      case "taken": {
        const { name, port, by } = telling;
        this.#log.warn({ name, port, by }, "a port of the tunnel is taken");
        record({ type: "tunnel.portTaken", name, port, by });
        break;
      }
      case "refused":
        onRefused(telling.reason);
        break;
      case "kept":
        this.#kept = telling.kept;
        keep(telling.kept);
        break;
      default:
        telling satisfies never;
    }
    const changed = this.#changed;
    this.#changed = deferred();
    changed.resolve();
  }

  async #end(): Promise<void> {
    const thread = this.#thread;
    if (thread === undefined) return;
    const closed = new Promise<void>((resolve) => {
      thread.on("message", (message: FromTunnel) => message.is === "closed" && resolve());
      thread.on("exit", () => resolve());
      setTimeout(resolve, 1_000).unref();
    });
    this.#post({ is: "close" });
    await closed;
    await thread.terminate();
  }
}

/** Developers of one bastion begin to look for a port at different places. */
const seedOf = (id: string) => createHash("sha256").update(id).digest().readUInt32BE();
