import { GetRoleCommand, GetRolePolicyCommand, ListRolesCommand } from "@aws-sdk/client-iam";
import {
  DeleteFunctionCommand,
  GetFunctionCommand,
  GetFunctionUrlConfigCommand,
  GetPolicyCommand,
  UntagResourceCommand,
  UpdateFunctionConfigurationCommand,
} from "@aws-sdk/client-lambda";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { MiddlewareStack } from "@smithy/types";
import t, { type Test } from "tap";

import type { Aws } from "../../daemon/aws/aws.ts";
import { TAGS } from "../../daemon/deploy/stubs.ts";
import { ECHO, TestCloud } from "../cloud/rig.ts";
import { times } from "../support/counts.ts";
import { openDeploy, openStage, standing, wantedApp, wantedBucket, wantedFunction } from "./rig.ts";

const cloud = await TestCloud.open(t);
const lambda = cloud.lambda();
const URL = { authorization: "none" } as const;
let stages = 0;
const nextStage = () => `s${(stages += 1)}`;

/** A stage of its own, and the app that it is wanted to be. */
async function open(t: Test) {
  const stage = nextStage();
  const rig = await openStage(t, cloud, stage);
  const app = (functions: Parameters<typeof wantedApp>[1], more?: Parameters<typeof wantedApp>[2]) =>
    wantedApp({ stage }, functions, more);
  const nameOf = (component: string) => `shop-${stage}-${component}`;
  return { ...rig, stage, app, nameOf };
}

void t.test(
  "apply puts a stub, its role and its URL in place; the second time it does nothing",
  async (t) => {
    const { deploy, app, nameOf, taken, stage, bridge } = await open(t);
    const wanted = app([
      wantedFunction("Api", { url: URL, timeoutMs: 12_000, environment: { SECRET: "planted" } }),
    ]);
    t.same(
      (await deploy.plan(wanted)).steps.map(({ step, resource }) => `${step} ${resource}`),
      ['create aws.Function "Api" role', 'create aws.Function "Api"', 'create aws.Function "Api" URL'],
    );
    const result = await deploy.apply(wanted);
    t.equal(result.steps, 3);
    t.same(taken(), [
      'create aws.Function "Api" role',
      'create aws.Function "Api"',
      'create aws.Function "Api" URL',
    ]);

    const { Configuration, Tags, Code } = await lambda.send(
      new GetFunctionCommand({ FunctionName: nameOf("Api") }),
    );
    t.match(Configuration, {
      FunctionArn: result.functions["Api"]?.functionArn,
      Handler: "src/index.handler",
      Runtime: "nodejs20.x",
      Timeout: 12,
      MemorySize: 256,
      Environment: { Variables: { AWS_LAMBDA_EXEC_WRAPPER: "/var/task/livedev" } },
    });
    t.match(Tags, { [TAGS.app]: "shop", [TAGS.stage]: stage, [TAGS.component]: "Api", [TAGS.hash]: String });
    t.notMatch(
      JSON.stringify([Configuration, Tags]),
      /planted/,
      "the local code's environment does not travel",
    );
    const zip = Buffer.from(await (await fetch(Code?.Location ?? "")).arrayBuffer());
    t.equal(createHash("sha256").update(zip).digest("base64"), Configuration?.CodeSha256);
    t.notOk(JSON.stringify(Tags).includes(Buffer.from(bridge.key).toString("hex")));
    const policy = await cloud
      .iam()
      .send(new GetRolePolicyCommand({ RoleName: nameOf("Api"), PolicyName: "livedev" }));
    t.match(JSON.parse(decodeURIComponent(policy.PolicyDocument ?? "")), {
      Statement: [
        { Effect: "Allow", Action: ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"] },
      ],
    });

    const url = result.functions["Api"]?.url ?? "";
    const away = await fetch(url);
    t.equal(away.status, 503, "the stub runs, and says that nobody is there");
    t.match(await away.text(), /livedevd is not running/);

    const again = await deploy.apply(wanted);
    t.match(again, { steps: 0, functions: result.functions });
    t.same(taken(), []);
    t.same((await deploy.plan(wanted)).steps, []);
    t.match(await deploy.deployed(wanted), result.functions);
  },
);

void t.test("a change reaches only what it concerns, and the function's ARN and URL stay", async (t) => {
  const { deploy, app, taken, nameOf } = await open(t);
  const worker = wantedFunction("Worker");
  const before = await deploy.apply(
    app([wantedFunction("Api", { url: URL, tags: { team: "a", gone: "1" } }), worker]),
  );
  taken();
  const after = await deploy.apply(
    app([wantedFunction("Api", { url: URL, memoryMb: 512, tags: { team: "b" } }), worker]),
  );
  t.same(taken().toSorted(), ['update aws.Function "Api"', 'update aws.Function "Api" role']);
  t.same(after.functions, before.functions);
  const { Configuration, Tags = {} } = await lambda.send(
    new GetFunctionCommand({ FunctionName: nameOf("Api") }),
  );
  t.equal(Configuration?.MemorySize, 512);
  t.equal(Tags["team"], "b");
  t.notOk("gone" in Tags, "a tag that the config has no more is taken away");
  const { Role } = await cloud.iam().send(new GetRoleCommand({ RoleName: nameOf("Api") }));
  const roleTags = Object.fromEntries((Role?.Tags ?? []).map(({ Key, Value }) => [Key, Value]));
  t.match([roleTags["team"], roleTags["gone"]], ["b", undefined]);
});

void t.test("another key of the stage reaches every stub, and stands in its package alone", async (t) => {
  const { deploy, app, taken, bridge, nameOf, stage } = await open(t);
  const wanted = app([wantedFunction("Api"), wantedFunction("Worker")]);
  await deploy.apply(wanted);
  const shaOf = async () =>
    (await lambda.send(new GetFunctionCommand({ FunctionName: nameOf("Api") }))).Configuration?.CodeSha256;
  const sha = await shaOf();
  taken();
  bridge.key = Buffer.alloc(32, 0xab);
  bridge.keyId = "key-2";
  await deploy.apply(wanted);
  t.same(taken().toSorted(), ['update aws.Function "Api"', 'update aws.Function "Worker"']);
  t.not(await shaOf(), sha);
  const kept = readFileSync(join(cloud.stateDir, `journal-${stage}.db`)).toString("latin1");
  t.notMatch(kept, new RegExp("ab".repeat(32)), "the journal does not hold it");
});

void t.test("a URL's settings follow the config, down to its permissions and to its end", async (t) => {
  const { deploy, app, taken, nameOf } = await open(t);
  const FunctionName = nameOf("Api");
  const config = () => lambda.send(new GetFunctionUrlConfigCommand({ FunctionName }));
  const statements = async (): Promise<string[]> => {
    const { Policy = "" } = await lambda
      .send(new GetPolicyCommand({ FunctionName }))
      .catch((): { Policy?: string } => ({}));
    return Policy === "" ? [] : JSON.parse(Policy).Statement.map(({ Action }: { Action: string }) => Action);
  };
  const cors = { allowOrigins: ["https://shop.example"], allowMethods: ["GET"], maxAgeSeconds: 5 };
  const first = await deploy.apply(app([wantedFunction("Api", { url: { ...URL, cors } })]));
  t.match(await config(), {
    AuthType: "NONE",
    InvokeMode: "BUFFERED",
    Cors: { AllowOrigins: cors.allowOrigins, MaxAge: 5 },
  });
  t.same(await statements(), ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"]);
  taken();

  const second = await deploy.apply(
    app([wantedFunction("Api", { url: { authorization: "iam", streaming: true } })]),
  );
  // The stub's package says how its URL is to be answered while nobody is there.
  t.same(taken(), ['update aws.Function "Api"', 'update aws.Function "Api" URL']);
  const { AuthType, InvokeMode, Cors } = await config();
  t.match({ AuthType, InvokeMode }, { AuthType: "AWS_IAM", InvokeMode: "RESPONSE_STREAM" });
  t.same(Cors ?? {}, {}, "CORS is taken away");
  t.same(await statements(), [], "and so is everybody's permission");
  t.equal(second.functions["Api"]?.url, first.functions["Api"]?.url);

  await deploy.apply(app([wantedFunction("Api", { url: URL })]));
  t.same(await statements(), ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"]);
  taken();
  const without = await deploy.apply(app([wantedFunction("Api")]));
  t.same(taken(), ['delete aws.Function "Api" URL']);
  t.equal(without.functions["Api"]?.url, undefined);
  await t.rejects(config(), { name: "ResourceNotFoundException" });
  t.same(await statements(), []);
  t.equal((await deploy.apply(app([wantedFunction("Api")]))).steps, 0);
  await deploy.apply(app([wantedFunction("Api", { url: URL })]));
  t.same(taken(), ['create aws.Function "Api" URL']);
});

void t.test(
  "functions that are gone from the config are removed; the stage's removal leaves nothing",
  async (t) => {
    const { deploy, app, taken, stage } = await open(t);
    const named = wantedFunction("Named", { nameInAws: `own-${stage}` });
    await deploy.apply(app([wantedFunction("Api", { url: URL }), wantedFunction("Worker"), named]));
    taken();
    await deploy.apply(app([wantedFunction("Api", { url: URL })]));
    t.same(taken().toSorted(), [
      'delete aws.Function "Named"',
      'delete aws.Function "Named" role',
      'delete aws.Function "Worker"',
      'delete aws.Function "Worker" role',
    ]);
    t.match(await deploy.remove(), { steps: 3 });
    t.same(await standing(cloud, `shop-${stage}-`), []);
    t.same(await standing(cloud, `own-${stage}`), []);
    t.match(await deploy.remove(), { steps: 0 });
  },
);

void t.test("another stage and another app of the same beginning are left alone", async (t) => {
  const one = await open(t);
  const other = await openStage(t, cloud, `${one.stage}-x`);
  const otherApp = wantedApp({ stage: `${one.stage}-x` }, [wantedFunction("Api")]);
  await other.deploy.apply(otherApp);
  await one.deploy.apply(one.app([wantedFunction("Api")]));
  await one.deploy.remove();
  t.equal((await other.deploy.apply(otherApp)).steps, 0);
});

void t.test("what somebody else has under the same name is refused before anything is made", async (t) => {
  const { deploy, app, nameOf, taken, stage } = await open(t);
  const FunctionName = await cloud.function(ECHO, { FunctionName: nameOf("Api"), Tags: { owner: "them" } });
  const before = await lambda.send(new GetFunctionCommand({ FunctionName }));
  await t.rejects(deploy.apply(app([wantedFunction("Api"), wantedFunction("Worker")])), {
    code: "deploy.notOurs",
    message: `There is a function named ${FunctionName} already, and it is not of shop/${stage}: its tags do not say so.`,
  });
  t.same(taken(), []);
  t.same(await standing(cloud, `shop-${stage}-`), [`function ${FunctionName}`]);
  t.same((await lambda.send(new GetFunctionCommand({ FunctionName }))).Configuration, before.Configuration);
  await cloud.role(nameOf("Worker"));
  await t.rejects(deploy.apply(app([wantedFunction("Worker")])), {
    code: "deploy.notOurs",
    message: /a role named/,
  });
  t.match(await deploy.remove(app([wantedFunction("Api")])), { steps: 0 });
  t.same((await standing(cloud, `shop-${stage}-`)).length, 2, "nor is it removed");
});

void t.test("what was removed or changed behind livedev's back is put right", async (t) => {
  const { deploy, app, nameOf, taken } = await open(t);
  const wanted = app([wantedFunction("Api", { url: URL })]);
  await deploy.apply(wanted);
  await lambda.send(new DeleteFunctionCommand({ FunctionName: nameOf("Api") }));
  taken();
  await deploy.apply(wanted);
  t.same(taken(), ['create aws.Function "Api"', 'create aws.Function "Api" URL']);
  t.equal((await deploy.apply(wanted)).steps, 0);
});

void t.test(
  "a function of the stage that holds deployed code is named, and becomes a stub at its own ARN",
  async (t) => {
    const { deploy, app, nameOf } = await open(t);
    const wanted = app([wantedFunction("Api")]);
    const { functions } = await deploy.apply(wanted);
    await lambda.send(
      new UpdateFunctionConfigurationCommand({ FunctionName: nameOf("Api"), Environment: { Variables: {} } }),
    );
    // As a real deployment leaves it: no stub's mark.
    await lambda.send(
      new UntagResourceCommand({ Resource: functions["Api"]?.functionArn, TagKeys: ["livedev:hash"] }),
    );
    await t.rejects(deploy.apply(wanted, { replaceCode: false }), {
      code: "stage.holdsCode",
      message: /holds deployed code \(Api\)/,
    });
    const after = await deploy.apply(wanted, { replaceCode: true });
    t.equal(after.steps, 1);
    t.same(after.functions, functions);
    t.equal((await deploy.apply(wanted, { replaceCode: false })).steps, 0);
  },
);

void t.test("a function that the app has no more stays until it is asked to go", async (t) => {
  const { deploy, app } = await open(t);
  await deploy.apply(app([wantedFunction("Api"), wantedFunction("Old")]));
  const fewer = app([wantedFunction("Api")]);
  const kept = await deploy.apply(fewer, { keepRemoved: true });
  t.equal(kept.steps, 0);
  const gone = await deploy.apply(fewer);
  t.ok(gone.steps > 0);
  t.same(Object.keys(gone.functions), ["Api"]);
});

void t.test(
  "`removal` says what stays of what leaves the config, and of a stage that is removed",
  async (t) => {
    const { deploy, app, stage } = await open(t);
    const functions = [wantedFunction("Api", { url: URL })];
    const whole = app(functions, { buckets: [wantedBucket("Files")] });
    const resources = async (wanted: ReturnType<typeof app>) =>
      (await deploy.plan(wanted)).steps.map(({ step, resource }) => `${step} ${resource}`).toSorted();
    await deploy.apply(whole);
    const gone = [
      'delete aws.Function "Api"',
      'delete aws.Function "Api" URL',
      'delete aws.Function "Api" role',
    ];
    t.same(await resources(app([], { removal: "remove" })), ['delete aws.Bucket "Files"', ...gone]);
    t.same(await resources(app([], { removal: "retain" })), gone);
    t.same(await resources(app([], { removal: "retain-all" })), []);
    t.same(
      await resources(app([wantedFunction("Api")], { removal: "retain-all", buckets: whole.buckets })),
      ['delete aws.Function "Api" URL'],
      "what stays in the config is changed all the same",
    );
    const all = await standing(cloud, `shop-${stage}-`);
    t.match(await deploy.remove({ ...whole, removal: "retain-all" }), { steps: 0, kept: { length: 4 } });
    t.same(await standing(cloud, `shop-${stage}-`), all);
    await deploy.apply(app([], { removal: "retain" }));
    t.same(await standing(cloud, `shop-${stage}-`), []);
    t.match(await deploy.remove(app([], { removal: "retain" })), { steps: 0, kept: ['aws.Bucket "Files"'] });
    t.same(await deploy.remove(app([], { removal: "remove" })).then(({ steps, kept }) => [steps, kept]), [
      1,
      [],
    ]);
  },
);

void t.test("names over AWS's 64 characters are deployed, kept apart and removed", async (t) => {
  const { deploy, app, stage } = await open(t);
  const long = "Component".repeat(9);
  const wanted = app([wantedFunction(`${long}A`), wantedFunction(`${long}B`)]);
  const { functions } = await deploy.apply(wanted);
  const names = Object.values(functions).map(({ nameInAws }) => nameInAws);
  t.same(Object.keys(functions).toSorted(), [`${long}A`, `${long}B`]);
  t.equal(new Set(names).size, 2);
  for (const name of names) t.equal(name.length, 64);
  t.equal((await deploy.apply(wanted)).steps, 0);
  await deploy.remove();
  t.same(await standing(cloud, `shop-${stage}-`), []);
});

const MANY = times(40, 12);

void t.test(`an app of ${MANY} functions, and two runs asked for at once`, async (t) => {
  const { deploy, app, stage } = await open(t);
  const functions = Array.from({ length: MANY }, (_, index) => wantedFunction(`F${index}`, { url: URL }));
  const [first, second] = await Promise.all([deploy.apply(app(functions)), deploy.apply(app(functions))]);
  t.equal(first.steps, 3 * MANY);
  t.equal(second.steps, 0, "the second starts from what the first left");
  t.equal(Object.keys(second.functions).length, MANY);
  await deploy.remove();
  t.same(await standing(cloud, `shop-${stage}-`), []);
});

void t.test("invoke goes through AWS, and says what is not deployed", async (t) => {
  const { deploy, app } = await open(t);
  const event = Buffer.from("{}");
  await deploy.apply(app([wantedFunction("Api")]));
  t.match(await deploy.invoke({ functionName: "Api", event }), {
    statusCode: 200,
    functionError: "Unhandled",
    logTail: /START RequestId/,
  });
  await t.rejects(deploy.invoke({ functionName: "Nobody", event }), { code: "function.notDeployed" });
});

void t.test("credentials that are wrong, and a cloud that is not there, are told as such", async (t) => {
  const place = { app: "shop", stage: "errors", journalFile: join(cloud.stateDir, "journal-errors.db") };
  const wrong = await openDeploy({ ...place, serving: { ...cloud.serving, secretAccessKey: "wrong" } });
  t.teardown(wrong.close);
  await t.rejects(wrong.deploy.apply(wantedApp(place, [wantedFunction("Api")])), { code: "aws.credentials" });
  const gone = await openDeploy({ ...place, serving: { ...cloud.serving, endpoint: "http://127.0.0.1:9" } });
  t.teardown(gone.close);
  await t.rejects(gone.deploy.apply(wantedApp(place, [wantedFunction("Api")])), {
    code: "aws.unreachable",
    message: /127\.0\.0\.1:9/,
  });
});

void t.test("AWS that throttles now and then is waited for", async (t) => {
  const { deploy, app, aws } = await open(t);
  let calls = 0;
  let throttled = 0;
  // From the third on the SDK takes seconds for each: what it does then is tried on moto.
  await faults(aws, () => {
    if ((calls += 1) % 5 !== 0 || throttled === 2) return undefined;
    throttled += 1;
    return refusal("ThrottlingException", 429);
  });
  const wanted = app([wantedFunction("Api", { url: URL })]);
  await deploy.apply(wanted);
  t.same((await deploy.plan(wanted)).steps, []);
  t.equal(throttled, 2);
});

void t.test(
  "credentials that expire in mid-deploy stop it in a known state; with fresh ones it goes on",
  async (t) => {
    const { deploy, app, aws, stage, taken } = await open(t);
    const wanted = app([wantedFunction("Api", { url: URL }), wantedFunction("Worker")]);
    let left = 14;
    await faults(aws, () => ((left -= 1) < 0 ? refusal("ExpiredTokenException", 403) : undefined));
    await t.rejects(deploy.apply(wanted), { code: "aws.credentials", message: /ExpiredToken|expired/i });
    t.ok((await standing(cloud, `shop-${stage}-`)).length > 0, "something stands half done");
    left = Number.POSITIVE_INFINITY;
    taken();
    await deploy.apply(wanted);
    t.ok(taken().length > 0);
    t.same((await deploy.plan(wanted)).steps, []);
    await deploy.remove();
    t.same(await standing(cloud, `shop-${stage}-`), []);
  },
);

void t.test("closing lets go of a run; the next one goes on from there", async (t) => {
  const stage = nextStage();
  const place = {
    serving: cloud.serving,
    app: "shop",
    stage,
    journalFile: join(cloud.stateDir, `journal-${stage}.db`),
  };
  const wanted = wantedApp(
    place,
    Array.from({ length: 6 }, (_, index) => wantedFunction(`F${index}`, { url: URL })),
  );
  const first = await openDeploy(place);
  const run = first.deploy.apply(wanted);
  // As soon as anything has begun.
  const begun = new Promise<void>((resolve) => {
    const { journal } = first;
    const append = journal.append.bind(journal);
    journal.append = (entry) => {
      resolve();
      return append(entry);
    };
  });
  await begun;
  const closed = first.close();
  await t.rejects(run);
  await closed;
  const second = await openDeploy(place);
  t.teardown(second.close);
  await second.deploy.apply(wanted);
  t.equal((await second.deploy.apply(wanted)).steps, 0);
  await second.deploy.remove();
  t.same(await standing(cloud, `shop-${stage}-`), []);
  t.same((await cloud.iam().send(new ListRolesCommand({ PathPrefix: `/livedev/shop/${stage}/` }))).Roles, []);
});

/** Calls fail as `next` says, before they reach the cloud; the SDK sees each as AWS's own answer. */
async function faults(aws: Aws, next: () => Error | undefined): Promise<void> {
  for (const { middlewareStack } of [await aws.lambda(), await aws.iam()]) {
    (middlewareStack as unknown as MiddlewareStack<object, object>).add(
      (call) => async (args) => {
        const fault = next();
        if (fault !== undefined) throw fault;
        return call(args);
      },
      // Inside the SDK's own retries.
      { step: "finalizeRequest", priority: "low", name: "faults" },
    );
  }
}

function refusal(name: string, httpStatusCode: number): Error {
  return Object.assign(new Error(`The security token is expired, or so: ${name}`), {
    name,
    $fault: "client",
    $metadata: { httpStatusCode },
  });
}
