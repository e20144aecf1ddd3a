/** What stands for a function in a request: its name, its ARN, or a part of the ARN, each with or without a qualifier. */
import { functionNotFound, resourceNotFound, validation } from "./aws-error.ts";
import type { CloudState, LambdaFunction } from "./state.ts";

const PATTERN =
  /^(?:(?:arn:aws:lambda:)?(?:([a-z]{2}-[a-z]+-\d):)?(?:(\d{12}):)?function:|(?:(\d{12}):)?)?([a-zA-Z0-9-_]{1,64})(?::(\$LATEST|[a-zA-Z0-9-_]+))?$/;

export type FunctionName = {
  readonly name: string;
  readonly arn: string;
  readonly qualifier: string | undefined;
};

export function parseFunctionName(
  text: string,
  where: { readonly region: string; readonly accountId: string },
  qualifier?: string,
): FunctionName {
  const match = PATTERN.exec(text);
  const [, region = where.region, account, bareAccount, name, inName] = match ?? [];
  if (name === undefined || name === "__proto__") {
    throw validation(
      `1 validation error detected: Value '${text}' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?`,
    );
  }
  if (inName !== undefined && qualifier !== undefined && inName !== qualifier) {
    throw validation("The derived qualifier from the function name does not match the specified qualifier.");
  }
  const arn = `arn:aws:lambda:${region}:${account ?? bareAccount ?? where.accountId}:function:${name}`;
  if (region !== where.region)
    throw resourceNotFound(`Functions from '${region}' are not reachable in this region ('${where.region}')`);
  return { name, arn, qualifier: inName ?? qualifier };
}

/** The function named, at $LATEST. Versions and aliases are not kept here, so any other qualifier is not found. */
export function findFunction(
  state: Readonly<CloudState>,
  text: string,
  region: string,
  qualifier?: string,
): LambdaFunction {
  const { arn, qualifier: asked } = parseFunctionName(
    text,
    { region, accountId: state.accountId },
    qualifier,
  );
  const found = Object.hasOwn(state.functions, arn) ? state.functions[arn] : undefined;
  if (asked !== undefined && asked !== "$LATEST") throw functionNotFound(`${arn}:${asked}`);
  if (found === undefined) throw functionNotFound(arn);
  return found;
}
