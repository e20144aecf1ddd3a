/** The whole of what an app wants in AWS, and what of it waits for what. Pure. */
import {
  physicalName,
  references,
  resolveOutputs,
  type WantedApp,
  type WantedDatabase,
  type WantedFunction,
  type WantedProcess,
  type WantedStack,
} from "../../proto/app.ts";
import type { Release } from "./release.ts";
import {
  hash,
  nameInAws,
  ownTags,
  wantedRelease,
  wantedStub,
  type Lookup,
  type StubParts,
  type WantedLambda,
} from "./stubs.ts";
import { databaseTemplate, siteTemplate, vpcTemplate } from "./templates.ts";
import type { WantedThing } from "./things.ts";

/** `dev`: stubs. `release`: the functions' own code, and what is only deployed then. */
export type Mode = "dev" | "release";

export type Wanted = {
  readonly lambdas: readonly WantedLambda[];
  readonly things: readonly WantedThing[];
  /** Names in AWS that stay as they are. */
  readonly leave: readonly string[];
};

export type WantedParts = StubParts & {
  readonly mode: Mode;
  readonly account: string;
  /** By component: packages that were made for this run. */
  readonly releases: ReadonlyMap<string, Release>;
  /** By component: what VPCs give that stand already. */
  readonly networks: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** By component: passwords that the stage keeps. */
  readonly passwords: Readonly<Record<string, string>>;
  /** Seals the links of what is deployed. */
  readonly stageSecret: string;
  /** By name. */
  readonly secrets?: Readonly<Record<string, string>>;
};

/** Raise it where the same config comes to other resources. */
const RECIPE = 1;

export function wantedOf(app: WantedApp, parts: WantedParts, lookup: Lookup): Wanted {
  const lambdas: WantedLambda[] = [];
  const leave: string[] = [];
  for (const wanted of app.functions) {
    const release = parts.releases.get(wanted.name);
    if (release !== undefined)
      lambdas.push(
        wantedRelease(
          app,
          wanted,
          { ...release, region: parts.region, stageSecret: parts.stageSecret },
          lookup,
        ),
      );
    else if (parts.mode === "dev" && wanted.dev) lambdas.push(wantedStub(app, wanted, parts, lookup));
    else leave.push(nameInAws(app, wanted));
  }
  // What only a real deployment makes stays while the stage is developed.
  if (parts.mode === "dev") {
    const released = [...sites(app), ...app.databases.filter(({ dev }) => dev !== undefined)];
    leave.push(...released.map(({ name }) => physicalName(app.name, app.stage, name)));
  }
  return { lambdas, leave, things: wantedThings(app, parts, lookup) };
}

function wantedThings(app: WantedApp, parts: WantedParts, lookup: Lookup): WantedThing[] {
  const { account, region } = parts;
  const stack = (
    kind: string,
    component: string,
    how: Pick<Extract<WantedThing, { is: "stack" }>, "template" | "parameters" | "capabilities"> & {
      readonly tags?: Readonly<Record<string, string>>;
    },
  ): WantedThing => {
    const { tags, ...rest } = how;
    return {
      is: "stack",
      kind,
      component,
      nameInAws: physicalName(app.name, app.stage, component),
      tags: ownTags(app, component, tags),
      hash: hash([RECIPE, rest, tags ?? {}]),
      ...rest,
    };
  };
  return [
    ...app.buckets
      .filter(({ existing }) => existing === undefined)
      .map((bucket): WantedThing => ({
        is: "bucket",
        kind: "aws.Bucket",
        component: bucket.name,
        nameInAws: bucketName(app, bucket.name, account, region),
        tags: ownTags(app, bucket.name),
        hash: hash([RECIPE, bucket]),
        bucket,
      })),
    ...app.stacks.map((one) => stack("aws.Stack", one.name, stackOf(one, lookup))),
    ...app.vpcs.flatMap((vpc) =>
      vpc.is === "new"
        ? [stack("aws.Vpc", vpc.name, { ...vpcTemplate(vpc, app, lookup), capabilities: [] })]
        : [],
    ),
    ...databases(app).map((one) =>
      stack(one.kind, one.name, {
        ...databaseTemplate(one, app, parts.passwords[one.name], lookup),
        capabilities: ["CAPABILITY_IAM"],
      }),
    ),
    ...(parts.mode === "release" ? sites(app) : []).map((site) =>
      stack(site.kind, site.name, { ...siteTemplate(site), capabilities: [] }),
    ),
  ];
}

function stackOf({ template, parameters, capabilities, tags }: WantedStack, lookup: Lookup) {
  const text = (value: unknown): string => {
    const known = resolveOutputs(value, lookup) ?? "";
    if (Array.isArray(known)) return known.join(",");
    return typeof known === "string" ? known : JSON.stringify(known);
  };
  return {
    template: "text" in template ? template.text : JSON.stringify(resolveOutputs(template.body, lookup)),
    parameters: Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, text(value)])),
    capabilities,
    tags,
  };
}

/** Databases that are deployed: in dev those that the config puts elsewhere are not. */
export function databases(app: WantedApp): WantedDatabase[] {
  return app.databases.filter(({ dev }) => dev === undefined);
}

export function sites(app: WantedApp): WantedProcess[] {
  return app.processes.filter(({ deploy }) => deploy?.by === "files");
}

/** What a real deployment has no way for. */
export function undeployable(app: WantedApp): string[] {
  return app.processes
    .filter(({ deploy }) => deploy === undefined)
    .map(({ kind, name }) => `${kind} "${name}"`);
}

/** What only CloudFormation makes. */
export function byCloudFormation(app: WantedApp, mode: Mode): string[] {
  return [
    ...app.stacks.map(({ name }) => `aws.Stack "${name}"`),
    ...app.vpcs.filter(({ is }) => is === "new").map(({ name }) => `aws.Vpc "${name}"`),
    ...databases(app).map(({ kind, name }) => `${kind} "${name}"`),
    ...(mode === "release" ? sites(app) : []).map(({ kind, name }) => `${kind} "${name}"`),
  ];
}

/** What a component waits for: the components that its definition refers to. */
export function needsOf(app: WantedApp, component: string, mode: Mode): string[] {
  const definition =
    app.functions.find(({ name }) => name === component) ??
    [...app.buckets, ...app.stacks, ...app.vpcs, ...app.databases, ...app.processes].find(
      ({ name }) => name === component,
    );
  const isFunction = app.functions.some((one) => one === definition);
  const counted = isFunction && mode === "dev" ? stubPart(definition as WantedFunction) : definition;
  return [...new Set(references(counted).map((one) => one.component))].filter((name) => name !== component);
}

/** A stub's package holds neither the environment nor the links: it need not wait for them. */
const stubPart = ({ environment: _e, link: _l, ...rest }: WantedFunction): unknown => rest;

/** In the order in which AWS lets go of them. */
const RANKS = [
  "aws.StaticSite",
  "aws.Stack",
  "aws.Function",
  "aws.Postgres",
  "aws.Redis",
  "aws.Bucket",
  "aws.Vpc",
];

export const rankOf = (kind: string): number => {
  const rank = RANKS.indexOf(kind);
  return rank === -1 ? 0 : rank;
};

/** Everybody's name space: the account and the region tell it apart. At most 63 small letters, digits and dashes. */
function bucketName(app: WantedApp, component: string, account: string, region: string): string {
  const whole = `${app.name}-${app.stage}-${component}`.toLowerCase().replaceAll(/[^a-z0-9-]/g, "-");
  return `${whole.slice(0, 50).replace(/-+$/, "")}-${hash([account, region, whole]).slice(0, 12)}`;
}
