import {
  AttachRolePolicyCommand,
  CreateRoleCommand,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  DetachRolePolicyCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  ListAttachedRolePoliciesCommand,
  ListRolePoliciesCommand,
  ListRolesCommand,
  ListRoleTagsCommand,
  paginateListRoles,
  PutRolePolicyCommand,
  TagRoleCommand,
  UntagRoleCommand,
  UpdateAssumeRolePolicyCommand,
  UpdateRoleCommand,
} from "@aws-sdk/client-iam";
import { AssumeRoleCommand, GetCallerIdentityCommand } from "@aws-sdk/client-sts";
import t from "tap";

import { TestCloud, TRUST } from "./rig.ts";

const cloud = await TestCloud.open(t);
const iam = cloud.iam();
const POLICY = JSON.stringify({
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Action: "logs:*", Resource: `"<&>' ü` }],
});

void t.test("a role from its creation to its end", async (t) => {
  const RoleName = "worker";
  const { Role } = await iam.send(
    new CreateRoleCommand({
      RoleName,
      Path: "/livedev/shop/dev/",
      AssumeRolePolicyDocument: TRUST,
      Description: "a <role> & more",
      Tags: [{ Key: "team", Value: "shop" }],
    }),
  );
  t.match(Role, {
    RoleName,
    Arn: `arn:aws:iam::${cloud.serving.accountId}:role/livedev/shop/dev/worker`,
    RoleId: /^AROA/,
    Path: "/livedev/shop/dev/",
    CreateDate: Date,
  });
  t.equal(decodeURIComponent(Role?.AssumeRolePolicyDocument ?? ""), TRUST);
  await t.rejects(iam.send(new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: TRUST })), {
    name: "EntityAlreadyExistsException",
    message: "Role with name worker already exists.",
    $metadata: { httpStatusCode: 409 },
  });
  await iam.send(new PutRolePolicyCommand({ RoleName, PolicyName: "own", PolicyDocument: POLICY }));
  const kept = await iam.send(new GetRolePolicyCommand({ RoleName, PolicyName: "own" }));
  t.equal(decodeURIComponent(kept.PolicyDocument ?? ""), POLICY, "a policy comes back as it was given");
  t.same((await iam.send(new ListRolePoliciesCommand({ RoleName }))).PolicyNames, ["own"]);
  const PolicyArn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";
  await iam.send(new AttachRolePolicyCommand({ RoleName, PolicyArn }));
  t.match((await iam.send(new ListAttachedRolePoliciesCommand({ RoleName }))).AttachedPolicies, [
    { PolicyArn },
  ]);
  await iam.send(new TagRoleCommand({ RoleName, Tags: [{ Key: "livedev:hash", Value: "a&b" }] }));
  await iam.send(new UntagRoleCommand({ RoleName, TagKeys: ["team"] }));
  t.same((await iam.send(new ListRoleTagsCommand({ RoleName }))).Tags, [
    { Key: "livedev:hash", Value: "a&b" },
  ]);
  await iam.send(new UpdateRoleCommand({ RoleName, Description: "new", MaxSessionDuration: 7200 }));
  await iam.send(new UpdateAssumeRolePolicyCommand({ RoleName, PolicyDocument: POLICY }));
  t.match((await iam.send(new GetRoleCommand({ RoleName }))).Role, {
    Description: "new",
    MaxSessionDuration: 7200,
    AssumeRolePolicyDocument: encodeURIComponent(POLICY),
  });

  const remove = new DeleteRoleCommand({ RoleName });
  await t.rejects(iam.send(remove), { name: "DeleteConflictException" });
  await iam.send(new DetachRolePolicyCommand({ RoleName, PolicyArn }));
  await t.rejects(iam.send(remove), { name: "DeleteConflictException" });
  await iam.send(new DeleteRolePolicyCommand({ RoleName, PolicyName: "own" }));
  await iam.send(remove);
  await t.rejects(iam.send(new GetRoleCommand({ RoleName })), {
    name: "NoSuchEntityException",
    message: "The role with name worker cannot be found.",
    $metadata: { httpStatusCode: 404 },
  });
});

void t.test("what IAM refuses is refused with IAM's error", async (t) => {
  const create = (more: object) =>
    iam.send(new CreateRoleCommand({ RoleName: "x", AssumeRolePolicyDocument: TRUST, ...more }));
  await t.rejects(create({ AssumeRolePolicyDocument: "{" }), { name: "MalformedPolicyDocumentException" });
  await t.rejects(create({ RoleName: "a b" }), { name: "ValidationError" });
  await t.rejects(create({ RoleName: "r".repeat(65) }), { name: "ValidationError" });
  await t.rejects(create({ RoleName: "__proto__" }), { name: "ValidationError" });
  await t.rejects(iam.send(new GetRoleCommand({ RoleName: "constructor" })), {
    name: "NoSuchEntityException",
  });
  await t.rejects(iam.send(new DeleteRolePolicyCommand({ RoleName: "x", PolicyName: "y" })), {
    name: "NoSuchEntityException",
  });
  t.same((await iam.send(new ListRolesCommand({}))).Roles, []);
});

void t.test("roles are listed by their path, in pages", async (t) => {
  for (const [index, Path] of ["/a/", "/a/", "/a/", "/b/"].entries()) {
    await iam.send(
      new CreateRoleCommand({ RoleName: `listed-${index}`, Path, AssumeRolePolicyDocument: TRUST }),
    );
  }
  const seen: (string | undefined)[] = [];
  for await (const { Roles = [] } of paginateListRoles({ client: iam, pageSize: 2 }, { PathPrefix: "/a/" })) {
    seen.push(...Roles.map(({ RoleName }) => RoleName));
  }
  t.same(seen, ["listed-0", "listed-1", "listed-2"]);
});

void t.test("STS says who asks, and gives sessions of roles that exist", async (t) => {
  const { accountId } = cloud.serving;
  t.match(await cloud.sts().send(new GetCallerIdentityCommand({})), {
    Account: accountId,
    Arn: `arn:aws:iam::${accountId}:root`,
    UserId: accountId,
  });
  const RoleArn = await cloud.role("assumed");
  const { Credentials, AssumedRoleUser } = await cloud
    .sts()
    .send(new AssumeRoleCommand({ RoleArn, RoleSessionName: "ann" }));
  t.match(AssumedRoleUser, { Arn: `arn:aws:sts::${accountId}:assumed-role/assumed/ann` });
  t.match(Credentials, { AccessKeyId: /^ASIA/ });
  const hour = (Credentials?.Expiration?.getTime() ?? 0) - Date.now();
  t.ok(hour > 3_590_000 && hour <= 3_600_000, "for an hour unless told");
  await t.rejects(
    cloud.sts().send(new AssumeRoleCommand({ RoleArn: `${RoleArn}x`, RoleSessionName: "ann" })),
    { name: "AccessDenied", message: /not authorized to perform: sts:AssumeRole/ },
  );
  await t.rejects(
    cloud.sts().send(new AssumeRoleCommand({ RoleArn, RoleSessionName: "ann", DurationSeconds: 100_000 })),
    { name: "ValidationError" },
  );
});
