/** TagResource, UntagResource, ListTags. */
import { invalidParameter, validation } from "./aws-error.ts";
import { findFunction } from "./function-name.ts";
import { Input } from "./lambda-input.ts";
import type { LambdaCall, LambdaParts } from "./lambda.ts";
import { json, type ApiResponse } from "./protocols.ts";
import type { CloudState, LambdaFunction } from "./state.ts";

export async function tagResource(call: LambdaCall, { states }: LambdaParts): Promise<ApiResponse> {
  const tags = new Input(call.body).stringMap("Tags");
  if (tags === undefined)
    throw validation(
      "1 validation error detected: Value null at 'tags' failed to satisfy constraint: Member must not be null",
    );
  await states.update((draft) => {
    const lambda = tagged(draft, call);
    lambda.tags = checkTags(lambda.tags, tags);
  });
  return { status: 204 };
}

export async function untagResource(call: LambdaCall, { states }: LambdaParts): Promise<ApiResponse> {
  await states.update((draft) => {
    const lambda = tagged(draft, call);
    for (const key of call.query.getAll("tagKeys")) delete lambda.tags[key];
  });
  return { status: 204 };
}

export async function listTags(call: LambdaCall, { states }: LambdaParts): Promise<ApiResponse> {
  return json(200, { Tags: tagged(states.state, call).tags });
}

/** AWS's limits. */
export function checkTags(
  before: Record<string, string>,
  added: Record<string, string>,
): Record<string, string> {
  const tags = { ...before, ...added };
  if (Object.keys(tags).length > 50) throw invalidParameter("A function can have at most 50 tags.");
  for (const [key, value] of Object.entries(added)) {
    const wrong =
      key === "" || key.length > 128 || value.length > 256 || key.toLowerCase().startsWith("aws:");
    if (wrong) throw invalidParameter(`The tag ${JSON.stringify(key)} is invalid.`);
  }
  return tags;
}

/** Tags belong to the function as a whole: the resource is its ARN. */
function tagged(state: Readonly<CloudState>, call: LambdaCall): LambdaFunction {
  const resource = call.params["Resource"] ?? "";
  if (!resource.startsWith("arn:aws:lambda:"))
    throw validation(
      `1 validation error detected: Value '${resource}' at 'resource' failed to satisfy constraint: Member must be the ARN of a function`,
    );
  return findFunction(state, resource, call.region);
}
