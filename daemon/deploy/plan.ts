/** Deployed, wanted → steps. Pure: nothing is asked, nothing done; the same two give the same steps. */
import { changes, type Change, type LambdaFacts } from "./changes.ts";
import type { WantedLambda } from "./stubs.ts";
import { thingChanges } from "./thing-changes.ts";
import type { DeployedThing, WantedThing } from "./things.ts";

/** What stands in AWS and is tagged as this stage's. */
export type Deployed = {
  readonly functions: readonly DeployedFunction[];
  readonly roles: readonly DeployedRole[];
  readonly things?: readonly DeployedThing[];
};

export type DeployedFunction = {
  readonly component: string;
  readonly nameInAws: string;
  readonly functionArn: string;
  /** Of its tags. */
  readonly hash: string | undefined;
  readonly urlHash: string | undefined;
  readonly url: string | undefined;
  /** Otherwise it holds deployed code. */
  readonly stub: boolean;
  /** As it stands, whatever its tags say. */
  readonly facts?: LambdaFacts;
  /** Where it logs to. */
  readonly logGroup?: string;
};

export type DeployedRole = {
  readonly component: string;
  readonly nameInAws: string;
  readonly roleArn: string;
  /** Undefined also where the role was made but not yet its policy. */
  readonly hash: string | undefined;
  /** Its inline policy; absent where it was not looked at. */
  readonly policy?: string;
};

export type Step = StepOf & {
  /** What of it differs; secrets by name only. */
  readonly changes?: readonly Change[];
  /** Its tags say that it stands as wanted, and it does not: changed by somebody else. */
  readonly drift?: true;
};

type StepOf =
  | {
      readonly resource: "role" | "function";
      readonly action: "create" | "update";
      readonly stub: WantedLambda;
    }
  | { readonly resource: "url"; readonly action: "create" | "update"; readonly stub: WantedLambda }
  | {
      readonly resource: "url" | "function" | "role";
      readonly action: "delete";
      readonly component: string;
      readonly nameInAws: string;
      /** A function that stays, without its URL. */
      readonly stub?: WantedLambda;
    }
  | { readonly resource: "thing"; readonly action: "create" | "update"; readonly thing: WantedThing }
  | { readonly resource: "thing"; readonly action: "delete"; readonly standing: DeployedThing };

/** `leave`: names in AWS that are of this stage and stay as they are, functions that are not developed live. */
export function plan(
  deployed: Deployed,
  wanted: readonly WantedLambda[],
  leave: readonly string[] = [],
  things: readonly WantedThing[] = [],
): Step[] {
  const functions = new Map(deployed.functions.map((one) => [one.nameInAws, one]));
  const roles = new Map(deployed.roles.map((one) => [one.nameInAws, one]));
  const kept = new Set([...wanted.map(({ nameInAws }) => nameInAws), ...leave]);
  const steps: Step[] = [];
  // In the order in which AWS lets go: URL, function, role.
  for (const { component, nameInAws, url } of deployed.functions) {
    if (kept.has(nameInAws)) continue;
    if (url !== undefined) steps.push({ resource: "url", action: "delete", component, nameInAws });
    steps.push({ resource: "function", action: "delete", component, nameInAws });
  }
  for (const { component, nameInAws } of deployed.roles) {
    if (!kept.has(nameInAws)) steps.push({ resource: "role", action: "delete", component, nameInAws });
  }
  for (const stub of wanted) {
    steps.push(...stepsFor(stub, functions.get(stub.nameInAws), roles.get(stub.nameInAws)));
  }
  return [...steps, ...thingSteps(deployed.things ?? [], things, leave)];
}

function thingSteps(
  deployed: readonly DeployedThing[],
  wanted: readonly WantedThing[],
  leave: readonly string[],
): Step[] {
  const key = (one: Pick<WantedThing, "is" | "nameInAws">) => `${one.is} ${one.nameInAws}`;
  const standing = new Map(deployed.map((one) => [key(one), one]));
  const kept = new Set(wanted.map(key));
  const gone = deployed.filter((one) => !kept.has(key(one)) && !leave.includes(one.nameInAws));
  return [
    ...gone.map((one): Step => ({ resource: "thing", action: "delete", standing: one })),
    ...wanted.flatMap((thing): Step[] => {
      const found = standing.get(key(thing));
      if (found === undefined) return [{ resource: "thing", action: "create", thing }];
      if (found.hash !== thing.hash) return [{ resource: "thing", action: "update", thing }];
      const drifted = thingChanges(thing, found.facts);
      return drifted.length === 0
        ? []
        : [{ resource: "thing", action: "update", thing, drift: true, changes: drifted }];
    }),
  ];
}

function stepsFor(
  stub: WantedLambda,
  standing: DeployedFunction | undefined,
  role: DeployedRole | undefined,
): Step[] {
  const steps: Step[] = [];
  if (role === undefined) steps.push({ resource: "role", action: "create", stub });
  else if (role.hash !== stub.hashes.role) steps.push({ resource: "role", action: "update", stub });
  else if (role.policy !== undefined && !sameJson(role.policy, stub.policy)) {
    steps.push({ resource: "role", action: "update", stub, drift: true, changes: [{ what: "policy" }] });
  }
  if (standing === undefined) steps.push({ resource: "function", action: "create", stub });
  else {
    const differs = changes(stub, standing.facts);
    // A role that was made anew is another one to Lambda, also under the same name.
    const due =
      standing.hash !== stub.hashes.function ||
      standing.stub !== (stub.code.is === "stub") ||
      role === undefined;
    if (due) steps.push({ resource: "function", action: "update", stub, changes: differs });
    else if (differs.length > 0) {
      steps.push({ resource: "function", action: "update", stub, changes: differs, drift: true });
    }
  }
  if (stub.url !== undefined && standing?.url === undefined)
    steps.push({ resource: "url", action: "create", stub });
  else if (stub.url !== undefined && standing?.urlHash !== stub.hashes.url) {
    steps.push({ resource: "url", action: "update", stub });
  } else if (stub.url === undefined && standing?.url !== undefined) {
    const { component, nameInAws } = stub;
    steps.push({ resource: "url", action: "delete", component, nameInAws, stub });
  }
  return steps;
}

export function stepName(step: Step): string {
  if (step.resource === "thing")
    return step.action === "delete" ? step.standing.nameInAws : step.thing.nameInAws;
  return step.action === "delete" ? step.nameInAws : step.stub.nameInAws;
}

export function stepComponent(step: Step): string {
  if (step.resource === "thing")
    return step.action === "delete" ? step.standing.component : step.thing.component;
  return step.action === "delete" ? step.component : step.stub.component;
}

/** In the app's words: `aws.Function "MyApi" role`. */
export function resourceOf(step: Step): string {
  if (step.resource === "thing") {
    const { kind } = step.action === "delete" ? step.standing : step.thing;
    return `${kind} "${stepComponent(step)}"`;
  }
  const part = { function: "", role: " role", url: " URL" }[step.resource];
  return `aws.Function "${stepComponent(step)}"${part}`;
}

function sameJson(one: string, other: string): boolean {
  try {
    return JSON.stringify(JSON.parse(one)) === JSON.stringify(JSON.parse(other));
  } catch {
    return false;
  }
}
