/** The steps of the stub itself. Each may be done again after a kill anywhere in it: the hash tag is set last. */
import { createHash } from "node:crypto";

import {
  CreateFunctionCommand,
  DeleteFunctionCommand,
  GetFunctionCommand,
  GetFunctionConfigurationCommand,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateFunctionCodeCommand,
  UpdateFunctionConfigurationCommand,
  type FunctionConfiguration,
  type Runtime,
} from "@aws-sdk/client-lambda";

import { Backoff } from "../lib/backoff.ts";
import { functionBroken, functionTooLong, notOurs } from "../lib/errors.ts";
import { ABSENT, PRESENT, type Calls } from "./calls.ts";
import { isOurs, type Stage } from "./deployed.ts";
import { EXEC_WRAPPER } from "./package.ts";
import { pause } from "./pause.ts";
import { roleArn } from "./role.ts";
import { staleTags, TAGS, type WantedStub } from "./stubs.ts";

/** How long a new role may take until Lambda can assume it; usually under ten seconds. */
const ROLE_SECONDS = 45;
const READY_SECONDS = 120;

export async function createFunction(calls: Calls, stub: WantedStub, zip: Buffer, of: Stage): Promise<void> {
  const { nameInAws: name } = stub;
  const Role = await roleArn(calls, name);
  const created = await onceRoleIsKnown(calls, () =>
    calls.unless(PRESENT, `CreateFunction ${name}`, () =>
      calls.lambda.send(
        new CreateFunctionCommand({
          FunctionName: name,
          Role,
          Code: { ZipFile: zip },
          Architectures: [stub.architecture],
          Tags: { ...stub.tags },
          ...configuration(stub),
        }),
        { abortSignal: calls.signal },
      ),
    ),
  );
  if (created !== undefined) {
    await ready(calls, name);
    return tagDone(calls, stub, created.FunctionArn);
  }
  const standing = await calls.try(`GetFunction ${name}`, () =>
    calls.lambda.send(new GetFunctionCommand({ FunctionName: name })),
  );
  if (!isOurs(standing.Tags ?? {}, of)) throw notOurs("function", name, of.app, of.stage);
  await updateFunction(calls, stub, zip);
}

export async function updateFunction(calls: Calls, stub: WantedStub, zip: Buffer): Promise<void> {
  const { nameInAws: name } = stub;
  const Role = await roleArn(calls, name);
  const before = await ready(calls, name);
  const sha = createHash("sha256").update(zip).digest("base64");
  if (before.CodeSha256 !== sha || before.Architectures?.[0] !== stub.architecture) {
    await calls.try(`UpdateFunctionCode of ${name}`, () =>
      calls.lambda.send(
        new UpdateFunctionCodeCommand({
          FunctionName: name,
          ZipFile: zip,
          Architectures: [stub.architecture],
        }),
        { abortSignal: calls.signal },
      ),
    );
    await ready(calls, name);
  }
  await onceRoleIsKnown(calls, () =>
    calls.try(`UpdateFunctionConfiguration of ${name}`, () =>
      calls.lambda.send(
        new UpdateFunctionConfigurationCommand({ FunctionName: name, Role, ...configuration(stub) }),
        {
          abortSignal: calls.signal,
        },
      ),
    ),
  );
  await ready(calls, name);
  await untag(calls, stub);
  await tagDone(calls, stub, before.FunctionArn);
}

export async function deleteFunction(calls: Calls, name: string): Promise<void> {
  await calls.unless(ABSENT, `DeleteFunction ${name}`, () =>
    calls.lambda.send(new DeleteFunctionCommand({ FunctionName: name }), { abortSignal: calls.signal }),
  );
}

/** The stub polls in place of the runtime; the user's variables are the local code's and do not travel. */
function configuration(stub: WantedStub) {
  return {
    Handler: stub.handler,
    Runtime: stub.runtime as Runtime,
    Description: stub.description,
    Timeout: stub.timeoutSeconds,
    MemorySize: stub.memoryMb,
    Environment: { Variables: { AWS_LAMBDA_EXEC_WRAPPER: EXEC_WRAPPER } },
  };
}

async function tagDone(calls: Calls, stub: WantedStub, arn: string | undefined): Promise<void> {
  await calls.try(`TagResource of ${stub.nameInAws}`, () =>
    calls.lambda.send(
      new TagResourceCommand({ Resource: arn, Tags: { ...stub.tags, [TAGS.hash]: stub.hashes.function } }),
    ),
  );
}

async function untag(calls: Calls, stub: WantedStub): Promise<void> {
  const { nameInAws: name } = stub;
  const { Tags = {}, Configuration } = await calls.try(`GetFunction ${name}`, () =>
    calls.lambda.send(new GetFunctionCommand({ FunctionName: name }), { abortSignal: calls.signal }),
  );
  const stale = staleTags(Tags, stub);
  if (stale.length === 0) return;
  await calls.try(`UntagResource of ${name}`, () =>
    calls.lambda.send(new UntagResourceCommand({ Resource: Configuration?.FunctionArn, TagKeys: stale })),
  );
}

/** A function takes the next change, and its first event, only once the last change is through. */
async function ready(calls: Calls, name: string): Promise<FunctionConfiguration> {
  const backoff = new Backoff({ firstMs: 50, maxMs: 2000 });
  const until = performance.now() + READY_SECONDS * 1000;
  for (;;) {
    const now = await calls.try(`GetFunctionConfiguration of ${name}`, () =>
      calls.lambda.send(new GetFunctionConfigurationCommand({ FunctionName: name }), {
        abortSignal: calls.signal,
      }),
    );
    if (now.State === "Failed") throw functionBroken(name, now.StateReason ?? "it failed");
    // A failed update leaves the function as it was: the next update mends it.
    if (now.State !== "Pending" && now.LastUpdateStatus !== "InProgress") return now;
    if (performance.now() > until) throw functionTooLong(name, READY_SECONDS);
    await pause(backoff.next(), calls.signal);
  }
}

/** IAM tells Lambda of a new role a few seconds later; until then Lambda refuses it. */
async function onceRoleIsKnown<T>(calls: Calls, call: () => Promise<T>): Promise<T> {
  const backoff = new Backoff({ firstMs: 500, maxMs: 4000 });
  const until = performance.now() + ROLE_SECONDS * 1000;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      const early =
        error instanceof Error && /role defined for the function cannot be assumed/i.test(error.message);
      if (!early || performance.now() > until) throw error;
      await pause(backoff.next(), calls.signal);
    }
  }
}
