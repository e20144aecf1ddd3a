/** The steps of a function's URL. The tag with its hash is set last: a kill before it means that the step is done again. */
import {
  AddPermissionCommand,
  CreateFunctionUrlConfigCommand,
  DeleteFunctionUrlConfigCommand,
  RemovePermissionCommand,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateFunctionUrlConfigCommand,
  type Cors,
} from "@aws-sdk/client-lambda";

import type { WantedCors, WantedUrl } from "../../proto/app.ts";
import { ABSENT, PRESENT, type Calls } from "./calls.ts";
import { readFunction, type Stage } from "./deployed.ts";
import { TAGS, type WantedLambda } from "./stubs.ts";

/** AWS asks for both of a public URL. @see https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html */
const PUBLIC = [
  {
    StatementId: "livedevPublicUrl",
    Action: "lambda:InvokeFunctionUrl",
    Principal: "*",
    FunctionUrlAuthType: "NONE",
  },
  {
    StatementId: "livedevPublicUrlInvoke",
    Action: "lambda:InvokeFunction",
    Principal: "*",
    InvokedViaFunctionUrl: true,
  },
] as const;

/** Creates the URL, or brings one that stands to what is wanted. */
export async function putUrl(
  calls: Calls,
  stub: WantedLambda & { readonly url: WantedUrl },
  of: Stage,
): Promise<void> {
  const { nameInAws: FunctionName, url } = stub;
  const settings = {
    FunctionName,
    AuthType: url.authorization === "iam" ? "AWS_IAM" : "NONE",
    InvokeMode: url.streaming === true ? "RESPONSE_STREAM" : "BUFFERED",
    // An empty one takes away what was there.
    Cors: cors(url.cors ?? {}),
  } as const;
  const created = await calls.unless(PRESENT, `CreateFunctionUrlConfig of ${FunctionName}`, () =>
    calls.lambda.send(new CreateFunctionUrlConfigCommand(settings), { abortSignal: calls.signal }),
  );
  if (created === undefined) {
    await calls.try(`UpdateFunctionUrlConfig of ${FunctionName}`, () =>
      calls.lambda.send(new UpdateFunctionUrlConfigCommand(settings), { abortSignal: calls.signal }),
    );
  }
  if (url.authorization === "iam") await removePublic(calls, FunctionName);
  else await addPublic(calls, FunctionName);
  const standing = await readFunction(calls, FunctionName, of);
  await calls.try(`TagResource of ${FunctionName}`, () =>
    calls.lambda.send(
      new TagResourceCommand({ Resource: standing?.functionArn, Tags: { [TAGS.url]: stub.hashes.url } }),
    ),
  );
}

/** `stays`: the function does, so what the URL left on it goes too. */
export async function deleteUrl(calls: Calls, name: string, of: Stage, stays: boolean): Promise<void> {
  if (stays) await removePublic(calls, name);
  await calls.unless(ABSENT, `DeleteFunctionUrlConfig of ${name}`, () =>
    calls.lambda.send(new DeleteFunctionUrlConfigCommand({ FunctionName: name }), {
      abortSignal: calls.signal,
    }),
  );
  const standing = stays ? await readFunction(calls, name, of) : undefined;
  if (standing === undefined) return;
  await calls.try(`UntagResource of ${name}`, () =>
    calls.lambda.send(new UntagResourceCommand({ Resource: standing.functionArn, TagKeys: [TAGS.url] })),
  );
}

async function addPublic(calls: Calls, FunctionName: string): Promise<void> {
  for (const statement of PUBLIC) {
    await calls.unless(PRESENT, `AddPermission ${statement.Action} of ${FunctionName}`, () =>
      calls.lambda.send(new AddPermissionCommand({ FunctionName, ...statement }), {
        abortSignal: calls.signal,
      }),
    );
  }
}

async function removePublic(calls: Calls, FunctionName: string): Promise<void> {
  for (const { StatementId } of PUBLIC) {
    await calls.unless(ABSENT, `RemovePermission of ${FunctionName}`, () =>
      calls.lambda.send(new RemovePermissionCommand({ FunctionName, StatementId }), {
        abortSignal: calls.signal,
      }),
    );
  }
}

function cors(wanted: WantedCors): Cors {
  const list = (values: readonly string[] | undefined) => (values === undefined ? undefined : [...values]);
  return {
    AllowCredentials: wanted.allowCredentials,
    AllowHeaders: list(wanted.allowHeaders),
    AllowMethods: list(wanted.allowMethods),
    AllowOrigins: list(wanted.allowOrigins),
    ExposeHeaders: list(wanted.exposeHeaders),
    MaxAge: wanted.maxAgeSeconds,
  };
}
