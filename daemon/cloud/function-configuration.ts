/** A function's configuration: read from a request and checked with AWS's limits, and shown as AWS shows it. */
import { accessDenied, invalidParameter } from "./aws-error.ts";
import type { Input } from "./lambda-input.ts";
import type { CloudState, FunctionConfiguration, LambdaFunction } from "./state.ts";

/** The runtimes that the cloud can run: Node's. */
const RUNTIMES = ["nodejs18.x", "nodejs20.x", "nodejs22.x", "nodejs24.x"] as const;

/** AWS's quota for all variables together. */
const MAX_ENVIRONMENT_BYTES = 4096;

/** Those that Lambda sets itself. @see https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html */
const RESERVED = new Set([
  "_HANDLER",
  "_X_AMZN_TRACE_ID",
  "AWS_DEFAULT_REGION",
  "AWS_REGION",
  "AWS_EXECUTION_ENV",
  "AWS_LAMBDA_FUNCTION_NAME",
  "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
  "AWS_LAMBDA_FUNCTION_VERSION",
  "AWS_LAMBDA_INITIALIZATION_TYPE",
  "AWS_LAMBDA_LOG_GROUP_NAME",
  "AWS_LAMBDA_LOG_STREAM_NAME",
  "AWS_ACCESS_KEY",
  "AWS_ACCESS_KEY_ID",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_SESSION_TOKEN",
  "AWS_LAMBDA_RUNTIME_API",
  "LAMBDA_TASK_ROOT",
  "LAMBDA_RUNTIME_DIR",
]);

/** Of no consequence on one machine, or refused: nothing that a function relies on is dropped without a word. */
const UNSUPPORTED = [
  "Layers",
  "ImageConfig",
  "FileSystemConfigs",
  "DurableConfig",
  "CapacityProviderConfig",
  "TenancyConfig",
];

const DEFAULTS: FunctionConfiguration = {
  runtime: "",
  role: "",
  handler: "",
  description: "",
  timeout: 3,
  memorySize: 128,
  environment: {},
  architectures: ["x86_64"],
  ephemeralStorage: 512,
  tracingMode: "PassThrough",
};

/** `before` is absent for a new function. What the request leaves out stays as it is. */
export function readConfiguration(
  input: Input,
  state: Readonly<CloudState>,
  before?: FunctionConfiguration,
): FunctionConfiguration {
  input.refuse(UNSUPPORTED);
  const old = before ?? DEFAULTS;
  const isNew = before === undefined;
  const role = isNew ? input.required("Role") : (input.string("Role") ?? old.role);
  if (role !== old.role) checkRole(role, state);
  const environment = input.object("Environment");
  const variables = environment === undefined ? old.environment : (environment.stringMap("Variables") ?? {});
  checkEnvironment(variables);
  return {
    runtime: readRuntime(input, old.runtime),
    role,
    handler: readHandler(input, old.handler),
    description: readDescription(input) ?? old.description,
    timeout: input.integer("Timeout", 1, 900) ?? old.timeout,
    memorySize: input.integer("MemorySize", 128, 10_240) ?? old.memorySize,
    environment: variables,
    architectures: readArchitectures(input) ?? old.architectures,
    ephemeralStorage: input.object("EphemeralStorage")?.integer("Size", 512, 10_240) ?? old.ephemeralStorage,
    tracingMode: input.object("TracingConfig")?.oneOf("Mode", ["Active", "PassThrough"]) ?? old.tracingMode,
  };
}

export function readArchitectures(input: Input): string[] | undefined {
  const given = input.strings("Architectures");
  if (given === undefined) return undefined;
  const [only] = given;
  if (given.length !== 1 || (only !== "x86_64" && only !== "arm64")) {
    throw invalidParameter("Architectures must hold exactly one of x86_64 and arm64.");
  }
  return given;
}

/** `State` and `LastUpdateStatus` are as they stand now; a change answers with how it stands while it is made. */
export function showConfiguration(
  lambda: LambdaFunction,
  standing: { State: string; LastUpdateStatus: string } = { State: "Active", LastUpdateStatus: "Successful" },
): Readonly<Record<string, unknown>> {
  const { configuration } = lambda;
  const variables = configuration.environment;
  return {
    FunctionName: lambda.name,
    FunctionArn: lambda.arn,
    Runtime: configuration.runtime,
    Role: configuration.role,
    Handler: configuration.handler,
    CodeSize: lambda.code.size,
    Description: configuration.description,
    Timeout: configuration.timeout,
    MemorySize: configuration.memorySize,
    LastModified: lambda.lastModified,
    CodeSha256: lambda.code.sha256,
    Version: "$LATEST",
    ...(Object.keys(variables).length > 0 && { Environment: { Variables: variables } }),
    TracingConfig: { Mode: configuration.tracingMode },
    RevisionId: lambda.revisionId,
    PackageType: "Zip",
    Architectures: configuration.architectures,
    EphemeralStorage: { Size: configuration.ephemeralStorage },
    SnapStart: { ApplyOn: "None", OptimizationStatus: "Off" },
    LoggingConfig: { LogFormat: "Text", LogGroup: `/aws/lambda/${lambda.name}` },
    ...standing,
    ...(standing.State === "Pending" && {
      StateReason: "The function is being created.",
      StateReasonCode: "Creating",
    }),
    ...(standing.LastUpdateStatus === "InProgress" &&
      standing.State === "Active" && {
        LastUpdateStatusReason: "The function is being updated.",
        LastUpdateStatusReasonCode: "Creating",
      }),
  };
}

function readRuntime(input: Input, before: string): string {
  const given = input.string("Runtime") ?? before;
  const known = RUNTIMES.find((runtime) => runtime === given);
  if (known !== undefined) return known;
  throw invalidParameter(
    given === ""
      ? "Runtime and Handler are mandatory parameters for functions created with deployment packages."
      : `Value ${given} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [${RUNTIMES.join(", ")}] or be a valid ARN`,
  );
}

function readHandler(input: Input, before: string): string {
  const given = input.string("Handler") ?? before;
  if (/^[^\s]{1,128}$/.test(given)) return given;
  throw invalidParameter(
    given === ""
      ? "Runtime and Handler are mandatory parameters for functions created with deployment packages."
      : `Value '${given}' at 'handler' failed to satisfy constraint: Member must satisfy regular expression pattern: [^\\s]{1,128}`,
  );
}

function readDescription(input: Input): string | undefined {
  const given = input.string("Description");
  if (given !== undefined && given.length > 256)
    throw invalidParameter("Description must have at most 256 characters.");
  return given;
}

function checkEnvironment(variables: Readonly<Record<string, string>>): void {
  const names = Object.keys(variables);
  const reserved = names.filter((name) => RESERVED.has(name));
  if (reserved.length > 0) {
    throw invalidParameter(
      `Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: ${reserved.join(", ")}`,
    );
  }
  const wrong = names.find((name) => !/^[a-zA-Z]\w+$/.test(name));
  if (wrong !== undefined) {
    throw invalidParameter(
      `Value '${wrong}' at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]`,
    );
  }
  if (Object.values(variables).some((value) => value.includes("\0"))) {
    throw invalidParameter("Environment variables must not hold a null character.");
  }
  const text = JSON.stringify(variables);
  if (Buffer.byteLength(text) > MAX_ENVIRONMENT_BYTES) {
    throw invalidParameter(
      `Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: ${names.length} variables, ${Buffer.byteLength(text)} bytes`,
    );
  }
}

function checkRole(arn: string, state: Readonly<CloudState>): void {
  const match = /^arn:aws:iam::(\d{12}):role\/(?:.*\/)?[\w+=,.@-]+$/.exec(arn);
  if (match === null) throw invalidParameter(`Value '${arn}' at 'role' is not the ARN of a role.`);
  if (match[1] !== state.accountId) throw accessDenied("Cross-account pass role is not allowed.");
  const role = Object.values(state.roles).find((known) => known.arn === arn);
  if (role === undefined || !role.trustPolicy.includes("lambda.amazonaws.com")) {
    throw invalidParameter("The role defined for the function cannot be assumed by Lambda.");
  }
}
