/** The variables of an execution environment, as Lambda sets them, and the command that it runs. */
import { dirname, join } from "node:path";

import { PROGRAMS } from "../lib/programs.ts";
import type { SessionCredentials } from "./sessions.ts";
import type { LambdaFunction } from "./state.ts";

export type EnvironmentSetting = {
  readonly lambda: LambdaFunction;
  readonly taskRoot: string;
  readonly logStream: string;
  readonly session: SessionCredentials;
  /** Of this cloud: the SDKs in the function's code find it by `AWS_ENDPOINT_URL`. */
  readonly endpoint: string;
};

export function variablesOf(setting: EnvironmentSetting): Record<string, string> {
  const { lambda, taskRoot, session } = setting;
  const { configuration } = lambda;
  return {
    PATH: [dirname(process.execPath), process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"].join(":"),
    HOME: process.env["HOME"] ?? "/",
    LANG: "en_US.UTF-8",
    TZ: ":UTC",
    ...configuration.environment,
    _HANDLER: configuration.handler,
    LAMBDA_TASK_ROOT: taskRoot,
    LAMBDA_RUNTIME_DIR: dirname(PROGRAMS.runner),
    AWS_EXECUTION_ENV: `AWS_Lambda_${configuration.runtime}`,
    AWS_LAMBDA_FUNCTION_NAME: lambda.name,
    AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(configuration.memorySize),
    AWS_LAMBDA_INITIALIZATION_TYPE: "on-demand",
    AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${lambda.name}`,
    AWS_LAMBDA_LOG_STREAM_NAME: setting.logStream,
    AWS_XRAY_CONTEXT_MISSING: "LOG_ERROR",
    AWS_REGION: lambda.region,
    AWS_DEFAULT_REGION: lambda.region,
    AWS_ACCESS_KEY_ID: session.accessKeyId,
    AWS_SECRET_ACCESS_KEY: session.secretAccessKey,
    AWS_SESSION_TOKEN: session.sessionToken,
    AWS_ENDPOINT_URL: setting.endpoint,
  };
}

/** The managed runtime, or what the function puts around it: a wrapper is given the runtime's own command. */
export function commandOf({ lambda, taskRoot }: EnvironmentSetting): [string, ...string[]] {
  const runtime: [string, ...string[]] = [process.execPath, "--enable-source-maps", PROGRAMS.runner];
  const wrapper = lambda.configuration.environment["AWS_LAMBDA_EXEC_WRAPPER"];
  if (wrapper === undefined || wrapper === "") return runtime;
  return [
    wrapper.startsWith("/var/task/") ? join(taskRoot, wrapper.slice("/var/task/".length)) : wrapper,
    ...runtime,
  ];
}
