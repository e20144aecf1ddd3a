import { GetRolePolicyCommand } from "@aws-sdk/client-iam";
import {
  GetFunctionCommand,
  GetFunctionUrlConfigCommand,
  ListEventSourceMappingsCommand,
  ListVersionsByFunctionCommand,
  UpdateFunctionConfigurationCommand,
} from "@aws-sdk/client-lambda";
import { DeleteBucketPolicyCommand } from "@aws-sdk/client-s3";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";

import { TAGS } from "../../daemon/deploy/stubs.ts";
import { OUTPUT } from "../../proto/app.ts";
import { counted, times } from "../support/counts.ts";
import { Moto, motoMissing } from "./moto.ts";
import { openDeploy, wantedApp, wantedFunction, wantedPostgres, wantedProcess, wantedRedis } from "./rig.ts";
import { TRIGGERS } from "./triggers.ts";

// At few calls a second.
t.setTimeout(900_000);
if (motoMissing !== false) t.plan(0, motoMissing);
else {
  const moto = await Moto.open(t);
  const URL = { authorization: "none" } as const;
  let stages = 0;

  const open = async (t: Test) => {
    const stage = `s${(stages += 1)}`;
    const journalFile = join(moto.dir, `journal-${stage}.db`);
    const project = join(moto.dir, stage);
    const save = (path: string, text: string) => {
      mkdirSync(dirname(join(project, path)), { recursive: true });
      writeFileSync(join(project, path), text);
    };
    save("package.json", `{ "type": "module" }`);
    const place = { serving: moto.serving, journalFile, app: "shop", stage, project };
    const rig = await openDeploy({ ...place, cloudFormation: true });
    t.teardown(rig.close);
    const app = (functions: Parameters<typeof wantedApp>[1], more: Parameters<typeof wantedApp>[2] = {}) =>
      wantedApp({ stage }, functions, { home: "aws", ...more });
    return { ...rig, stage, app, save, nameOf: (component: string) => `shop-${stage}-${component}` };
  };

  void t.test("stubs are made, changed and removed in AWS; nothing of them is left", async (t) => {
    const { deploy, app, taken, nameOf, aws } = await open(t);
    const worker = wantedFunction("Worker");
    // A service of moto's is there once it was asked something.
    await deploy.plan(app([worker]));
    const before = await moto.dump();
    const first = await deploy.apply(
      app([wantedFunction("Api", { url: URL, tags: { team: "a", gone: "1" } }), worker]),
    );
    t.match(first.functions["Api"], { nameInAws: nameOf("Api"), url: /^https:/ });
    t.notSame(await moto.dump(), before);
    taken();

    const changed = app([wantedFunction("Api", { url: URL, memoryMb: 512, tags: { team: "b" } }), worker]);
    const second = await deploy.apply(changed);
    t.same(taken().toSorted(), ['update aws.Function "Api"', 'update aws.Function "Api" role']);
    t.same(second.functions, first.functions, "ARN and URL stay");
    const lambda = await aws.lambda();
    const { Configuration, Tags = {} } = await lambda.send(
      new GetFunctionCommand({ FunctionName: nameOf("Api") }),
    );
    t.match(Configuration, { MemorySize: 512, Runtime: "nodejs20.x" });
    t.match(Tags, { team: "b", [TAGS.hash]: String });
    t.notOk("gone" in Tags);
    t.match(await lambda.send(new GetFunctionUrlConfigCommand({ FunctionName: nameOf("Api") })), {
      AuthType: "NONE",
    });

    t.same((await deploy.plan(changed)).steps, [], "an unchanged app has nothing to do");
    t.equal((await deploy.apply(changed)).steps, 0);
    await deploy.remove();
    t.same(await moto.dump(), before);
    t.comment(`${moto.passed} calls, ${moto.throttled} answered 429`);
  });

  const ref = (to: string) => ({ [OUTPUT]: [{ ref: to }] });

  const PLACED = { subnets: ref("Net.privateSubnets"), securityGroups: ref("Net.securityGroups") };

  const FRONTENDS = ["aws.Nextjs", "aws.Remix", "aws.Astro", "aws.Nuxt", "aws.SvelteKit"] as const;

  /** Every component that there is. */
  const shop = (app: Awaited<ReturnType<typeof open>>["app"], { memoryMb = 256 } = {}) =>
    app(
      [
        wantedFunction("Api", { url: URL, memoryMb }),
        wantedFunction("Sender", {
          environment: { QUEUE_URL: ref("Triggers.outputs.QueueUrl"), BUCKET: ref("Files.name") },
          permissions: [{ effect: "allow", actions: ["s3:*"], resources: [ref("Files.arn")] }],
          vpc: PLACED,
        }),
      ],
      {
        removal: "remove",
        buckets: [
          {
            name: "Files",
            access: "private",
            versioning: true,
            enforceHttps: true,
            lifecycle: [{ enabled: true, prefix: "tmp/", expiresInDays: 3 }],
            policy: [],
            cors: { allowOrigins: ["*"], allowMethods: ["GET"] },
          },
        ],
        stacks: [
          {
            name: "Triggers",
            template: { body: TRIGGERS },
            parameters: { Arn: ref("Api.arn") },
            capabilities: [],
            tags: { team: "a" },
          },
        ],
        vpcs: [{ name: "Net", is: "new", az: 2, bastion: false, nat: { type: "managed" } }],
        databases: [wantedPostgres({ vpc: PLACED }), wantedRedis({ vpc: PLACED })],
        processes: [
          ...[...FRONTENDS, "aws.Service" as const].map((kind) =>
            wantedProcess(kind.replace("aws.", ""), {
              kind,
              environment: { AT: kind.replace("aws.", "").toLowerCase(), DATABASE: ref("Database.host") },
              deploy: { by: "command", command: "node deploy.mjs", directory: "." },
            }),
          ),
          wantedProcess("Docs", {
            kind: "aws.StaticSite",
            deploy: { by: "files", directory: "site", output: "site", indexPage: "index.html" },
          }),
          wantedProcess("Studio", { kind: "DevCommand", deploy: { by: "nothing" } }),
        ],
      },
    );

  const pointsAt = async ({ aws }: Pick<Awaited<ReturnType<typeof open>>, "aws">) => {
    const lambda = await aws.lambda();
    const { EventSourceMappings = [] } = await lambda.send(new ListEventSourceMappingsCommand({}));
    const rules = (await moto.call("events", "AWSEvents.ListRules", {})) as { Rules: { Name: string }[] };
    const targets = await Promise.all(
      rules.Rules.map(({ Name }) => moto.call("events", "AWSEvents.ListTargetsByRule", { Rule: Name })),
    );
    return {
      mappings: EventSourceMappings.map(({ FunctionArn }) => FunctionArn),
      targets: (targets as { Targets: { Arn: string }[] }[]).flatMap(({ Targets }) =>
        Targets.map(({ Arn }) => Arn),
      ),
    };
  };

  void t.test("every component is deployed, changes, drifts, breaks and goes, throttled", async (t) => {
    const rig = await open(t);
    const { deploy, app, taken, aws, nameOf, save } = rig;
    save("src/index.js", "export const handler = async () => 1;");
    save("deploy.mjs", "console.log(`https://${process.env.AT}.example/${process.env.DATABASE}`);");
    save("site/index.html", "docs");
    const wanted = shop(app);
    const { callsPerSecond, throttled } = moto;
    t.teardown(() => {
      moto.callsPerSecond = callsPerSecond;
      moto.refuse = () => undefined;
    });
    moto.callsPerSecond = Number.POSITIVE_INFINITY;
    await deploy.apply(wanted, { mode: "release" });
    await deploy.remove(wanted);
    const before = await moto.dump();
    moto.callsPerSecond = callsPerSecond;
    const { passed } = moto;
    taken();

    const dev = await deploy.apply(wanted);
    const order = taken();
    const at = (what: string) => order.indexOf(`create ${what}`);
    t.ok(at('aws.Function "Api"') < at('aws.Stack "Triggers"'), "function, then stack");
    t.ok(at('aws.Vpc "Net"') < at('aws.Function "Sender"'), "network, then function");
    const arn = dev.functions["Api"]?.functionArn;
    t.same(await pointsAt(rig), { mappings: [arn], targets: [arn] });
    t.same((await deploy.plan(wanted)).steps, []);

    const released = await deploy.apply(wanted, { mode: "release" });
    t.same(released.functions, dev.functions);
    t.same(await pointsAt(rig), { mappings: [arn], targets: [arn] });
    const lambda = await aws.lambda();
    const { Configuration } = await lambda.send(new GetFunctionCommand({ FunctionName: nameOf("Sender") }));
    t.match(released.known["Triggers.outputs.QueueUrl"], /^https?:/);
    t.match(Configuration?.Environment?.Variables, {
      QUEUE_URL: released.known["Triggers.outputs.QueueUrl"],
      BUCKET: released.known["Files.name"],
      SST_RESOURCE_App: String,
    });
    t.equal(Configuration?.VpcConfig?.SubnetIds?.length, 2);
    const policy = (
      await (
        await aws.iam()
      ).send(new GetRolePolicyCommand({ RoleName: nameOf("Sender"), PolicyName: "livedev" }))
    ).PolicyDocument;
    t.match(decodeURIComponent(policy ?? ""), String(released.known["Files.arn"]));
    const { Versions = [] } = await lambda.send(
      new ListVersionsByFunctionCommand({ FunctionName: nameOf("Api") }),
    );
    t.ok(Versions.length >= 2, "a version is published");
    t.same((await deploy.plan(wanted, { mode: "release" })).steps, []);
    t.same(released.known["Triggers.outputs.QueueUrl"], dev.known["Triggers.outputs.QueueUrl"]);
    for (const kind of [...FRONTENDS, "aws.Service"]) {
      const name = kind.replace("aws.", "");
      const url = `https://${name.toLowerCase()}.example/${String(released.known["Database.host"])}`;
      t.equal(released.known[`${name}.url`], url, `${kind}, once the database stands`);
    }
    t.match(released.known, { "Docs.url": /cloudfront\.net$/, "Cache.host": String });

    // It breaks in the middle of a change.
    const bigger = shop(app, { memoryMb: 512 });
    save("src/index.js", "export const handler = async () => 2;");
    let refusals = 0;
    moto.refuse = ({ service, method, path }) => {
      const isTheChange = service === "lambda" && method === "PUT" && path.endsWith("-Api/configuration");
      return isTheChange && (refusals += 1) === 1
        ? { status: 400, name: "InvalidParameterValueException" }
        : undefined;
    };
    await t.rejects(deploy.apply(bigger, { mode: "release" }), { code: "deploy.undone" });

    // What others change meanwhile is seen beside what is left to do.
    await lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName: nameOf("Sender"), Timeout: 3 }));
    const s3 = await aws.s3();
    await s3.send(new DeleteBucketPolicyCommand({ Bucket: String(released.known["Files.name"]) }));
    await moto.call("sqs", "AmazonSQS.DeleteQueue", {
      QueueUrl: released.known["Triggers.outputs.QueueUrl"],
    });
    const { steps } = await deploy.plan(bigger, { mode: "release" });
    t.match(
      new Map(steps.map(({ resource, drift, changes }) => [resource, { drift, changes }])),
      new Map([
        ['aws.Function "Api"', { drift: false, changes: [{ what: "memoryMb", from: "256", to: "512" }] }],
        [
          'aws.Function "Sender"',
          { drift: true, changes: [{ what: "timeoutSeconds", from: "3", to: "10" }] },
        ],
        ['aws.Bucket "Files"', { drift: true, changes: [{ what: "enforceHttps" }] }],
        ['aws.Stack "Triggers"', { drift: true, changes: [{ what: "Queue (AWS::SQS::Queue)" }] }],
      ]),
    );
    await deploy.apply(bigger, { mode: "release" });
    t.same((await deploy.plan(bigger, { mode: "release" })).steps, []);

    const last = await deploy.apply(bigger);
    t.same(last.functions, dev.functions);
    t.same(await pointsAt(rig), { mappings: [arn], targets: [arn] });

    await deploy.remove(bigger);
    t.same(await moto.dump(), before);
    counted(
      t,
      `every component on moto: ${moto.passed - passed} calls, ${moto.throttled - throttled} answered 429`,
    );
    if (callsPerSecond <= 15) t.ok(moto.throttled > throttled, "it was throttled");
  });

  void t.test("a stack that fails says why in CloudFormation's words, and is made anew", async (t) => {
    const { deploy, app } = await open(t);
    const broken = {
      Resources: {
        Mapping: { Type: "AWS::Lambda::EventSourceMapping", Properties: { FunctionName: "nobody" } },
      },
    };
    const stack = (body: object) => ({
      name: "Broken",
      template: { body: body as Record<string, unknown> },
      parameters: {},
      capabilities: [],
      tags: {},
    });
    await t.rejects(deploy.apply(app([], { stacks: [stack(broken)] })), { name: "LivedevError" });
    const good = app([], { stacks: [stack({ Resources: { Queue: { Type: "AWS::SQS::Queue" } } })] });
    await deploy.apply(good);
    t.same((await deploy.plan(good)).steps, []);
    await deploy.remove(good);
  });

  void t.test("an update that Lambda does not take is undone: the previous code runs on", async (t) => {
    const { deploy, app, aws, nameOf, save } = await open(t);
    save("src/index.js", "export const handler = async () => 1;");
    const wanted = app([wantedFunction("Api")]);
    await deploy.apply(wanted, { mode: "release" });
    const lambda = await aws.lambda();
    const sha = async () =>
      (await lambda.send(new GetFunctionCommand({ FunctionName: nameOf("Api") }))).Configuration;
    const before = await sha();
    save("src/index.js", "export const handler = async () => 2;");
    let refusals = 0;
    moto.refuse = ({ method, path }) => {
      if (method !== "PUT" || !path.endsWith("/configuration") || refusals > 0) return undefined;
      refusals += 1;
      return { status: 400, name: "InvalidParameterValueException" };
    };
    t.teardown(() => (moto.refuse = () => undefined));
    await t.rejects(deploy.apply(app([wantedFunction("Api", { memoryMb: 512 })]), { mode: "release" }), {
      code: "deploy.undone",
      message: /was not updated and runs its previous code/,
    });
    const after = await sha();
    t.equal(after?.CodeSha256, before?.CodeSha256);
    t.equal(after?.MemorySize, 256);
    await deploy.apply(wanted, { mode: "release" });
    t.not((await sha())?.CodeSha256, before?.CodeSha256, "and the next run deploys it");
    await deploy.remove();
  });

  void t.test("100 functions are deployed in one run", async (t) => {
    const { deploy, app } = await open(t);
    // At 15 a second, as the others, it would wait for three minutes.
    moto.callsPerSecond = times(60, Number.POSITIVE_INFINITY);
    const many = app(Array.from({ length: 100 }, (_, index) => wantedFunction(`F${index}`)));
    const began = performance.now();
    const { functions } = await deploy.apply(many);
    t.equal(Object.keys(functions).length, 100);
    t.comment(
      `${Math.round(performance.now() - began)} ms; ${moto.passed} calls, ${moto.throttled} answered 429`,
    );
    await deploy.remove();
  });
}
