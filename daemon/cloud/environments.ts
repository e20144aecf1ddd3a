/**
 * The execution environments of all functions. An invocation takes an idle environment of its function's present
 * revision, else a new one, else its place in the function's queue. Bounded for each function and in all; where the
 * whole is full, an idle environment of another function makes room.
 *
 *                    ┌──────── invocation ◀───────┐
 *                    ▼                            │
 *   started ──▶    busy ──answered──▶ idle (frozen) ──idle too long, revision changed, room needed──▶ ended
 *                    └──timed out, died, revision changed──────────────────────────────────────────────┘
 */
import { AwsError, functionNotFound, tooManyRequests } from "./aws-error.ts";
import type { CodeStore } from "./code-store.ts";
import type { Log } from "../lib/log.ts";
import { deferred, Scope, type Deferred } from "../lib/scope.ts";
import type { Leftovers } from "../runtime/leftovers.ts";
import type { Invocation, Invoked } from "./lambda-invoke.ts";
import { Sandbox } from "./sandbox.ts";
import { openSession } from "./sessions.ts";
import type { StateFile } from "./state-file.ts";
import type { FunctionCode, LambdaFunction } from "./state.ts";

export type Limits = {
  readonly perFunction: number;
  readonly total: number;
  /** How long an idle environment is kept. */
  readonly idleMs: number;
  readonly initMs: number;
};

export type EnvironmentsOptions = {
  readonly leftovers: Leftovers;
  readonly states: StateFile;
  readonly codes: CodeStore;
  readonly endpoint: () => string;
  readonly limits: Limits;
  /** To a function's log. */
  write(functionName: string, line: string): void | Promise<void>;
  /** Told why an environment's port refused a call that was not of its process. */
  readonly onRefused: (reason: string) => void;
  readonly log: Log;
};

type Waiting = Deferred<Sandbox> & { readonly order: number; readonly bytes: number };

type Pool = {
  readonly arn: string;
  /** Most recently used last. */
  readonly idle: { readonly sandbox: Sandbox; readonly timer: NodeJS.Timeout }[];
  readonly busy: Set<Sandbox>;
  readonly waiting: Waiting[];
  /** Revisions of which a process is being started; their code is in use already. */
  readonly starting: Set<{ readonly code: FunctionCode }>;
  /** On their way out; they count until they are gone. */
  ending: number;
};

/** Events that wait are held in memory. */
const MAX_QUEUED_BYTES = 256 * 1024 * 1024;
/** AWS retires environments after some hours too; the credentials must outlive the longest invocation of the oldest. */
const MAX_AGE_MS = 6 * 3_600_000;
const SESSION_SECONDS = 12 * 3600;

export class Environments {
  readonly #options: EnvironmentsOptions;
  readonly #pools = new Map<string, Pool>();
  readonly #ends = new Set<Promise<void>>();
  readonly #scope = new Scope();
  #order = 0;
  #queuedBytes = 0;

  private constructor(options: EnvironmentsOptions) {
    this.#options = options;
    this.#scope.defer(() => this.#endAll());
  }

  static open(options: EnvironmentsOptions): Environments {
    return new Environments(options);
  }

  get count(): number {
    return this.#sum(sizeOf);
  }

  get queued(): number {
    return this.#sum(({ waiting }) => waiting.length);
  }

  status(arn: string): { starting: number; running: number; idle: number; queued: number } {
    const pool = this.#pools.get(arn);
    if (pool === undefined) return { starting: 0, running: 0, idle: 0, queued: 0 };
    const { starting, busy, idle, waiting } = pool;
    return { starting: starting.size, running: busy.size, idle: idle.length, queued: waiting.length };
  }

  /** What runs somewhere, so that it must stay on disk. */
  codes(): FunctionCode[] {
    return [...this.#pools.values()].flatMap(({ busy, idle, starting }) => [
      ...[...busy, ...idle.map(({ sandbox }) => sandbox)].map(({ lambda }) => lambda.code),
      ...[...starting].map(({ code }) => code),
    ]);
  }

  async invoke(lambda: LambdaFunction, invocation: Invocation): Promise<Invoked> {
    let sandbox = await this.#take(lambda.arn, invocation.event.length);
    if (!(await sandbox.initialised(this.#options.limits.initMs))) {
      // As Lambda: init is tried once more, now within the function's own timeout.
      sandbox = await this.#replace(sandbox);
    }
    return sandbox.run(invocation, (reusable) => this.#release(sandbox, reusable));
  }

  /** Functions have changed: idle environments of a revision that is no more are ended. */
  apply(): void {
    for (const pool of this.#pools.values()) {
      for (const { sandbox } of pool.idle.filter((entry) => this.#isStale(entry.sandbox))) {
        this.#removeIdle(pool, sandbox);
        this.#end(pool, sandbox);
      }
    }
    this.#pump();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }

  #take(arn: string, bytes: number): Promise<Sandbox> {
    if (this.#scope.closed) throw stopping();
    if (this.#queuedBytes + bytes > MAX_QUEUED_BYTES) throw tooManyRequests();
    const pool = this.#pools.get(arn) ?? newPool(arn);
    this.#pools.set(arn, pool);
    const waiting = { ...deferred<Sandbox>(), order: (this.#order += 1), bytes };
    pool.waiting.push(waiting);
    this.#queuedBytes += bytes;
    this.#pump();
    return waiting.promise;
  }

  /** Gives environments to those who wait, the longest first, as far as the limits allow. */
  #pump(): void {
    if (this.#scope.closed) return;
    const pools = [...this.#pools.values()].filter(({ waiting }) => waiting.length > 0);
    pools.sort((a, b) => (a.waiting[0]?.order ?? 0) - (b.waiting[0]?.order ?? 0));
    for (const pool of pools) {
      const lambda = this.#options.states.state.functions[pool.arn];
      if (lambda === undefined) this.#rejectWaiting(pool, functionNotFound(pool.arn));
      else while (pool.waiting.length > 0 && this.#serve(pool, lambda));
    }
    for (const [arn, pool] of this.#pools) {
      if (sizeOf(pool) === 0 && pool.waiting.length === 0) this.#pools.delete(arn);
    }
  }

  #serve(pool: Pool, lambda: LambdaFunction): boolean {
    const { limits } = this.#options;
    const idle = pool.idle.at(-1);
    if (idle !== undefined) {
      this.#removeIdle(pool, idle.sandbox);
      if (this.#isStale(idle.sandbox)) {
        this.#end(pool, idle.sandbox);
      } else {
        pool.busy.add(idle.sandbox);
        this.#next(pool)?.resolve(idle.sandbox);
      }
      return true;
    }
    if (sizeOf(pool) >= limits.perFunction) return false;
    if (this.count >= limits.total) {
      this.#makeRoom();
      return false;
    }
    const waiting = this.#next(pool);
    this.#start(pool, lambda).then(
      (sandbox) => {
        if (this.#scope.closed) this.#release(sandbox, false);
        waiting?.resolve(sandbox);
      },
      (error: unknown) => waiting?.reject(error),
    );
    return true;
  }

  /** A new environment, busy from the start. */
  async #start(pool: Pool, lambda: LambdaFunction): Promise<Sandbox> {
    const starting = { code: lambda.code };
    pool.starting.add(starting);
    try {
      const sandbox = await this.#open(lambda);
      pool.starting.delete(starting);
      pool.busy.add(sandbox);
      return sandbox;
    } catch (error) {
      pool.starting.delete(starting);
      this.#pump();
      throw error;
    }
  }

  async #open(lambda: LambdaFunction): Promise<Sandbox> {
    const { states, codes, leftovers, endpoint, log } = this.#options;
    const role = Object.values(states.state.roles).find(({ arn }) => arn === lambda.configuration.role);
    if (role === undefined) {
      throw new AwsError(
        403,
        "AccessDeniedException",
        `The role defined for the function cannot be assumed by Lambda: ${lambda.configuration.role}`,
      );
    }
    const sandbox = await Sandbox.open({
      lambda,
      taskRoot: codes.taskRoot(lambda.code),
      leftovers,
      session: openSession(states.state, role, lambda.name, SESSION_SECONDS),
      endpoint: endpoint(),
      write: (line) => this.#options.write(lambda.name, line),
      onRefused: this.#options.onRefused,
      log,
    });
    sandbox.onExit(() => this.#exited(sandbox));
    return sandbox;
  }

  async #replace(sandbox: Sandbox): Promise<Sandbox> {
    const pool = this.#poolOf(sandbox);
    const lambda = this.#options.states.state.functions[sandbox.lambda.arn] ?? sandbox.lambda;
    pool.busy.delete(sandbox);
    this.#end(pool, sandbox);
    return this.#start(pool, lambda);
  }

  #release(sandbox: Sandbox, reusable: boolean): void {
    const pool = this.#poolOf(sandbox);
    pool.busy.delete(sandbox);
    const old = performance.now() - sandbox.bornAt > MAX_AGE_MS;
    if (!reusable || old || this.#scope.closed || this.#isStale(sandbox)) {
      this.#end(pool, sandbox);
    } else {
      sandbox.freeze();
      const timer = setTimeout(() => {
        this.#removeIdle(pool, sandbox);
        this.#end(pool, sandbox);
      }, this.#options.limits.idleMs);
      pool.idle.push({ sandbox, timer });
    }
    this.#pump();
  }

  /** By itself, between invocations. In an invocation its answer tells. */
  #exited(sandbox: Sandbox): void {
    const pool = this.#poolOf(sandbox);
    if (this.#removeIdle(pool, sandbox)) this.#end(pool, sandbox);
  }

  /** The one that has been idle longest, unless enough are on their way out already. */
  #makeRoom(): void {
    const { perFunction } = this.#options.limits;
    // Who waits for its function's own bound is not helped by another's end.
    const wanted = this.#sum((pool) =>
      Math.min(pool.waiting.length, Math.max(0, perFunction - sizeOf(pool))),
    );
    if (this.#sum(({ ending }) => ending) >= wanted) return;
    const idle = [...this.#pools.values()].flatMap((pool) => {
      const [oldest] = pool.idle;
      return oldest === undefined ? [] : [{ pool, sandbox: oldest.sandbox }];
    });
    const [victim] = idle.sort((a, b) => a.sandbox.bornAt - b.sandbox.bornAt);
    if (victim === undefined) return;
    this.#removeIdle(victim.pool, victim.sandbox);
    this.#end(victim.pool, victim.sandbox);
  }

  #end(pool: Pool, sandbox: Sandbox): void {
    pool.ending += 1;
    const end = sandbox[Symbol.asyncDispose]()
      .catch((error: unknown) =>
        this.#options.log.error({ err: error }, "an environment did not end cleanly"),
      )
      .then(() => {
        pool.ending -= 1;
        this.#ends.delete(end);
        this.#pump();
      });
    this.#ends.add(end);
  }

  async #endAll(): Promise<void> {
    for (const pool of this.#pools.values()) {
      this.#rejectWaiting(pool, stopping());
      const sandboxes = [...pool.busy, ...pool.idle.map(({ sandbox }) => sandbox)];
      for (const sandbox of sandboxes) {
        this.#removeIdle(pool, sandbox);
        // A busy one's invocation is answered by its exit, and releases it.
        if (pool.busy.has(sandbox)) void sandbox[Symbol.asyncDispose]();
        else this.#end(pool, sandbox);
      }
    }
    while (this.#sum(({ starting, busy, ending }) => starting.size + busy.size + ending) > 0) {
      await Promise.all([...this.#ends, new Promise((resolve) => setTimeout(resolve, 10))]);
    }
  }

  #removeIdle(pool: Pool, sandbox: Sandbox): boolean {
    const at = pool.idle.findIndex((entry) => entry.sandbox === sandbox);
    if (at < 0) return false;
    const [removed] = pool.idle.splice(at, 1);
    clearTimeout(removed?.timer);
    return true;
  }

  #next(pool: Pool): Waiting | undefined {
    const waiting = pool.waiting.shift();
    this.#queuedBytes -= waiting?.bytes ?? 0;
    return waiting;
  }

  #rejectWaiting(pool: Pool, error: AwsError): void {
    for (let waiting = this.#next(pool); waiting !== undefined; waiting = this.#next(pool))
      waiting.reject(error);
  }

  /** A pool whose last environment is gone is forgotten, so that this may make it again. */
  #poolOf(sandbox: Sandbox): Pool {
    const { arn } = sandbox.lambda;
    const pool = this.#pools.get(arn) ?? newPool(arn);
    this.#pools.set(arn, pool);
    return pool;
  }

  #isStale(sandbox: Sandbox): boolean {
    const lambda = this.#options.states.state.functions[sandbox.lambda.arn];
    return sandbox.exited || lambda?.revisionId !== sandbox.lambda.revisionId;
  }

  #sum(count: (pool: Pool) => number): number {
    let sum = 0;
    for (const pool of this.#pools.values()) sum += count(pool);
    return sum;
  }
}

function newPool(arn: string): Pool {
  return { arn, idle: [], busy: new Set(), waiting: [], starting: new Set(), ending: 0 };
}

function sizeOf({ idle, busy, starting, ending }: Pool): number {
  return idle.length + busy.size + starting.size + ending;
}

const stopping = () => new AwsError(503, "ServiceUnavailableException", "The local cloud is stopping.");
