/**
 * The composition root: opens every part in order, wires it, closes in reverse. Start-up and config change are one
 * path, `#loadConfig`: the config is loaded and applied to each part; a broken one leaves the last good one serving.
 *
 *     socket answers ──► config loads ──► apply(wanted): functions, watch ──► where live: stubs put in place
 *                            ▲
 *                            └── a save of the config, of what it imports, or of a .env
 */
import { randomUUID } from "node:crypto";
import { chmod, mkdir, realpath, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { errorAnswer, type Answer } from "../proto/answer.ts";
import type { WantedApp } from "../proto/app.ts";
import { DAEMON_FILE, formatDaemonFile, STATE_FOLDER, type DaemonFile } from "../proto/discovery.ts";
import type { LivedevEvent } from "../proto/events.ts";
import type { DaemonStatus, FunctionStatus } from "../proto/rpc.ts";

import { Aws } from "./aws/aws.ts";
import { Bridge } from "./bridge/bridge.ts";
import { ensureCloud, type CloudAddress } from "./cloud/launch.ts";
import { Config, type ConfigResult } from "./config/config.ts";
import { resolveStage } from "./config/stage.ts";
import { loadStageKey, type StageKey } from "./credentials/stage-key.ts";
import { Deploy } from "./deploy/deploy.ts";
import { Functions, type FunctionRequest } from "./functions/functions.ts";
import { Invocations } from "./invocations/invocations.ts";
import { codeOf, daemonTaken, LivedevError, messageOf, notLive, unknownFunction } from "./lib/errors.ts";
import { Latest } from "./lib/latest.ts";
import { componentLog, type Log } from "./lib/log.ts";
import { PROGRAMS, VERSION } from "./lib/programs.ts";
import { deferred, Scope } from "./lib/scope.ts";
import { methods } from "./methods.ts";
import { Rpc } from "./rpc/rpc.ts";
import { controlSocket, processStartTime } from "./rpc/place.ts";
import { StateLock } from "./store/lock.ts";
import { Store } from "./store/store.ts";
import { Watch, type Batch } from "./watch/watch.ts";

export type DaemonOptions = { readonly project: string; readonly stage?: string; readonly log: Log };

/** Whether the stubs stand, and which. */
type Live =
  | { readonly state: "off" }
  | { readonly state: "deploying"; readonly step?: string }
  | { readonly state: "live"; readonly since: number }
  | { readonly state: "failed"; readonly message: string; readonly hint?: string };

/** Where the app is deployed to. */
type Home = { readonly key: string; readonly aws: Aws; readonly cloud: CloudAddress | undefined };

type Deployed = Readonly<Record<string, { readonly functionArn: string; readonly url?: string }>>;
export type DeployResult = {
  readonly steps: number;
  readonly tookMs: number;
  readonly urls: Readonly<Record<string, string>>;
};

const BRIDGE_HOST = "127.0.0.1";
/** How long running invocations may take to finish when the daemon was asked to end. */
const DRAIN_MS = 10_000;

export class Daemon {
  readonly project: string;
  readonly stage: string;
  readonly epoch = randomUUID();
  readonly startedAt = Date.now();
  readonly socket: string;

  readonly #log: Log;
  readonly #stateDir: string;
  readonly #scope: Scope;
  readonly #store: Store;
  readonly #key: StageKey;
  readonly #ended = deferred<void>();
  readonly #configured = deferred<void>();
  // Assigned by #openParts, before anything can reach them.
  #functions!: Functions;
  #invocations!: Invocations;
  #bridge!: Bridge;
  #config!: Config;
  #watch!: Watch;

  #app: WantedApp | undefined;
  #configState: DaemonStatus["config"] = { state: "loading" };
  #inputs: ReadonlySet<string> = new Set();
  #live: Live = { state: "off" };
  #wantLive: boolean;
  #deployed: Deployed;
  #home: Home | undefined;
  #stopping: AbortController | undefined;

  readonly #loading = new Latest(() => this.#loadConfig());
  readonly #deploying = new Latest(() => this.#putStubsInPlace());

  /** @throws LivedevError; with code DAEMON_TAKEN where another daemon holds the stage. */
  static async open(options: DaemonOptions): Promise<Daemon> {
    const scope = new Scope();
    try {
      const project = await realpath(options.project);
      const stage = await resolveStage({ project, explicit: options.stage });
      const stateDir = join(project, STATE_FOLDER, stage);
      await mkdir(stateDir, { recursive: true, mode: 0o700 });
      await chmod(stateDir, 0o700);

      const lock = StateLock.acquire(join(stateDir, "lock"));
      if (lock === undefined) throw daemonTaken(project, stage);
      scope.defer(() => lock.release());

      const store = scope.use(
        await Store.open({ file: join(stateDir, "history.db"), log: componentLog(options.log, "store") }),
      );
      const key = await loadStageKey(stateDir);
      const daemon = new Daemon({ ...options, project, stage, stateDir, scope, store, key });
      await daemon.#openParts();
      return daemon;
    } catch (error) {
      await scope.close();
      throw error;
    }
  }

  private constructor(
    options: DaemonOptions & { stage: string; stateDir: string; scope: Scope; store: Store; key: StageKey },
  ) {
    this.project = options.project;
    this.stage = options.stage;
    this.socket = controlSocket(options.project, options.stage);
    this.#log = options.log;
    this.#stateDir = options.stateDir;
    this.#scope = options.scope;
    this.#store = options.store;
    this.#key = options.key;
    this.#wantLive = options.store.get("live") === "yes";
    this.#deployed = JSON.parse(options.store.get("deployed") ?? "{}") as Deployed;
  }

  async #openParts(): Promise<void> {
    const store = this.#store;
    const record = (event: LivedevEvent) => store.record(event);
    const log = (component: string) => componentLog(this.#log, component);

    this.#functions = this.#scope.use(
      await Functions.open({
        project: this.project,
        outDir: join(this.#stateDir, "build"),
        record,
        log: log("functions"),
      }),
    );
    this.#invocations = this.#scope.use(
      await Invocations.open({
        store,
        run: (request, signal) => this.#run(request, signal),
        log: log("invocations"),
      }),
    );
    this.#bridge = this.#scope.use(await this.#openBridge(record));
    this.#config = this.#scope.use(
      await Config.open({
        project: this.project,
        stage: this.stage,
        outDir: join(this.#stateDir, "build"),
        log: log("config"),
        environment: process.env,
      }),
    );
    this.#watch = this.#scope.use(
      await Watch.open({ root: this.project, onBatch: (batch) => this.#changed(batch), log: log("watch") }),
    );
    this.#scope.use(
      await Rpc.open({
        socketPath: this.socket,
        methods: methods(this, { store, functions: this.#functions }),
        follow: (request, sink, signal) => store.follow(request, sink, signal),
        version: VERSION,
        log: log("rpc"),
      }),
    );
    await this.#announce();
    store.record({ type: "daemon.started", epoch: this.epoch, version: VERSION, pid: process.pid });
    void this.#loading.run();
  }
}
