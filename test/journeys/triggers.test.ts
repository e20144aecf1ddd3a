/**
 * What a stack of the app's own points at a function reaches the code on this machine: an object in a bucket and a
 * message in a queue, on moto. moto says which function it invokes, and with what; Lambda is the test.
 */
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import t from "tap";

import { Moto, motoMissing } from "../deploy/moto.ts";
import { NOTIFICATIONS, TRIGGERS } from "../deploy/triggers.ts";
import { LiveStub } from "../support/live-stub.ts";
import { Rig } from "../support/rig.ts";

t.setTimeout(120_000);

t.test("an S3 notification and an SQS message reach the live function", { skip: motoMissing }, async (t) => {
  const moto = await Moto.open(t, { callsPerSecond: Number.POSITIVE_INFINITY });
  const { endpoint, region, accessKeyId, secretAccessKey } = moto.serving;
  const rig = Rig.open({
    files: {
      "livedev.config.ts": `
        import { $config, aws } from "livedev";
        export default $config({
          app: () => ({ name: "shop", home: "aws", endpoint: "${endpoint}", removal: "remove" }),
          async run() {
            const api = new aws.Function("Api", { handler: "src/api.handler" });
            const uploads = new aws.Stack("Uploads", { template: "uploads.json", parameters: { Arn: api.arn } });
            const jobs = new aws.Stack("Jobs", { template: "jobs.json", parameters: { Arn: api.arn } });
            return { bucket: uploads.outputs.Bucket, queue: jobs.outputs.QueueUrl };
          },
        });`,
      "uploads.json": JSON.stringify(NOTIFICATIONS),
      "jobs.json": JSON.stringify(TRIGGERS),
      "src/api.ts": `
        export const handler = async ({ Records: [record] }) =>
          record.eventSource === "aws:s3" ? "stored " + record.s3.object.key : "asked for " + record.body;`,
    },
  });
  t.teardown(() => rig[Symbol.asyncDispose]());
  Object.assign(rig.env, {
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
  });
  const s3 = new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: true,
  });
  t.teardown(() => s3.destroy());

  await rig.start();
  await using client = await rig.connect();
  const { functions } = await client.call("daemon.status", {});
  const arn = functions[0]?.functionArn;
  const { live } = await client.call("daemon.status", {});
  const { bucket, queue } = (live as { outputs: Record<string, string> }).outputs;

  /** Both, and what moto invokes for each. */
  const happen = async (name: string) => {
    await s3.send(new PutObjectCommand({ Bucket: bucket, Key: name, Body: "1" }));
    await moto.call("sqs", "AmazonSQS.SendMessage", { QueueUrl: queue, MessageBody: name });
    const invoked = await moto.invoked();
    t.same(
      invoked.map(({ functionArn }) => functionArn),
      [arn, arn],
      name,
    );
    return invoked.map(({ event }) => JSON.stringify(event));
  };
  {
    await using stub = await LiveStub.open(rig, "Api", { direct: true });
    const answers: string[] = [];
    for (const event of await happen("first"))
      answers.push((await stub.runtime.invoke(event)).body.toString());
    t.same(answers, ['"stored first"', '"asked for first"']);
    const rows = await client.call("invocation.list", { limit: 10 });
    t.same(
      rows.map(({ functionName, status }) => [functionName, status]),
      [
        ["Api", "ok"],
        ["Api", "ok"],
      ],
    );
  }
  t.equal((await rig.livedev("deploy")).code, 0);
  await happen("second");
  t.equal((await rig.livedevd("start", "--yes")).code, 0);
  await happen("third");
  t.equal((await rig.livedev("remove", "--yes")).code, 0);
});
