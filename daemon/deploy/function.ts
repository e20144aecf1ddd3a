/** The steps of the function itself. Each may be done again after a kill anywhere in it: the hash tag is set last. */
import { createHash } from "node:crypto";

import {
  CreateFunctionCommand,
  DeleteFunctionCommand,
  GetFunctionCommand,
  GetFunctionConfigurationCommand,
  PublishVersionCommand,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateFunctionCodeCommand,
  UpdateFunctionConfigurationCommand,
  type FunctionConfiguration,
  type Runtime,
} from "@aws-sdk/client-lambda";

import { Backoff } from "../lib/backoff.ts";
import { functionBroken, functionTooLong, notOurs, notRestored, updateUndone } from "../lib/errors.ts";
import { ABSENT, PRESENT, type Calls } from "./calls.ts";
import { isOurs, type Stage } from "./deployed.ts";
import { pause } from "./pause.ts";
import { roleArn } from "./role.ts";
import { staleTags, TAGS, type WantedLambda } from "./stubs.ts";

/** How long a new role may take until Lambda can assume it; usually under ten seconds. */
const ROLE_SECONDS = 45;
const READY_SECONDS = 120;

/** A package: as bytes, or as an object in the state bucket where it is too large for a request. */
export type Code =
  | { readonly zip: Buffer; readonly sha256: string }
  | { readonly object: { readonly bucket: string; readonly key: string }; readonly sha256: string };

export const bytesOf = (zip: Buffer): Code => ({
  zip,
  sha256: createHash("sha256").update(zip).digest("base64"),
});

export async function createFunction(
  calls: Calls,
  wanted: WantedLambda,
  code: Code,
  of: Stage,
): Promise<void> {
  const { nameInAws: name } = wanted;
  const Role = await roleArn(calls, name);
  const created = await onceRoleIsKnown(calls, () =>
    calls.unless(PRESENT, `CreateFunction ${name}`, () =>
      calls.lambda.send(
        new CreateFunctionCommand({
          FunctionName: name,
          Role,
          Code: uploaded(code),
          Architectures: [wanted.architecture],
          Tags: { ...wanted.tags },
          ...configuration(wanted, wanted.environment),
        }),
        { abortSignal: calls.signal },
      ),
    ),
  );
  if (created !== undefined) {
    succeeded(name, await ready(calls, name));
    await publish(calls, wanted);
    return tagDone(calls, wanted, created.FunctionArn);
  }
  const standing = await calls.try(`GetFunction ${name}`, () =>
    calls.lambda.send(new GetFunctionCommand({ FunctionName: name })),
  );
  if (!isOurs(standing.Tags ?? {}, of)) throw notOurs("function", name, of.app, of.stage);
  await updateFunction(calls, wanted, code);
}

/** `previous`: its package as it was, put back where the function does not take the new one. */
export async function updateFunction(
  calls: Calls,
  wanted: WantedLambda,
  code: Code,
  previous?: () => Promise<Code | undefined>,
): Promise<void> {
  const { nameInAws: name } = wanted;
  const before = await ready(calls, name);
  // Whose the package is must not be said of a function that is between two.
  await untagDone(calls, before.FunctionArn, name);
  try {
    await putCode(calls, wanted, code, before);
    await putConfiguration(calls, wanted, before);
  } catch (error) {
    const old = calls.signal.aborted ? undefined : await previous?.();
    if (old !== undefined) await restore(calls, name, before, old, error);
    throw error;
  }
  await publish(calls, wanted);
  await untag(calls, wanted);
  await tagDone(calls, wanted, before.FunctionArn);
}

async function putCode(
  calls: Calls,
  wanted: WantedLambda,
  code: Code,
  before: FunctionConfiguration,
): Promise<void> {
  const { nameInAws: FunctionName, architecture } = wanted;
  if (before.CodeSha256 === code.sha256 && before.Architectures?.[0] === architecture) return;
  await calls.try(`UpdateFunctionCode of ${FunctionName}`, () =>
    calls.lambda.send(
      new UpdateFunctionCodeCommand({ FunctionName, ...uploaded(code), Architectures: [architecture] }),
      { abortSignal: calls.signal },
    ),
  );
  succeeded(FunctionName, await ready(calls, FunctionName));
}

async function putConfiguration(
  calls: Calls,
  wanted: WantedLambda,
  before: FunctionConfiguration,
): Promise<void> {
  const { nameInAws: FunctionName } = wanted;
  const Role = await roleArn(calls, FunctionName);
  const environment = variables(wanted, before.Environment?.Variables ?? {});
  await onceRoleIsKnown(calls, () =>
    calls.try(`UpdateFunctionConfiguration of ${FunctionName}`, () =>
      calls.lambda.send(
        new UpdateFunctionConfigurationCommand({ FunctionName, Role, ...configuration(wanted, environment) }),
        { abortSignal: calls.signal },
      ),
    ),
  );
  succeeded(FunctionName, await ready(calls, FunctionName));
}

/** Back to how it was before; the first error is what the user reads. */
async function restore(
  calls: Calls,
  FunctionName: string,
  before: FunctionConfiguration,
  code: Code,
  error: unknown,
): Promise<void> {
  try {
    await ready(calls, FunctionName);
    await calls.lambda.send(new UpdateFunctionCodeCommand({ FunctionName, ...uploaded(code) }));
    await ready(calls, FunctionName);
    await calls.lambda.send(
      new UpdateFunctionConfigurationCommand({
        FunctionName,
        Handler: before.Handler,
        Runtime: before.Runtime,
        Timeout: before.Timeout,
        MemorySize: before.MemorySize,
        Environment: { Variables: before.Environment?.Variables ?? {} },
        Layers: (before.Layers ?? []).flatMap(({ Arn }) => (Arn === undefined ? [] : [Arn])),
      }),
    );
    await ready(calls, FunctionName);
  } catch (cause) {
    throw notRestored(FunctionName, error, cause);
  }
  throw updateUndone(FunctionName, error);
}

/** Of real code: a version that stays as it is, whatever comes later. The local cloud has none. */
async function publish(calls: Calls, { nameInAws: FunctionName, code }: WantedLambda): Promise<void> {
  if (code.is !== "release") return;
  await calls.unless(["NotImplementedException"], `PublishVersion of ${FunctionName}`, () =>
    calls.lambda.send(new PublishVersionCommand({ FunctionName }), { abortSignal: calls.signal }),
  );
}

export async function deleteFunction(calls: Calls, name: string): Promise<void> {
  await calls.unless(ABSENT, `DeleteFunction ${name}`, () =>
    calls.lambda.send(new DeleteFunctionCommand({ FunctionName: name }), { abortSignal: calls.signal }),
  );
}

/** With a stub that carries deployed code stay the variables that this code was deployed with. */
function variables(
  wanted: WantedLambda,
  standing: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const carries = wanted.code.is === "stub" && wanted.code.carries !== undefined;
  return carries ? { ...standing, ...wanted.environment } : wanted.environment;
}

function configuration(wanted: WantedLambda, environment: Readonly<Record<string, string>>) {
  return {
    Handler: wanted.handler,
    Runtime: wanted.runtime as Runtime,
    Description: wanted.description,
    Timeout: wanted.timeoutSeconds,
    MemorySize: wanted.memoryMb,
    Environment: { Variables: { ...environment } },
    // Empty lists take away what was there.
    Layers: [...wanted.layers],
    VpcConfig: { SubnetIds: [...wanted.subnets], SecurityGroupIds: [...wanted.securityGroups] },
    LoggingConfig: { LogFormat: wanted.logging.format, LogGroup: wanted.logging.group },
  };
}

function uploaded(code: Code) {
  return "zip" in code ? { ZipFile: code.zip } : { S3Bucket: code.object.bucket, S3Key: code.object.key };
}

async function tagDone(calls: Calls, wanted: WantedLambda, arn: string | undefined): Promise<void> {
  const mark = wanted.code.is === "stub" ? TAGS.hash : TAGS.code;
  await calls.try(`TagResource of ${wanted.nameInAws}`, () =>
    calls.lambda.send(
      new TagResourceCommand({ Resource: arn, Tags: { ...wanted.tags, [mark]: wanted.hashes.function } }),
    ),
  );
}

/** Killed from here on, it is done again. */
async function untagDone(calls: Calls, arn: string | undefined, name: string): Promise<void> {
  await calls.try(`UntagResource of ${name}`, () =>
    calls.lambda.send(new UntagResourceCommand({ Resource: arn, TagKeys: [TAGS.hash, TAGS.code] })),
  );
}

async function untag(calls: Calls, stub: WantedLambda): Promise<void> {
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

/** Lambda says only afterwards that it did not take an update; the function is then as it was. */
function succeeded(name: string, now: FunctionConfiguration): void {
  if (now.LastUpdateStatus === "Failed")
    throw functionBroken(name, now.LastUpdateStatusReason ?? "it failed");
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
