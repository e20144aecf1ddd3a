/** Deployed, wanted → steps. Pure: nothing is asked, nothing done; the same two give the same steps. */
import type { WantedStub } from "./stubs.ts";

/** What stands in AWS and is tagged as this stage's. */
export type Deployed = {
  readonly functions: readonly DeployedFunction[];
  readonly roles: readonly DeployedRole[];
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
};

export type DeployedRole = {
  readonly component: string;
  readonly nameInAws: string;
  readonly roleArn: string;
  /** Undefined also where the role was made but not yet its policy. */
  readonly hash: string | undefined;
};

export type Step =
  | {
      readonly resource: "role" | "function";
      readonly action: "create" | "update";
      readonly stub: WantedStub;
    }
  | { readonly resource: "url"; readonly action: "create" | "update"; readonly stub: WantedStub }
  | {
      readonly resource: "url" | "function" | "role";
      readonly action: "delete";
      readonly component: string;
      readonly nameInAws: string;
      /** A function that stays, without its URL. */
      readonly stub?: WantedStub;
    };

/** `leave`: names in AWS that are of this stage and stay as they are, functions that are not developed live. */
export function plan(
  deployed: Deployed,
  wanted: readonly WantedStub[],
  leave: readonly string[] = [],
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
  return steps;
}

function stepsFor(
  stub: WantedStub,
  standing: DeployedFunction | undefined,
  role: DeployedRole | undefined,
): Step[] {
  const steps: Step[] = [];
  if (role === undefined) steps.push({ resource: "role", action: "create", stub });
  else if (role.hash !== stub.hashes.role) steps.push({ resource: "role", action: "update", stub });
  if (standing === undefined) steps.push({ resource: "function", action: "create", stub });
  // A role that was made anew is another one to Lambda, also under the same name.
  else if (standing.hash !== stub.hashes.function || !standing.stub || role === undefined) {
    steps.push({ resource: "function", action: "update", stub });
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

export const stepName = (step: Step) => (step.action === "delete" ? step.nameInAws : step.stub.nameInAws);
export const stepComponent = (step: Step) =>
  step.action === "delete" ? step.component : step.stub.component;
