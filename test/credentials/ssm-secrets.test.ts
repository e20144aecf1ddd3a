/** Secrets of an app in AWS, in a Parameter Store that is not ours. */
import { GetParameterCommand, ListTagsForResourceCommand } from "@aws-sdk/client-ssm";
import t from "tap";

import { Aws } from "../../daemon/aws/aws.ts";
import { SsmSecrets } from "../../daemon/credentials/ssm-secrets.ts";
import { silentLog } from "../../daemon/lib/log.ts";
import { Moto, motoMissing } from "../deploy/moto.ts";

// At few calls a second.
t.setTimeout(300_000);
if (motoMissing !== false) t.plan(0, motoMissing);
else {
  const moto = await Moto.open(t);
  const { region, endpoint, accessKeyId, secretAccessKey } = moto.serving;
  const aws = await Aws.open({
    region,
    endpoint,
    credentials: { accessKeyId, secretAccessKey },
    log: silentLog,
  });
  t.teardown(() => aws[Symbol.asyncDispose]());
  const of = (stage: string) => new SsmSecrets(aws, { app: "shop", stage });

  void t.test("a value is set, replaced and removed, encrypted and tagged", async (t) => {
    const secrets = of("ann");
    t.strictSame(await secrets.read(), { stage: {}, fallback: {} });
    await secrets.set("stage", { StripeKey: "first" });
    await secrets.set("stage", { StripeKey: "second" });
    t.strictSame(await secrets.read(), { stage: { StripeKey: "second" }, fallback: {} });
    const ssm = await aws.ssm();
    const Name = "/livedev/shop/ann/StripeKey";
    const { Parameter } = await ssm.send(new GetParameterCommand({ Name }));
    t.equal(Parameter?.Type, "SecureString");
    t.not(Parameter?.Value, "second", "it is encrypted where nobody asks for it in clear");
    const { TagList } = await ssm.send(
      new ListTagsForResourceCommand({ ResourceType: "Parameter", ResourceId: Name }),
    );
    t.strictSame(TagList?.map(({ Key, Value }) => `${Key}=${Value}`).toSorted(), [
      "livedev:app=shop",
      "livedev:component=StripeKey",
      "livedev:stage=ann",
    ]);
    t.equal(await secrets.remove("stage", "StripeKey"), true);
    t.equal(await secrets.remove("stage", "StripeKey"), false);
    t.strictSame(await secrets.read(), { stage: {}, fallback: {} });
  });

  void t.test("stages have their own, and share the fallback", async (t) => {
    const [ann, bob] = [of("ann"), of("bob")];
    await ann.set("stage", { Key: "ann's" });
    await bob.set("fallback", { Key: "everybody's" });
    t.strictSame(await ann.read(), { stage: { Key: "ann's" }, fallback: { Key: "everybody's" } });
    t.strictSame(await bob.read(), { stage: {}, fallback: { Key: "everybody's" } });
    t.strictSame(await new SsmSecrets(aws, { app: "other", stage: "ann" }).read(), {
      stage: {},
      fallback: {},
    });
    await bob.remove("fallback", "Key");
    await ann.remove("stage", "Key");
  });

  void t.test("what a teammate sets is found, while it is wanted", async (t) => {
    const [ann, bob] = [of("team"), of("team")];
    await ann.set("stage", { Key: "first" });
    const end = new AbortController();
    let wanted = false;
    let asked = 0;
    let wake = () => {};
    let changes = 0;
    const following = ann.follow(
      () => {
        changes += 1;
        wake();
      },
      {
        wanted: () => {
          asked += 1;
          wake();
          return wanted;
        },
        everyMs: 20,
        signal: end.signal,
      },
    );
    const until = async (holds: () => boolean) => {
      while (!holds()) await new Promise<void>((resolve) => (wake = resolve));
    };
    const passed = moto.passed;
    await until(() => asked > 3);
    t.equal(moto.passed, passed, "AWS is not asked for nothing");
    wanted = true;
    await until(() => asked > 6);
    t.equal(changes, 0);
    const decrypted: string[] = [];
    moto.refuse = (_, body) => {
      if (/WithDecryption":true/.test(body.toString())) decrypted.push(body.toString());
      return undefined;
    };
    await bob.set("fallback", { Other: "second" });
    await until(() => changes === 1);
    t.strictSame(decrypted, [], "and KMS not at all");
    t.strictSame(await ann.read(), { stage: { Key: "first" }, fallback: { Other: "second" } });
    moto.refuse = () => ({ status: 400, name: "AccessDeniedException" });
    const before = asked;
    await until(() => asked > before + 2);
    moto.refuse = () => undefined;
    await bob.remove("fallback", "Other");
    await until(() => changes === 2);
    end.abort();
    await following;
    await bob.remove("stage", "Key");
  });

  void t.test("more than one page of them is read, and a long one kept", async (t) => {
    const many = Object.fromEntries(Array.from({ length: 23 }, (_, at) => [`Secret${at}`, `value ${at}`]));
    const long = { ...many, Long: "x".repeat(7_000), Lines: 'one\ntwo "three"\n' };
    const secrets = of("many");
    await secrets.set("stage", long);
    t.strictSame((await secrets.read()).stage, long);
  });

  void t.test("who may not read them is told what is missing", async (t) => {
    moto.refuse = ({ service }) =>
      service === "ssm" ? { status: 400, name: "AccessDeniedException" } : undefined;
    t.teardown(() => (moto.refuse = () => undefined));
    await t.rejects(of("ann").read(), { code: "aws.denied", message: /reading the secrets of shop\/ann/ });
  });
}
