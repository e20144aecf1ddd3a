/** The components beside functions, buckets and stacks, on moto: made, changed, left as they were, taken away. */
import { DescribeStacksCommand, UpdateStackCommand } from "@aws-sdk/client-cloudformation";
import { CreateSubnetCommand, CreateTagsCommand, CreateVpcCommand } from "@aws-sdk/client-ec2";
import { ListInvalidationsCommand } from "@aws-sdk/client-cloudfront";
import { GetFunctionConfigurationCommand } from "@aws-sdk/client-lambda";
import {
  DeleteBucketPolicyCommand,
  DeletePublicAccessBlockCommand,
  ListObjectsV2Command,
  PutBucketVersioningCommand,
} from "@aws-sdk/client-s3";
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import t, { type Test } from "tap";

import { OUTPUT, type WantedPostgres, type WantedRedis } from "../../proto/app.ts";
import { TestCloud } from "../cloud/rig.ts";
import { Moto, motoMissing } from "./moto.ts";
import {
  openDeploy,
  openStage,
  wantedApp,
  wantedBucket,
  wantedFunction,
  wantedPostgres,
  wantedProcess,
  wantedRedis,
  wantedStack,
} from "./rig.ts";
import { HTTP_API, TRIGGERS } from "./triggers.ts";

t.setTimeout(600_000);
// What throttling does is tried elsewhere.
const moto =
  motoMissing === false ? await Moto.open(t, { callsPerSecond: Number.POSITIVE_INFINITY }) : undefined;

const ref = (to: string) => ({ [OUTPUT]: [{ ref: to }] });
const PLACED = { subnets: ref("Net.privateSubnets"), securityGroups: ref("Net.securityGroups") };
const NET = {
  name: "Net",
  is: "new",
  az: 2,
  bastion: true,
  nat: { type: "ec2", instance: "t4g.nano" },
} as const;

const postgres = (more: Partial<WantedPostgres> = {}) => wantedPostgres({ vpc: PLACED, ...more });
const redis = (more: Partial<WantedRedis> = {}) => wantedRedis({ vpc: PLACED, ...more });

void t.test("what cannot be deployed is named before anything is changed", async (t) => {
  const cloud = await TestCloud.open(t);
  const { deploy, taken } = await openStage(t, cloud, "refused");
  const app = wantedApp({ stage: "refused" }, [wantedFunction("Api")], {
    processes: [wantedProcess("Web", {}), wantedProcess("Mailer", { kind: "aws.Service" })],
  });
  const refusal = {
    code: "deploy.notDeployable",
    message: 'Nothing was changed: livedev cannot deploy aws.Nextjs "Web", aws.Service "Mailer".',
    hint: /deploy\.command/,
  };
  await t.rejects(deploy.apply(app, { mode: "release" }), refusal);
  await t.rejects(deploy.plan(app, { mode: "release" }), refusal);
  t.same(taken(), []);
  t.same(await deploy.deployed(app), {});
  await deploy.apply(app);
  t.match(Object.keys(await deploy.deployed(app)), ["Api"], "in dev it is fine");
});

void t.test("the local cloud refuses a stack in one sentence, before anything is changed", async (t) => {
  const cloud = await TestCloud.open(t);
  const { deploy, taken } = await openStage(t, cloud, "stack");
  const app = wantedApp({ stage: "stack" }, [wantedFunction("Api")], {
    stacks: [wantedStack("Queue", TRIGGERS)],
    vpcs: [NET],
    databases: [postgres(), redis({ dev: { host: "h", port: 1, username: "u", password: "p" } })],
  });
  await t.rejects(deploy.apply(app), {
    code: "deploy.stackNeedsAws",
    message:
      'The local cloud has no CloudFormation, so it cannot hold aws.Stack "Queue", aws.Vpc "Net", aws.Postgres "Database": use home "aws", or set `endpoint`.',
  });
  t.same(taken(), []);
  t.same(await deploy.deployed(app), {});
});

if (moto === undefined) void t.test("on moto", { skip: motoMissing }, () => {});
else {
  let stages = 0;

  const open = async (t: Test, more: Parameters<typeof openDeploy>[1] = {}) => {
    const stage = `c${(stages += 1)}`;
    const project = join(moto.dir, stage);
    const save = (path: string, text: string) => {
      mkdirSync(dirname(join(project, path)), { recursive: true });
      writeFileSync(join(project, path), text);
    };
    save("package.json", `{ "type": "module" }`);
    save("src/index.js", "export const handler = async () => 1;");
    const journalFile = join(moto.dir, `journal-${stage}.db`);
    const place = { serving: moto.serving, journalFile, app: "shop", stage, project, cloudFormation: true };
    const rig = await openDeploy(place, more);
    t.teardown(rig.close);
    const app = (functions: Parameters<typeof wantedApp>[1], more: Parameters<typeof wantedApp>[2] = {}) =>
      wantedApp({ stage }, functions, { home: "aws", removal: "remove", ...more });
    return { ...rig, app, save, project, nameOf: (component: string) => `shop-${stage}-${component}` };
  };

  void t.test("an HTTP API points at the function over dev, deploy, dev", async (t) => {
    const { deploy, app } = await open(t);
    const wanted = app([wantedFunction("Api")], {
      stacks: [wantedStack("Http", HTTP_API, { Arn: ref("Api.arn") })],
    });
    await deploy.apply(wanted);
    await deploy.remove(wanted);
    const before = await moto.dump();
    const dev = await deploy.apply(wanted);
    const arn = dev.functions["Api"]?.functionArn;
    const id = String(dev.known["Http.outputs.Id"]);
    t.match(dev.known["Http.outputs.Url"], new RegExp(`^https://${id}\\.execute-api\\.`));
    const pointsAt = async () => {
      const routes = (await moto.get(`/v2/apis/${id}/routes`, "apigateway")) as {
        items: { target: string }[];
      };
      const integrations = (await moto.get(`/v2/apis/${id}/integrations`, "apigateway")) as {
        items: { integrationId: string; integrationUri: string }[];
      };
      return routes.items.map(
        ({ target }) =>
          integrations.items.find((one) => target === `integrations/${one.integrationId}`)?.integrationUri,
      );
    };
    t.same(await pointsAt(), [arn]);
    const released = await deploy.apply(wanted, { mode: "release" });
    t.equal(released.functions["Api"]?.functionArn, arn);
    t.equal(released.known["Http.outputs.Id"], id, "it is the same API");
    t.same(await pointsAt(), [arn]);
    await deploy.apply(wanted);
    t.same(await pointsAt(), [arn]);
    t.same((await deploy.plan(wanted)).steps, []);
    await deploy.remove(wanted);
    t.same(await moto.dump(), before);
  });

  void t.test("a network with databases: links have where they are, and all of it goes", async (t) => {
    const { deploy, app, aws, nameOf } = await open(t);
    const wanted = app(
      [
        wantedFunction("Api", {
          vpc: PLACED,
          environment: {
            HOST: ref("Database.host"),
            PASSWORD: ref("Database.password"),
            CACHE: ref("Cache.host"),
            PORT: ref("Cache.port"),
          },
        }),
      ],
      {
        vpcs: [NET],
        databases: [
          postgres({ proxy: true }),
          redis(),
          redis({ name: "Many", cluster: { nodes: 2 }, engine: "valkey", version: "7.2" }),
        ],
      },
    );
    await deploy.apply(wanted, { mode: "release" });
    await deploy.remove(wanted);
    const before = await moto.dump();

    const { known } = await deploy.apply(wanted, { mode: "release" });
    t.match(known, {
      "Net.id": /^vpc-/,
      "Database.host": String,
      "Database.port": Number,
      "Database.username": "postgres",
      "Database.password": /^[0-9a-f]{48}$/,
      "Cache.host": /^master\./,
      "Cache.port": 6379,
      "Many.host": /^clustercfg\./,
    });
    const lambda = await aws.lambda();
    const { Environment, VpcConfig } = await lambda.send(
      new GetFunctionConfigurationCommand({ FunctionName: nameOf("Api") }),
    );
    t.match(Environment?.Variables, {
      HOST: known["Database.host"],
      PASSWORD: known["Database.password"],
      CACHE: known["Cache.host"],
      PORT: "6379",
    });
    t.same(VpcConfig?.SubnetIds?.toSorted(), (known["Net.privateSubnets"] as string[]).toSorted());
    const { steps } = await deploy.plan(wanted, { mode: "release" });
    t.same(steps, [], "an unchanged app has nothing to do");
    t.notMatch(JSON.stringify(await deploy.state()), String(known["Database.password"]));
    const again = await deploy.apply(wanted, { mode: "release" });
    t.equal(again.known["Database.password"], known["Database.password"], "it keeps its password");

    await deploy.remove(wanted);
    t.same(await moto.dump(), before);
  });

  void t.test(
    "a bucket and a stack that were changed by hand are shown as drift, and put right",
    async (t) => {
      const { deploy, app, aws, nameOf } = await open(t);
      const wanted = app([wantedFunction("Api")], {
        buckets: [wantedBucket("Files", { versioning: true, cors: { allowOrigins: ["*"] } })],
        stacks: [wantedStack("Triggers", TRIGGERS, { Arn: ref("Api.arn"), Rate: "rate(5 minutes)" })],
      });
      const { known } = await deploy.apply(wanted);
      t.same((await deploy.plan(wanted)).steps, []);
      const s3 = await aws.s3();
      const Bucket = String(known["Files.name"]);
      await s3.send(
        new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: "Suspended" } }),
      );
      await s3.send(new DeletePublicAccessBlockCommand({ Bucket }));
      await s3.send(new DeleteBucketPolicyCommand({ Bucket }));
      const cloudformation = await aws.cloudformation();
      const { Stacks } = await cloudformation.send(
        new DescribeStacksCommand({ StackName: nameOf("Triggers") }),
      );
      await cloudformation.send(
        new UpdateStackCommand({
          StackName: nameOf("Triggers"),
          TemplateBody: JSON.stringify({ ...TRIGGERS, Description: "by hand" }),
          Parameters: [
            { ParameterKey: "Arn", ParameterValue: String(known["Api.arn"]) },
            { ParameterKey: "Rate", ParameterValue: "rate(9 minutes)" },
          ],
          Tags: Stacks?.[0]?.Tags,
        }),
      );
      t.match(
        (await deploy.plan(wanted)).steps.toSorted((a, b) => (a.resource < b.resource ? -1 : 1)),
        [
          {
            step: "update",
            resource: 'aws.Bucket "Files"',
            drift: true,
            changes: [
              { what: "versioning", from: "false", to: "true" },
              { what: "closed", from: "false", to: "true" },
              { what: "enforceHttps", from: "false", to: "true" },
            ],
          },
          {
            step: "update",
            resource: 'aws.Stack "Triggers"',
            drift: true,
            changes: [{ what: "template" }, { what: "parameter Rate", to: "changed" }],
          },
        ],
      );
      await deploy.apply(wanted, { mode: "release" });
      t.same((await deploy.plan(wanted, { mode: "release" })).steps, []);
      await deploy.remove(wanted);
    },
  );

  void t.test(
    "a stack's resources that were changed or deleted by hand are shown, and a deployment brings them back",
    async (t) => {
      const { deploy, app, taken } = await open(t);
      const queues = (more = {}) => ({
        Resources: {
          Jobs: { Type: "AWS::SQS::Queue", Properties: { VisibilityTimeout: 60 } },
          Late: { Type: "AWS::SQS::Queue", Properties: { VisibilityTimeout: 90 } },
          Mails: { Type: "AWS::SQS::Queue", ...more },
        },
        Outputs: Object.fromEntries(
          ["Jobs", "Late", "Mails"].map((name) => [name, { Value: { Ref: name } }]),
        ),
      });
      const wanted = app([], { stacks: [wantedStack("Queues", queues())] });
      const { known } = await deploy.apply(wanted, { mode: "release" });
      const sqs = (call: string, name: string, more = {}) =>
        moto.call("sqs", `AmazonSQS.${call}`, { QueueUrl: known[`Queues.outputs.${name}`], ...more });
      const timeout = async (name: string) => {
        const asked = await sqs("GetQueueAttributes", name, { AttributeNames: ["VisibilityTimeout"] });
        return (asked as { Attributes?: { VisibilityTimeout: string } }).Attributes?.VisibilityTimeout;
      };
      const breakThem = async () => {
        await sqs("SetQueueAttributes", "Jobs", { Attributes: { VisibilityTimeout: "5" } });
        // Of this the template says nothing.
        await sqs("SetQueueAttributes", "Mails", { Attributes: { VisibilityTimeout: "5" } });
        await sqs("DeleteQueue", "Late");
      };
      const planned = { mode: "release" } as const;
      t.same(await deploy.plan(wanted, planned), { steps: [], commands: [], notes: [] });

      await breakThem();
      const drifted = {
        step: "update",
        resource: 'aws.Stack "Queues"',
        drift: true,
        changes: [
          { what: "Jobs/VisibilityTimeout", to: "changed" },
          { what: "Late (AWS::SQS::Queue)", to: "deleted" },
        ],
      };
      t.same(await deploy.plan(wanted, planned), { steps: [drifted], commands: [], notes: [] });
      t.same(await deploy.plan(wanted), { steps: [drifted], commands: [], notes: [] }, "in dev too");
      taken();
      await deploy.apply(wanted, planned);
      t.same(taken(), ['update aws.Stack "Queues"']);
      t.same([await timeout("Jobs"), await timeout("Late"), await timeout("Mails")], ["60", "90", "5"]);
      t.same((await deploy.plan(wanted, planned)).steps, []);

      // With a change of the config's own, which CloudFormation alone would carry out and leave the drift.
      await breakThem();
      const changed = app([], {
        stacks: [wantedStack("Queues", queues({ Properties: { VisibilityTimeout: 7 } }))],
      });
      await deploy.apply(changed, planned);
      t.same([await timeout("Jobs"), await timeout("Late"), await timeout("Mails")], ["60", "90", "7"]);
      t.same((await deploy.plan(changed, planned)).steps, []);

      // Not every stand-in of AWS compares resources, and not everybody may ask for it.
      const asked: string[] = [];
      t.teardown(() => (moto.refuse = () => undefined));
      const refuse = (action: string, status: number, name: string) => {
        asked.splice(0);
        moto.refuse = ({ service }, body) => {
          const { Action = "" } = Object.fromEntries(new URLSearchParams(body.toString()));
          if (service !== "cloudformation" || Action !== action) return undefined;
          asked.push(Action);
          return { status, name, message: "Not here." };
        };
      };
      const note = (reason: string) =>
        `Whether resources of aws.Stack "Queues" were changed behind livedev's back is not known: ${reason}`;
      await breakThem();
      for (const [action, status, name, attempts] of [
        ["DetectStackDrift", 501, "NotImplemented", 1],
        ["DetectStackDrift", 403, "AccessDenied", 1],
        ["DescribeStackDriftDetectionStatus", 403, "AccessDenied", 1],
        ["DescribeStackResourceDrifts", 500, "InternalFailure", 3],
      ] as const) {
        refuse(action, status, name);
        const notes = [note(`${name}: Not here.`)];
        t.same(await deploy.plan(changed, planned), { steps: [], commands: [], notes }, action);
        t.equal(asked.length, attempts, `${name} is asked ${attempts} times`);
      }
      taken();
      t.equal((await deploy.apply(changed, planned)).steps, 0, "and a deployment goes on");
      moto.refuse = () => undefined;
      t.equal((await deploy.apply(changed, planned)).steps, 1);
      t.equal(await timeout("Jobs"), "60");
      await deploy.remove(changed);
    },
  );

  void t.test("a large package goes over S3, and so does the one that is put back", async (t) => {
    // Lambda's 50 MB would only take their time.
    const megabyte = 1024 * 1024;
    const { deploy, app, save, aws, nameOf, project } = await open(t, { maxRequestBytes: megabyte });
    save("data/x", "");
    writeFileSync(join(project, "data/big.bin"), randomBytes(megabyte + 1));
    const wanted = (memoryMb: number) =>
      app([wantedFunction("Api", { memoryMb, copyFiles: [{ from: "data", to: "data" }] })]);
    const sent: string[] = [];
    t.teardown(() => (moto.refuse = () => undefined));
    moto.refuse = ({ service, method, path }, body) => {
      if (service === "lambda" && /\/functions\/?$|\/code$/.test(path) && method !== "GET") {
        const { S3Bucket, ZipFile, Code } = JSON.parse(body.toString()) as Record<string, unknown>;
        const code = (Code ?? { S3Bucket, ZipFile }) as { S3Bucket?: string; ZipFile?: string };
        sent.push(code.ZipFile === undefined ? String(code.S3Bucket) : `${code.ZipFile.length} bytes`);
      }
      return undefined;
    };
    await deploy.apply(wanted(256), { mode: "release" });
    t.match(sent, [/^livedev-state-/]);
    const lambda = await aws.lambda();
    const facts = async () =>
      (await lambda.send(new GetFunctionConfigurationCommand({ FunctionName: nameOf("Api") }))) ?? {};
    const before = await facts();
    const watch = moto.refuse;
    let refusals = 0;
    moto.refuse = (call, body) => {
      watch(call, body);
      const isConfiguration = call.method === "PUT" && call.path.endsWith("/configuration");
      return isConfiguration && (refusals += 1) === 1
        ? { status: 400, name: "InvalidParameterValueException" }
        : undefined;
    };
    save("src/index.js", "export const handler = async () => 2;");
    await t.rejects(deploy.apply(wanted(512), { mode: "release" }), { code: "deploy.undone" });
    t.match(sent, [/^livedev-state-/, /^livedev-state-/, /^livedev-state-/]);
    t.equal((await facts()).CodeSha256, before.CodeSha256, "it runs its previous code");
    await deploy.remove(wanted(256));
  });

  void t.test("databases with `dev` are not deployed in dev, and without it they are", async (t) => {
    const { deploy, app, taken } = await open(t);
    const local = { host: "localhost", port: 5432, username: "u", password: "p" };
    const dev = app([wantedFunction("Api")], {
      databases: [postgres({ dev: { ...local, database: "d" } }), redis({ dev: local })],
    });
    await deploy.apply(dev);
    t.same(taken(), ['create aws.Function "Api" role', 'create aws.Function "Api"']);
    const without = app([wantedFunction("Api")], { vpcs: [NET], databases: [postgres(), redis()] });
    t.same((await deploy.plan(without)).steps.map(({ resource }) => resource).toSorted(), [
      'aws.Postgres "Database"',
      'aws.Redis "Cache"',
      'aws.Vpc "Net"',
    ]);
    await deploy.apply(without);
    t.same((await deploy.plan(without)).steps, []);
    const again = { ...without, databases: dev.databases };
    t.same(
      (await deploy.plan(again)).steps,
      [],
      "those that were deployed stay while the stage is developed",
    );
    const kept = ['aws.Postgres "Database"', 'aws.Redis "Cache"', 'aws.Vpc "Net"'];
    const nothing = app([], { removal: "retain" });
    t.same(
      (await deploy.plan(nothing)).steps.map(({ resource }) => resource).toSorted(),
      ['aws.Function "Api"', 'aws.Function "Api" role'],
      "what holds data stays when it leaves the config, and the network around it",
    );
    t.same((await deploy.remove(nothing)).kept.toSorted(), kept, "and when the stage is removed, named");
    await deploy.remove(without);
  });

  void t.test("a site is built, put into its bucket, and what CloudFront keeps is invalidated", async (t) => {
    const { deploy, app, aws, save, taken } = await open(t);
    save(
      "site/build.mjs",
      `
      import { mkdirSync, writeFileSync } from "node:fs";
      mkdirSync("dist/assets", { recursive: true });
      writeFileSync("dist/index.html", "api at " + process.env.API);
      writeFileSync("dist/assets/app-0123abcd.js", "1");
    `,
    );
    const site = wantedProcess("Docs", {
      kind: "aws.StaticSite",
      environment: { API: ref("Api.url") },
      deploy: {
        by: "files",
        build: "node build.mjs",
        directory: "site",
        output: "site/dist",
        indexPage: "index.html",
      },
    });
    const wanted = app([wantedFunction("Api", { url: { authorization: "none" } })], { processes: [site] });
    await deploy.apply(wanted, { mode: "release" });
    await deploy.remove(wanted);
    const before = await moto.dump();
    taken();

    const { known } = await deploy.apply(wanted, { mode: "release" });
    t.ok(taken().includes('run aws.StaticSite "Docs" files'));
    t.match(known["Docs.url"], /^https:\/\/\w+\.cloudfront\.net$/);
    const s3 = await aws.s3();
    const Bucket = String(known["Docs.bucket"]);
    const keys = async () =>
      ((await s3.send(new ListObjectsV2Command({ Bucket }))).Contents ?? []).map(({ Key }) => Key);
    t.same(await keys(), ["assets/app-0123abcd.js", "index.html"]);
    const page = await moto.get(`/${Bucket}/index.html`, "s3");
    t.equal(page, `api at ${String(known["Api.url"])}`);
    const cloudfront = await aws.cloudfront();
    const invalidations = async () =>
      (
        await cloudfront.send(
          new ListInvalidationsCommand({ DistributionId: String(known["Docs.distribution"]) }),
        )
      ).InvalidationList?.Quantity;
    t.equal((await deploy.plan(wanted, { mode: "release" })).steps.length, 0);
    await deploy.apply(wanted, { mode: "release" });
    t.equal(await invalidations(), 0, "the same files: nothing to forget");
    save("site/dist/old.txt", "gone with the next build");
    save(
      "site/build.mjs",
      `
      import { rmSync, writeFileSync } from "node:fs";
      rmSync("dist/assets", { recursive: true, force: true });
      rmSync("dist/old.txt", { force: true });
      writeFileSync("dist/index.html", "second");
    `,
    );
    await deploy.apply(wanted, { mode: "release" });
    t.same(await keys(), ["index.html"]);
    t.equal(await invalidations(), 1);
    // In dev the site stays as it was deployed.
    await deploy.apply(wanted);
    t.same(await keys(), ["index.html"]);
    await deploy.remove(wanted);
    t.same(await moto.dump(), before);
  });

  void t.test(
    "a frontend and a service are deployed by their command, with links and environment",
    async (t) => {
      const { deploy, app, save } = await open(t);
      save(
        "web/deploy.mjs",
        `
      console.log("deploying", process.env.API, process.env.SST_RESOURCE_Api);
      console.log("Live at https://preview.example and then https://shop.example/web");
    `,
      );
      save("web/fails.mjs", `console.error("no token"); process.exit(3);`);
      const api = wantedFunction("Api", {
        url: { authorization: "none" },
        environment: { WEB: ref("Web.url") },
      });
      const web = (file: string) =>
        wantedProcess("Web", {
          link: [{ name: "Other", properties: { url: ref("Other.url") } }],
          environment: { API: ref("Other.url") },
          deploy: { by: "command", command: `node ${file}`, directory: "web" },
        });
      const service = wantedProcess("Mailer", {
        kind: "aws.Service",
        deploy: { by: "command", command: "node deploy.mjs", directory: "web", url: "https://mail.example" },
      });
      const other = wantedFunction("Other", { url: { authorization: "none" } });
      const wanted = (file: string) => app([api, other], { processes: [web(file), service] });
      const planned = await deploy.plan(wanted("deploy.mjs"), { mode: "release" });
      t.same(planned.commands, [
        { resource: 'aws.Nextjs "Web"', command: "node deploy.mjs" },
        { resource: 'aws.Service "Mailer"', command: "node deploy.mjs" },
      ]);
      const { known } = await deploy.apply(wanted("deploy.mjs"), { mode: "release" });
      t.match(known, { "Web.url": "https://shop.example/web", "Mailer.url": "https://mail.example" });
      await t.rejects(deploy.apply(wanted("fails.mjs"), { mode: "release" }), {
        code: "deploy.commandFailed",
        message: /aws\.Nextjs "Web".*exit code 3[^]*no token/,
      });
      await deploy.remove(wanted("deploy.mjs"));
    },
  );

  void t.test("a VPC that stands already is found by id and by tags, and stays as it is", async (t) => {
    const { deploy, app, aws, nameOf } = await open(t);
    const ec2 = await aws.ec2();
    const make = async (block: string, name: string) => {
      const { Vpc } = await ec2.send(new CreateVpcCommand({ CidrBlock: block }));
      const VpcId = Vpc?.VpcId ?? "";
      const { Subnet } = await ec2.send(
        new CreateSubnetCommand({ VpcId, CidrBlock: block.replace("/16", "/20") }),
      );
      await ec2.send(new CreateTagsCommand({ Resources: [VpcId], Tags: [{ Key: "Name", Value: name }] }));
      return { id: VpcId, subnet: Subnet?.SubnetId ?? "" };
    };
    const shared = await make("10.1.0.0/16", "shared");
    await make("10.2.0.0/16", "twice");
    await make("10.3.0.0/16", "twice");
    const api = wantedFunction("Api", { vpc: PLACED });
    const byId = app([api], { vpcs: [{ name: "Net", is: "existing", id: shared.id }] });
    const { known } = await deploy.apply(byId);
    t.match(known, { "Net.id": shared.id, "Net.privateSubnets": [shared.subnet], "Net.publicSubnets": [] });
    const lambda = await aws.lambda();
    const { VpcConfig } = await lambda.send(
      new GetFunctionConfigurationCommand({ FunctionName: nameOf("Api") }),
    );
    t.same(VpcConfig?.SubnetIds, [shared.subnet]);
    t.equal(VpcConfig?.SecurityGroupIds?.length, 1, "the default one");
    const byTags = (Name: string) => app([api], { vpcs: [{ name: "Net", is: "tagged", tags: { Name } }] });
    t.same((await deploy.plan(byTags("shared"))).steps, [], "it is the same one");
    await t.rejects(deploy.apply(byTags("twice"), { mode: "release" }), {
      code: "deploy.vpcNotOne",
      message: /the tags Name=twice, and 2 have them: vpc-\w+, vpc-\w+/,
    });
    await t.rejects(deploy.apply(byTags("nobody")), {
      code: "deploy.vpcNotFound",
      message: /us-east-1 has none/,
    });
    const gone = app([api], { vpcs: [{ name: "Net", is: "existing", id: "vpc-0123456789abcdef0" }] });
    await t.rejects(deploy.apply(gone), {
      code: "deploy.vpcNotFound",
      message: /the id vpc-0123456789abcdef0/,
    });
    await deploy.remove(byId);
    t.same((await deploy.plan(byId)).steps.length, 2, "and the VPC stands after the removal");
    await deploy.remove(byId);
  });
}
