/**
 * The connection to the bastion, kept up, and all that goes through it.
 *
 *              apply                        ready
 *     ┌─────┐ ──────► ┌────────────┐ ───────────────────► ┌────┐
 *     │ off │         │ connecting │                      │ up │
 *     └─────┘ ◄────── └────────────┘                      └────┘
 *        ▲    closed    │        ▲                           │
 *        │       failed │        │ time is up, or this       │ lost: the peer is silent,
 *        │              ▼        │ machine woke              │ or ended it
 *        │            ┌────────────┐                         │
 *        └─────────── │  waiting   │ ◄───────────────────────┘
 *           closed    └────────────┘
 *
 * `waiting` says whether its reason is lasting: who is refused by a key is not let in by asking twice a second. The
 * local ends (the hook's socket, fixed ports, SOCKS) stand in every state; who comes while the tunnel is on its way up
 * waits a little for it.
 */
import { statSync } from "node:fs";
import type { Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";

import type { WantedBastion } from "../../proto/app.ts";
import { Backoff } from "../lib/backoff.ts";
import { continuousMs } from "../lib/clock.ts";
import { LivedevError, messageOf } from "../lib/errors.ts";
import { deferred, Scope, type Deferred } from "../lib/scope.ts";
import { greetFarEnd, type FarEnd, type FarProcess } from "./far-end.ts";
import { Gate } from "./gate.ts";
import { filesOf, hopsTo } from "./hops.ts";
import { openWayIn, type InwardSettings, type WayIn } from "./inward.ts";
import { LocalPort, type Taken } from "./ports.ts";
import { parseRanges } from "./ranges.ts";
import { serveSocks } from "./socks.ts";
import { ChannelError, NATIVE, Ssh } from "./ssh.ts";
import { Traffic, type Counted } from "./traffic.ts";
import { WayOut } from "./way-out.ts";

/** A host behind the tunnel that has a port of its own here. */
export type LinkedHost = { readonly name: string; readonly host: string; readonly port: number };

export type CarrierSettings = {
  readonly bastion: WantedBastion;
  readonly inward: Omit<InwardSettings, "port" | "first" | "last" | "address">;
  readonly hosts: readonly LinkedHost[];
  readonly gate: string;
  readonly kept: Kept;
};

/** What the next daemon must know, so that nobody need be told of other ports. */
export type Kept = {
  readonly process?: FarProcess;
  readonly wayIn?: WayIn;
  readonly socks?: number;
  /** By the linked host's name. */
  readonly ports?: Readonly<Record<string, number>>;
};

export type Problem = { readonly code: string; readonly message: string; readonly hint?: string };

type State =
  | { readonly is: "off" }
  | { readonly is: "connecting"; readonly since: number; readonly last?: Problem }
  | {
      readonly is: "up";
      readonly since: number;
      readonly ssh: Ssh;
      readonly far: FarEnd;
      readonly wayIn: WayIn | Problem;
    }
  | {
      readonly is: "waiting";
      readonly since: number;
      readonly problem: Problem;
      readonly lasting: boolean;
      readonly retryAt: number;
    };

export type CarrierStatus = {
  readonly state: "off" | "connecting" | "up" | "waiting";
  readonly since: number;
  readonly problem?: Problem;
  readonly retryAt?: number;
  readonly cipher?: string;
  readonly native: boolean;
  readonly wayIn?: WayIn;
  readonly wayInProblem?: Problem;
  readonly held?: boolean;
  readonly connects: number;
  readonly inward: Counted;
  readonly outward: Counted;
  readonly ports: readonly {
    readonly name: string;
    readonly host: string;
    readonly port: number;
    readonly local: number;
    readonly takenBy?: string;
  }[];
  readonly socks?: { readonly port: number; readonly takenBy?: string };
};

export type Telling =
  | {
      readonly is: "connected";
      readonly tookMs: number;
      readonly cipher: string;
      readonly native: boolean;
      readonly wayIn?: WayIn;
      readonly wayInProblem?: Problem;
      readonly last?: FarEnd["last"];
    }
  | { readonly is: "lost"; readonly reason: string }
  | { readonly is: "failed"; readonly problem: Problem }
  | { readonly is: "taken"; readonly name: string; readonly port: number; readonly by: string }
  | { readonly is: "refused"; readonly reason: string }
  | { readonly is: "kept"; readonly kept: Kept };

const RETRY = { firstMs: 200, maxMs: 5_000 };
const LASTING_MS = 15_000;
/** While that lasts, how often it is looked whether somebody mended a file. */
const LOOK_MS = 1_000;
/** Once up for so long, a loss is a new story. */
const STOOD_MS = 10_000;
const TICK_MS = 500;
const SLEPT_MS = 2_000;
/** How long a connection waits for the tunnel to come back. */
const PATIENCE_MS = 15_000;
/** How often a way in that does not lead here is asked for anew, by a connection of its own: sshd reads its config then. */
const WAY_IN_AGAIN_MS = 15_000;
const SOCKS_PORT = 1080;

export class Carrier implements AsyncDisposable {
  readonly #tell: (telling: Telling) => void;
  readonly #scope = new Scope();
  readonly #inward = new Traffic();
  readonly #outward = new Traffic();
  readonly #out = new WayOut(() => this.#standing());
  readonly #ports = new Map<string, { readonly host: LinkedHost; readonly port: LocalPort }>();
  readonly #backoff = new Backoff(RETRY);
  #socks: LocalPort | undefined;
  #gate: { readonly path: string; readonly gate: Gate } | undefined;
  #settings: CarrierSettings | undefined;
  #kept: Kept = {};
  #state: State = { is: "off" };
  #connects = 0;
  #told = "";
  /** Of the loop that keeps the connection; another one begins with other settings. */
  #keeping: { readonly stop: AbortController; readonly over: Promise<void> } | undefined;
  #stands: Deferred<void> = deferred();
  #wake = new AbortController();
  #applying: Promise<void> = Promise.resolve();

  constructor(tell: (telling: Telling) => void) {
    this.#tell = tell;
    let tickedAt = continuousMs();
    const tick = setInterval(() => {
      const now = continuousMs();
      if (now - tickedAt > SLEPT_MS) this.#woke();
      tickedAt = now;
    }, TICK_MS);
    this.#scope.defer(() => clearInterval(tick));
    this.#scope.defer(() => this.#closeEnds());
    this.#scope.defer(() => this.#stopKeeping());
  }

  /** Undefined: no tunnel is wanted. One change after the other. */
  apply(settings: CarrierSettings | undefined): Promise<void> {
    this.#applying = this.#applying.then(() => (this.#scope.closed ? undefined : this.#apply(settings)));
    return this.#applying;
  }

  get status(): CarrierStatus {
    const state = this.#state;
    const ports = [...this.#ports.values()].map(({ host, port }) => ({
      ...host,
      local: port.port,
      ...(port.taken !== undefined && { takenBy: port.taken.by }),
    }));
    const socks = this.#socks;
    const common = {
      state: state.is,
      native: NATIVE,
      connects: this.#connects,
      inward: this.#inward.counted,
      outward: this.#outward.counted,
      ports,
      ...(socks !== undefined && {
        socks: { port: socks.port, ...(socks.taken !== undefined && { takenBy: socks.taken.by }) },
      }),
    };
    switch (state.is) {
      case "off":
        return { ...common, since: 0 };
      case "connecting":
        return { ...common, since: state.since, ...(state.last !== undefined && { problem: state.last }) };
      case "waiting":
        return { ...common, since: state.since, problem: state.problem, retryAt: state.retryAt };
      case "up": {
        const { since, ssh, far, wayIn } = state;
        const way = "port" in wayIn ? { wayIn } : { wayInProblem: wayIn };
        return { ...common, since, cipher: ssh.cipher, held: far.held, ...way };
      }
      default:
        return state satisfies never;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#applying;
    await this.#scope.close();
  }

  async #apply(settings: CarrierSettings | undefined): Promise<void> {
    const before = this.#settings;
    this.#settings = settings;
    if (settings === undefined) {
      await this.#stopKeeping();
      await this.#closeEnds();
      this.#state = { is: "off" };
      return;
    }
    if (before === undefined) this.#kept = settings.kept;
    this.#reach(settings);
    await this.#openEnds(settings);
    // Another key of the stage is no reason to connect anew: it counts from the next try of the way in.
    const connection = (one: CarrierSettings | undefined) =>
      JSON.stringify([one?.bastion, { ...one?.inward, key: "", keyId: "" }]);
    if (connection(before) === connection(settings)) return;
    await this.#stopKeeping();
    const stop = new AbortController();
    this.#keeping = { stop, over: this.#keep(settings, stop.signal) };
  }

  #reach({ bastion }: CarrierSettings): void {
    const { wayIn } = this.#kept;
    this.#out.apply(
      { ranges: parseRanges(bastion.ranges), names: bastion.names },
      wayIn === undefined ? [] : [{ host: wayIn.address, port: wayIn.port }],
    );
  }

  // ---- the connection

  async #keep(settings: CarrierSettings, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const last = this.#state.is === "waiting" ? { last: this.#state.problem } : {};
      this.#state = { is: "connecting", since: Date.now(), ...last };
      const connection = new Scope();
      try {
        const began = performance.now();
        const up = await this.#connect(settings, connection, signal);
        this.#state = { is: "up", since: Date.now(), ...up };
        this.#connects += 1;
        this.#told = "";
        this.#tell({
          is: "connected",
          tookMs: performance.now() - began,
          cipher: up.ssh.cipher,
          native: NATIVE,
          ...("port" in up.wayIn ? { wayIn: up.wayIn } : { wayInProblem: up.wayIn }),
          ...(up.far.last !== undefined && { last: up.far.last }),
        });
        this.#stands.resolve();
        const stoodSince = performance.now();
        const reason = await this.#untilLost(up, signal);
        if (performance.now() - stoodSince > STOOD_MS) this.#backoff.reset();
        this.#stands = deferred();
        if (reason !== undefined && !signal.aborted) {
          this.#tell({ is: "lost", reason });
          await this.#waits({ code: "tunnel.lost", message: reason }, false, signal);
        }
      } catch (error) {
        if (signal.aborted) break;
        const problem = problemOf(error);
        if (problem.message !== this.#told) this.#tell({ is: "failed", problem });
        this.#told = problem.message;
        await this.#waits(problem, LASTING.has(problem.code), signal);
      } finally {
        await connection.close().catch(() => {});
      }
    }
  }

  async #connect(
    settings: CarrierSettings,
    connection: Scope,
    signal: AbortSignal,
  ): Promise<Pick<Extract<State, { is: "up" }>, "ssh" | "far" | "wayIn">> {
    const { bastion } = settings;
    const ssh = connection.use(await Ssh.open(hopsTo(bastion), signal));
    const far = await greetFarEnd(ssh, this.#kept.process);
    if (far.process !== undefined) this.#keepIn({ process: far.process });
    const { address, first, last } = bastion.listen;
    const kept = this.#kept.wayIn;
    let wayIn: WayIn | Problem;
    try {
      const { inward } = this.#settings ?? settings;
      wayIn = await openWayIn(
        ssh,
        {
          ...inward,
          first,
          last,
          ...(address !== undefined && { address }),
          ...(kept !== undefined && { port: kept.port }),
        },
        far.address,
        this.#inward,
        signal,
      );
      this.#keepIn({ wayIn });
      this.#reach(settings);
    } catch (error) {
      signal.throwIfAborted();
      wayIn = problemOf(error);
    }
    return { ssh, far, wayIn };
  }

  /** Undefined: it stands, but the way in is to be tried anew, and nobody is held up by that. */
  async #untilLost(
    up: { ssh: Ssh; wayIn: WayIn | Problem },
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const over = new AbortController();
    const aborted = new Promise<string>((resolve) => {
      signal.addEventListener("abort", () => resolve("closed"), { once: true });
      if (signal.aborted) resolve("closed");
    });
    const again = async (): Promise<undefined> => {
      do await wait(WAY_IN_AGAIN_MS, undefined, { signal: over.signal });
      while (this.#outward.counted.open > 0);
    };
    const never = new Promise<undefined>(() => {});
    try {
      return await Promise.race([
        up.ssh.lost,
        aborted,
        "port" in up.wayIn ? never : again().catch(() => never),
      ]);
    } finally {
      over.abort();
    }
  }

  async #waits(problem: Problem, lasting: boolean, signal: AbortSignal): Promise<void> {
    const ms = lasting ? LASTING_MS : this.#backoff.next();
    this.#state = { is: "waiting", since: Date.now(), problem, lasting, retryAt: Date.now() + ms };
    this.#wake = new AbortController();
    const woken = AbortSignal.any([signal, this.#wake.signal]);
    const files = this.#files(lasting);
    const until = performance.now() + ms;
    // Whoever mends a key or the known hosts need not wait.
    while (!woken.aborted && performance.now() < until && this.#files(lasting) === files) {
      await wait(Math.min(LOOK_MS, until - performance.now()), undefined, { signal: woken }).catch(() => {});
    }
  }

  #files(lasting: boolean): string {
    const { bastion } = this.#settings ?? {};
    if (!lasting || bastion === undefined) return "";
    return filesOf(bastion)
      .map((file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0)
      .join(" ");
  }

  #woke(): void {
    this.#backoff.reset();
    this.#wake.abort();
  }

  async #stopKeeping(): Promise<void> {
    this.#keeping?.stop.abort(new Error("closed"));
    await this.#keeping?.over;
    this.#keeping = undefined;
  }

  /** The connection that stands, or the next one. @throws ChannelError */
  async #standing(): Promise<Ssh> {
    const until = performance.now() + PATIENCE_MS;
    for (;;) {
      const state = this.#state;
      if (state.is === "up") return state.ssh;
      const left = until - performance.now();
      if (state.is === "off" || left <= 0 || (state.is === "waiting" && state.lasting)) {
        const why = state.is === "waiting" ? state.problem.message : "it is not up";
        throw new ChannelError("EHOSTUNREACH", `the tunnel is down: ${why}`);
      }
      // A failure that lasts is told by a change of state, not by its end.
      await Promise.race([this.#stands.promise, wait(Math.min(left, TICK_MS), undefined, { ref: false })]);
    }
  }

  // ---- the local ends

  async #openEnds(settings: CarrierSettings): Promise<void> {
    if (this.#gate?.path !== settings.gate) {
      await this.#gate?.gate[Symbol.asyncDispose]();
      const gate = await Gate.open({
        socketPath: settings.gate,
        out: this.#out,
        traffic: this.#outward,
        onRefused: (reason) => this.#tell({ is: "refused", reason }),
      });
      this.#gate = { path: settings.gate, gate };
    }
    this.#socks ??= await this.#port(
      "SOCKS",
      this.#kept.socks,
      SOCKS_PORT,
      (socket) => void serveSocks(socket, this.#out, this.#outward),
    );
    this.#keepIn({ socks: this.#socks.port });
    for (const [name, { host, port }] of this.#ports) {
      const wanted = settings.hosts.find((one) => one.name === name);
      if (wanted?.host === host.host && wanted.port === host.port) continue;
      this.#ports.delete(name);
      await port[Symbol.asyncDispose]();
    }
    for (const host of settings.hosts) {
      if (this.#ports.has(host.name)) continue;
      const before = this.#kept.ports?.[host.name];
      const port = await this.#port(host.name, before, firstChoice(host.port), (socket) => {
        this.#out.dialName(host.host, host.port).then(
          (channel) => this.#outward.join(channel, socket),
          () => socket.resetAndDestroy(),
        );
      });
      this.#ports.set(host.name, { host, port });
      this.#keepIn({ ports: { ...this.#kept.ports, [host.name]: port.port } });
    }
  }

  #port(
    name: string,
    before: number | undefined,
    firstPort: number,
    connected: (socket: Socket) => void,
  ): Promise<LocalPort> {
    return LocalPort.open({
      port: before ?? firstPort,
      insist: before !== undefined,
      connected,
      onTaken: (port, { by }: Taken) => this.#tell({ is: "taken", name, port, by }),
      onRefused: (reason) => this.#tell({ is: "refused", reason }),
    });
  }

  async #closeEnds(): Promise<void> {
    const ports = [...this.#ports.values()].map(({ port }) => port);
    this.#ports.clear();
    const socks = this.#socks === undefined ? [] : [this.#socks];
    this.#socks = undefined;
    const gate = this.#gate === undefined ? [] : [this.#gate.gate];
    this.#gate = undefined;
    await Promise.all([...ports, ...socks, ...gate].map((end) => end[Symbol.asyncDispose]()));
  }

  #keepIn(more: Kept): void {
    const kept = { ...this.#kept, ...more };
    if (JSON.stringify(kept) === JSON.stringify(this.#kept)) return;
    this.#kept = kept;
    this.#tell({ is: "kept", kept });
  }
}

/** Near the port that it stands for, and none that a database of this machine would have. */
const firstChoice = (port: number) => (port < 50_000 ? port + 10_000 : 0);

/** Asking again does not help; a file that is mended, or another key there, does. */
const LASTING = new Set([
  "tunnel.hostKeyChanged",
  "tunnel.hostKeyRevoked",
  "tunnel.hostUnknown",
  "tunnel.authFailed",
  "tunnel.fileUnsafe",
  "tunnel.keyEncrypted",
  "tunnel.keyUnreadable",
  "tunnel.proxyLoop",
]);

function problemOf(error: unknown): Problem {
  if (error instanceof LivedevError) {
    const { code, message, hint } = error;
    return { code, message, ...(hint !== undefined && { hint }) };
  }
  return { code: "tunnel.failed", message: messageOf(error) };
}
