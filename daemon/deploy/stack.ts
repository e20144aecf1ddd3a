/**
 * A stack's steps: CloudFormation itself carries a change set out, and says how it ended. A kill in between leaves what
 * it does going on; the next run waits for that, and the hash in the stack's tags comes with the change itself.
 */
import type { CloudFormationClient, Output, Stack, StackEvent } from "@aws-sdk/client-cloudformation";

import { awsName } from "../aws/failure.ts";
import { Backoff } from "../lib/backoff.ts";
import { notOurs, stackFailed } from "../lib/errors.ts";
import type { Calls } from "./calls.ts";
import { isOurs, type Stage } from "./deployed.ts";
import { pause } from "./pause.ts";
import { readDrift } from "./stack-drift.ts";
import { TAGS } from "./stubs.ts";
import type { DeployedThing, WantedThing } from "./things.ts";

type WantedStack = Extract<WantedThing, { is: "stack" }>;

/** Its tags say which component it is; the kind is told by one of its own. */
const KIND = "livedev:kind";
const CHANGE = "livedev";

/** The commands, loaded when the first app needs them. */
const commands = () => import("@aws-sdk/client-cloudformation");

export async function readStacks(calls: Calls, of: Stage, thorough: boolean): Promise<DeployedThing[]> {
  const { paginateDescribeStacks, GetTemplateCommand } = await commands();
  const client = await calls.aws.cloudformation();
  const found: DeployedThing[] = [];
  const shown = new Map<string, Record<string, string>>();
  await calls.try("DescribeStacks", async () => {
    for await (const { Stacks = [] } of paginateDescribeStacks({ client }, {})) {
      for (const stack of Stacks) {
        if (!isOurs(tagsOf(stack), of) || stack.StackStatus === "DELETE_COMPLETE") continue;
        found.push(deployed(stack));
        shown.set(stack.StackName ?? "", parametersOf(stack));
      }
    }
  });
  if (!thorough) return found;
  return Promise.all(
    found.map(async (thing) => {
      const { TemplateBody = "" } = await calls.try(`GetTemplate of ${thing.nameInAws}`, () =>
        client.send(new GetTemplateCommand({ StackName: thing.nameInAws }), { abortSignal: calls.signal }),
      );
      const parameters = shown.get(thing.nameInAws) ?? {};
      const facts = { is: "stack", template: TemplateBody, parameters } as const;
      // Of one whose last change did not come to its end, CloudFormation tells no drift.
      if (thing.hash === undefined) return { ...thing, facts };
      return { ...thing, facts: { ...facts, drift: await readDrift(calls, thing.nameInAws) } };
    }),
  );
}

function deployed(stack: Stack): DeployedThing {
  const tags = tagsOf(stack);
  const status = stack.StackStatus ?? "";
  // A change set that was never carried out, or a change under way: it did not come to its end.
  const whole = /^(?:CREATE|UPDATE|IMPORT)_COMPLETE$/.test(status);
  return {
    is: "stack",
    kind: tags[KIND] ?? "aws.Stack",
    component: tags[TAGS.component] ?? stack.StackName ?? "",
    nameInAws: stack.StackName ?? "",
    hash: whole ? tags[TAGS.hash] : undefined,
    outputs: outputsOf(tags[KIND] ?? "aws.Stack", stack),
  };
}

/** As `Stack`, `Vpc`, `Postgres` give them. */
function outputsOf(kind: string, { Outputs = [], StackId = "" }: Stack): Record<string, unknown> {
  const raw = Object.fromEntries(
    Outputs.map(({ OutputKey = "", OutputValue = "" }: Output) => [OutputKey, OutputValue]),
  );
  const list = (value = "") => value.split(",").filter((one) => one !== "");
  switch (kind) {
    case "aws.Vpc":
      return {
        id: raw["Id"],
        publicSubnets: list(raw["PublicSubnets"]),
        privateSubnets: list(raw["PrivateSubnets"]),
        securityGroups: list(raw["SecurityGroups"]),
        ...(raw["Bastion"] !== undefined && { bastion: raw["Bastion"] }),
      };
    case "aws.Postgres":
    case "aws.Redis":
      return { id: raw["Id"], host: raw["Host"], port: Number(raw["Port"]) };
    case "aws.StaticSite":
      return { url: raw["Url"], bucket: raw["Bucket"], distribution: raw["Distribution"] };
    default:
      return {
        id: StackId,
        outputs: raw,
        ...Object.fromEntries(Object.entries(raw).map(([name, value]) => [`outputs.${name}`, value])),
      };
  }
}

/** `drifted`: resources of it were changed by somebody else, which CloudFormation leaves alone unless it is told. */
export async function putStack(
  calls: Calls,
  wanted: WantedStack,
  of: Stage,
  drifted: boolean,
): Promise<DeployedThing> {
  const cloudformation = await commands();
  const client = await calls.aws.cloudformation();
  const { nameInAws: StackName } = wanted;
  const abortSignal = calls.signal;
  const before = await settled(calls, client, StackName);
  if (before !== undefined && !isOurs(tagsOf(before), of))
    throw notOurs("stack", StackName, of.app, of.stage);
  // What failed to be made can only be deleted; one whose first change set was never carried out has nothing in it.
  const broken = /^(?:(?:ROLLBACK|CREATE|DELETE)_FAILED|ROLLBACK_COMPLETE|REVIEW_IN_PROGRESS)$/.test(
    before?.StackStatus ?? "",
  );
  if (broken) await deleteStack(calls, StackName);
  const isNew = before === undefined || broken;
  const ChangeSetName = `${CHANGE}-${Date.now()}`;
  await calls.try(`CreateChangeSet of ${StackName}`, () =>
    client.send(
      new cloudformation.CreateChangeSetCommand({
        StackName,
        ChangeSetName,
        ChangeSetType: isNew ? "CREATE" : "UPDATE",
        ...(drifted && !isNew && { DeploymentMode: "REVERT_DRIFT" }),
        TemplateBody: wanted.template,
        Parameters: Object.entries(wanted.parameters).map(([ParameterKey, ParameterValue]) => ({
          ParameterKey,
          ParameterValue,
        })),
        Capabilities: [...wanted.capabilities],
        Tags: Object.entries({ ...wanted.tags, [KIND]: wanted.kind, [TAGS.hash]: wanted.hash }).map(
          ([Key, Value]) => ({ Key, Value }),
        ),
      }),
      { abortSignal },
    ),
  );
  if (await changeSetReady(calls, client, StackName, ChangeSetName)) {
    await calls.try(`ExecuteChangeSet of ${StackName}`, () =>
      client.send(new cloudformation.ExecuteChangeSetCommand({ StackName, ChangeSetName }), { abortSignal }),
    );
  }
  const after = await settled(calls, client, StackName);
  if (!/^(?:CREATE|UPDATE)_COMPLETE$/.test(after?.StackStatus ?? "")) {
    throw stackFailed(StackName, after?.StackStatus ?? "nothing", await reason(client, StackName, after));
  }
  return deployed(after as Stack);
}

/** False where there is nothing to change; CloudFormation calls that a failure. */
async function changeSetReady(
  calls: Calls,
  client: CloudFormationClient,
  StackName: string,
  ChangeSetName: string,
): Promise<boolean> {
  const { DescribeChangeSetCommand, DeleteChangeSetCommand } = await commands();
  const backoff = new Backoff({ firstMs: 200, maxMs: 3000 });
  for (;;) {
    const { Status, StatusReason = "" } = await calls.try(`DescribeChangeSet of ${StackName}`, () =>
      client.send(new DescribeChangeSetCommand({ StackName, ChangeSetName }), { abortSignal: calls.signal }),
    );
    if (Status === "CREATE_COMPLETE") return true;
    if (Status === "FAILED") {
      const nothing = /didn't contain changes|No updates are to be performed/i.test(StatusReason);
      await client.send(new DeleteChangeSetCommand({ StackName, ChangeSetName }));
      if (nothing) return false;
      throw stackFailed(StackName, "FAILED", StatusReason);
    }
    await pause(backoff.next(), calls.signal);
  }
}

export async function deleteStack(calls: Calls, StackName: string): Promise<void> {
  const { DeleteStackCommand } = await commands();
  const client = await calls.aws.cloudformation();
  const before = await settled(calls, client, StackName);
  if (before === undefined) return;
  await calls.try(`DeleteStack of ${StackName}`, () =>
    client.send(new DeleteStackCommand({ StackName }), { abortSignal: calls.signal }),
  );
  // By its id: the name is free for another once it is gone.
  const after = await settled(calls, client, before.StackId ?? StackName);
  if (after === undefined || after.StackStatus === "DELETE_COMPLETE") return;
  throw stackFailed(StackName, after.StackStatus ?? "", await reason(client, StackName, after));
}

/** Once no change is under way; undefined where there is no such stack. */
async function settled(
  calls: Calls,
  client: CloudFormationClient,
  StackName: string,
): Promise<Stack | undefined> {
  const { DescribeStacksCommand } = await commands();
  const backoff = new Backoff({ firstMs: 200, maxMs: 5000 });
  for (;;) {
    calls.signal.throwIfAborted();
    let stack: Stack | undefined;
    try {
      const { Stacks } = await client.send(new DescribeStacksCommand({ StackName }), {
        abortSignal: calls.signal,
      });
      stack = Stacks?.[0];
    } catch (error) {
      // CloudFormation has no name of its own for it.
      if (awsName(error) === "ValidationError" && /does not exist/.test((error as Error).message))
        return undefined;
      await calls.try(`DescribeStacks of ${StackName}`, () => Promise.reject(error as Error));
    }
    const status = stack?.StackStatus ?? "";
    if (!status.endsWith("_IN_PROGRESS") || status === "REVIEW_IN_PROGRESS") return stack;
    await pause(backoff.next(), calls.signal);
  }
}

/** The first thing that failed is the reason; what follows is undone because of it. */
async function reason(
  client: CloudFormationClient,
  StackName: string,
  stack: Stack | undefined,
): Promise<string> {
  const { DescribeStackEventsCommand } = await commands();
  const { StackEvents = [] } = await client
    .send(new DescribeStackEventsCommand({ StackName: stack?.StackId ?? StackName }))
    .catch((): { StackEvents?: StackEvent[] } => ({}));
  const failed = StackEvents.toReversed().find(({ ResourceStatus }) =>
    (ResourceStatus ?? "").endsWith("_FAILED"),
  );
  if (failed === undefined) return stack?.StackStatusReason ?? "it says no more";
  return `${failed.LogicalResourceId} (${failed.ResourceType}): ${failed.ResourceStatusReason ?? ""}`;
}

/** Without secrets, of which it shows asterisks, and what it resolves itself. */
function parametersOf({ Parameters = [] }: Stack): Record<string, string> {
  return Object.fromEntries(
    Parameters.filter(({ ParameterValue = "" }) => !/^\*+$/.test(ParameterValue)).map(
      ({ ParameterKey = "", ParameterValue = "" }) => [ParameterKey, ParameterValue],
    ),
  );
}

function tagsOf({ Tags = [] }: Stack): Record<string, string> {
  return Object.fromEntries(Tags.map(({ Key = "", Value = "" }) => [Key, Value]));
}
