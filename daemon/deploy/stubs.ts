/** What should stand in AWS for an app under live development: a role, a stub and perhaps a URL for each function. Pure. */
import { createHash } from "node:crypto";

import { physicalName, type WantedApp, type WantedFunction, type WantedUrl } from "../../proto/app.ts";

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
};

export type WantedStub = {
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
  readonly settings: Omit<StubSettings, "key">;
  /** The role's inline policy, JSON. */
  readonly policy: string;
  readonly url: WantedUrl | undefined;
  readonly hashes: { readonly function: string; readonly role: string; readonly url: string };
};

/** What a stub is made of besides the app. */
export type StubParts = {
  readonly region: string;
  /** SHA-256 of the stub's program. */
  readonly program: string;
  readonly keyId: string;
  readonly addresses: readonly BridgeAddress[];
};

export const TAGS = {
  app: "livedev:app",
  stage: "livedev:stage",
  component: "livedev:component",
  hash: "livedev:hash",
  /** On the function, set as the last call of its URL's step: where it is missing, that step was not done. */
  url: "livedev:url",
} as const;

/** Tags that stand and are neither wanted nor livedev's own nor AWS's: a config before had them. */
export function staleTags(standing: Readonly<Record<string, string>>, { tags }: WantedStub): string[] {
  const keep = new Set<string>([...Object.keys(tags), ...Object.values(TAGS)]);
  return Object.keys(standing).filter((key) => !keep.has(key) && !key.startsWith("aws:"));
}

/** A change in how resources are made from the same config: raise it, and every stub is deployed again. */
const RECIPE = 1;

export function wantedStubs(app: WantedApp, parts: StubParts): WantedStub[] {
  return app.functions.filter(({ dev }) => dev).map((wanted) => wantedStub(app, wanted, parts));
}

export function nameInAws(
  app: Pick<WantedApp, "name" | "stage">,
  wanted: Pick<WantedFunction, "name" | "nameInAws">,
): string {
  return wanted.nameInAws ?? physicalName(app.name, app.stage, wanted.name);
}

function wantedStub(app: WantedApp, wanted: WantedFunction, parts: StubParts): WantedStub {
  const name = nameInAws(app, wanted);
  const { program, keyId, addresses, region } = parts;
  const settings = {
    version: 1,
    app: app.name,
    stage: app.stage,
    functionName: wanted.name,
    keyId,
    addresses,
    whenAway: wanted.whenAway,
  } as const;
  const stub = {
    component: wanted.name,
    nameInAws: name,
    handler: wanted.handler,
    runtime: wanted.runtime,
    architecture: wanted.architecture,
    description: wanted.description ?? "",
    timeoutSeconds: Math.ceil(wanted.timeoutMs / 1000),
    memoryMb: wanted.memoryMb,
    tags: { ...wanted.tags, [TAGS.app]: app.name, [TAGS.stage]: app.stage, [TAGS.component]: wanted.name },
    settings,
  };
  const policy = rolePolicy(wanted, name, region);
  const url = wanted.url;
  return {
    ...stub,
    policy,
    url,
    hashes: {
      function: hash([RECIPE, program, stub]),
      role: hash([RECIPE, policy, stub.tags]),
      url: hash([RECIPE, url ?? null]),
    },
  };
}

export const TRUST_POLICY = JSON.stringify({
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Principal: { Service: "lambda.amazonaws.com" }, Action: "sts:AssumeRole" }],
});

function rolePolicy({ permissions = [] }: WantedFunction, name: string, region: string): string {
  const partition = region.startsWith("cn-") ? "aws-cn" : region.startsWith("us-gov-") ? "aws-us-gov" : "aws";
  const group = `arn:${partition}:logs:${region}:*:log-group:/aws/lambda/${name}`;
  const logs = {
    effect: "allow",
    actions: ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
    resources: [group, `${group}:*`],
  };
  const Statement = [logs, ...permissions].map(({ effect, actions, resources }) => ({
    Effect: effect === "deny" ? "Deny" : "Allow",
    Action: actions,
    Resource: resources,
  }));
  return JSON.stringify({ Version: "2012-10-17", Statement });
}

/** Independent of the order in which properties were written. */
function hash(value: unknown): string {
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
