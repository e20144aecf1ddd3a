import t from "tap";

import { awsName, explainAws } from "../../daemon/aws/failure.ts";
import { LivedevError, notDeployed } from "../../daemon/lib/errors.ts";

const WHERE = { profile: "work", endpoint: "AWS in eu-west-1" };

/** As the SDK throws it. */
function thrown(name: string, message = "said by AWS", more: object = {}): Error {
  return Object.assign(new Error(message), { name, $fault: "client", $metadata: {}, ...more });
}

const explained = (error: unknown) => explainAws(error, "CreateFunction of shop-dev-Api", WHERE);

void t.test(
  "credentials that are absent, wrong or expired name the command that refreshes them",
  async (t) => {
    for (const name of [
      "CredentialsProviderError",
      "ExpiredTokenException",
      "ExpiredToken",
      "UnrecognizedClientException",
      "InvalidClientTokenId",
      "SignatureDoesNotMatch",
    ]) {
      t.match(
        explained(thrown(name)),
        {
          code: "aws.credentials",
          message: /of the profile work .* said by AWS/,
          hint: /aws sso login --profile work/,
        },
        name,
      );
    }
    t.match(explainAws(thrown("ExpiredToken"), "x", { ...WHERE, profile: undefined }), {
      code: "aws.credentials",
      hint: /AWS_PROFILE/,
    });
  },
);

void t.test("what cannot be reached names the place", async (t) => {
  for (const code of ["ECONNREFUSED", "ENOTFOUND", "ETIMEDOUT", "EAI_AGAIN"]) {
    const error = Object.assign(new Error(code), { code });
    t.match(explained(error), { code: "aws.unreachable", message: /at AWS in eu-west-1: / }, code);
  }
  t.match(explained(Object.assign(new AggregateError([], ""), { code: "ECONNREFUSED" })), {
    code: "aws.unreachable",
    message: /ECONNREFUSED/,
  });
  t.match(explained(Object.assign(new Error("late"), { name: "TimeoutError" })), { code: "aws.unreachable" });
});

void t.test("a denial names the permission that is missing", async (t) => {
  const message =
    "User: arn:aws:iam::1:user/ann is not authorized to perform: lambda:CreateFunction on resource: x";
  t.match(explained(thrown("AccessDeniedException", message)), {
    code: "aws.denied",
    hint: "The credentials need the permission lambda:CreateFunction.",
  });
  t.match(explained(thrown("AccessDenied")), {
    code: "aws.denied",
    hint: "The credentials lack a permission.",
  });
});

void t.test("throttling says that what was done is kept", async (t) => {
  for (const name of ["ThrottlingException", "TooManyRequestsException", "Throttling"])
    t.match(explained(thrown(name)), { code: "aws.throttled", hint: /what was done is kept/ }, name);
});

void t.test("any other refusal says what was being done, with AWS's own words", async (t) => {
  t.match(explained(thrown("InvalidParameterValueException")), {
    code: "aws.failed",
    message: "CreateFunction of shop-dev-Api failed with InvalidParameterValueException: said by AWS",
  });
});

void t.test("bugs, cancels and what is explained already stay what they are", async (t) => {
  for (const error of [
    new TypeError("a bug"),
    Object.assign(new Error("closed"), { name: "AbortError" }),
    notDeployed("Api"),
    "a string",
  ])
    t.equal(explained(error), error);
  t.equal(awsName(new TypeError("a bug")), undefined);
  t.equal(awsName(thrown("ResourceConflictException")), "ResourceConflictException");
  t.ok(explained(thrown("X")) instanceof LivedevError);
});
