/**
 * Puts stubs in place of a stage's functions, and takes the stage away again. `plan` is pure; `apply` reads what
 * stands, plans, and carries the steps out: in order for one name in AWS, up to eight names at once.
 */
import { createHash, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";

import { InvokeCommand, type InvocationType } from "@aws-sdk/client-lambda";

import { physicalName, type WantedApp } from "../../proto/app.ts";
import type { Aws } from "../aws/aws.ts";
import { awsName, explainAws } from "../aws/failure.ts";
import { notDeployed, notOurs, stageProtected, stageHoldsCode } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { Scope } from "../lib/scope.ts";
import { ABSENT, openCalls, type Calls } from "./calls.ts";
import { readDeployed, type Read, type Stage } from "./deployed.ts";
import { each } from "./each.ts";
import { createFunction, deleteFunction, updateFunction } from "./function.ts";
import type { Journal } from "./journal.ts";
import { stubPackage } from "./package.ts";
import { plan, stepComponent, stepName, type Deployed, type Step } from "./plan.ts";
import { createRole, deleteRole, updateRole } from "./role.ts";
import { nameInAws, wantedStubs, type BridgeAddress, type WantedStub } from "./stubs.ts";
import { deleteUrl, putUrl } from "./url.ts";

export type DeployOptions = {
  readonly aws: Aws;
  readonly journal: Journal;
  readonly app: string;
  readonly stage: string;
  /** dist/stub.mjs. */
  readonly stubFile: string;
  /** Asked at each run: how stubs reach the bridge, and the stage's key. */
  readonly bridge: () => {
    readonly addresses: readonly BridgeAddress[];
    readonly key: Uint8Array;
    readonly keyId: string;
  };
  /** How many steps a run of `apply` will take. */
  readonly onPlanned?: ((steps: number) => void) | undefined;
  readonly onStep: (step: Stepped) => void;
  readonly log: Log;
};

/** A step that is done. */
export type Stepped = {
  /** `create`, `update`, `delete`. */
  readonly step: Step["action"];
  /** In the app's words: `aws.Function "MyApi" role`. */
  readonly resource: string;
  readonly tookMs: number;
};

export type DeployResult = {
  readonly steps: number;
  readonly tookMs: number;
  readonly functions: Readonly<Record<string, Standing>>;
};

export type ApplyOptions = {
  /** Whether stubs may take the place of deployed code. */
  readonly replaceCode?: boolean;
  /** Functions that the app does not have any more stay for now. */
  readonly keepRemoved?: boolean;
};

export type Standing = { readonly functionArn: string; readonly nameInAws: string; readonly url?: string };

export type Invoked = {
  readonly statusCode: number;
  readonly requestId: string;
  readonly functionError?: string;
  readonly payload: Uint8Array;
  /** The last 4 KB of its log. */
  readonly logTail?: string;
};

const WIDTH = 8;

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
    return new Deploy(options);
  }

  /** What `apply` would do. */
  async plan(app: WantedApp): Promise<{ readonly steps: readonly { step: string; resource: string }[] }> {
    const { steps } = await this.#plan(await this.#calls(), app);
    return { steps: steps.map((step) => ({ step: step.action, resource: resourceOf(step) })) };
  }

  /** @throws LivedevError `stage.holdsCode` where a stub would replace deployed code and that was not agreed to. */
  apply(
    app: WantedApp,
    { replaceCode = true, keepRemoved = false }: ApplyOptions = {},
  ): Promise<DeployResult> {
    return this.#alone(async (calls) => {
      const began = performance.now();
      const { steps: all, wanted, program, read } = await this.#plan(calls, app);
      const steps = keepRemoved ? all.filter((step) => !removes(step)) : all;
      const replaced = holdingCode(read, steps);
      if (!replaceCode && replaced.length > 0) throw stageHoldsCode(app.name, app.stage, replaced);
      this.#options.onPlanned?.(steps.length);
      await this.#carryOut(calls, steps, program);
      const deployed = steps.length === 0 ? read : await this.#deployed(calls, wanted);
      return {
        steps: steps.length,
        tookMs: performance.now() - began,
        functions: standing(deployed),
      };
    });
  }

  /** Deletes everything of the stage. */
  remove(app?: WantedApp): Promise<{ readonly steps: number; readonly tookMs: number }> {
    return this.#alone(async (calls) => {
      if (app?.protect === true) throw stageProtected(this.#of.app, this.#of.stage);
      const began = performance.now();
      const known = app === undefined ? [] : app.functions.map((wanted) => nameInAws(app, wanted));
      const steps = plan(await this.#deployed(calls, known), []);
      await this.#carryOut(calls, steps, new Uint8Array());
      return { steps: steps.length, tookMs: performance.now() - began };
    });
  }

  /** What stands, by component. */
  async deployed(app?: WantedApp): Promise<Readonly<Record<string, Standing>>> {
    const known = app === undefined ? [] : app.functions.map((wanted) => nameInAws(app, wanted));
    return standing(await this.#deployed(await this.#calls(), known));
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

  #deployed(calls: Calls, wanted: readonly string[]): Promise<Read> {
    return readDeployed(calls, this.#of, { wanted, journal: this.#options.journal.entries() });
  }

  async #plan(calls: Calls, app: WantedApp) {
    const { aws, bridge, stubFile } = this.#options;
    const { addresses, keyId } = bridge();
    const program = await readFile(stubFile);
    const digest = createHash("sha256").update(program).digest("hex");
    this.#names = new Map(app.functions.map((wanted) => [wanted.name, nameInAws(app, wanted)]));
    const names = [...this.#names.values()];
    const stubs = wantedStubs(app, { region: aws.region, program: digest, keyId, addresses });
    const leave = app.functions.filter(({ dev }) => !dev).map((wanted) => nameInAws(app, wanted));
    const read = await this.#deployed(calls, names);
    const stubNames = new Set(stubs.map((stub) => stub.nameInAws));
    // Before anything is made: what stands half done beside somebody else's function helps nobody.
    const [foreign] = read.foreign.filter((one) => stubNames.has(one.nameInAws));
    if (foreign !== undefined) throw notOurs(foreign.what, foreign.nameInAws, this.#of.app, this.#of.stage);
    return { steps: plan(read, stubs, leave), wanted: names, program, read };
  }

  async #carryOut(calls: Calls, steps: readonly Step[], program: Uint8Array): Promise<void> {
    const deployId = randomUUID();
    const lanes = new Map<string, Step[]>();
    for (const step of steps) lanes.set(stepName(step), [...(lanes.get(stepName(step)) ?? []), step]);
    await each(lanes.values(), WIDTH, async (lane) => {
      for (const step of lane) await this.#step(calls, step, program, deployId);
    });
  }

  async #step(calls: Calls, step: Step, program: Uint8Array, deployId: string): Promise<void> {
    const { journal, onStep, log } = this.#options;
    const began = performance.now();
    const name = stepName(step);
    const entry = {
      deployId,
      resource: `${step.resource}:${name}`,
      action: step.action,
      data: { ...this.#of, component: stepComponent(step), region: this.#options.aws.region },
    };
    calls.signal.throwIfAborted();
    journal.append({ ...entry, phase: "before" });
    await this.#do(calls, step, program);
    journal.append({ ...entry, phase: "after" });
    const tookMs = performance.now() - began;
    log.debug({ resource: entry.resource, action: step.action, tookMs }, "deployment step");
    onStep({ step: step.action, resource: resourceOf(step), tookMs });
  }

  async #do(calls: Calls, step: Step, program: Uint8Array): Promise<void> {
    const of = this.#of;
    if (step.action === "delete") {
      const { nameInAws: name } = step;
      if (step.resource === "url") await deleteUrl(calls, name, of, step.stub !== undefined);
      else if (step.resource === "function") await deleteFunction(calls, name);
      else await deleteRole(calls, name);
      return;
    }
    const { stub, action } = step;
    switch (step.resource) {
      case "role":
        return action === "create" ? createRole(calls, stub, of) : updateRole(calls, stub);
      case "function": {
        const zip = await this.#package(stub, program);
        return action === "create" ? createFunction(calls, stub, zip, of) : updateFunction(calls, stub, zip);
      }
      case "url": {
        const { url } = stub;
        if (url !== undefined) await putUrl(calls, { ...stub, url }, of);
      }
    }
  }

  #package({ settings }: WantedStub, program: Uint8Array): Promise<Buffer> {
    const key = Buffer.from(this.#options.bridge().key).toString("hex");
    return stubPackage(program, { ...settings, key });
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

/** A function or a role that goes; a URL alone can be had again. */
const removes = (step: Step) => step.action === "delete" && step.stub === undefined;

/** Components whose deployed code one of the steps would replace. */
function holdingCode({ functions }: Deployed, steps: readonly Step[]): string[] {
  const changed = new Set(
    steps.filter(({ resource, action }) => resource === "function" && action === "update").map(stepName),
  );
  return functions
    .filter(({ stub, nameInAws: name }) => !stub && changed.has(name))
    .map(({ component }) => component);
}

function resourceOf(step: Step): string {
  const part = { function: "", role: " role", url: " URL" }[step.resource];
  return `aws.Function "${stepComponent(step)}"${part}`;
}

function standing({ functions }: Deployed): Record<string, Standing> {
  return Object.fromEntries(
    functions.map(({ component, functionArn, nameInAws: name, url }) => [
      component,
      { functionArn, nameInAws: name, ...(url !== undefined && { url }) },
    ]),
  );
}
