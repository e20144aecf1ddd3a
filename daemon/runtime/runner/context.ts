/** The handler's `context`, as AWS's Node runtime makes it. */
import type { Invocation } from "./client.ts";

export function environmentContext({ requestId, headers }: Invocation) {
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  const { env } = process;
  return {
    functionVersion: env["AWS_LAMBDA_FUNCTION_VERSION"],
    functionName: env["AWS_LAMBDA_FUNCTION_NAME"],
    memoryLimitInMB: env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"],
    logGroupName: env["AWS_LAMBDA_LOG_GROUP_NAME"],
    logStreamName: env["AWS_LAMBDA_LOG_STREAM_NAME"],
    clientContext: parsed(headers["lambda-runtime-client-context"], "ClientContext"),
    identity: parsed(headers["lambda-runtime-cognito-identity"], "CognitoIdentity"),
    invokedFunctionArn: text(headers["lambda-runtime-invoked-function-arn"]),
    awsRequestId: requestId,
    tenantId: text(headers["lambda-runtime-aws-tenant-id"]),
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
}

/** X-Ray's SDK reads the trace from the environment, anew for each invocation. */
export function setTraceId({ headers }: Invocation): void {
  const traceId = text(headers["lambda-runtime-trace-id"]);
  if (traceId === undefined) delete process.env["_X_AMZN_TRACE_ID"];
  else process.env["_X_AMZN_TRACE_ID"] = traceId;
}

const text = (header: string | string[] | undefined) => (Array.isArray(header) ? header[0] : header);

function parsed(header: string | string[] | undefined, name: string): unknown {
  const json = text(header);
  if (json === undefined) return undefined;
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new Error(`Cannot parse ${name} as json: ${String(error)}`, { cause: error });
  }
}
