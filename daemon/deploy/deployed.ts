/** Reads what stands in AWS of a stage. Names come from the app, the journal and AWS's lists; tags decide whose it is. */
import {
  GetRoleCommand,
  GetRolePolicyCommand,
  paginateListRoles,
  type IAMClient,
  type Role,
} from "@aws-sdk/client-iam";
import {
  GetFunctionCommand,
  GetFunctionUrlConfigCommand,
  paginateListFunctions,
  type FunctionConfiguration,
  type GetFunctionResponse,
} from "@aws-sdk/client-lambda";

import { ABSENT, type Calls } from "./calls.ts";
import type { LambdaFacts } from "./changes.ts";
import { each } from "./each.ts";
import { mayStand, type JournalEntry } from "./journal.ts";
import type { Deployed, DeployedFunction, DeployedRole } from "./plan.ts";
import { EXEC_WRAPPER, TAGS } from "./stubs.ts";

export type Stage = { readonly app: string; readonly stage: string };

const WIDTH = 8;

export type Read = Deployed & {
  /** Of the names that were asked for, those that stand and are somebody else's. */
  readonly foreign: readonly { readonly what: "function" | "role"; readonly nameInAws: string }[];
};

export async function readDeployed(
  calls: Calls,
  { app, stage }: Stage,
  known: {
    readonly wanted: readonly string[];
    readonly journal: readonly JournalEntry[];
    /** Looks at what no tag tells, too. */
    readonly thorough?: boolean;
  },
): Promise<Read> {
  const functionNames = new Set([...known.wanted, ...mayStand(known.journal, "function")]);
  const roleNames = new Set([...known.wanted, ...mayStand(known.journal, "role")]);
  await calls.try("ListFunctions", async () => {
    for await (const { Functions = [] } of paginateListFunctions({ client: calls.lambda }, {})) {
      for (const { FunctionName = "" } of Functions)
        if (FunctionName.startsWith(`${app}-${stage}-`)) functionNames.add(FunctionName);
    }
  });
  // Roles of functions that are gone: a kill between the two leaves one.
  await calls.try("ListRoles", () => addRoles(calls.iam, rolePath({ app, stage }), roleNames));
  // A function whose config gave it a name of its own begins otherwise; its role has the same name, and the path.
  for (const name of roleNames) functionNames.add(name);

  const functions: DeployedFunction[] = [];
  const roles: DeployedRole[] = [];
  const foreign: { what: "function" | "role"; nameInAws: string }[] = [];
  await each(functionNames, WIDTH, async (name) => {
    const found = await lookUpFunction(calls, name, { app, stage });
    if (found === "foreign") foreign.push({ what: "function", nameInAws: name });
    else if (found !== undefined) functions.push(found);
  });
  await each(roleNames, WIDTH, async (name) => {
    const found = await readRole(calls, name, { app, stage }, known.thorough ?? false);
    if (found === "foreign") foreign.push({ what: "role", nameInAws: name });
    else if (found !== undefined) roles.push(found);
  });
  const byName = (a: { nameInAws: string }, b: { nameInAws: string }) => (a.nameInAws < b.nameInAws ? -1 : 1);
  return { functions: functions.sort(byName), roles: roles.sort(byName), foreign: foreign.sort(byName) };
}

/** A path of its own makes a stage's roles a list that can be asked for. */
export const rolePath = ({ app, stage }: Stage) => `/livedev/${app}/${stage}/`;

/** The name of the role's one inline policy. */
export const ROLE_POLICY = "livedev";

export const isOurs = (tags: Readonly<Record<string, string>>, { app, stage }: Stage) =>
  tags[TAGS.app] === app && tags[TAGS.stage] === stage;

/** Where it stands and is ours. */
export async function readFunction(
  calls: Calls,
  name: string,
  of: Stage,
): Promise<DeployedFunction | undefined> {
  const found = await lookUpFunction(calls, name, of);
  return found === "foreign" ? undefined : found;
}

async function lookUpFunction(
  calls: Calls,
  name: string,
  of: Stage,
): Promise<DeployedFunction | "foreign" | undefined> {
  const found: GetFunctionResponse | undefined = await calls.unless(ABSENT, `GetFunction of ${name}`, () =>
    calls.lambda.send(new GetFunctionCommand({ FunctionName: name }), { abortSignal: calls.signal }),
  );
  const tags = found?.Tags ?? {};
  if (found?.Configuration?.FunctionArn === undefined) return undefined;
  if (!isOurs(tags, of)) return "foreign";
  const url = await calls.unless(ABSENT, `GetFunctionUrlConfig of ${name}`, () =>
    calls.lambda.send(new GetFunctionUrlConfigCommand({ FunctionName: name }), { abortSignal: calls.signal }),
  );
  const stub = found.Configuration.Environment?.Variables?.["AWS_LAMBDA_EXEC_WRAPPER"] === EXEC_WRAPPER;
  return {
    component: tags[TAGS.component] ?? name,
    nameInAws: name,
    functionArn: found.Configuration.FunctionArn,
    hash: tags[stub ? TAGS.hash : TAGS.code],
    urlHash: tags[TAGS.url],
    url: url?.FunctionUrl,
    stub,
    facts: factsOf(found.Configuration),
    ...(found.Configuration.LoggingConfig?.LogGroup !== undefined && {
      logGroup: found.Configuration.LoggingConfig.LogGroup,
    }),
  };
}

function factsOf(standing: FunctionConfiguration): LambdaFacts {
  return {
    handler: standing.Handler ?? "",
    runtime: standing.Runtime ?? "",
    architecture: standing.Architectures?.[0] === "arm64" ? "arm64" : "x86_64",
    description: standing.Description ?? "",
    timeoutSeconds: standing.Timeout ?? 3,
    memoryMb: standing.MemorySize ?? 128,
    environment: standing.Environment?.Variables ?? {},
    layers: (standing.Layers ?? []).flatMap(({ Arn }) => (Arn === undefined ? [] : [Arn])),
    codeSha256: standing.CodeSha256 ?? "",
  };
}

async function readRole(
  calls: Calls,
  name: string,
  of: Stage,
  thorough: boolean,
): Promise<DeployedRole | "foreign" | undefined> {
  const found = await calls.unless(ABSENT, `GetRole of ${name}`, () =>
    calls.iam.send(new GetRoleCommand({ RoleName: name }), { abortSignal: calls.signal }),
  );
  const tags = roleTags(found?.Role);
  if (found?.Role?.Arn === undefined) return undefined;
  if (!isOurs(tags, of)) return "foreign";
  const policy = thorough ? await readPolicy(calls, name) : undefined;
  return {
    component: tags[TAGS.component] ?? name,
    nameInAws: name,
    roleArn: found.Role.Arn,
    hash: tags[TAGS.hash],
    ...(policy !== undefined && { policy }),
  };
}

async function readPolicy(calls: Calls, RoleName: string): Promise<string> {
  const found = await calls.unless(ABSENT, `GetRolePolicy of ${RoleName}`, () =>
    calls.iam.send(new GetRolePolicyCommand({ RoleName, PolicyName: ROLE_POLICY }), {
      abortSignal: calls.signal,
    }),
  );
  return decodeURIComponent(found?.PolicyDocument ?? "");
}

export function roleTags(role: Role | undefined): Record<string, string> {
  return Object.fromEntries((role?.Tags ?? []).map(({ Key = "", Value = "" }) => [Key, Value]));
}

async function addRoles(client: IAMClient, path: string, names: Set<string>): Promise<void> {
  for await (const { Roles = [] } of paginateListRoles({ client }, { PathPrefix: path })) {
    for (const { RoleName } of Roles) if (RoleName !== undefined) names.add(RoleName);
  }
}
