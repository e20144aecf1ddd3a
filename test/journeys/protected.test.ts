/** A stage that the config protects: `livedev deploy` changes it, nothing else does. In AWS (moto) and on the local cloud. */
import { LambdaClient, ListFunctionsCommand } from "@aws-sdk/client-lambda";
import { ListBucketsCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import { join } from "node:path";

import t, { type Test } from "tap";

import { findServing } from "../../daemon/cloud/serving.ts";
import type { DeployPlace } from "../deploy/rig.ts";
import { Moto, motoMissing } from "../deploy/moto.ts";
import { Watched } from "../support/live-stub.ts";
import { Rig } from "../support/rig.ts";

t.setTimeout(120_000);

const STUBS = [
  "shop/production is protected: no stubs are put in place of what it holds.",
  "Develop on a stage of your own (`livedevd start --stage <name>`), or take `protect` out of livedev.config.ts first.",
  "",
].join("\n");
const REMOVED = [
  "shop/production is protected and is not removed.",
  "Take `protect` out of livedev.config.ts first.",
  "",
].join("\n");

const PROTECT = `protect: input.stage === "production"`;

function shop(t: Test, home: string): Rig {
  const rig = Rig.open({
    files: {
      "livedev.config.ts": `
        import { $config, aws } from "livedev";
        export default $config({
          app: (input) => ({ name: "shop", ${home}, removal: "remove", ${PROTECT} }),
          async run() { new aws.Function("Api", { handler: "src/api.handler" }); },
        });`,
      "src/api.ts": "export const handler = async () => 1;",
    },
  });
  rig.env["LIVEDEV_STAGE"] = "production";
  t.teardown(() => rig[Symbol.asyncDispose]());
  return rig;
}

type Serving = DeployPlace["serving"];

/** Functions whole, with when they were changed last, and what lies in buckets. */
async function stands({ endpoint, region, ...credentials }: Serving): Promise<unknown> {
  const lambda = new LambdaClient({ endpoint, region, credentials });
  const s3 = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  try {
    const { Functions = [] } = await lambda.send(new ListFunctionsCommand({}));
    const { Buckets = [] } = await s3.send(new ListBucketsCommand({}));
    const objects = Buckets.map(async ({ Name: Bucket }) => {
      const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket }));
      return Contents.map(({ Key, ETag }) => `${Bucket}/${Key} ${ETag}`);
    });
    return { functions: Functions, objects: await Promise.all(objects) };
  } finally {
    lambda.destroy();
    s3.destroy();
  }
}

/** Deploys it, and is refused all else. */
async function deployedAndProtected(t: Test, rig: Rig, serving: () => Promise<Serving>): Promise<void> {
  const deployed = await rig.livedev("deploy");
  t.equal(deployed.code, 0, deployed.stderr);
  const before = await stands(await serving());
  t.match(before, { functions: [{ FunctionName: "shop-production-Api" }] });
  t.match(await rig.livedevd("start", "--yes", "--take-over"), { code: 1, stdout: "", stderr: STUBS });
  t.match(await rig.livedev("dev", "--yes", "--mode=mono"), { code: 1, stderr: STUBS });
  t.match(await rig.livedev("remove", "--yes"), { code: 1, stdout: "", stderr: REMOVED });
  t.same(await stands(await serving()), before, "nothing has changed");
}

void t.test("in AWS a protected stage is neither removed nor live", { skip: motoMissing }, async (t) => {
  const { serving } = await Moto.open(t, { callsPerSecond: Number.POSITIVE_INFINITY });
  const { endpoint, region, accessKeyId, secretAccessKey } = serving;
  const rig = shop(t, `home: "aws", endpoint: "${endpoint}"`);
  Object.assign(rig.env, {
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
  });
  const before = await stands(serving);
  t.match(await rig.livedevd("start"), { code: 1, stdout: "", stderr: STUBS }, "nor where nothing stands");
  t.same(await stands(serving), before, "not even a bucket of state is made");
  await deployedAndProtected(t, rig, async () => serving);
  rig.edit("livedev.config.ts", PROTECT, "protect: false");
  const removed = await rig.livedev("remove", "--yes");
  t.equal(removed.code, 0, removed.stderr);
  t.same(await stands(serving), before);
});

void t.test("on the local cloud a protected stage is neither removed nor live", async (t) => {
  const rig = shop(t, `home: "local"`);
  const serving = async () => {
    const found = await findServing(join(rig.project, ".livedev", "cloud"));
    if (found === undefined) throw new Error("the local cloud does not run");
    return found;
  };
  await deployedAndProtected(t, rig, serving);

  await using watched = await Watched.open(rig);
  const config = rig.read("livedev.config.ts");
  rig.save("livedev.config.ts", "export default nonsense(");
  await watched.next("config.failed");
  t.match(
    await rig.livedev("remove", "--yes"),
    { code: 1, stderr: REMOVED },
    "the last good config still protects",
  );

  // Protected while it is live: what is saved from then on is not put in place.
  rig.save("livedev.config.ts", config.replace(PROTECT, "protect: false"));
  const loads = watched.events.filter(({ type }) => type === "config.loaded").length;
  await watched.next(
    "config.loaded",
    () => watched.events.filter(({ type }) => type === "config.loaded").length > loads,
  );
  const live = await rig.livedevd("start", "--yes");
  t.equal(live.code, 0, live.stderr);
  const stubs = await stands(await serving());
  rig.save("livedev.config.ts", config.replace(`api.handler"`, `api.handler", timeout: "7 seconds"`));
  await watched.next("deploy.failed", ({ message }) => message.includes("is protected"));
  t.same(await stands(await serving()), stubs);
  t.match((await rig.livedev("status")).stdout, /is protected/);
  const deployed = await rig.livedev("deploy");
  t.equal(deployed.code, 0, deployed.stderr);
});
