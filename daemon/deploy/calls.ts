/** One call to AWS: cancelled with the part, its error explained. */
import type { IAMClient } from "@aws-sdk/client-iam";
import type { LambdaClient } from "@aws-sdk/client-lambda";

import type { Aws } from "../aws/aws.ts";
import { awsName, explainAws } from "../aws/failure.ts";

export type Calls = {
  readonly lambda: LambdaClient;
  readonly iam: IAMClient;
  /** For what only some apps need. */
  readonly aws: Aws;
  readonly signal: AbortSignal;
  /** Where a call fails, what was being done stands in the error: `CreateFunction of aws.Function "MyApi"`. */
  try<T>(doing: string, call: () => Promise<T>): Promise<T>;
  /** As `try`, but one of the named AWS errors is an answer. */
  unless<T>(names: readonly string[], doing: string, call: () => Promise<T>): Promise<T | undefined>;
};

export async function openCalls(aws: Aws, signal: AbortSignal): Promise<Calls> {
  const [lambda, iam] = await Promise.all([aws.lambda(), aws.iam()]);
  const unless = async <T>(names: readonly string[], doing: string, call: () => Promise<T>) => {
    signal.throwIfAborted();
    try {
      return await call();
    } catch (error) {
      if (names.includes(awsName(error) ?? "")) return undefined;
      throw explainAws(error, doing, aws.where);
    }
  };
  return {
    lambda,
    iam,
    aws,
    signal,
    unless,
    try: async (doing, call) => (await unless([], doing, call)) as never,
  };
}

/** What AWS calls a thing that is not there. */
export const ABSENT = ["ResourceNotFoundException", "NoSuchEntityException", "NoSuchEntity"];

/** … and one that is there already. */
export const PRESENT = ["ResourceConflictException", "EntityAlreadyExistsException", "EntityAlreadyExists"];
