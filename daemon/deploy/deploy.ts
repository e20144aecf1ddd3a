/**
 * Brings a stage to what its app wants, stubs or real code, and takes the stage away again. `plan` is pure; `apply`
 * reads what stands, plans, and carries the steps out: a component after those it refers to, up to eight at once.
 * What a step makes known (a URL, a stack's output) reaches those that wait for it; who refers to an output that
 * changed is found by planning again.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";

import { InvokeCommand, type InvocationType } from "@aws-sdk/client-lambda";

import {
  OUTPUT,
  physicalName,
  resolveOutputs,
  type Text,
  type WantedApp,
  type WantedFunction,
} from "../../proto/app.ts";
import { awsName, explainAws } from "../aws/failure.ts";
import { tookSince } from "../lib/clock.ts";
import {
  deployCycle,
  driftUnknown,
  notDeployable,
  notDeployed,
  notOurs,
  stackNeedsAws,
  stageHoldsCode,
} from "../lib/errors.ts";
import { Scope } from "../lib/scope.ts";
import { ABSENT, openCalls, type Calls } from "./calls.ts";
import { Carrier } from "./carry.ts";
import { readFunction, type Stage } from "./deployed.ts";
import { readCloudLogs, type CloudLine } from "./cloud-logs.ts";
import { each } from "./each.ts";
import { cycleIn } from "./graph.ts";
import { sealLinks } from "./links.ts";
import { readNetworks } from "./network.ts";
import { knownIn, readAll, type Standings } from "./outputs.ts";
import { plan, resourceOf, stepName, type Deployed, type Step } from "./plan.ts";
import { makeRelease, withLinks, type Release } from "./release.ts";
import { StateFile, type StageState } from "./state-file.ts";
import { nameInAws, type CarriedCode } from "./stubs.ts";
import type { ApplyOptions, DeployOptions, DeployResult, Planned, Prepared, Standing } from "./types.ts";
import {
  byCloudFormation,
  databases,
  needsOf,
  undeployable,
  wantedOf,
  type Mode,
  type WantedParts,
} from "./wanted.ts";

export type Invoked = {
  readonly statusCode: number;
  readonly requestId: string;
  readonly functionError?: string;
  readonly payload: Uint8Array;
  /** The last 4 KB of its log. */
  readonly logTail?: string;
};

/** An output that changed may change who refers to it, and so on; an app whose outputs never settle is left there. */
const ROUNDS = 4;
/** Bundles and zips: each is busy on its own. */
const MAKE_WIDTH = 3;
/** Beside the passwords that the stage keeps; no component begins so. */
const LINKS_SECRET = "_links";

export type { ApplyOptions, DeployOptions, DeployResult, Planned, Standing, Stepped } from "./types.ts";

export class Deploy {
  readonly #options: DeployOptions;
  readonly #of: Stage;
  readonly #scope = new Scope();
  /** One run at a time: each starts from what the last one left. */
  #last: Promise<unknown> = Promise.resolve();
  /** From a component's name to its name in AWS, where the config gives one. */
  #names: ReadonlyMap<string, string> = new Map();

  private constructor(options: DeployOptions) {
    this.#options = options;
    this.#of = { app: options.app, stage: options.stage };
    // Let go of what is under way: the journal and the tags tell the next run how far it came.
    this.#scope.defer(() => this.#last.catch(() => {}));
  }

  static async open(options: DeployOptions): Promise<Deploy> {
    await mkdir(options.workDir, { recursive: true, mode: 0o700 });
    return new Deploy(options);
  }

  /** What `apply` would do. */
  async plan(app: WantedApp, { mode = "dev" }: { mode?: Mode } = {}): Promise<Planned> {
    const calls = await this.#calls();
    const prepared = await this.#prepare(calls, app, mode, true);
    return {
      steps: prepared.plan().steps.map((step) => ({
        step: step.action,
        resource: resourceOf(step),
        changes: step.changes ?? [],
        drift: step.drift ?? false,
      })),
      commands: commandsOf(app, mode),
      notes: unknownDrift(prepared.standings),
    };
  }

  /** @throws LivedevError `stage.holdsCode` where a stub would replace deployed code and that was not agreed to. */
  apply(app: WantedApp, options: ApplyOptions = {}): Promise<DeployResult> {
    const { mode = "dev", replaceCode = true, keepRemoved = false } = options;
    return this.#alone(async (calls) => {
      const began = performance.now();
      const prepared = await this.#prepare(calls, app, mode, mode === "release");
      const first = prepared.plan();
      for (const note of unknownDrift(prepared.standings)) this.#options.log.warn(note);
      const due = (steps: readonly Step[]) => (keepRemoved ? steps.filter((step) => !removes(step)) : steps);
      const replaced = holdingCode(prepared.standings, due(first.steps));
      if (!replaceCode && replaced.length > 0) throw stageHoldsCode(app.name, app.stage, replaced);
      const runs = commandsOf(app, mode).map(({ resource }) => ({ step: "run" as const, resource }));
      const commands = runs.length;
      let steps = due(first.steps);
      let count = 0;
      this.#options.onPlanned?.([...steps.map(planned), ...runs]);
      const { standings } = prepared;
      const making = { app, mode, ...prepared };
      const carrier = new Carrier({
        ...this.#options,
        calls,
        of: this.#of,
        standings,
        making,
        stop: options.signal,
      });
      for (let round = 1, run = commands; steps.length + run > 0; round += 1, run = 0) {
        await carrier.run(steps, run > 0);
        count += steps.length + run;
        await prepared.read();
        carrier.see(prepared.standings);
        if (round === ROUNDS) break;
        // What refers to an output that only now is what it is.
        steps = due(prepared.plan().steps).filter((step) => step.action !== "delete");
      }
      if (count > 0 || unkept(prepared)) await this.#remember(prepared, mode);
      const lookup = carrier.lookup();
      return {
        steps: count,
        tookMs: tookSince(began),
        functions: standing(prepared.standings),
        known: carrier.known(),
        outputs: (resolveOutputs(app.outputs ?? {}, lookup) ?? {}) as Record<string, unknown>,
      };
    });
  }

  /**
   * Deletes everything of the stage: by tags, so that it needs no config. What holds data stays where the app says so;
   * it is named.
   */
  remove(
    app?: Pick<WantedApp, "removal" | "functions" | "name" | "stage">,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<{ readonly steps: number; readonly tookMs: number; readonly kept: readonly string[] }> {
    return this.#alone(async (calls) => {
      const began = performance.now();
      const known = app === undefined ? [] : app.functions.map((wanted) => nameInAws(app, wanted));
      const file = await StateFile.open(this.#options.aws, this.#of, calls.signal);
      const standings = await this.#read(calls, {
        wanted: known,
        state: file.state,
      });
      const all = plan(standings, []);
      const steps = withoutKept(all, app?.removal);
      this.#options.onPlanned?.(steps.map(planned));
      const carrier = new Carrier({ ...this.#options, calls, of: this.#of, standings, stop: signal });
      await carrier.run(steps, false);
      const kept = all.filter((step) => !steps.includes(step)).map(resourceOf);
      if (kept.length === 0) await file.clear();
      return { steps: steps.length, tookMs: tookSince(began), kept };
    });
  }

  /** What stands, by component. */
  async deployed(app?: WantedApp): Promise<Readonly<Record<string, Standing>>> {
    const known = app === undefined ? [] : app.functions.map((wanted) => nameInAws(app, wanted));
    return standing(await this.#read(await this.#calls(), { wanted: known }));
  }

  /** What stands under the function's name; undefined: nothing of this stage's. */
  async holds(app: WantedApp, functionName: string): Promise<"stub" | "code" | undefined> {
    const wanted = app.functions.find(({ name }) => name === functionName);
    if (wanted === undefined) return undefined;
    const name = nameInAws(app, wanted);
    this.#names = new Map([...this.#names, [functionName, name]]);
    const found = await readFunction(await this.#calls(), name, this.#of);
    return found === undefined ? undefined : found.stub ? "stub" : "code";
  }

  /** What those of its functions print that hold their own code, out of CloudWatch; the local cloud has none. */
  async cloudLogs(query: {
    readonly functionName?: string;
    readonly since: number;
    readonly limit: number;
  }): Promise<CloudLine[]> {
    if (!this.#options.cloudFormation) return [];
    const calls = await this.#calls();
    const { functions } = await this.#read(calls, { wanted: [] });
    const { functionName } = query;
    const asked = functions.filter(
      ({ stub, component }) => !stub && (functionName === undefined || component === functionName),
    );
    return readCloudLogs(calls, asked, query);
  }

  /** What is known of the stage beside its tags; undefined where nothing was deployed yet. */
  async state(): Promise<StageState | undefined> {
    const { state } = await StateFile.open(this.#options.aws, this.#of, this.#scope.signal);
    return state;
  }

  /** What is kept of a stage that is removed. */
  async forget(): Promise<void> {
    const file = await StateFile.open(this.#options.aws, this.#of, this.#scope.signal);
    await file.clear();
  }

  async importState(state: StageState): Promise<void> {
    const file = await StateFile.open(this.#options.aws, this.#of, this.#scope.signal);
    await file.write(state);
  }

  /** Through AWS, the whole way. `functionName` is the component's. */
  async invoke(options: {
    readonly functionName: string;
    readonly event: Uint8Array;
    readonly type?: InvocationType;
    readonly signal?: AbortSignal;
  }): Promise<Invoked> {
    const { functionName, event, type = "RequestResponse" } = options;
    const { app, stage } = this.#of;
    const client = await this.#options.aws.invoker();
    const signals = [this.#scope.signal, options.signal].filter((signal) => signal !== undefined);
    try {
      const answer = await client.send(
        new InvokeCommand({
          FunctionName: this.#names.get(functionName) ?? physicalName(app, stage, functionName),
          InvocationType: type,
          Payload: event,
          ...(type === "RequestResponse" && { LogType: "Tail" }),
        }),
        { abortSignal: AbortSignal.any(signals) },
      );
      return {
        statusCode: answer.StatusCode ?? 0,
        requestId: answer.$metadata.requestId ?? "",
        payload: answer.Payload ?? new Uint8Array(),
        ...(answer.FunctionError !== undefined && { functionError: answer.FunctionError }),
        ...(answer.LogResult !== undefined && {
          logTail: Buffer.from(answer.LogResult, "base64").toString(),
        }),
      };
    } catch (error) {
      if (ABSENT.includes(awsName(error) ?? "")) throw notDeployed(functionName);
      throw explainAws(error, `Invoke of ${functionName}`, this.#options.aws.where);
    }
  }

  #calls(): Promise<Calls> {
    return openCalls(this.#options.aws, this.#scope.signal);
  }

  #read(calls: Calls, known: Omit<Parameters<typeof readAll>[2], "journal" | "cloudFormation">) {
    const { journal, cloudFormation } = this.#options;
    return readAll(calls, this.#of, { ...known, journal: journal.entries(), cloudFormation });
  }

  /** All that must be known before the first change: whatever is wrong with the app is said here. */
  async #prepare(calls: Calls, app: WantedApp, mode: Mode, thorough: boolean): Promise<Prepared> {
    const { aws, bridge, stubFile } = this.#options;
    if (mode === "release") {
      const cannot = undeployable(app);
      if (cannot.length > 0) throw notDeployable(cannot);
    }
    const stacks = byCloudFormation(app, mode);
    if (stacks.length > 0 && !this.#options.cloudFormation) throw stackNeedsAws(stacks);
    const circle = cycleIn(componentsOf(app).map((name) => ({ name, needs: needsOf(app, name, mode) })));
    if (circle !== undefined) throw deployCycle(circle);

    this.#names = new Map(app.functions.map((wanted) => [wanted.name, nameInAws(app, wanted)]));
    const needsState =
      mode === "release" ||
      stacks.length > 0 ||
      app.buckets.length > 0 ||
      app.functions.some(({ whenAway, dev }) => whenAway === "deployed" || !dev);
    const file = needsState ? await StateFile.open(aws, this.#of, calls.signal) : undefined;
    const program = await readFile(stubFile);
    const { addresses, keyId } = bridge();
    const standings = await this.#read(calls, {
      wanted: [...this.#names.values()],
      state: file?.state,
      thorough,
      app,
    });
    const passwords = file === undefined ? {} : await this.#passwords(app, file);
    const releases = new Map<string, Release>();
    // The local cloud has no networks: there a function is in none.
    const networks = this.#options.cloudFormation ? await readNetworks(calls, app) : {};
    const parts: WantedParts = {
      networks,
      mode,
      region: aws.region,
      account: file?.account ?? "",
      program: createHash("sha256").update(program).digest("hex"),
      keyId,
      addresses,
      carried: file?.state?.code ?? {},
      releases,
      passwords,
      stageSecret: (await file?.secret(LINKS_SECRET, () => randomBytes(32).toString("hex"))) ?? "",
      secrets: this.#options.secrets?.() ?? {},
    };
    const known = knownIn(app, standings, parts);
    await each(this.#released(app, mode, standings), MAKE_WIDTH, async (one) => {
      const { project, workDir, build } = this.#options;
      const links = sealLinks(app, one, parts.stageSecret, (ref) => known[ref]);
      releases.set(
        one.name,
        await makeRelease(one, { project, workDir, build, links, signal: calls.signal }),
      );
    });
    const wanted: Prepared["wanted"] = (from, printed = {}) => {
      const known = { ...knownIn(app, from, parts), ...printed };
      return wantedOf(app, parts, (ref) => known[ref]);
    };
    const prepared: Prepared = {
      standings,
      program,
      file,
      parts,
      releases,
      wanted,
      plan: () => {
        const now = wanted(prepared.standings);
        const steps = plan(prepared.standings, now.lambdas, now.leave, now.things);
        return { steps: withoutKept(steps, app.removal), wanted: now };
      },
      read: async () => {
        prepared.standings = await this.#read(calls, {
          wanted: [...this.#names.values()],
          state: file?.state,
          app,
        });
      },
      seal: async (component, lookup) => {
        const one = app.functions.find(({ name }) => name === component);
        const release = releases.get(component);
        if (one === undefined || release === undefined) return;
        const links = sealLinks(app, one, parts.stageSecret, lookup);
        if (links.key === release.linksKey) return;
        releases.set(component, await withLinks(release, links, calls.signal));
      },
    };
    // Before anything is made: what stands half done beside somebody else's function helps nobody.
    const names = new Set(wanted(standings).lambdas.map((one) => one.nameInAws));
    const [foreign] = standings.foreign.filter((one) => names.has(one.nameInAws));
    if (foreign !== undefined) throw notOurs(foreign.what, foreign.nameInAws, this.#of.app, this.#of.stage);
    return prepared;
  }

  /** In dev only what stays in the cloud and does not stand there with its own code. */
  #released(app: WantedApp, mode: Mode, { functions }: Deployed): WantedFunction[] {
    const standing = new Map(functions.map((one) => [one.nameInAws, one]));
    return app.functions.filter((one) => {
      if (mode === "release") return true;
      return !one.dev && standing.get(nameInAws(app, one))?.stub !== false;
    });
  }

  /** Each database that the config gives no password has one that the stage keeps. */
  async #passwords(app: WantedApp, file: StateFile): Promise<Record<string, string>> {
    const found: Record<string, string> = {};
    for (const database of databases(app)) {
      if (database.kind === "aws.Postgres" && database.password !== undefined) continue;
      found[database.name] = await file.secret(database.name, () => randomBytes(24).toString("hex"));
    }
    return found;
  }

  /** What tags cannot tell. The packages go first: what the state names is there. */
  async #remember({ file, standings, parts, releases }: Prepared, mode: Mode): Promise<void> {
    const state = file ?? (await StateFile.open(this.#options.aws, this.#of, this.#scope.signal));
    const before = state.state?.code ?? {};
    const code: Record<string, CarriedCode> = {};
    for (const { component } of standings.functions) {
      const release = releases.get(component);
      const kept = before[component];
      if (release === undefined || kept?.sha256 === release.sha256) {
        if (kept !== undefined) code[component] = kept;
        continue;
      }
      const { sha256, handler } = release;
      code[component] = { key: await state.putCode(release.file, sha256), sha256, handler };
    }
    const { functions, roles, things } = standings;
    await state.write({
      version: 1,
      ...this.#of,
      region: parts.region,
      at: new Date().toISOString(),
      mode,
      resources: [
        ...functions.map(({ component, nameInAws: name }) => ({
          is: "function",
          component,
          nameInAws: name,
        })),
        ...roles.map(({ component, nameInAws: name }) => ({ is: "role", component, nameInAws: name })),
        ...things.map(({ is, component, nameInAws: name }) => ({ is, component, nameInAws: name })),
      ],
      code,
    });
    const named = new Set(Object.values(code).map(({ key }) => key));
    await state.deleteCode(Object.values(before).flatMap(({ key }) => (named.has(key) ? [] : [key])));
  }

  #alone<T>(run: (calls: Calls) => Promise<T>): Promise<T> {
    const result = this.#last.catch(() => {}).then(async () => run(await this.#calls()));
    this.#last = result;
    return result;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }
}

/** A run before this one was killed before it said which packages it had deployed. */
function unkept({ file, releases }: Prepared): boolean {
  return [...releases].some(([name, { sha256 }]) => file?.state?.code[name]?.sha256 !== sha256);
}

/** What goes; the URL of a function that stays can be had again. */
const removes = (step: Step) => step.action === "delete" && !("stub" in step && step.stub !== undefined);

/** A sentence for each stack whose resources CloudFormation did not compare. */
function unknownDrift({ things }: Standings): string[] {
  return things.flatMap(({ kind, component, facts }) => {
    const unknown = facts?.is === "stack" ? facts.drift?.unknown : undefined;
    return unknown === undefined ? [] : [driftUnknown(`${kind} "${component}"`, unknown)];
  });
}

/** Components whose deployed code one of the steps would replace by a stub. */
function holdingCode({ functions }: Deployed, steps: readonly Step[]): string[] {
  const changed = new Set(
    steps.flatMap((step) =>
      step.resource === "function" && step.action === "update" && step.stub.code.is === "stub"
        ? [stepName(step)]
        : [],
    ),
  );
  return functions
    .filter(({ stub, nameInAws: name }) => !stub && changed.has(name))
    .map(({ component }) => component);
}

const HOLDS_DATA = ["aws.Bucket", "aws.Postgres", "aws.Redis"];
const IN_A_NETWORK = ["aws.Postgres", "aws.Redis"];

/**
 * Without what would go and stays all the same, as the app says: with `retain` what holds data, and the network around
 * a database. Without a config nobody has said that data may go.
 */
function withoutKept(steps: readonly Step[], removal: WantedApp["removal"] = "retain"): Step[] {
  if (removal === "remove") return [...steps];
  const kindsGone = new Set(steps.flatMap((step) => goesKind(step) ?? []));
  const kept = IN_A_NETWORK.some((kind) => kindsGone.has(kind)) ? [...HOLDS_DATA, "aws.Vpc"] : HOLDS_DATA;
  return steps.filter((step) => {
    if (!removes(step)) return true;
    return removal !== "retain-all" && !kept.includes(goesKind(step) ?? "");
  });
}

const goesKind = (step: Step): string | undefined =>
  step.resource === "thing" && step.action === "delete" ? step.standing.kind : undefined;

function componentsOf(app: WantedApp): string[] {
  return [
    ...app.functions,
    ...app.buckets,
    ...app.stacks,
    ...app.vpcs,
    ...app.databases,
    ...app.processes,
  ].map(({ name }) => name);
}

/** Outputs by their names. */
function shown(text: Text): string {
  if (typeof text === "string") return text;
  return text[OUTPUT]
    .map((part) => (typeof part === "string" ? part : "ref" in part ? `<${part.ref}>` : "…"))
    .join("");
}

const planned = (step: Step) => ({ step: step.action, resource: resourceOf(step) });

function commandsOf(app: WantedApp, mode: Mode): { resource: string; command: string }[] {
  if (mode === "dev") return [];
  return app.processes.flatMap(({ kind, name, deploy }) => {
    const resource = `${kind} "${name}"`;
    if (deploy?.by === "command") return [{ resource, command: shown(deploy.command) }];
    return deploy?.by === "files" ? [{ resource, command: shown(deploy.build ?? "upload") }] : [];
  });
}

function standing({ functions }: Deployed): Record<string, Standing> {
  return Object.fromEntries(
    functions.map(({ component, functionArn, nameInAws: name, url }) => [
      component,
      { functionArn, nameInAws: name, ...(url !== undefined && { url }) },
    ]),
  );
}
