/** CreateFunction to DeleteFunction. */
import { randomUUID } from "node:crypto";

import { functionExists, invalidParameter, revisionMismatch, unsupported, validation } from "./aws-error.ts";
import { readArchitectures, readConfiguration, showConfiguration } from "./function-configuration.ts";
import { findFunction, parseFunctionName } from "./function-name.ts";
import { Input } from "./lambda-input.ts";
import type { LambdaCall, LambdaParts } from "./lambda.ts";
import { checkTags } from "./lambda-tags.ts";
import { page } from "./pages.ts";
import { json, type ApiResponse } from "./protocols.ts";
import type { LambdaFunction } from "./state.ts";

export async function createFunction(call: LambdaCall, parts: LambdaParts): Promise<ApiResponse> {
  const input = new Input(call.body);
  const { states } = parts;
  const { name, arn, qualifier } = parseFunctionName(input.required("FunctionName"), {
    region: call.region,
    accountId: states.state.accountId,
  });
  if (qualifier !== undefined) throw validation("FunctionName must not have a qualifier.");
  if (states.state.functions[arn] !== undefined) throw functionExists(name);
  if ((input.string("PackageType") ?? "Zip") !== "Zip") throw unsupported("container images");
  const configuration = readConfiguration(input, states.state);
  const tags = checkTags({}, input.stringMap("Tags") ?? {});
  const package_ = input.object("Code");
  if (package_ === undefined)
    throw validation(
      "1 validation error detected: Value null at 'code' failed to satisfy constraint: Member must not be null",
    );
  return parts.codes.add(uploaded(package_), async (code) => {
    const created: LambdaFunction = {
      name,
      arn,
      region: call.region,
      revisionId: randomUUID(),
      lastModified: lambdaDate(),
      configuration: {
        ...configuration,
        architectures: readArchitectures(input) ?? configuration.architectures,
      },
      code,
      tags,
      policy: [],
      policyRevisionId: randomUUID(),
      url: undefined,
    };
    await states.update((draft) => {
      if (draft.functions[arn] !== undefined) throw functionExists(name);
      draft.functions[arn] = created;
    });
    return json(201, showConfiguration(created, { State: "Pending", LastUpdateStatus: "InProgress" }));
  });
}

export async function getFunction(call: LambdaCall, parts: LambdaParts): Promise<ApiResponse> {
  const lambda = named(call, parts);
  return json(200, {
    Configuration: showConfiguration(lambda),
    Code: { RepositoryType: "S3", Location: parts.codeUrl(lambda.code) },
    ...(Object.keys(lambda.tags).length > 0 && { Tags: lambda.tags }),
  });
}

export async function getFunctionConfiguration(call: LambdaCall, parts: LambdaParts): Promise<ApiResponse> {
  return json(200, showConfiguration(named(call, parts)));
}

export async function listFunctions(call: LambdaCall, { states }: LambdaParts): Promise<ApiResponse> {
  const limit = Number(call.query.get("MaxItems") ?? 50);
  if (!Number.isInteger(limit) || limit < 1 || limit > 10_000) {
    throw validation(
      `1 validation error detected: Value '${limit}' at 'maxItems' failed to satisfy constraint: Member must have value between 1 and 10000`,
    );
  }
  const here = Object.values(states.state.functions).filter(({ region }) => region === call.region);
  // As AWS: MaxItems may ask for more, a page never holds more than 50.
  const { entries, next } = page(
    here,
    ({ name }) => name,
    call.query.get("Marker") ?? undefined,
    Math.min(limit, 50),
  );
  // The list leaves out how functions stand.
  const Functions = entries.map((lambda) => {
    const { State: _state, LastUpdateStatus: _update, ...shown } = showConfiguration(lambda);
    return shown;
  });
  return json(200, { Functions, NextMarker: next });
}

export async function updateFunctionCode(call: LambdaCall, parts: LambdaParts): Promise<ApiResponse> {
  const input = new Input(call.body);
  const before = named(call, parts);
  const architectures = readArchitectures(input) ?? before.configuration.architectures;
  return parts.codes.add(uploaded(input), async (code) => {
    if (input.boolean("DryRun") === true) {
      checkRevision(before, input);
      return json(200, showConfiguration({ ...before, code }));
    }
    return change(call, parts, input, (lambda) => {
      lambda.code = code;
      lambda.configuration = { ...lambda.configuration, architectures };
    });
  });
}

export async function updateFunctionConfiguration(
  call: LambdaCall,
  parts: LambdaParts,
): Promise<ApiResponse> {
  const input = new Input(call.body);
  return change(call, parts, input, (lambda) => {
    lambda.configuration = readConfiguration(input, parts.states.state, lambda.configuration);
  });
}

export async function deleteFunction(call: LambdaCall, parts: LambdaParts): Promise<ApiResponse> {
  await parts.states.update((draft) => {
    const { arn } = findFunction(draft, call.name, call.region, call.qualifier);
    if (call.qualifier !== undefined)
      throw invalidParameter("$LATEST version cannot be deleted without deleting the function.");
    delete draft.functions[arn];
  });
  await parts.changed();
  return { status: 204 };
}

/** Everything exists once, as $LATEST. */
export async function listVersions(call: LambdaCall, parts: LambdaParts): Promise<ApiResponse> {
  const lambda = named(call, parts);
  return json(200, { Versions: [{ ...showConfiguration(lambda), FunctionArn: `${lambda.arn}:$LATEST` }] });
}

export function named(call: LambdaCall, { states }: LambdaParts): LambdaFunction {
  return findFunction(states.state, call.name, call.region, call.qualifier);
}

async function change(
  call: LambdaCall,
  parts: LambdaParts,
  input: Input,
  alter: (lambda: LambdaFunction) => void,
): Promise<ApiResponse> {
  if (input.boolean("Publish") === true) throw unsupported("published versions");
  const changed = await parts.states.update((draft) => {
    const lambda = findFunction(draft, call.name, call.region, call.qualifier);
    checkRevision(lambda, input);
    alter(lambda);
    lambda.revisionId = randomUUID();
    lambda.lastModified = lambdaDate();
    return lambda;
  });
  await parts.changed();
  return json(200, showConfiguration(changed, { State: "Active", LastUpdateStatus: "InProgress" }));
}

function uploaded(input: Input): Uint8Array {
  if (input.has("ImageUri")) throw unsupported("container images");
  if (input.has("S3Bucket")) throw unsupported("code from S3: send it as ZipFile");
  const zip = input.blob("ZipFile");
  if (zip === undefined) throw invalidParameter("Please provide a source for function code.");
  return zip;
}

function checkRevision(lambda: LambdaFunction, input: Input): void {
  const asked = input.string("RevisionId");
  if (asked !== undefined && asked !== lambda.revisionId) throw revisionMismatch();
}

/** Lambda's own form: `2026-01-31T12:00:00.000+0000`. */
function lambdaDate(): string {
  return new Date().toISOString().replace("Z", "+0000");
}
