/** Reads what stands in AWS of a stage. Names come from the app, the journal and AWS's lists; tags decide whose it is. */
import { GetRoleCommand, paginateListRoles, type IAMClient, type Role } from "@aws-sdk/client-iam";
import {
  GetFunctionCommand,
  GetFunctionUrlConfigCommand,
  paginateListFunctions,
  type GetFunctionResponse,
} from "@aws-sdk/client-lambda";

import { ABSENT, type Calls } from "./calls.ts";
import { each } from "./each.ts";
import { mayStand, type JournalEntry } from "./journal.ts";
import { EXEC_WRAPPER } from "./package.ts";
import type { Deployed, DeployedFunction, DeployedRole } from "./plan.ts";
import { TAGS } from "./stubs.ts";

export type Stage = { readonly app: string; readonly stage: string };

const WIDTH = 8;

export async function readDeployed(
  calls: Calls,
  { app, stage }: Stage,
  known: { readonly wanted: readonly string[]; readonly journal: readonly JournalEntry[] },
): Promise<Deployed> {
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

  const functions: DeployedFunction[] = [];
  const roles: DeployedRole[] = [];
  await each(functionNames, WIDTH, async (name) => {
    const found = await readFunction(calls, name, { app, stage });
    if (found !== undefined) functions.push(found);
  });
  await each(roleNames, WIDTH, async (name) => {
    const found = await readRole(calls, name, { app, stage });
    if (found !== undefined) roles.push(found);
  });
  const byName = (a: { nameInAws: string }, b: { nameInAws: string }) => (a.nameInAws < b.nameInAws ? -1 : 1);
  return { functions: functions.sort(byName), roles: roles.sort(byName) };
}

/** A path of its own makes a stage's roles a list that can be asked for. */
export const rolePath = ({ app, stage }: Stage) => `/livedev/${app}/${stage}/`;

export const isOurs = (tags: Readonly<Record<string, string>>, { app, stage }: Stage) =>
  tags[TAGS.app] === app && tags[TAGS.stage] === stage;

export async function readFunction(
  calls: Calls,
  name: string,
  of: Stage,
): Promise<DeployedFunction | undefined> {
  const found: GetFunctionResponse | undefined = await calls.unless(ABSENT, `GetFunction of ${name}`, () =>
    calls.lambda.send(new GetFunctionCommand({ FunctionName: name }), { abortSignal: calls.signal }),
  );
  const tags = found?.Tags ?? {};
  if (found?.Configuration?.FunctionArn === undefined || !isOurs(tags, of)) return undefined;
  const url = await calls.unless(ABSENT, `GetFunctionUrlConfig of ${name}`, () =>
    calls.lambda.send(new GetFunctionUrlConfigCommand({ FunctionName: name }), { abortSignal: calls.signal }),
  );
  return {
    component: tags[TAGS.component] ?? name,
    nameInAws: name,
    functionArn: found.Configuration.FunctionArn,
    hash: tags[TAGS.hash],
    urlHash: tags[TAGS.url],
    url: url?.FunctionUrl,
    stub: found.Configuration.Environment?.Variables?.["AWS_LAMBDA_EXEC_WRAPPER"] === EXEC_WRAPPER,
  };
}

async function readRole(calls: Calls, name: string, of: Stage): Promise<DeployedRole | undefined> {
  const found = await calls.unless(ABSENT, `GetRole of ${name}`, () =>
    calls.iam.send(new GetRoleCommand({ RoleName: name }), { abortSignal: calls.signal }),
  );
  const tags = roleTags(found?.Role);
  if (found?.Role?.Arn === undefined || !isOurs(tags, of)) return undefined;
  return {
    component: tags[TAGS.component] ?? name,
    nameInAws: name,
    roleArn: found.Role.Arn,
    hash: tags[TAGS.hash],
  };
}

export function roleTags(role: Role | undefined): Record<string, string> {
  return Object.fromEntries((role?.Tags ?? []).map(({ Key = "", Value = "" }) => [Key, Value]));
}

async function addRoles(client: IAMClient, path: string, names: Set<string>): Promise<void> {
  for await (const { Roles = [] } of paginateListRoles({ client }, { PathPrefix: path })) {
    for (const { RoleName } of Roles) if (RoleName !== undefined) names.add(RoleName);
  }
}
