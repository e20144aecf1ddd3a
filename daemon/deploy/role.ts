/** The steps of a function's role. Each may be done again after a kill anywhere in it: the hash tag is set last. */
import {
  CreateRoleCommand,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  GetRoleCommand,
  PutRolePolicyCommand,
  TagRoleCommand,
  UntagRoleCommand,
  UpdateAssumeRolePolicyCommand,
} from "@aws-sdk/client-iam";

import { notOurs } from "../lib/errors.ts";
import { ABSENT, PRESENT, type Calls } from "./calls.ts";
import { isOurs, ROLE_POLICY, rolePath, roleTags, type Stage } from "./deployed.ts";
import { staleTags, TAGS, TRUST_POLICY, type WantedLambda } from "./stubs.ts";

export async function createRole(calls: Calls, stub: WantedLambda, of: Stage): Promise<void> {
  const { nameInAws: name } = stub;
  const created = await calls.unless(PRESENT, `CreateRole ${name}`, () =>
    calls.iam.send(
      new CreateRoleCommand({
        RoleName: name,
        Path: rolePath(of),
        AssumeRolePolicyDocument: TRUST_POLICY,
        Description: `livedev: ${stub.component} of ${of.app}/${of.stage}`,
        Tags: tagList(stub.tags),
      }),
      { abortSignal: calls.signal },
    ),
  );
  if (created !== undefined) return putRole(calls, stub, {});
  const { Role } = await calls.try(`GetRole ${name}`, () =>
    calls.iam.send(new GetRoleCommand({ RoleName: name })),
  );
  if (!isOurs(roleTags(Role), of)) throw notOurs("role", name, of.app, of.stage);
  await putRole(calls, stub, roleTags(Role));
}

export async function updateRole(calls: Calls, stub: WantedLambda): Promise<void> {
  const { Role } = await calls.try(`GetRole ${stub.nameInAws}`, () =>
    calls.iam.send(new GetRoleCommand({ RoleName: stub.nameInAws })),
  );
  await putRole(calls, stub, roleTags(Role));
}

async function putRole(
  calls: Calls,
  stub: WantedLambda,
  standing: Readonly<Record<string, string>>,
): Promise<void> {
  const RoleName = stub.nameInAws;
  await calls.try(`UpdateAssumeRolePolicy of ${RoleName}`, () =>
    calls.iam.send(new UpdateAssumeRolePolicyCommand({ RoleName, PolicyDocument: TRUST_POLICY })),
  );
  await putPolicy(calls, RoleName, stub.policy);
  const stale = staleTags(standing, stub);
  if (stale.length > 0) {
    await calls.try(`UntagRole ${RoleName}`, () =>
      calls.iam.send(new UntagRoleCommand({ RoleName, TagKeys: stale })),
    );
  }
  await calls.try(`TagRole ${RoleName}`, () =>
    calls.iam.send(
      new TagRoleCommand({ RoleName, Tags: tagList({ ...stub.tags, [TAGS.hash]: stub.hashes.role }) }),
    ),
  );
}

/** IAM takes no policy that says nothing. */
async function putPolicy(calls: Calls, RoleName: string, PolicyDocument: string): Promise<void> {
  const { Statement } = JSON.parse(PolicyDocument) as { Statement: unknown[] };
  if (Statement.length === 0) return deletePolicy(calls, RoleName);
  await calls.try(`PutRolePolicy of ${RoleName}`, () =>
    calls.iam.send(new PutRolePolicyCommand({ RoleName, PolicyName: ROLE_POLICY, PolicyDocument })),
  );
}

async function deletePolicy(calls: Calls, RoleName: string): Promise<void> {
  await calls.unless(ABSENT, `DeleteRolePolicy of ${RoleName}`, () =>
    calls.iam.send(new DeleteRolePolicyCommand({ RoleName, PolicyName: ROLE_POLICY })),
  );
}

export async function deleteRole(calls: Calls, name: string): Promise<void> {
  await deletePolicy(calls, name);
  await calls.unless(ABSENT, `DeleteRole ${name}`, () =>
    calls.iam.send(new DeleteRoleCommand({ RoleName: name })),
  );
}

export async function roleArn(calls: Calls, name: string): Promise<string> {
  const { Role } = await calls.try(`GetRole ${name}`, () =>
    calls.iam.send(new GetRoleCommand({ RoleName: name })),
  );
  return Role?.Arn ?? "";
}

function tagList(tags: Readonly<Record<string, string>>) {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}
