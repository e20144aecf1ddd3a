/**
 * What should stand in AWS for an app under live development: a role, a stub and perhaps a URL for each function; for
 * a deployment its own code in place of the stub. Pure.
 */
import { createHash } from "node:crypto";

import {
  physicalName,
  resolveOutputs,
  type Text,
  type Texts,
  type WantedApp,
  type WantedFunction,
  type WantedPermission,
  type WantedUrl,
} from "../../proto/app.ts";
import { LINKS_FILE, LINKS_KEY, sealLinks } from "./links.ts";

/** What Lambda starts in place of the runtime: it lies in the stub's package. */
export const EXEC_WRAPPER = "/var/task/livedev";

export type BridgeAddress = { readonly address: string; readonly match: string };

export type StubSettings = {
  readonly version: 1;
  readonly app: string;
  readonly stage: string;
  readonly functionName: string;
  /** Hex. A secret: it stands in the package alone, never in a plan, a hash or a log. */
  readonly key: string;
  readonly keyId: string;
  readonly addresses: readonly BridgeAddress[];
  readonly whenAway: "error" | "deployed";
  /** Its URL streams: what it is answered with must begin as a stream of Lambda's does. */
  readonly streamingUrl: boolean;
};

/** A function as it should stand in AWS: a stub, or its own code. */
export type WantedLambda = {
  readonly component: string;
  /** Of the function and of its role. */
  readonly nameInAws: string;
  readonly handler: string;
  readonly runtime: string;
  readonly architecture: "x86_64" | "arm64";
  readonly description: string;
  readonly timeoutSeconds: number;
  readonly memoryMb: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string>>;
  readonly subnets: readonly string[];
  readonly securityGroups: readonly string[];
  readonly layers: readonly string[];
  readonly logging: { readonly format: "Text" | "JSON"; readonly group: string };
  readonly code: WantedCode;
  /** The role's inline policy, JSON. */
  readonly policy: string;
  readonly url: WantedUrl | undefined;
  readonly hashes: { readonly function: string; readonly role: string; readonly url: string };
};

export type WantedCode =
  | {
      readonly is: "stub";
      readonly settings: Omit<StubSettings, "key">;
      /** The package of the last real deployment, which runs while nobody is there. */
      readonly carries?: CarriedCode | undefined;
    }
  /** `sha256` as Lambda tells it: base64. */
  | { readonly is: "release"; readonly sha256: string };

export type CarriedCode = { readonly key: string; readonly sha256: string; readonly handler: string };

/** What a stub is made of besides the app. */
export type StubParts = {
  readonly region: string;
  /** SHA-256 of the stub's program. */
  readonly program: string;
  readonly keyId: string;
  readonly addresses: readonly BridgeAddress[];
  /** By component: the code of the last real deployment. */
  readonly carried?: Readonly<Record<string, CarriedCode>>;
};

/** What a component gives, by reference (`MyApi.arn`); undefined: not known yet. */
export type Lookup = (ref: string) => unknown;

const NOTHING_KNOWN: Lookup = () => undefined;

export const TAGS = {
  app: "livedev:app",
  stage: "livedev:stage",
  component: "livedev:component",
  /** A stub's; what holds deployed code has `code` instead. */
  hash: "livedev:hash",
  code: "livedev:code",
  /** On the function, set as the last call of its URL's step: where it is missing, that step was not done. */
  url: "livedev:url",
  /** Which tags of the config stand (`noted`): others are somebody else's and stay. */
  tags: "livedev:tags",
} as const;

/** Tags that an earlier config set and this one does not. */
export function staleTags(
  standing: Readonly<Record<string, string>>,
  { tags }: Pick<WantedLambda, "tags">,
): string[] {
  const noted = new Set(standing[TAGS.tags]?.match(/.{6}/g));
  return Object.keys(standing).filter((key) => !(key in tags) && noted.has(keyMark(key)));
}

/** The keys of the config's tags, in a tag's 256 characters: at most 50 tags fit on a resource, these 42 of ours. */
function noted(keys: readonly string[]): string {
  return keys.map(keyMark).sort().join("");
}

/** Tag values take few signs, and keys may hold any of them. */
const keyMark = (key: string) => createHash("sha256").update(key).digest("hex").slice(0, 6);

/** Tags as the resource has them: the config's, whose it is, and which of them are the config's. */
export function ownTags(
  app: Pick<WantedApp, "name" | "stage">,
  component: string,
  tags: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return {
    ...tags,
    [TAGS.app]: app.name,
    [TAGS.stage]: app.stage,
    [TAGS.component]: component,
    ...(Object.keys(tags).length > 0 && { [TAGS.tags]: noted(Object.keys(tags)) }),
  };
}

/** A change in how resources are made from the same config: raise it, and every function is deployed again. */
const RECIPE = 2;

export function wantedStubs(
  app: WantedApp,
  parts: StubParts,
  lookup: Lookup = NOTHING_KNOWN,
): WantedLambda[] {
  return app.functions.filter(({ dev }) => dev).map((wanted) => wantedStub(app, wanted, parts, lookup));
}

export function nameInAws(
  app: Pick<WantedApp, "name" | "stage">,
  wanted: Pick<WantedFunction, "name" | "nameInAws">,
): string {
  return wanted.nameInAws ?? physicalName(app.name, app.stage, wanted.name);
}

export function wantedStub(
  app: WantedApp,
  wanted: WantedFunction,
  { program, keyId, addresses, region, carried = {} }: StubParts,
  lookup: Lookup = NOTHING_KNOWN,
): WantedLambda {
  const carries = wanted.whenAway === "deployed" ? carried[wanted.name] : undefined;
  const settings = {
    version: 1,
    app: app.name,
    stage: app.stage,
    functionName: wanted.name,
    keyId,
    addresses,
    whenAway: wanted.whenAway,
    streamingUrl: wanted.url?.streaming === true,
  } as const;
  return lambda(app, wanted, region, lookup, {
    handler: carries?.handler ?? wanted.handler,
    code: { is: "stub", settings, ...(carries !== undefined && { carries }) },
    // The local code's variables do not travel. What the deployed code had stays: function.ts sees to that.
    environment: { AWS_LAMBDA_EXEC_WRAPPER: EXEC_WRAPPER },
    layers: carries === undefined ? [] : wanted.layers,
    made: [program],
  });
}

/** The function with its own code, as `livedev deploy` puts it there. */
export function wantedRelease(
  app: WantedApp,
  wanted: WantedFunction,
  release: {
    readonly region: string;
    readonly handler: string;
    readonly sha256: string;
    readonly stageSecret: string;
  },
  lookup: Lookup,
): WantedLambda {
  const variables = {
    // As `Resource` finds them; SST's names, so that its SDK does too. The App stands there in clear, for errors.
    [LINKS_KEY]: sealLinks(app, wanted, release.stageSecret, lookup).key,
    SST_KEY_FILE: LINKS_FILE,
    SST_RESOURCE_App: JSON.stringify({ name: app.name, stage: app.stage }),
    ...(wanted.nodejs.sourcemap && { NODE_OPTIONS: "--enable-source-maps" }),
    ...texts(wanted.environment, lookup),
  };
  return lambda(app, wanted, release.region, lookup, {
    handler: release.handler,
    code: { is: "release", sha256: release.sha256 },
    environment: variables,
    layers: wanted.layers,
    made: [],
  });
}

function lambda(
  app: WantedApp,
  wanted: WantedFunction,
  region: string,
  lookup: Lookup,
  how: Pick<WantedLambda, "handler" | "code" | "environment"> & {
    readonly layers: WantedFunction["layers"];
    readonly made: readonly string[];
  },
): WantedLambda {
  const name = nameInAws(app, wanted);
  const { made, layers, ...own } = how;
  const { logging, url, vpc } = wanted;
  const group = logging === false ? undefined : text(logging.logGroup, lookup);
  const shape = {
    ...own,
    component: wanted.name,
    nameInAws: name,
    runtime: wanted.runtime,
    architecture: wanted.architecture,
    description: wanted.description ?? "",
    timeoutSeconds: Math.ceil(wanted.timeoutMs / 1000),
    memoryMb: wanted.memoryMb,
    tags: ownTags(app, wanted.name, wanted.tags),
    subnets: list(vpc?.subnets ?? [], lookup),
    securityGroups: list(vpc?.securityGroups ?? [], lookup),
    layers: list(layers, lookup),
    logging: {
      format: logging !== false && logging.format === "json" ? "JSON" : "Text",
      group: group ?? `/aws/lambda/${name}`,
    },
  } as const;
  const policy = rolePolicy(wanted, { region, group: shape.logging.group, lookup });
  return {
    ...shape,
    policy,
    url,
    hashes: {
      function: hash([RECIPE, made, shape]),
      role: hash([RECIPE, policy, shape.tags]),
      url: hash([RECIPE, url ?? null]),
    },
  };
}

/** Each is text, of outputs that are text; one that is not known yet is left out. */
function texts(values: Readonly<Record<string, Text>>, lookup: Lookup): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => {
      const known = resolveOutputs(value, lookup);
      return known === null ? [] : [[name, typeof known === "string" ? known : JSON.stringify(known)]];
    }),
  );
}

function text(value: Text | undefined, lookup: Lookup): string | undefined {
  return (resolveOutputs(value, lookup) ?? undefined) as string | undefined;
}

function list(values: Texts, lookup: Lookup): string[] {
  const known = resolveOutputs(values, lookup);
  return Array.isArray(known) ? known.filter((one): one is string => typeof one === "string") : [];
}

export const TRUST_POLICY = JSON.stringify({
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Principal: { Service: "lambda.amazonaws.com" }, Action: "sts:AssumeRole" }],
});

/** Its logs, what its links need, what `permissions` adds; nothing else, for a stub too. */
function rolePolicy(
  { permissions = [], logging, vpc }: WantedFunction,
  { region, group, lookup }: { region: string; group: string; lookup: Lookup },
): string {
  const logs = `arn:${partitionOf(region)}:logs:${region}:*:log-group:${group}`;
  const statements: WantedPermission[] = [];
  if (logging !== false) {
    statements.push({
      effect: "allow",
      actions: ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
      resources: [logs, `${logs}:*`],
    });
  }
  if (vpc !== undefined) statements.push({ effect: "allow", actions: NETWORK, resources: ["*"] });
  const Statement = [...statements, ...permissions].map(({ effect, actions, resources }) => ({
    Effect: effect === "deny" ? "Deny" : "Allow",
    Action: actions,
    Resource: list(resources, lookup),
  }));
  // A resource that is not known yet is named when it is; a statement about none is none.
  return JSON.stringify({
    Version: "2012-10-17",
    Statement: Statement.filter((one) => one.Resource.length > 0),
  });
}

/** What Lambda asks of a role of a function in a VPC. @see https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html */
const NETWORK = [
  "ec2:CreateNetworkInterface",
  "ec2:DescribeNetworkInterfaces",
  "ec2:DescribeSubnets",
  "ec2:DeleteNetworkInterface",
  "ec2:AssignPrivateIpAddresses",
  "ec2:UnassignPrivateIpAddresses",
];

export function partitionOf(region: string): "aws" | "aws-cn" | "aws-us-gov" {
  if (region.startsWith("cn-")) return "aws-cn";
  return region.startsWith("us-gov-") ? "aws-us-gov" : "aws";
}

/** Independent of the order in which properties were written. */
export function hash(value: unknown): string {
  return createHash("sha256").update(canonical(value)).digest("hex").slice(0, 32);
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(",")}}`;
}
