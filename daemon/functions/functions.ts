/**
 * Every function of the app: its code, its workers. `apply` says which there are, `changed` that files were saved,
 * `run` carries one invocation to its answer.
 */
import type { Answer } from "../../proto/answer.ts";
import type { ResolvedFunction, WantedFunction } from "../../proto/app.ts";
import { tookSince } from "../lib/clock.ts";
import { functionsClosed, unknownFunction } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { Scope } from "../lib/scope.ts";
import { Leftovers } from "../runtime/leftovers.ts";
import { Processes } from "../runtime/processes.ts";
import { Builds } from "./builds.ts";
import { Bundler } from "./bundler.ts";
import { Code, type Finished } from "./code.ts";
import type { Debugger } from "./debugger.ts";
import { nodeMajor } from "./esbuild-options.ts";
import { Gate } from "./gate.ts";
import { LiveFunction, type Seat } from "./live-function.ts";
import { chooseNode } from "./node-binaries.ts";
import { Outputs } from "./outputs.ts";
import { Reach } from "./reach.ts";
import { Seats } from "./seats.ts";
import { Spares } from "./spares.ts";
import {
  DEFAULT_LIMITS,
  type Changes,
  type FunctionRequest,
  type FunctionState,
  type Limits,
  type RecordEvent,
} from "./types.ts";
import { ofTheMachine, type AppOf } from "./variables.ts";

export type { Changes, FunctionRequest, FunctionState } from "./types.ts";

export type FunctionsOptions = {
  readonly project: string;
  readonly outDir: string;
  /** Where workers are on record, for the daemon that comes after a killed one. */
  readonly leftoversDir: string;
  readonly record: RecordEvent;
  /** Told when the files that matter are others than before. */
  readonly onInputs?: () => void;
  /** Told why a worker's port refused a call that was not its worker's. */
  readonly onRefused?: (reason: string) => void;
  /** A debugger that is attached to the function now. */
  readonly debugger?: (functionName: string) => Debugger | undefined;
  readonly limits?: Partial<Limits>;
  /** The daemon's own environment; a few variables of it reach workers. */
  readonly machine?: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
};

export class Functions implements AsyncDisposable {
  readonly #options: FunctionsOptions;
  readonly #limits: Limits;
  readonly #machine: Readonly<Record<string, string | undefined>>;
  readonly #scope = new Scope();
  readonly #builds: Builds;
  readonly #gate: Gate;
  readonly #outputs: Outputs;
  readonly #reach = new Reach<LiveFunction>();
  readonly #seats: Seats<Seat>;
  readonly #spares: Spares;
  readonly #functions = new Map<string, LiveFunction>();
  /** Those that the config has no more, until what they ran has finished. */
  readonly #leaving = new Map<LiveFunction, Promise<void>>();
  /** The Node of each runtime, looked for anew at each `apply`. */
  readonly #nodes = new Map<string, string>();
  /** Runtimes whose Node was looked for in vain, told once. */
  readonly #told = new Set<string>();

  static async open(options: FunctionsOptions): Promise<Functions> {
    const processes = new Processes({ log: options.log });
    const leftovers = await Leftovers.open({
      folder: options.leftoversDir,
      endMarked: (marks) => processes.endMarked(marks),
      log: options.log,
    });
    return new Functions(options, leftovers, processes);
  }

  private constructor(options: FunctionsOptions, leftovers: Leftovers, processes: Processes) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#machine = options.machine ?? process.env;
    const { contexts, builds, backgroundBuilds, spares, contextIdleMs } = this.#limits;
    this.#builds = new Builds({ contexts });
    this.#gate = new Gate({ max: builds, background: backgroundBuilds });
    this.#outputs = new Outputs(options.outDir, options.log);
    this.#seats = new Seats(this.#limits.processes);
    this.#spares = new Spares({
      count: spares,
      cwd: options.project,
      env: ofTheMachine(this.#machine),
      leftovers,
      processes,
      onRefused: options.onRefused,
      log: options.log,
    });
    this.#scope.defer(() => processes.close());
    this.#scope.defer(() => this.#outputs.settled());
    this.#scope.defer(() => this.#builds.close());
    this.#scope.defer(() => this.#spares.close());
    this.#scope.defer(() => this.#closeAll());
    const tidy = setInterval(
      () => void this.#builds.closeUnusedSince(performance.now() - contextIdleMs).catch(() => {}),
      contextIdleMs / 2,
    );
    tidy.unref();
    this.#scope.defer(() => clearInterval(tidy));
  }

  /** Starts what is new, lets go of what is gone, leaves alone what is as before. */
  apply(wanted: readonly ResolvedFunction[], app: AppOf): void {
    if (this.#scope.closed) return;
    const names = new Set(wanted.map(({ name }) => name));
    this.#nodes.clear();
    for (const [name, live] of this.#functions) {
      if (names.has(name)) continue;
      this.#functions.delete(name);
      void this.#letGo(live);
    }
    for (const one of wanted) {
      const setting = { wanted: one, app, node: this.#node(one) };
      const live = this.#functions.get(one.name);
      if (live === undefined) this.#functions.set(one.name, this.#open(setting));
      else {
        const rebuild = buildSettings(live.wanted) !== buildSettings(one);
        live.apply(setting);
        if (rebuild) live.code.rebuildWith(this.#bundler(one), live.inUse);
      }
    }
    const nodes = new Set(wanted.map((one) => this.#node(one)));
    void this.#spares.keepOnly(nodes);
    for (const node of nodes) this.#spares.prepare(node);
    for (const live of this.#functions.values()) live.code.background();
    void this.#outputs.sweep([...names]);
  }

  /** A save reaches the functions whose last build read the file, and no other. */
  changed({ paths, overflow, at = performance.now() }: Changes): void {
    if (overflow) {
      for (const live of [...this.#functions.values(), ...this.#leaving.keys()]) {
        if (live.inUse) void live.code.check();
        else live.code.doubt();
      }
      return;
    }
    for (const live of this.#reach.owners(paths)) live.code.changed(at, live.inUse);
  }

  /**
   * The handler's answer, in whatever shape; a build error is one too. Rejects with the signal's reason, and with a
   * LivedevError for a name that the app does not have.
   */
  async run(request: FunctionRequest, signal: AbortSignal): Promise<Answer> {
    if (this.#scope.closed) throw functionsClosed();
    return this.#known(request.functionName).run(request, signal);
  }

  /** A debugger was attached, or went. */
  debuggerChanged(): void {
    for (const live of this.#functions.values()) live.debuggerChanged();
  }

  states(): FunctionState[] {
    return [...this.#functions.values()].map(({ state }) => state);
  }

  /** Files that the watcher must see, wherever they lie. */
  files(): string[] {
    return this.#reach.files();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }

  #known(name: string): LiveFunction {
    const live = this.#functions.get(name);
    if (live === undefined) throw unknownFunction(name, [...this.#functions.keys()]);
    return live;
  }

  #open(setting: { wanted: ResolvedFunction; app: AppOf; node: string }): LiveFunction {
    const { log, project, record } = this.#options;
    const code = new Code({
      bundler: this.#bundler(setting.wanted),
      gate: this.#gate,
      verifyAfterMs: this.#limits.verifyAfterMs,
      fingerprints: (paths) => this.#builds.fingerprints(paths),
      onInputs: (inputs) => {
        const paths = this.#reach.set(live, inputs);
        this.#options.onInputs?.();
        return paths;
      },
      onFinished: (finished) => {
        record(buildEvent(live.wanted.name, finished));
        live.built(finished);
      },
      log,
    });
    const live: LiveFunction = new LiveFunction(
      {
        project,
        code,
        seats: this.#seats,
        spares: this.#spares,
        limits: this.#limits,
        debugger: this.#options.debugger ?? (() => undefined),
        machine: this.#machine,
        record,
        log,
      },
      setting,
    );
    return live;
  }

  /** What it runs may finish; it hears of saves until then. */
  #letGo(live: LiveFunction): Promise<void> {
    const closed = live
      .close()
      .catch((error: unknown) => this.#options.log.error({ err: error }, "a function could not be closed"))
      .finally(() => {
        this.#reach.delete(live);
        this.#leaving.delete(live);
      });
    this.#leaving.set(live, closed);
    return closed;
  }

  async #closeAll(): Promise<void> {
    for (const live of [...this.#functions.values(), ...this.#leaving.keys()]) live.stop();
    const closing = [...this.#functions.values()].map((live) => this.#letGo(live));
    await Promise.all([...closing, ...this.#leaving.values()]);
  }

  #bundler(wanted: WantedFunction): Bundler {
    const { project } = this.#options;
    return new Bundler({ project, wanted, builds: this.#builds, outputs: this.#outputs });
  }

  #node({ runtime }: WantedFunction): string {
    const known = this.#nodes.get(runtime);
    const major = nodeMajor(runtime);
    if (known !== undefined || major === undefined) return known ?? process.execPath;
    const choice = chooseNode(major, this.#machine);
    this.#nodes.set(runtime, choice.path);
    if (!choice.exact && !this.#told.has(runtime)) {
      this.#told.add(runtime);
      this.#options.log.warn(
        { runtime },
        `No Node ${major} was found: functions of ${runtime} run under Node ${choice.major}. Install one with nvm, fnm, mise or volta, or set LIVEDEV_NODE_${major}.`,
      );
    }
    return choice.path;
  }
}

/** What another bundle would come of. */
function buildSettings({ handler, runtime, nodejs }: WantedFunction): string {
  return JSON.stringify([handler, runtime, nodejs]);
}

function buildEvent(functionName: string, { result, tookMs, savedAt }: Finished) {
  if (result.kind === "failed") {
    return { type: "build.failed", functionName, errors: result.errors } as const;
  }
  return {
    type: "build.finished",
    functionName,
    codeHash: result.bundle.hash,
    tookMs,
    ...(savedAt !== undefined && { sinceSaveMs: tookSince(savedAt) }),
    bytes: result.bundle.bytes,
  } as const;
}
