import {
  AddPermissionCommand,
  CreateFunctionCommand,
  CreateFunctionUrlConfigCommand,
  DeleteFunctionCommand,
  DeleteFunctionUrlConfigCommand,
  GetFunctionCommand,
  GetFunctionConfigurationCommand,
  GetFunctionUrlConfigCommand,
  GetPolicyCommand,
  ListFunctionsCommand,
  ListFunctionUrlConfigsCommand,
  ListTagsCommand,
  ListVersionsByFunctionCommand,
  paginateListFunctions,
  PublishVersionCommand,
  RemovePermissionCommand,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateFunctionCodeCommand,
  UpdateFunctionConfigurationCommand,
  UpdateFunctionUrlConfigCommand,
  waitUntilFunctionActiveV2,
  waitUntilFunctionUpdatedV2,
} from "@aws-sdk/client-lambda";
import { createHash } from "node:crypto";
import t from "tap";

import { ECHO, TestCloud, zip } from "./rig.ts";

const cloud = await TestCloud.open(t);
const lambda = cloud.lambda();

void t.test("a function from its creation to its end, as AWS tells it", async (t) => {
  const Role = await cloud.role();
  const ZipFile = await zip(ECHO);
  const { accountId, region } = cloud.serving;
  const FunctionName = "shop-api";
  const created = await lambda.send(
    new CreateFunctionCommand({
      FunctionName,
      Role,
      Runtime: "nodejs20.x",
      Handler: "index.handler",
      Code: { ZipFile },
      Timeout: 7,
      MemorySize: 256,
      Description: "the shop",
      Environment: { Variables: { TABLE: "orders" } },
      Tags: { team: "shop" },
    }),
  );
  t.match(created, {
    FunctionName,
    FunctionArn: `arn:aws:lambda:${region}:${accountId}:function:${FunctionName}`,
    Runtime: "nodejs20.x",
    Role,
    Handler: "index.handler",
    CodeSize: ZipFile.length,
    CodeSha256: createHash("sha256").update(ZipFile).digest("base64"),
    Timeout: 7,
    MemorySize: 256,
    Description: "the shop",
    Environment: { Variables: { TABLE: "orders" } },
    State: "Pending",
    Version: "$LATEST",
    PackageType: "Zip",
    Architectures: ["x86_64"],
    LastModified: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000$/,
  });
  await waitUntilFunctionActiveV2({ client: lambda, maxWaitTime: 10 }, { FunctionName });

  const got = await lambda.send(new GetFunctionCommand({ FunctionName }));
  t.match(got, {
    Configuration: { State: "Active", RevisionId: created.RevisionId },
    Tags: { team: "shop" },
  });
  const download = await fetch(got.Code?.Location ?? "");
  t.ok(Buffer.from(await download.arrayBuffer()).equals(ZipFile), "the link gives the package");
  const forged = await fetch(
    (got.Code?.Location ?? "").replace(/.$/, (digit) => (digit === "0" ? "1" : "0")),
  );
  t.equal(forged.status, 403, "a link that this cloud did not make gives nothing");

  const listed = await lambda.send(new ListFunctionsCommand({}));
  t.match(listed.Functions, [{ FunctionName, Timeout: 7 }]);
  t.match(await lambda.send(new ListVersionsByFunctionCommand({ FunctionName })), {
    Versions: [{ Version: "$LATEST" }],
  });

  for (const name of [
    created.FunctionArn,
    `${FunctionName}:$LATEST`,
    `${accountId}:function:${FunctionName}`,
  ]) {
    const { FunctionArn } = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName: name }));
    t.equal(FunctionArn, created.FunctionArn, `${name} names it too`);
  }

  const configured = await lambda.send(
    new UpdateFunctionConfigurationCommand({ FunctionName, Timeout: 9, Environment: { Variables: {} } }),
  );
  t.match(configured, {
    Timeout: 9,
    MemorySize: 256,
    Environment: undefined,
    LastUpdateStatus: "InProgress",
  });
  t.not(configured.RevisionId, created.RevisionId);
  await waitUntilFunctionUpdatedV2({ client: lambda, maxWaitTime: 10 }, { FunctionName });

  const second = await zip({ "index.js": "exports.handler = async () => 2;" });
  const dry = await lambda.send(
    new UpdateFunctionCodeCommand({ FunctionName, ZipFile: second, DryRun: true }),
  );
  t.equal(dry.CodeSize, second.length);
  t.equal(
    (await lambda.send(new GetFunctionConfigurationCommand({ FunctionName }))).CodeSize,
    ZipFile.length,
  );
  const updated = await lambda.send(
    new UpdateFunctionCodeCommand({ FunctionName, ZipFile: second, Architectures: ["arm64"] }),
  );
  t.match(updated, { CodeSize: second.length, Architectures: ["arm64"], Timeout: 9 });
  t.equal((await cloud.invoke(FunctionName)).value, 2);

  await lambda.send(new DeleteFunctionCommand({ FunctionName }));
  await t.rejects(lambda.send(new GetFunctionCommand({ FunctionName })), {
    name: "ResourceNotFoundException",
    message: `Function not found: ${created.FunctionArn}`,
    $metadata: { httpStatusCode: 404 },
  });
  t.same((await lambda.send(new ListFunctionsCommand({}))).Functions, []);
});

void t.test("what AWS refuses is refused with AWS's error", async (t) => {
  const FunctionName = await cloud.function(ECHO);
  const ZipFile = await zip(ECHO);
  const Role = await cloud.role();
  const wanted = {
    FunctionName: "other",
    Role,
    Runtime: "nodejs20.x",
    Handler: "index.handler",
    Code: { ZipFile },
  } as const;
  const create = (more: object) => lambda.send(new CreateFunctionCommand({ ...wanted, ...more }));
  await t.rejects(create({ FunctionName }), {
    name: "ResourceConflictException",
    message: `Function already exist: ${FunctionName}`,
    $metadata: { httpStatusCode: 409 },
    Type: "User",
  });
  await t.rejects(create({ Role: Role.replace(/role-\d+$/, "nobody") }), {
    name: "InvalidParameterValueException",
    message: "The role defined for the function cannot be assumed by Lambda.",
    $metadata: { httpStatusCode: 400 },
  });
  const wrong: readonly [string, object, string][] = [
    ["a runtime that does not exist", { Runtime: "nodejs99.x" }, "InvalidParameterValueException"],
    ["a zip that is none", { Code: { ZipFile: Buffer.from("no zip") } }, "InvalidParameterValueException"],
    ["no code", { Code: {} }, "InvalidParameterValueException"],
    ["a timeout beyond fifteen minutes", { Timeout: 901 }, "ValidationException"],
    ["too little memory", { MemorySize: 64 }, "ValidationException"],
    [
      "a reserved variable",
      { Environment: { Variables: { AWS_REGION: "x" } } },
      "InvalidParameterValueException",
    ],
    [
      "too large an environment",
      { Environment: { Variables: { BIG: "x".repeat(4096) } } },
      "InvalidParameterValueException",
    ],
    ["a name with a space", { FunctionName: "a b" }, "ValidationException"],
    ["a name of 65 characters", { FunctionName: "n".repeat(65) }, "ValidationException"],
    [
      "layers, rather than dropped",
      { Layers: ["arn:aws:lambda:us-east-1:1:layer:x:1"] },
      "InvalidParameterValueException",
    ],
    ["tags of AWS's own prefix", { Tags: { "aws:x": "1" } }, "InvalidParameterValueException"],
  ];
  for (const [what, more, name] of wrong) await t.rejects(create(more), { name }, what);
  t.match(
    await lambda.send(new GetFunctionCommand({ FunctionName: "other" })).catch((error: unknown) => error),
    { name: "ResourceNotFoundException" },
    "nothing was created",
  );
  await t.rejects(lambda.send(new PublishVersionCommand({ FunctionName })), {
    name: "NotImplementedException",
    $metadata: { httpStatusCode: 501 },
  });
  await t.rejects(
    lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName, Timeout: 5, RevisionId: "old" })),
    { name: "PreconditionFailedException", $metadata: { httpStatusCode: 412 } },
  );
  await t.rejects(lambda.send(new GetFunctionCommand({ FunctionName: `${FunctionName}:prod` })), {
    name: "ResourceNotFoundException",
  });
  await lambda.send(new DeleteFunctionCommand({ FunctionName }));
});

void t.test("a package that would write outside its folder is refused, and nothing is written", async (t) => {
  const honest = await zip({ "aa/index.js": ECHO["index.js"] ?? "" });
  // Same length, so that the archive's own offsets stay right.
  const evil = Buffer.from(honest.toString("latin1").replaceAll("aa/index.js", "../index.js"), "latin1");
  await t.rejects(cloud.function({}, { Code: { ZipFile: evil } }), {
    name: "InvalidParameterValueException",
    message: /Could not unzip uploaded file/,
  });
});

void t.test("lists come in pages, each function once", async (t) => {
  const names = await Promise.all(Array.from({ length: 5 }, () => cloud.function(ECHO)));
  const seen: (string | undefined)[] = [];
  let pages = 0;
  for await (const { Functions = [] } of paginateListFunctions({ client: lambda, pageSize: 2 }, {})) {
    pages += 1;
    seen.push(...Functions.map(({ FunctionName }) => FunctionName));
  }
  t.equal(pages, 3);
  t.same(seen, names.toSorted());
  await t.rejects(lambda.send(new ListFunctionsCommand({ Marker: "?" })), { name: "ValidationException" });
  await Promise.all(names.map((FunctionName) => lambda.send(new DeleteFunctionCommand({ FunctionName }))));
});

void t.test("many functions made, changed and removed at once lose no package", async (t) => {
  const count = 12;
  const wrote = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const code = (version: number) => ({
        "index.js": `exports.handler = async () => "${index}.${version}";`,
      });
      const FunctionName = await cloud.function(code(1));
      await lambda.send(new UpdateFunctionCodeCommand({ FunctionName, ZipFile: await zip(code(2)) }));
      if (index % 3 === 0) {
        await lambda.send(new DeleteFunctionCommand({ FunctionName }));
        return undefined;
      }
      return {
        FunctionName,
        value: (await cloud.invoke(FunctionName)).value as unknown,
        wanted: `${index}.2`,
      };
    }),
  );
  const stand = wrote.filter((one) => one !== undefined);
  for (const { value, wanted } of stand) t.equal(value, wanted);
  await Promise.all(
    stand.map(({ FunctionName }) => lambda.send(new DeleteFunctionCommand({ FunctionName }))),
  );
});

void t.test("tags are added, shown and taken away", async (t) => {
  const FunctionName = await cloud.function(ECHO, { Tags: { a: "1" } });
  const { Configuration } = await lambda.send(new GetFunctionCommand({ FunctionName }));
  const Resource = Configuration?.FunctionArn ?? "";
  await lambda.send(new TagResourceCommand({ Resource, Tags: { b: "2", "c d/ü": "3 & 4" } }));
  t.same((await lambda.send(new ListTagsCommand({ Resource }))).Tags, { a: "1", b: "2", "c d/ü": "3 & 4" });
  await lambda.send(new UntagResourceCommand({ Resource, TagKeys: ["a", "c d/ü"] }));
  t.same((await lambda.send(new GetFunctionCommand({ FunctionName }))).Tags, { b: "2" });
  await t.rejects(lambda.send(new ListTagsCommand({ Resource: `${Resource}x` })), {
    name: "ResourceNotFoundException",
  });
});

void t.test("permissions form the function's policy", async (t) => {
  const FunctionName = await cloud.function(ECHO);
  await t.rejects(lambda.send(new GetPolicyCommand({ FunctionName })), { name: "ResourceNotFoundException" });
  const permission = {
    FunctionName,
    StatementId: "queue",
    Action: "lambda:InvokeFunction",
    Principal: "s3.amazonaws.com",
    SourceArn: "arn:aws:s3:::bucket",
  };
  const { Statement = "" } = await lambda.send(new AddPermissionCommand(permission));
  t.match(JSON.parse(Statement), {
    Sid: "queue",
    Effect: "Allow",
    Principal: { Service: "s3.amazonaws.com" },
    Condition: { ArnLike: { "AWS:SourceArn": "arn:aws:s3:::bucket" } },
  });
  await t.rejects(lambda.send(new AddPermissionCommand(permission)), {
    name: "ResourceConflictException",
    message: /statement id \(queue\) provided already exists/,
  });
  const { Policy = "", RevisionId } = await lambda.send(new GetPolicyCommand({ FunctionName }));
  t.match(JSON.parse(Policy), { Version: "2012-10-17", Statement: [JSON.parse(Statement)] });
  await t.rejects(
    lambda.send(new RemovePermissionCommand({ FunctionName, StatementId: "queue", RevisionId: "old" })),
    { name: "PreconditionFailedException" },
  );
  await lambda.send(new RemovePermissionCommand({ FunctionName, StatementId: "queue", RevisionId }));
  await t.rejects(lambda.send(new RemovePermissionCommand({ FunctionName, StatementId: "queue" })), {
    name: "ResourceNotFoundException",
  });
});

void t.test("a function's URL is made, changed, listed and removed", async (t) => {
  const FunctionName = await cloud.function(ECHO);
  await t.rejects(lambda.send(new GetFunctionUrlConfigCommand({ FunctionName })), {
    name: "ResourceNotFoundException",
  });
  const Cors = { AllowOrigins: ["https://shop.example"], AllowMethods: ["GET"], MaxAge: 60 };
  const { FunctionUrl } = await lambda.send(
    new CreateFunctionUrlConfigCommand({ FunctionName, AuthType: "NONE", Cors }),
  );
  t.match(FunctionUrl, /^http:\/\/127\.0\.0\.1:\d+\/$/);
  await t.rejects(lambda.send(new CreateFunctionUrlConfigCommand({ FunctionName, AuthType: "NONE" })), {
    name: "ResourceConflictException",
  });
  t.match(await lambda.send(new GetFunctionUrlConfigCommand({ FunctionName })), {
    FunctionUrl,
    AuthType: "NONE",
    Cors,
    InvokeMode: "BUFFERED",
  });
  const changed = await lambda.send(
    new UpdateFunctionUrlConfigCommand({ FunctionName, AuthType: "AWS_IAM", InvokeMode: "RESPONSE_STREAM" }),
  );
  t.match(changed, { FunctionUrl, AuthType: "AWS_IAM", Cors, InvokeMode: "RESPONSE_STREAM" });
  t.match(await lambda.send(new ListFunctionUrlConfigsCommand({ FunctionName })), {
    FunctionUrlConfigs: [{ FunctionUrl }],
  });
  await lambda.send(new DeleteFunctionUrlConfigCommand({ FunctionName }));
  await t.rejects(lambda.send(new DeleteFunctionUrlConfigCommand({ FunctionName })), {
    name: "ResourceNotFoundException",
  });
  await t.rejects(fetch(FunctionUrl ?? ""), "nothing listens there any more");
});

void t.test("another region is another place", async (t) => {
  const FunctionName = await cloud.function(ECHO);
  const elsewhere = cloud.lambda(cloud.serving, { region: "eu-west-1" });
  t.same((await elsewhere.send(new ListFunctionsCommand({}))).Functions, []);
  await t.rejects(elsewhere.send(new GetFunctionCommand({ FunctionName })), {
    name: "ResourceNotFoundException",
  });
});
