/** AddPermission, RemovePermission, GetPolicy: a function's resource policy. */
import { randomUUID } from "node:crypto";

import { conflict, invalidParameter, resourceNotFound, revisionMismatch } from "./aws-error.ts";
import { findFunction } from "./function-name.ts";
import { named } from "./lambda-functions.ts";
import { Input } from "./lambda-input.ts";
import type { LambdaCall, LambdaParts } from "./lambda.ts";
import { json, type ApiResponse } from "./protocols.ts";
import type { LambdaFunction, PolicyCondition, PolicyStatement } from "./state.ts";

export async function addPermission(call: LambdaCall, { states }: LambdaParts): Promise<ApiResponse> {
  const input = new Input(call.body);
  const statement = readStatement(input);
  const lambda = await states.update((draft) => {
    const lambda = findFunction(draft, call.name, call.region, call.qualifier);
    checkRevision(lambda, input.string("RevisionId"));
    if (lambda.policy.some(({ sid }) => sid === statement.sid)) {
      throw conflict(
        `The statement id (${statement.sid}) provided already exists. Please provide a new statement id, or remove the existing statement.`,
      );
    }
    lambda.policy.push(statement);
    lambda.policyRevisionId = randomUUID();
    return lambda;
  });
  return json(201, { Statement: JSON.stringify(showStatement(lambda, statement)) });
}

export async function removePermission(call: LambdaCall, { states }: LambdaParts): Promise<ApiResponse> {
  const sid = call.params["StatementId"] ?? "";
  await states.update((draft) => {
    const lambda = findFunction(draft, call.name, call.region, call.qualifier);
    checkRevision(lambda, call.query.get("RevisionId") ?? undefined);
    if (!lambda.policy.some((statement) => statement.sid === sid)) {
      throw resourceNotFound(`Statement ${sid} is not found in resource policy.`);
    }
    lambda.policy = lambda.policy.filter((statement) => statement.sid !== sid);
    lambda.policyRevisionId = randomUUID();
  });
  return { status: 204 };
}

export async function getPolicy(call: LambdaCall, parts: LambdaParts): Promise<ApiResponse> {
  const lambda = named(call, parts);
  if (lambda.policy.length === 0) throw resourceNotFound("The resource you requested does not exist.");
  const Statement = lambda.policy.map((statement) => showStatement(lambda, statement));
  const Policy = JSON.stringify({ Version: "2012-10-17", Id: "default", Statement });
  return json(200, { Policy, RevisionId: lambda.policyRevisionId });
}

/** Whether anybody may call the function's URL, which `AuthType: NONE` alone does not allow. */
export function allowsPublicUrl(lambda: LambdaFunction): boolean {
  return lambda.policy.some(
    ({ principal, action, conditions }) =>
      principal === "*" &&
      (action === "lambda:InvokeFunctionUrl" || action === "lambda:*") &&
      conditions.every(
        ({ key, value }) => key === "lambda:FunctionUrlAuthType" && value === lambda.url?.authType,
      ),
  );
}

function readStatement(input: Input): PolicyStatement {
  const condition = (operator: string, key: string, value: string | undefined): PolicyCondition[] =>
    value === undefined ? [] : [{ operator, key, value }];
  const viaUrl = input.boolean("InvokedViaFunctionUrl");
  const action = input.required("Action", /^(lambda:[*]|lambda:[a-zA-Z]+|[*])$/);
  const urlAuthType = input.oneOf("FunctionUrlAuthType", ["NONE", "AWS_IAM"]);
  if (urlAuthType !== undefined && action !== "lambda:InvokeFunctionUrl") {
    throw invalidParameter("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action");
  }
  return {
    sid: input.required("StatementId", /^[a-zA-Z0-9-_]{1,100}$/),
    action,
    principal: input.required("Principal", /^[^\s]+$/),
    conditions: [
      ...condition("StringEquals", "lambda:FunctionUrlAuthType", urlAuthType),
      ...condition("Bool", "lambda:InvokedViaFunctionUrl", viaUrl === undefined ? undefined : String(viaUrl)),
      ...condition("ArnLike", "AWS:SourceArn", input.string("SourceArn")),
      ...condition("StringEquals", "AWS:SourceAccount", input.string("SourceAccount")),
      ...condition("StringEquals", "aws:PrincipalOrgID", input.string("PrincipalOrgID")),
      ...condition("StringEquals", "lambda:EventSourceToken", input.string("EventSourceToken")),
    ],
  };
}

function showStatement(lambda: LambdaFunction, statement: PolicyStatement): object {
  const Condition: Record<string, Record<string, string>> = {};
  for (const { operator, key, value } of statement.conditions) (Condition[operator] ??= {})[key] = value;
  return {
    Sid: statement.sid,
    Effect: "Allow",
    Principal: showPrincipal(statement.principal),
    Action: statement.action,
    Resource: lambda.arn,
    ...(statement.conditions.length > 0 && { Condition }),
  };
}

function showPrincipal(principal: string): string | Record<string, string> {
  if (principal === "*") return principal;
  if (/^\d{12}$/.test(principal)) return { AWS: `arn:aws:iam::${principal}:root` };
  if (principal.startsWith("arn:")) return { AWS: principal };
  return { Service: principal };
}

function checkRevision(lambda: LambdaFunction, asked: string | undefined): void {
  if (asked !== undefined && asked !== lambda.policyRevisionId) throw revisionMismatch();
}
