/**
 * The composition root: opens every part in order, wires it, closes in reverse. Start-up and config change are one
 * path, `#reconfigure`: the config is loaded and applied to each part; a broken one leaves the last good one serving.
 *
 *     socket answers ──► config loads ──► apply(wanted): functions, watch ──► where live: stubs put in place
 *                            ▲
 *                            └── a save of the config, of what it imports, or of a .env
 */
import { randomUUID } from "node:crypto";
import { realpath } from "node:fs/promises";
import { hostname, userInfo } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { setTimeout as wait } from "node:timers/promises";

import type { WantedApp, WantedFunction, WantedLink } from "../proto/app.ts";
import { STATE_FOLDER } from "../proto/discovery.ts";
import type { LivedevEvent } from "../proto/events.ts";
import { isKnock } from "../proto/knock.ts";
import { SEALED } from "../proto/redact.ts";
import type { DaemonStatus, FunctionStatus, RpcResult } from "../proto/rpc.ts";

import { Announcement } from "./announcement.ts";
import { Bridge } from "./bridge/bridge.ts";
import { Config, type ConfigResult } from "./config/config.ts";
import { Credentials, type Variables } from "./credentials/credentials.ts";
import { CredentialsEndpoint } from "./credentials/endpoint.ts";
import { answerToKnock, makeKnock } from "./credentials/knock.ts";
import { loadLocalKey, type LocalKey } from "./credentials/local-key.ts";
import { LocalSecrets } from "./credentials/local-secrets.ts";
import type { SecretStore } from "./credentials/secrets.ts";
import { StageKeys } from "./credentials/stage-key.ts";
import { Debugging, type KeptDebugging } from "./debugging.ts";
import { Functions } from "./functions/functions.ts";
import { writeEnvTypes } from "./env-types.ts";
import {
  Home,
  isLocal,
  type DeployResult,
  type Place,
  type Planned,
  type StageState,
  type Standing,
} from "./home.ts";
import { Invocations, type Run } from "./invocations/invocations.ts";
import {
  LivedevError,
  codeOf,
  configBroken,
  daemonTaken,
  messageOf,
  neverConfigured,
  noWayForStubs,
  notConfigured,
  notOneProcess,
  secretsMissing,
  stageMoved,
  stageProtected,
  stageProtectedFromStubs,
  stubMissing,
  unknownFunction,
} from "./lib/errors.ts";
import { untilAborted } from "./lib/abort.ts";
import { fileGone } from "./lib/file-gone.ts";
import { fingerprints, type Fingerprints } from "./lib/fingerprints.ts";
import { Latest } from "./lib/latest.ts";
import { componentLog, type Log } from "./lib/log.ts";
import { processIdentity } from "./lib/process-identity.ts";
import { VERSION } from "./lib/programs.ts";
import { Refusals, type Refused } from "./lib/refusals.ts";
import { deferred, Scope } from "./lib/scope.ts";
import { urlsOf } from "./known.ts";
import { linked, lookupOf, type Lookup } from "./links.ts";
import { methods } from "./methods.ts";
import { Processes } from "./processes/processes.ts";
import { controlSocket, registryEntry } from "./rpc/place.ts";
import { Rpc } from "./rpc/rpc.ts";
import { prepareSocket } from "./rpc/socket.ts";
import { StateLock } from "./store/lock.ts";
import { Settings } from "./store/settings.ts";
import {
  asDeveloper,
  asFunction,
  asProcess,
  redacted,
  type RunEnvironment,
  type RunPlace,
} from "./run-environment.ts";
import { runnable } from "./runnable.ts";
import { openStateFolder } from "./state-folder.ts";
import { StageSecrets, type SecretChange, type SecretValues } from "./stage-secrets.ts";
import { Store } from "./store/store.ts";
import { linkedHosts, servers } from "./linked-hosts.ts";
import { nodeOptionsFor, throughTunnel } from "./tunnel-environment.ts";
import { tunnelStatus } from "./tunnel-status.ts";
import { Tunnel, type KeptTunnel } from "./tunnel/tunnel.ts";
import { Watch, type Batch } from "./watch/watch.ts";

export type DaemonOptions = { readonly project: string; readonly stage?: string; readonly log: Log };

type Deployed = Readonly<Record<string, Standing>>;

/** What outlives the daemon, beside history. */
type Kept = {
  /** Of the last good config: asked before this daemon has loaded one. */
  readonly app: string;
  readonly home: WantedApp["home"];
  readonly retryable: readonly string[];
  /** Stubs have it in their settings. */
  readonly bridgePort: number;
  /** Whoever was told of its ports asks there again. */
  readonly tunnel: KeptTunnel;
  /** Programs that an earlier daemon gave it to still ask there. */
  readonly credentialsPort: number;
  /** Whether the stage went live and was not stopped: a daemon that was killed goes on where it was. */
  readonly live: boolean;
  readonly deployed: Deployed;
  /** By reference: what else of the stage's components is known. */
  readonly outputs: Readonly<Record<string, unknown>>;
  /** By name: where each frontend or service answered last. */
  readonly urls: Readonly<Record<string, string>>;
  /** Whether debuggers may attach, and where: also after a kill. */
  readonly debugging: KeptDebugging;
  /** Of the last good config: the stage can be removed when none loads any more. */
  readonly removable: Removable;
  /** Where the last deployment stands, and where else a person was told that it would be left behind. */
  readonly standsAt: Place | null;
  readonly movesTo: string;
};

type Removable = Place & Pick<WantedApp, "protect" | "removal">;

export type WentLive = {
  readonly steps: number;
  readonly tookMs: number;
  readonly urls: Readonly<Record<string, string>>;
};

const BRIDGE_HOST = "127.0.0.1";
const REGAIN_MS = 10_000;
const CONFIG_WAIT_MS = 1_000;
/** How long running invocations may take to finish when the daemon was asked to end. */
const DRAIN_MS = 10_000;
const LOCK_FILE = "lock";
/** How long a client's own event waits for credentials that AWS is asked for. */
const CREDENTIALS_WAIT_MS = 5_000;
/** Beside the stages, of which none begins so. */
const SECRETS_FOLDER = "_secrets";
/** How long an event waits for secrets that are being read from AWS. */
const SECRETS_WAIT_MS = 5_000;
/** And how long where the project or the daemon's state was deleted. */
const GONE_DRAIN_MS = 3_000;

export class Daemon {
  readonly project: string;
  readonly stage: string;
  readonly epoch = randomUUID();
  readonly startedAt = Date.now();
  readonly socket: string;
  readonly store: Store;

  readonly #log: Log;
  readonly #stateDir: string;
  readonly #scope: Scope;
  readonly #localKey: LocalKey;
  readonly #kept: Settings<Kept>;
  readonly #credentials = new Credentials();
  readonly #secrets = new StageSecrets({
    store: () => this.#secretStore(),
    changed: (by) => this.#secretsChanged(by),
  });
  readonly #ended = deferred<void>();
  /** Settles with the first load of the config, good or bad. */
  readonly #configured = deferred<void>();
  // Assigned by #openParts, before anything can reach them.
  #keys!: StageKeys;
  #functions!: Functions;
  #invocations!: Invocations;
  #processes!: Processes;
  #bridge!: Bridge;
  #tunnel!: Tunnel;
  #debugging!: Debugging;
  #config!: Config;
  #watch!: Watch;

  #app: WantedApp | undefined;
  #configState: DaemonStatus["config"] = { state: "loading" };
  /** The failure that was told, and what the files looked like that it comes of. */
  #configTold: string | undefined;
  #inputs: ReadonlySet<string> = new Set();
  #live: DaemonStatus["live"] = { state: "off" };
  #wantLive: boolean;
  #deployed: Deployed;
  #outputs: Readonly<Record<string, unknown>>;
  /** Where stubs reach us, where that is not the bridge's own address. */
  #address: string | undefined;
  #releaseConfig!: Config;
  #home: Home | undefined;
  #opening: Promise<Home> | undefined;
  #stopping: AbortController | undefined;
  /** Somebody asked for the next run of the deployment, and said this. */
  #byHand: { readonly replaceCode: boolean } | undefined;
  #rewatching = false;
  #followingSecrets = false;
  #endpoint: Promise<CredentialsEndpoint> | undefined;
  /** Frontends and services are wanted, and the stage was live: their links lead somewhere. */
  #processesRun = false;
  #processesWanted = false;
  #drainMs = DRAIN_MS;

  /** As the last good config had it: stubs of a killed daemon come back before this one has loaded any. */
  #retryable: ReadonlySet<string>;

  /** Told apart, so that a load that a save overtook is not taken for the newest. */
  #configChanges = 0;
  readonly #configuring = new Latest(() => this.#reconfigure());
  readonly #refusals = new Refusals();
  readonly #deploying = new Latest(() => this.#putStubsInPlace());

  /** @throws LivedevError; with code DAEMON_TAKEN where another daemon holds the stage. */
  static async open(options: DaemonOptions): Promise<Daemon> {
    const scope = new Scope();
    try {
      const project = await realpath(options.project);
      const { stage, stateDir } = await openStateFolder(project, options.stage);

      const lock = StateLock.acquire(join(stateDir, LOCK_FILE));
      if (lock === undefined) throw daemonTaken(project, stage);
      scope.defer(() => lock.release());

      const store = scope.use(
        await Store.open({ file: join(stateDir, "history.db"), log: componentLog(options.log, "store") }),
      );
      const localKey = await loadLocalKey(stateDir);
      const daemon = new Daemon({ ...options, project, stage, stateDir, scope, store, localKey });
      await daemon.#openParts();
      return daemon;
    } catch (error) {
      await scope.close();
      throw error;
    }
  }

  private constructor(
    options: DaemonOptions & {
      stage: string;
      stateDir: string;
      scope: Scope;
      store: Store;
      localKey: LocalKey;
    },
  ) {
    this.project = options.project;
    this.stage = options.stage;
    this.socket = controlSocket(options.project, options.stage);
    this.store = options.store;
    this.#log = options.log;
    this.#stateDir = options.stateDir;
    this.#scope = options.scope;
    this.#localKey = options.localKey;
    this.#kept = Settings.open({ file: join(options.stateDir, "state.json"), log: options.log });
    this.#wantLive = this.#kept.get("live") ?? false;
    this.#processesWanted = this.#wantLive;
    this.#deployed = this.#kept.get("deployed") ?? {};
    this.#outputs = this.#kept.get("outputs") ?? {};
    this.#retryable = new Set(this.#kept.get("retryable"));
  }

  async #openParts(): Promise<void> {
    const { store } = this;
    const record = (event: LivedevEvent) => store.record(event);
    const log = (component: string) => componentLog(this.#log, component);

    this.#keys = this.#scope.use(
      await StageKeys.open({ dir: this.#stateDir, onExpired: () => this.#bridge?.keysChanged() }),
    );
    this.#functions = this.#scope.use(
      await Functions.open({
        project: this.project,
        // Of its own: what it does not know there it takes for what an earlier daemon left, and removes.
        outDir: join(this.#stateDir, "build", "functions"),
        leftoversDir: join(this.#stateDir, "workers"),
        record,
        onInputs: () => this.#inputsChanged(),
        onRefused: this.#refusals.at("a worker's Runtime API"),
        debugger: (name) => this.#debugging?.attachedTo(name),
        log: log("functions"),
      }),
    );
    this.#invocations = this.#scope.use(
      await Invocations.open({
        store,
        run: (request, signal) => this.#run(request, signal),
        retryable: (name) => this.#retryable.has(name),
        timeoutMs: (name) => this.#wanted(name)?.timeoutMs,
        log: log("invocations"),
      }),
    );
    this.#processes = this.#scope.use(
      await Processes.open({
        project: this.project,
        leftoversDir: join(this.#stateDir, "processes"),
        urls: this.#kept.get("urls") ?? {},
        record,
        onUrls: (urls) => {
          this.#kept.keep({ urls });
          this.#applyFunctions();
          this.#applyProcesses();
        },
        machine: process.env,
        log: log("processes"),
      }),
    );
    this.#debugging = this.#scope.use(
      await Debugging.open({
        secret: this.#localKey.key,
        kept: this.#kept.get("debugging"),
        keep: (debugging) => this.#kept.keep({ debugging }),
        functions: () => this.#debuggable(),
        onAttached: () => this.#functions.debuggerChanged(),
        onPaused: ({ requestId }) => this.#invocations.hold(requestId),
        onResumed: ({ requestId }) => this.#invocations.goOn(requestId),
        say: (functionName, text) =>
          void store.record({ type: "function.logged", functionName, stream: "stderr", text }),
        onTimeouts: () => this.#timeoutsChanged(),
        onRefused: this.#refusals.at("the inspector"),
        log: log("debug"),
      }),
    );
    this.#bridge = this.#scope.use(await this.#openBridge(record));
    this.#tunnel = this.#scope.use(
      await Tunnel.open({
        folder: join(this.#stateDir, "tunnel"),
        gate: gateSocket(this.socket),
        bridgePort: () => Number(new URL(this.#bridge.address).port),
        id: this.#localKey.id,
        kept: this.#kept.get("tunnel") ?? {},
        keep: (tunnel) => this.#kept.keep({ tunnel }),
        record,
        onWayIn: () => this.#wayInChanged(),
        onRefused: this.#refusals.at("the tunnel's local ports"),
        log: log("tunnel"),
      }),
    );
    this.#config = this.#scope.use(
      await Config.open({
        project: this.project,
        stage: this.stage,
        outDir: join(this.#stateDir, "build"),
        log: log("config"),
        environment: process.env,
      }),
    );
    this.#releaseConfig = this.#scope.use(
      await Config.open({
        project: this.project,
        stage: this.stage,
        outDir: join(this.#stateDir, "build", "release"),
        log: log("config"),
        environment: process.env,
        dev: false,
      }),
    );
    this.#watch = this.#scope.use(
      await Watch.open({
        root: this.project,
        onBatch: (batch) => this.#changed(batch),
        onGone: () => this.#gone("the project's folder is gone"),
        log: log("watch"),
      }),
    );
    this.#scope.defer(async () => {
      const home = await this.#opening?.catch(() => undefined);
      await home?.[Symbol.asyncDispose]();
    });
    // Who was given it by a daemon before this one asks there from the start.
    if (this.#kept.get("credentialsPort") !== undefined) await this.#credentialsEndpoint();
    await prepareSocket(this.socket);
    this.#scope.use(
      await Rpc.open({
        socketPath: this.socket,
        methods: methods(this),
        follow: (request, sink, signal) => store.follow(request, sink, signal),
        version: VERSION,
        onRefused: this.#refusals.at("the control socket"),
        log: log("rpc"),
      }),
    );
    await this.#announce();
    store.record({ type: "daemon.started", epoch: this.epoch, version: VERSION, pid: process.pid });
    this.#configuring.run().catch((error: unknown) => this.#bug(error));
  }

  // ---- what the methods ask

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  get app(): WantedApp | undefined {
    return this.#app;
  }

  /** The app's name, as the last good config gave it; also before this daemon has loaded one. */
  get appName(): string {
    return this.#app?.name ?? this.#kept.get("app") ?? "";
  }

  /** Of the last good config, also before this daemon has loaded one. */
  get homeKind(): WantedApp["home"] {
    return this.#app?.home ?? this.#kept.get("home") ?? "local";
  }

  get debugging(): Debugging {
    return this.#debugging;
  }

  get invocations(): Invocations {
    return this.#invocations;
  }

  get processes(): Processes {
    return this.#processes;
  }

  async status(): Promise<DaemonStatus> {
    const home = this.#home;
    const running = (await home?.cloudRuns()) === true;
    const down = this.#bridge.down ?? this.#wayDown();
    return {
      app: this.appName,
      stage: this.stage,
      home: this.homeKind,
      project: this.project,
      pid: process.pid,
      version: VERSION,
      startedAt: this.startedAt,
      config: this.#configState,
      live: this.#live,
      bridge: {
        address: this.#address ?? this.#bridge.address,
        sandboxes: this.#bridge.sandboxes,
        ...(down !== undefined && { down }),
      },
      ...(home?.cloud !== undefined && { cloud: { endpoint: home.cloud.endpoint, running } }),
      functions: this.functionStates(),
      processes: await this.#processes.list(),
    };
  }

  /** Resolves when the config has been read once, whatever came of it. */
  async configRead(): Promise<void> {
    await this.#configured.promise;
  }

  /** What the daemon's ports and its local cloud's refused since they run. */
  async refusals(): Promise<readonly Refused[]> {
    return [...this.#refusals.list(), ...((await this.#home?.refusals()) ?? [])];
  }

  functionStates(): FunctionStatus[] {
    return this.#functions.states().map((state) => {
      const standing = this.#deployed[state.name];
      return {
        ...state,
        ...(state.errors !== undefined ? { errors: [...state.errors] } : {}),
        ...(standing !== undefined && { functionArn: standing.functionArn }),
        ...(standing?.url !== undefined && { url: standing.url }),
      } as FunctionStatus;
    });
  }

  /** What a client may run of the app, with what a deployed function would be told. @throws LivedevError */
  async runnable(name: string): Promise<{ readonly wanted: WantedFunction; readonly functionArn: string }> {
    const app = await this.#configuredApp();
    const wanted = this.#wanted(name);
    if (wanted === undefined) {
      throw unknownFunction(
        name,
        app.functions.map((one) => one.name),
      );
    }
    const functionArn =
      this.#deployed[name]?.functionArn ?? `arn:aws:lambda:${app.region}:000000000000:function:${name}`;
    return { wanted, functionArn };
  }

  /** Puts the stubs in place, and keeps them in place from now on. @throws LivedevError */
  async goLive({
    yes = false,
    takeOver = false,
    newKey = false,
    processes = true,
  }: {
    yes?: boolean;
    takeOver?: boolean;
    /** The stubs are given another key. Those that still have the one before are served for a while longer. */
    newKey?: boolean;
    processes?: boolean;
  }): Promise<WentLive> {
    notProtected(await this.#configuredApp());
    this.#processesWanted ||= processes;
    const home = await this.openHome();
    // Before it is said that this stage is ours: another's stubs are left alone.
    await home.hold(takeOver);
    if (newKey) {
      await this.#keys.rotate();
      this.#applyFunctions();
    }
    this.#byHand = { replaceCode: yes };
    const result = await this.#deploying.run().catch(async (error: unknown) => {
      // Nothing was changed: whoever deploys the stage finds it free.
      if (error instanceof LivedevError && error.code === "stage.holdsCode" && !this.#wantLive)
        await home.release();
      throw error;
    });
    this.#wantLive = true;
    this.#kept.set({ live: true });
    return result;
  }

  /** The first call asks: running invocations may finish. The second does not wait for them. */
  stop(reason: string, restarting = false): void {
    if (this.#stopping !== undefined) return this.#stopping.abort();
    this.#stopping = new AbortController();
    this.#close(reason, restarting, this.#stopping.signal).then(this.#ended.resolve, this.#ended.reject);
  }

  async #close(reason: string, restarting: boolean, hurry: AbortSignal): Promise<void> {
    this.#log.info({ reason }, "stopping");
    const back = restarting ? undefined : this.#putTimeoutsBack(hurry);
    // Who opens the next daemon does not go live by that; one that was killed, or restarts, goes on.
    if (!restarting) this.#kept.keep({ live: false, debugging: undefined });
    await this.#invocations.drain(this.#drainMs, restarting ? "restarting" : "stopping", hurry);
    await back;
    await this.#bridge.goodbye(restarting ? "restarting" : "stopping");
    this.store.record({ type: "daemon.stopped", epoch: this.epoch, reason });
    await this.#scope.close();
    this.#log.info("stopped");
  }

  /** Those that were raised for debugging. Where AWS does not answer in time, the next `livedevd start` does it. */
  async #putTimeoutsBack(hurry: AbortSignal): Promise<void> {
    if (!this.#debugging.maxTimeout) return;
    const over = AbortSignal.any([hurry, AbortSignal.timeout(this.#drainMs)]);
    try {
      await untilAborted(this.#debugging.off(), over);
    } catch (error) {
      this.#log.warn({ reason: messageOf(error) }, "deployed time-outs are still raised");
    }
  }

  // ---- invocations

  /** The bridge's name for a stub's address outlives a restart: stubs have it in their settings. */
  async #openBridge(record: (event: LivedevEvent) => number): Promise<Bridge> {
    const open = (port: number) =>
      Bridge.open({
        host: BRIDGE_HOST,
        port,
        epoch: this.epoch,
        app: () => this.appName,
        stage: this.stage,
        keys: () => this.#keys.accepted(),
        // Until the config is there, nobody knows better than the stub.
        functionKnown: (name) => this.#app === undefined || this.#wanted(name) !== undefined,
        greeted: (hello) => this.#credentials.greeted(hello),
        receive: (invocation) => {
          if (!isKnock(invocation.event)) return this.#invocations.receive(invocation);
          const keys = this.#keys.accepted().map(({ key }) => key);
          return invocation.deliver(answerToKnock(invocation.event, keys));
        },
        record: (event) => void record(event),
        onRefused: this.#refusals.at("the bridge"),
        log: componentLog(this.#log, "bridge"),
      });
    const before = this.#kept.get("bridgePort") ?? 0;
    let bridge: Bridge;
    try {
      bridge = await open(before);
    } catch (error) {
      if (before === 0 || codeOf(error) !== "bridge.cannotListen") throw error;
      this.#log.warn({ port: before }, "the bridge's port is taken; the stubs are given another");
      bridge = await open(0);
    }
    this.#kept.keep({ bridgePort: Number(new URL(bridge.address).port) });
    return bridge;
  }

  readonly #run: Run = async (request, signal) => {
    if (this.#app === undefined) request.position("building");
    await untilAborted(this.#configuredApp(), signal);
    // A config that was saved before the event came counts for it; one that takes its time does not hold it up.
    await Promise.race([this.#configuring.idle(), wait(CONFIG_WAIT_MS, undefined, { ref: false })]);
    if (this.#app?.secrets.length !== 0) {
      await Promise.race([this.#secrets.settled(), wait(SECRETS_WAIT_MS, undefined, { ref: false })]);
    }
    if (Object.keys(request.environment).length === 0) await this.#lookForCredentials(request.functionName);
    signal.throwIfAborted();
    const environment = this.#credentials.freshest(request.functionName, request.environment);
    return this.#functions.run({ ...request, environment }, signal);
  };

  /** A client's own event brings none, and those that are known may have expired: a stub is asked, where one stands. */
  async #lookForCredentials(functionName: string): Promise<void> {
    if (!this.#wantLive || this.#deployed[functionName] === undefined) return;
    const asked = this.#credentialsOf(functionName).catch((error: unknown) => {
      this.#log.warn(
        { functionName, reason: messageOf(error) },
        "no fresh credentials: those of before are used",
      );
    });
    await Promise.race([asked, wait(CREDENTIALS_WAIT_MS, undefined, { ref: false })]);
  }

  /** Where the handlers lie, as a debugger shows them. */
  #debuggable(): { readonly name: string; readonly url: string }[] {
    return (this.#app?.functions ?? []).map(({ name, handler }) => ({
      name,
      url: pathToFileURL(join(this.project, handler)).href,
    }));
  }

  /** Raised for debugging, or put back. What went wrong stands in the status. */
  async #timeoutsChanged(): Promise<void> {
    if (this.#wantLive) await this.#deploying.run();
  }

  // ---- the config, and what follows from it

  #changed(batch: Batch): void {
    if (batch.overflow || batch.paths.some((path) => this.#inputs.has(path))) {
      this.#configChanges += 1;
      this.#config.supersede();
      this.#configuring.run().catch((error: unknown) => this.#bug(error));
    }
    this.#functions.changed(batch);
  }

  async #reconfigure(): Promise<void> {
    const began = performance.now();
    const changes = this.#configChanges;
    const result = await this.#config.load();
    // Saved meanwhile: the next run, which is on its way, tells.
    if (this.#scope.closed || changes !== this.#configChanges) return;
    this.#inputs = new Set(result.inputs);
    this.#watchInputs();
    if (result.ok) this.#configLoaded(result, performance.now() - began);
    else this.#configFailed(result.error, fingerprints(result.inputs));
    this.#configured.resolve();
  }

  #configLoaded({ app, warnings }: Extract<ConfigResult, { ok: true }>, tookMs: number): void {
    for (const warning of warnings) this.#log.warn({ component: "config" }, warning);
    const same = this.#configState.state === "ready" && JSON.stringify(app) === JSON.stringify(this.#app);
    this.#app = app;
    this.#configState = { state: "ready" };
    this.#configTold = undefined;
    if (same) return;
    const retryable = app.functions.filter((wanted) => wanted.retryable).map(({ name }) => name);
    this.#retryable = new Set(retryable);
    const { name, stage, home, region, profile, endpoint, protect, removal } = app;
    const place = { name, stage, home, region, removal };
    const removable = JSON.parse(JSON.stringify({ ...place, profile, endpoint, protect })) as Removable;
    this.#kept.keep({ app: name, home, retryable, removable });
    this.#readSecrets(app);
    this.#writeTypes(app);
    this.#applyFunctions();
    this.store.record({ type: "config.loaded", tookMs, functions: app.functions.map(({ name }) => name) });
    // What went wrong stands in the status and in history; the next change tries again.
    if (this.#wantLive)
      this.#deploying.run().then(
        () => {},
        () => this.#applyProcesses(),
      );
    else this.#applyProcesses();
  }

  /** A project that cannot be written to is served all the same. */
  #writeTypes(app: WantedApp): void {
    writeEnvTypes(this.project, app).catch((error: unknown) => {
      if (!this.#scope.closed)
        this.#log.warn({ reason: messageOf(error) }, "livedev-env.d.ts cannot be written");
    });
  }

  #configFailed(
    { message, file, line }: Extract<ConfigResult, { ok: false }>["error"],
    seen: Fingerprints,
  ): void {
    const place = { ...(file !== undefined && { file }), ...(line !== undefined && { line }) };
    this.#configState = { state: "broken", message, ...place };
    // One save may come as two changes, of which the second loads what the first one did.
    const told = JSON.stringify([this.#configState, [...seen]]);
    if (told === this.#configTold) return;
    this.#configTold = told;
    this.store.record({ type: "config.failed", message, ...place });
  }

  /** Also when what links give has changed: a deployment makes names and URLs known. */
  #applyFunctions(): void {
    const app = this.#app;
    if (app === undefined) return;
    const { name, stage, region, bastion, url } = app;
    void this.#bridge.apply(isLocal(app) ? undefined : url);
    this.#credentials.keepOnly(app.functions.map((wanted) => wanted.name));
    const lookup = this.lookup(app);
    const key = this.#keys.current;
    this.#tunnel.apply(bastion === undefined ? undefined : { bastion, hosts: linkedHosts(app, lookup), key });
    const preload = this.#tunnel.hook();
    this.#functions.apply(linked(app, lookup), {
      name,
      stage,
      region,
      ...(preload !== undefined && { preload }),
    });
  }

  // ---- how stubs reach us

  /** What their settings say. @throws LivedevError */
  async #wayOfStubs(app: WantedApp): Promise<string> {
    if (isLocal(app)) return this.#bridge.address;
    if (app.url !== undefined) return app.url.address;
    if (app.bastion !== undefined) {
      const { address, port } = await this.#tunnel.wayIn(this.#scope.signal);
      return `tls://${address}:${port}`;
    }
    if (app.endpoint === undefined) throw noWayForStubs();
    return this.#bridge.address;
  }

  get #byBastion(): boolean {
    const app = this.#app;
    return app !== undefined && !isLocal(app) && app.bastion !== undefined;
  }

  #wayDown(): DaemonStatus["bridge"]["down"] {
    const down = this.#byBastion ? this.#tunnel.down : undefined;
    return down === undefined ? undefined : { since: down.since, reason: down.reason };
  }

  /** Stubs that were told another address are told this one. */
  #wayInChanged(): void {
    const app = this.#app;
    if (app === undefined || !this.#byBastion) return;
    void this.#wayOfStubs(app).then(
      (address) => {
        if (address === this.#address) return;
        this.#address = address;
        if (this.#wantLive) this.#deploying.run().catch(() => {});
      },
      () => {},
    );
  }

  /** Behind each deployment, which may change what their links give: one that fails leaves the links as they were. */
  #applyProcesses(): void {
    const [app, home] = [this.#app, this.#home];
    if (app === undefined || home === undefined || !this.#processesRun || this.#scope.closed) return;
    const hook = this.#tunnel.hook();
    const nodeOptions =
      hook === undefined ? {} : { nodeOptions: nodeOptionsFor(hook), machine: process.env["NODE_OPTIONS"] };
    this.#processes.apply(runnable(app, this.lookup(app), placeIn(home, app), nodeOptions));
  }

  /** What components give, as far as the stage stands and its secrets are set. */
  lookup(app: WantedApp): Lookup {
    const urls = Object.entries(this.#processes.urls).map(([name, url]) => [`${name}.url`, url]);
    const [deployed, outputs] = [this.#deployed, { ...this.#outputs, ...Object.fromEntries(urls) }];
    return lookupOf(app, { deployed, outputs, secrets: this.#secrets.values });
  }

  // ---- what runs beside the functions

  /** `as`: a function, or a frontend or service, in whose place the command is. @throws LivedevError */
  async runEnvironment(as: string | undefined, reveal: boolean): Promise<RunEnvironment> {
    await this.#configured.promise;
    await this.#configuring.idle();
    const app = await this.#configuredApp();
    if (app.secrets.length > 0) await this.#secrets.read();
    const home = await this.openHome(app);
    const place = placeIn(home, app);
    const lookup = this.lookup(app);
    const process = app.processes.find(({ name }) => name === as);
    if (process !== undefined) {
      const whole = asProcess(app, process, lookup, place);
      return this.#given(app, whole, process.link, reveal);
    }
    const wanted = as === undefined ? undefined : (await this.runnable(as)).wanted;
    if (wanted !== undefined) {
      await this.#stubOf(app, wanted.name);
      await this.#credentialsOf(wanted.name);
    }
    const whole =
      wanted === undefined
        ? asDeveloper(app, lookup, place)
        : asFunction(app, wanted, lookup, place, (await this.#credentialsEndpoint()).variables(wanted.name));
    return this.#given(app, whole, wanted?.link ?? app.linkable ?? [], reveal);
  }

  /** With the way into the VPC, where there is one. */
  async #given(
    app: WantedApp,
    whole: RunEnvironment,
    link: readonly WantedLink[],
    reveal: boolean,
  ): Promise<RunEnvironment> {
    await this.#tunnel.applied();
    const status = await this.#tunnel.status();
    const linked = servers(app, this.lookup(app)).flatMap((server) => {
      const port = status?.ports.find(({ name }) => name === server.name);
      const isLinked = link.some(({ name }) => name === server.name);
      return port === undefined || !isLinked ? [] : [{ ...server, local: port.local }];
    });
    const given = throughTunnel(whole, this.#tunnel.hook(), linked);
    return reveal ? given : redacted(given, (value) => this.#secrets.holds(value));
  }

  async tunnelStatus(): Promise<RpcResult<"tunnel.status">> {
    await this.#configured.promise;
    await this.#tunnel.applied();
    return tunnelStatus(this.#app?.bastion?.host ?? "", await this.#tunnel.status());
  }

  /** The frontend or service whose directory this is. @throws LivedevError where that is none, or not one alone. */
  async processIn(directory: string): Promise<string> {
    const { processes } = await this.#configuredApp();
    const there = processes.filter(
      ({ dev }) => dev !== undefined && resolve(this.project, dev.directory) === directory,
    );
    // Commands of any kind often run in the project's own folder, beside the one that lives there.
    const frontends = there.filter(({ kind }) => kind !== "DevCommand");
    const [one, ...more] = frontends.length > 0 ? frontends : there;
    if (one !== undefined && more.length === 0) return one.name;
    throw notOneProcess(
      directory,
      there.map(({ name }) => name),
      processes.map(({ name }) => name),
    );
  }

  /** Real code must not get an event of ours, and has no way to say hello. @throws LivedevError */
  async #stubOf(app: WantedApp, functionName: string): Promise<Home> {
    const home = await this.openHome(app);
    const holds = await home.deploy.holds(app, functionName);
    if (holds !== "stub") throw stubMissing(functionName, this.stage, holds === "code");
    return home;
  }

  /** A function's own, as fresh as its stub has them. @throws LivedevError where there is no stub. */
  async #credentialsOf(functionName: string): Promise<Variables> {
    const app = await this.#configuredApp();
    return this.#credentials.fresh(functionName, async () => {
      const { deploy } = await this.#stubOf(app, functionName);
      await deploy.invoke({
        functionName,
        event: makeKnock(this.#keys.current.key),
        signal: this.#scope.signal,
      });
    });
  }

  /** Opened by the first who needs it, on the port that programs of an earlier daemon know. */
  #credentialsEndpoint(): Promise<CredentialsEndpoint> {
    this.#endpoint ??= this.#openEndpoint(this.#kept.get("credentialsPort") ?? 0);
    return this.#endpoint;
  }

  async #openEndpoint(port: number): Promise<CredentialsEndpoint> {
    const endpoint = this.#scope.use(
      await CredentialsEndpoint.open({
        port,
        key: this.#localKey.key,
        credentials: (functionName) => this.#credentialsOf(functionName),
        onRefused: this.#refusals.at("the credentials' endpoint"),
        log: componentLog(this.#log, "credentials"),
      }),
    );
    this.#kept.keep({ credentialsPort: endpoint.port });
    return endpoint;
  }

  // ---- secrets

  /** @throws LivedevError */
  async listSecrets(reveal: boolean): Promise<RpcResult<"secret.list">> {
    const app = await this.#configuredApp();
    await this.#secrets.read();
    return this.#secrets.list(app, reveal);
  }

  /** @throws LivedevError */
  async setSecrets(values: SecretValues, fallback: boolean): Promise<void> {
    await this.#secrets.set(fallback ? "fallback" : "stage", values);
    this.store.record({ type: "secret.changed", names: Object.keys(values), fallback, how: "set" });
  }

  /** @throws LivedevError */
  async removeSecret(name: string, fallback: boolean): Promise<boolean> {
    const removed = await this.#secrets.remove(fallback ? "fallback" : "stage", name);
    if (removed) this.store.record({ type: "secret.changed", names: [name], fallback, how: "removed" });
    return removed;
  }

  /** Read before anything of the app runs; from AWS that takes its time, and an event waits for it. */
  #readSecrets(app: WantedApp): void {
    if (app.secrets.length === 0) return;
    this.#secrets.read().catch((error: unknown) => {
      if (!this.#scope.closed) this.#log.warn({ reason: messageOf(error) }, "the secrets cannot be read");
    });
  }

  async #secretStore(): Promise<SecretStore> {
    const app = await this.#configuredApp();
    if (!isLocal(app)) return (await this.openHome(app)).secrets;
    const local = new LocalSecrets(join(this.project, STATE_FOLDER, SECRETS_FOLDER), this.stage);
    if (!this.#followingSecrets) {
      this.#followingSecrets = true;
      await local.follow(() => this.#readSecrets(app), this.#scope.signal);
    }
    return local;
  }

  /** Before anything is changed for a deployment: what it needs is there. @throws LivedevError */
  async #secretsFor(app: WantedApp): Promise<void> {
    if (app.secrets.length === 0) return;
    await this.#secrets.read();
    const { values } = this.#secrets;
    const missing = app.secrets.filter(
      ({ name, placeholder }) => placeholder === undefined && values[name] === undefined,
    );
    if (missing.length > 0)
      throw secretsMissing(
        missing.map(({ name }) => name),
        this.stage,
      );
  }

  #secretsChanged(by: readonly SecretChange[]): void {
    if (this.#scope.closed) return;
    this.store.conceal(Object.values(this.#secrets.values));
    this.#applyFunctions();
    this.#applyProcesses();
    for (const { name, scope, how } of by)
      this.store.record({ type: "secret.changed", names: [name], fallback: scope === "fallback", how });
  }

  #inputsChanged(): void {
    if (this.#rewatching) return;
    // Many builds end at once.
    this.#rewatching = true;
    setImmediate(() => {
      this.#rewatching = false;
      if (!this.#scope.closed) this.#watchInputs();
    });
  }

  #watchInputs(): void {
    this.#watch.apply({
      folders: this.#app?.watch ?? ["."],
      files: [...this.#inputs, ...this.#functions.files()],
    });
  }

  #wanted(name: string): WantedFunction | undefined {
    return this.#app?.functions.find((wanted) => wanted.name === name);
  }

  /** The last good app. @throws LivedevError where there is none. */
  async #configuredApp(): Promise<WantedApp> {
    await this.#configured.promise;
    if (this.#app !== undefined) return this.#app;
    throw this.#configState.state === "broken" ? configBroken(this.#configState) : notConfigured();
  }

  // ---- deployment

  /** Where the app is deployed to, opened once for all who ask. @throws LivedevError */
  async openHome(place?: Place): Promise<Home> {
    const app = place ?? (await this.#configuredApp());
    const before = this.#opening;
    const home = await before?.catch(() => undefined);
    // Asked for meanwhile by another.
    if (this.#opening !== before) return this.openHome(place);
    if (home?.serves(app) === true) {
      const stands = await home.stands();
      if (this.#opening !== before) return this.openHome(place);
      if (stands) return home;
    }
    this.#home = undefined;
    const opening = this.#openHome(app, home);
    this.#opening = opening;
    this.#home = await opening;
    return this.#home;
  }

  async #openHome(app: Place, before: Home | undefined): Promise<Home> {
    if (before !== undefined) {
      await before[Symbol.asyncDispose]();
      this.#log.warn(
        "the app has another name, home or region now: what was deployed before still stands there",
      );
    }
    return Home.open({
      app,
      holder: { id: this.#localKey.id, name: `${userInfo().username}@${hostname()}` },
      onLost: (reason) => this.#leaseLost(reason),
      project: this.project,
      workDir: join(this.#stateDir, "build", "deploy"),
      cloudDir: join(this.project, STATE_FOLDER, "cloud"),
      journal: this.store.journal,
      bridge: () => ({
        addresses: [{ address: this.#address ?? this.#bridge.address, match: "*" }],
        ...this.#keys.current,
      }),
      secrets: () => this.#secrets.values,
      onPlanned: (plan) => {
        if (plan.length > 0) this.store.record({ type: "deploy.started", steps: plan.length, plan });
      },
      onStep: (step) => {
        this.#live = { state: "deploying", step: step.resource };
        this.store.record({ type: "deploy.stepped", ...step });
      },
      log: this.#log,
    });
  }

  async #putStubsInPlace(): Promise<WentLive> {
    const app = await this.#configuredApp();
    const before = this.#live;
    const byHand = this.#byHand;
    this.#byHand = undefined;
    this.#live = { state: "deploying" };
    try {
      notProtected(app);
      const home = await this.openHome();
      this.#notMoved(app, byHand !== undefined);
      await home.hold(false);
      this.#address = await this.#wayOfStubs(app);
      // By itself nothing is taken away: a function that is commented out for a minute keeps its URL.
      const { steps, tookMs, functions, known, outputs } = await home.deploy.apply(
        this.#debugging.deployable(app),
        {
          replaceCode: byHand?.replaceCode ?? false,
          keepRemoved: byHand === undefined,
        },
      );
      this.#stands(app, functions, known);
      this.#live = {
        state: "live",
        since: before.state === "live" ? before.since : Date.now(),
        outputs: this.#sealed(outputs),
      };
      this.#applyFunctions();
      home.followSecrets(
        () => this.#readSecrets(this.#app ?? app),
        () => this.#wantLive && this.#app?.secrets.length !== 0,
      );
      this.#processesRun ||= this.#processesWanted;
      this.#applyProcesses();
      const urls = urlsOf(known);
      if (steps > 0 || before.state !== "live") {
        this.store.record({ type: "deploy.finished", tookMs, urls });
      }
      return { steps, tookMs, urls };
    } catch (error) {
      if (this.#scope.closed) throw error;
      const hint = error instanceof LivedevError ? error.hint : undefined;
      const message = this.store.concealed(messageOf(error));
      this.#live = { state: "failed", message, ...(hint !== undefined && { hint }) };
      this.store.record({ type: "deploy.failed", message });
      if (!(error instanceof LivedevError)) this.#log.error({ err: error }, "the deployment failed");
      throw error;
    }
  }

  #stands(app: Place, functions: Deployed, known: Readonly<Record<string, unknown>>): void {
    this.#kept.keep({ standsAt: placeOf(app) });
    this.#deployed = functions;
    // Passwords and secrets stand in the stage's own state; a file of ours need not hold them too.
    this.#outputs = known;
    const outputs = Object.fromEntries(
      Object.entries(known).filter(
        ([ref, value]) => !ref.endsWith(".password") && !this.#secrets.holds(value),
      ),
    );
    this.#kept.keep({ deployed: functions, outputs });
  }

  /** What a deployment would do; `dev`: what going live would. @throws LivedevError */
  async plan({ dev = false }: { dev?: boolean } = {}): Promise<Planned> {
    const app = dev ? await this.#configuredApp() : await this.#releaseApp();
    const home = await this.openHome(app);
    if (app.secrets.length > 0) await this.#secrets.read();
    return home.deploy.plan(app, { mode: dev ? "dev" : "release" });
  }

  /** Puts the functions' own code in place of stubs, and everything else of the app with it. @throws LivedevError */
  deploy(signal: AbortSignal): Promise<DeployResult> {
    return this.#change(signal, async () => {
      const app = await this.#releaseApp();
      this.#notMoved(app, true);
      const home = await this.openHome(app);
      await this.#secretsFor(app);
      await home.hold(false);
      const result = await home.deploy.apply(app, { mode: "release", signal });
      this.#stands(app, result.functions, result.known);
      this.store.record({ type: "deploy.finished", tookMs: result.tookMs, urls: urlsOf(result.known) });
      return { ...result, outputs: this.#sealed(result.outputs) };
    });
  }

  #sealed(outputs: Readonly<Record<string, unknown>>): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(outputs).map(([name, value]) => [name, this.#secrets.holds(value) ? SEALED : value]),
    );
  }

  /** Everything of the stage, by its tags: also when the config does not load any more. @throws LivedevError */
  async remove(signal: AbortSignal) {
    await this.#configured.promise;
    const broken = this.#configState.state === "broken";
    const app = broken ? undefined : await this.#releaseApp();
    const place = app ?? this.#kept.get("removable");
    if (place === undefined) throw neverConfigured(this.stage);
    if (place.protect === true) throw stageProtected(place.name, place.stage);
    return this.#change(signal, async () => {
      const home = await this.openHome(place);
      await home.hold(false);
      const removed = await home.deploy.remove({ functions: [], ...place }, { signal });
      this.#stands(place, {}, {});
      this.#kept.keep({ standsAt: null });
      if (removed.kept.length === 0) await home.forget();
      this.store.record({ type: "deploy.finished", tookMs: removed.tookMs, urls: {} });
      return removed;
    });
  }

  /** Of a live stage those functions that stay in the cloud; of another all that hold their code. @throws LivedevError */
  async cloudLogs(query: Parameters<Home["deploy"]["cloudLogs"]>[0]) {
    const app = await this.#configuredApp();
    const none = app.home === "local" && app.endpoint === undefined;
    if (none || (this.#wantLive && app.functions.every(({ dev }) => dev))) return [];
    return (await this.openHome()).deploy.cloudLogs(query);
  }

  /**
   * Under another name, or in another region, nothing of what was deployed is found: it would stand there unknown. A
   * person is told once, and goes on by asking again. @throws LivedevError `stage.moved`
   */
  #notMoved(app: Place, byHand: boolean): void {
    const before = this.#kept.get("standsAt");
    const now = JSON.stringify(placeOf(app));
    if (before === undefined || before === null || JSON.stringify(placeOf(before)) === now) return;
    if (byHand && this.#kept.get("movesTo") === now) return;
    if (byHand) this.#kept.keep({ movesTo: now });
    throw stageMoved(where(before), where(app));
  }

  async state(): Promise<StageState | undefined> {
    return (await this.openHome()).deploy.state();
  }

  async importState(state: StageState): Promise<void> {
    const home = await this.openHome();
    await home.deploy.importState(state);
  }

  /** A change by hand after which the stage is not live any more. One that fails leaves it as far as it came. */
  async #change<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    // First of all: where the disk refuses, nothing was changed.
    this.#kept.set({ live: false });
    this.#wantLive = false;
    this.#live = { state: "deploying" };
    try {
      signal.throwIfAborted();
      const done = await work();
      this.#live = { state: "off" };
      return done;
    } catch (error) {
      const hint = error instanceof LivedevError ? error.hint : undefined;
      const message = this.store.concealed(messageOf(error));
      this.#live = { state: "failed", message, ...(hint !== undefined && { hint }) };
      if (!this.#scope.closed) this.store.record({ type: "deploy.failed", message });
      throw error instanceof LivedevError
        ? new LivedevError(error.code, message, error.hint, { cause: error })
        : error;
    } finally {
      await this.#home?.release();
    }
  }

  /** The app as a deployment wants it: loaded anew each time. @throws LivedevError */
  async #releaseApp(): Promise<WantedApp> {
    const result = await this.#releaseConfig.load();
    if (!result.ok) throw configBroken(result.error);
    for (const warning of result.warnings) this.#log.warn({ component: "config" }, warning);
    return result.app;
  }

  /** Another has the stage now: what runs here finishes here, and its stubs are left to the other. */
  #leaseLost(reason: LivedevError): void {
    this.#log.warn({ code: reason.code }, reason.message);
    if (reason.code === "stage.takenOver") {
      this.#wantLive = false;
      this.#kept.keep({ live: false });
    }
    this.#live = {
      state: "failed",
      message: reason.message,
      ...(reason.hint !== undefined && { hint: reason.hint }),
    };
    this.store.record({ type: "stage.lost", message: reason.message });
    if (this.#wantLive) void this.#regain();
  }

  /** AWS could not be reached: tried until it can, or somebody else has the stage. */
  async #regain(): Promise<void> {
    const { signal } = this.#scope;
    while (this.#wantLive && this.#live.state === "failed") {
      await wait(REGAIN_MS, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      await this.#deploying.run().catch(() => {});
    }
  }

  // ---- being found

  async #announce(): Promise<void> {
    this.#scope.use(
      await Announcement.open({
        file: {
          version: 1,
          pid: process.pid,
          startTime: processIdentity(process.pid) ?? "",
          socket: this.socket,
          epoch: this.epoch,
          startedAt: this.startedAt,
          livedevVersion: VERSION,
          project: this.project,
          stage: this.stage,
        },
        stateDir: this.#stateDir,
        registryEntry: registryEntry(this.project, this.stage),
        log: componentLog(this.#log, "rpc"),
      }),
    );
    // With it went the lock and the history: there is nothing left to serve, and another daemon may begin anew.
    const gone = fileGone(join(this.#stateDir, LOCK_FILE), this.#scope.signal);
    void gone.then((is) => is && this.#gone("its state folder is gone"));
  }

  /** What runs has little to finish for: its files are no more. */
  #gone(reason: string): void {
    if (this.#stopping !== undefined) return;
    this.#drainMs = GONE_DRAIN_MS;
    this.stop(reason);
  }

  #bug(error: unknown): void {
    if (this.#scope.closed) return;
    this.#log.error({ err: error }, "the config could not be applied");
    this.#configFailed({ code: "config.bug", message: messageOf(error) }, fingerprints([...this.#inputs]));
    this.#configured.resolve();
  }
}

const placeIn = ({ cloud, endpoint }: Home, { profile }: WantedApp): RunPlace => ({
  endpoint,
  profile,
  credentials: cloud,
});

/** Beside the control socket, where nobody else may enter. */
const gateSocket = (control: string) => control.replace(/\.sock$/, ".net");

/** @throws LivedevError where the stage may not be live. */
function notProtected({ name, stage, protect }: WantedApp): void {
  if (protect === true) throw stageProtectedFromStubs(name, stage);
}

/** What its resources are found by. Who of a team asks, by a profile, does not count. */
const placeOf = ({ name, stage, home, region, endpoint }: Place): Place => ({
  name,
  stage,
  home,
  region,
  ...(endpoint !== undefined && { endpoint }),
});

/** For people. */
const where = ({ name, stage, home, region, endpoint }: Place): string =>
  `${name}/${stage} (${endpoint ?? (home === "local" ? "the local cloud" : `AWS in ${region}`)})`;
