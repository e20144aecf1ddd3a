/** An error as AWS's APIs answer it. Each protocol has its own shape for it: see protocols.ts. */
export class AwsError extends Error {
  override readonly name = "AwsError";
  readonly status: number;
  /** `ResourceNotFoundException`, `NoSuchEntity` … */
  readonly code: string;
  /** Further members of the error's own shape (`Reason` …). */
  readonly members: Readonly<Record<string, string>>;

  constructor(status: number, code: string, message: string, members: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.members = members;
  }
}

// ---- any service

export const accessDenied = (message: string) => new AwsError(403, "AccessDeniedException", message);

export const unsupported = (operation: string) =>
  new AwsError(501, "NotImplementedException", `The local cloud does not implement ${operation}.`);

export const internalFailure = () =>
  new AwsError(
    500,
    "ServiceException",
    "The local cloud failed; its log (cloud.log in its state directory) says why.",
  );

export const validation = (message: string) => new AwsError(400, "ValidationException", message);

// ---- Lambda

export const functionNotFound = (arn: string) =>
  new AwsError(404, "ResourceNotFoundException", `Function not found: ${arn}`);

export const resourceNotFound = (message: string) => new AwsError(404, "ResourceNotFoundException", message);

export const functionExists = (name: string) => conflict(`Function already exist: ${name}`);

export const conflict = (message: string) => new AwsError(409, "ResourceConflictException", message);

export const invalidParameter = (message: string) =>
  new AwsError(400, "InvalidParameterValueException", message);

export const invalidRequestContent = (message: string) =>
  new AwsError(400, "InvalidRequestContentException", message);

export const invalidZip = (message: string) =>
  invalidParameter(
    `Could not unzip uploaded file. Please check your file, then try to upload again. (${message})`,
  );

export const revisionMismatch = () =>
  new AwsError(
    412,
    "PreconditionFailedException",
    "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
  );

export const requestTooLarge = (limit: number, operation = "InvokeFunction") =>
  new AwsError(
    413,
    "RequestTooLargeException",
    `Request must be smaller than ${limit} bytes for the ${operation} operation`,
  );

export const tooManyRequests = () =>
  new AwsError(429, "TooManyRequestsException", "Rate Exceeded.", {
    Reason: "ConcurrentInvocationLimitExceeded",
  });

// ---- IAM

export const entityExists = (message: string) => new AwsError(409, "EntityAlreadyExists", message);
export const noSuchEntity = (message: string) => new AwsError(404, "NoSuchEntity", message);
export const deleteConflict = (message: string) => new AwsError(409, "DeleteConflict", message);
export const malformedPolicy = (message: string) => new AwsError(400, "MalformedPolicyDocument", message);
export const invalidInput = (message: string) => new AwsError(400, "ValidationError", message);
