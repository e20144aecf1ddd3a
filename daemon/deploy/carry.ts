/**
 * Carries steps out: what is made or changed in the order of references, then what goes, in the order in which AWS
 * lets go. Each step is journaled before and after.
 */
import { randomUUID } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";

import { resolveOutputs, type Text, type WantedApp, type WantedProcess } from "../../proto/app.ts";
import type { Aws } from "../aws/aws.ts";
import { tookSince } from "../lib/clock.ts";
import { deployStopped } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { deleteBucket, emptyBucket, putBucket } from "./bucket.ts";
import type { Calls } from "./calls.ts";
import { runCommand } from "./command.ts";
import { readFunction, type Stage } from "./deployed.ts";
import { bytesOf, createFunction, deleteFunction, updateFunction, type Code } from "./function.ts";
import { runGraph, type Node } from "./graph.ts";
import type { Journal } from "./journal.ts";
import { knownIn, type Standings } from "./outputs.ts";
import { stubEntries, stubPackage } from "./package.ts";
import { resourceOf, stepComponent, stepName, type Step } from "./plan.ts";
import { createRole, deleteRole, updateRole } from "./role.ts";
import { putFiles } from "./site.ts";
import { deleteStack, putStack } from "./stack.ts";
import type { Lookup, WantedCode, WantedLambda } from "./stubs.ts";
import type { DeployedThing, WantedThing } from "./things.ts";
import type { DeployOptions, Prepared } from "./types.ts";
import { deleteUrl, putUrl } from "./url.ts";
import { needsOf, rankOf, type Mode } from "./wanted.ts";
import { zipInThread } from "./zip.ts";

export type CarrierOptions = {
  readonly aws: Aws;
  readonly journal: Journal;
  readonly project: string;
  readonly workDir: string;
  readonly bridge: DeployOptions["bridge"];
  readonly onStep: DeployOptions["onStep"];
  readonly maxRequestBytes?: number | undefined;
  readonly log: Log;
  readonly calls: Calls;
  readonly of: Stage;
  readonly standings: Standings;
  readonly stop: AbortSignal | undefined;
  /** What there is to make; absent where all only goes. */
  readonly making?: Prepared & { readonly app: WantedApp; readonly mode: Mode };
};

const WIDTH = 8;
/** A larger package does not fit into a request. */
const MAX_REQUEST = 50 * 1024 * 1024;

export class Carrier {
  readonly #options: CarrierOptions;
  readonly #deployId = randomUUID();
  /** As far as this run has come. */
  #standings: Standings;
  /** What commands printed as their URL. */
  readonly #printed: Record<string, unknown> = {};

  constructor(options: CarrierOptions) {
    this.#options = options;
    this.#standings = options.standings;
  }

  /** As it stands now. */
  see(standings: Standings): void {
    this.#standings = standings;
  }

  /** By reference: what components give. */
  known(): Record<string, unknown> {
    const { making } = this.#options;
    if (making === undefined) return {};
    return { ...knownIn(making.app, this.#standings, making.parts), ...this.#printed };
  }

  lookup(): Lookup {
    const known = this.known();
    return (ref) => known[ref];
  }

  /** `commands`: with what the components run each time. */
  async run(steps: readonly Step[], commands: boolean): Promise<void> {
    const made = steps.filter(
      (step) => step.action !== "delete" || ("stub" in step && step.stub !== undefined),
    );
    await runGraph(this.#nodes(made, commands), WIDTH);
    const gone = steps.filter((step) => !made.includes(step));
    for (const now of [...new Set(gone.map(rank))].sort((a, b) => a - b)) {
      const lanes = grouped(
        gone.filter((step) => rank(step) === now),
        stepName,
      );
      await runGraph(
        [...lanes].map(([name, lane]) => ({ name, needs: [], run: () => this.#lane(lane) })),
        WIDTH,
      );
    }
  }

  #nodes(steps: readonly Step[], commands: boolean): Node[] {
    const { making } = this.#options;
    const lanes = grouped(steps, stepComponent);
    const processes = new Map<string, WantedProcess>();
    if (commands && making?.mode === "release") {
      for (const one of making.app.processes) {
        if (one.deploy?.by === "command" || one.deploy?.by === "files") processes.set(one.name, one);
      }
    }
    return [...new Set([...lanes.keys(), ...processes.keys()])].map((name) => ({
      name,
      needs: making === undefined ? [] : needsOf(making.app, name, making.mode),
      run: async () => {
        const process = processes.get(name);
        const lane = lanes.get(name) ?? [];
        if (process !== undefined) await this.#build(process);
        await this.#lane(lane);
        if (process !== undefined) await this.#deployProcess(process);
        if (lane.some((step) => step.resource === "function" || step.resource === "url"))
          await this.#look(lane);
      },
    }));
  }

  async #lane(steps: readonly Step[]): Promise<void> {
    const [first] = steps;
    // What it is linked to stands by now.
    if (first?.resource === "role" || first?.resource === "function")
      await this.#options.making?.seal(stepComponent(first), this.lookup());
    for (const step of steps) await this.#step(this.#withOutputs(step));
  }

  /** With what has become known since it was planned. */
  #withOutputs(step: Step): Step {
    const { making } = this.#options;
    if (making === undefined || step.action === "delete") return step;
    const component = stepComponent(step);
    if (needsOf(making.app, component, making.mode).length === 0) return step;
    const now = making.wanted(this.#standings, this.#printed);
    if (step.resource === "thing") {
      const thing = now.things.find((one) => one.component === component);
      return thing === undefined ? step : { ...step, thing };
    }
    const stub = now.lambdas.find((one) => one.component === component);
    return stub === undefined ? step : { ...step, stub };
  }

  async #step(step: Step): Promise<void> {
    const { calls, journal, of, aws, stop } = this.#options;
    const is =
      step.resource === "thing" ? (step.action === "delete" ? step.standing : step.thing).is : step.resource;
    const entry = {
      deployId: this.#deployId,
      resource: `${is}:${stepName(step)}`,
      action: step.action,
      data: { ...of, component: stepComponent(step), region: aws.region },
    };
    await this.#timed(step.action, resourceOf(step), async () => {
      calls.signal.throwIfAborted();
      if (stop?.aborted === true) throw deployStopped(of.app, of.stage);
      journal.append({ ...entry, phase: "before" });
      await this.#do(step);
      journal.append({ ...entry, phase: "after" });
    });
  }

  async #timed(step: Step["action"] | "run", resource: string, work: () => Promise<void>): Promise<void> {
    const { log, onStep } = this.#options;
    const began = performance.now();
    await work();
    const tookMs = tookSince(began);
    log.debug({ resource, step, tookMs }, "deployment step");
    onStep({ step, resource, tookMs });
  }

  async #do(step: Step): Promise<void> {
    const { calls, of } = this.#options;
    if (step.resource === "thing") {
      if (step.action === "delete") await this.#deleteThing(step.standing);
      else await this.#putThing(step.thing);
      return;
    }
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
        const code = await this.#code(stub, stub.code);
        if (action === "create") return createFunction(calls, stub, code, of);
        return updateFunction(calls, stub, code, () => this.#previous(stub));
      }
      case "url": {
        const { url } = stub;
        if (url !== undefined) await putUrl(calls, { ...stub, url }, of);
      }
    }
  }

  async #putThing(thing: WantedThing): Promise<void> {
    const { calls, of } = this.#options;
    const put =
      thing.is === "bucket"
        ? await putBucket(calls, thing, of, this.lookup())
        : await putStack(calls, thing, of, this.#drifted(thing));
    const others = this.#standings.things.filter(
      (one) => one.is !== put.is || one.nameInAws !== put.nameInAws,
    );
    this.#standings = { ...this.#standings, things: [...others, put] };
  }

  #drifted({ is, nameInAws: name }: WantedThing): boolean {
    const standing = this.#options.standings.things.find((one) => one.is === is && one.nameInAws === name);
    return standing?.facts?.is === "stack" && (standing.facts.drift?.drifted.length ?? 0) > 0;
  }

  async #deleteThing({ is, kind, nameInAws: name, outputs }: DeployedThing): Promise<void> {
    const { calls } = this.#options;
    if (is === "bucket") return deleteBucket(calls, name);
    // CloudFormation deletes no bucket that has something in it.
    const { bucket } = outputs;
    if (kind === "aws.StaticSite" && typeof bucket === "string") await emptyBucket(calls, bucket);
    await deleteStack(calls, name);
  }

  /** What others refer to: its ARN and its URL. */
  async #look(lane: readonly Step[]): Promise<void> {
    const { making, calls, of } = this.#options;
    const [first] = lane;
    if (making === undefined || first === undefined) return;
    const component = stepComponent(first);
    const { app, mode } = making;
    const others = [...app.functions, ...app.stacks, ...app.processes];
    if (!others.some(({ name }) => needsOf(app, name, mode).includes(component))) return;
    const found = await readFunction(calls, stepName(first), of);
    const rest = this.#standings.functions.filter(({ nameInAws }) => nameInAws !== stepName(first));
    this.#standings = { ...this.#standings, functions: found === undefined ? rest : [...rest, found] };
  }

  // ---- code

  async #code({ component }: WantedLambda, code: WantedCode): Promise<Code> {
    const { making } = this.#options;
    if (code.is === "stub") return this.#stub(component, code);
    const release = making?.releases.get(component);
    if (release === undefined) throw new Error(`no package was made for ${component}`);
    return this.#uploadable(release.file, release);
  }

  async #uploadable(file: string, { bytes, sha256 }: { bytes: number; sha256: string }): Promise<Code> {
    const state = this.#options.making?.file;
    const { maxRequestBytes = MAX_REQUEST } = this.#options;
    if (bytes <= maxRequestBytes || state === undefined) return { zip: await readFile(file), sha256 };
    return { object: { bucket: state.bucket, key: await state.putCode(file, sha256) }, sha256 };
  }

  async #stub(component: string, { settings, carries }: Extract<WantedCode, { is: "stub" }>): Promise<Code> {
    const { making, bridge, calls } = this.#options;
    const program = making?.program ?? new Uint8Array();
    const whole = { ...settings, key: Buffer.from(bridge().key).toString("hex") };
    if (carries !== undefined) {
      const carried = this.#place(component, "carried.zip");
      if (await making?.file?.getCode(carries.key, carried)) {
        const out = this.#place(component, "stub.zip");
        const entries = stubEntries(program, whole);
        return this.#uploadable(
          out,
          await zipInThread({ entries, copies: [], zips: [carried], out }, calls.signal),
        );
      }
    }
    return bytesOf(await stubPackage(program, whole));
  }

  /** What the function runs now, as far as it is kept: what the last real deployment put there. */
  async #previous({ component, nameInAws: name }: WantedLambda): Promise<Code | undefined> {
    const { making } = this.#options;
    const standing = this.#options.standings.functions.find((one) => one.nameInAws === name);
    const kept = making?.file?.state?.code[component];
    if (kept === undefined || standing?.stub !== false) return undefined;
    const file = this.#place(component, "previous.zip");
    if (!(await making?.file?.getCode(kept.key, file))) return undefined;
    const { size } = await stat(file);
    return this.#uploadable(file, { bytes: size, sha256: kept.sha256 });
  }

  #place(component: string, name: string): string {
    return join(this.#options.workDir, `${encodeURIComponent(component).replace(/^\.+/, "_")}.${name}`);
  }

  // ---- components that are deployed by themselves

  async #build(component: WantedProcess): Promise<void> {
    const { deploy } = component;
    if (deploy?.by !== "files" || deploy.build === undefined) return;
    await this.#command(component, { command: deploy.build, directory: deploy.directory });
  }

  async #deployProcess(component: WantedProcess): Promise<void> {
    const { calls, project } = this.#options;
    const { deploy, kind, name } = component;
    if (deploy?.by === "command") {
      await this.#timed("run", `${kind} "${name}"`, async () => {
        const { url } = await this.#command(component, deploy);
        if (deploy.url === undefined && url !== undefined) this.#printed[`${name}.url`] = url;
      });
    }
    if (deploy?.by !== "files") return;
    const { bucket, distribution } =
      this.#standings.things.find((one) => one.component === name)?.outputs ?? {};
    if (typeof bucket !== "string" || typeof distribution !== "string")
      throw new Error(`the stack of ${name} gave no bucket`);
    const folder = resolve(project, deploy.output);
    await this.#timed("run", `${kind} "${name}" files`, async () => {
      await putFiles(calls, { component: name, folder, bucket, distribution });
    });
  }

  #command(component: WantedProcess, how: { readonly command: Text; readonly directory: string }) {
    const { making, project, calls, of } = this.#options;
    const app = making?.app ?? { name: of.app, stage: of.stage };
    const lookup = this.lookup();
    const command = String(resolveOutputs(how.command, lookup));
    return runCommand(app, component, { ...how, command }, { project, lookup, signal: calls.signal });
  }
}

function rank(step: Step): number {
  return rankOf(step.resource === "thing" && step.action === "delete" ? step.standing.kind : "aws.Function");
}

function grouped(steps: readonly Step[], by: (step: Step) => string): Map<string, Step[]> {
  const groups = new Map<string, Step[]>();
  for (const step of steps) groups.set(by(step), [...(groups.get(by(step)) ?? []), step]);
  return groups;
}
