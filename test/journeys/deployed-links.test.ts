/** Links and secrets of a real deployment: values travel in a sealed file of the package. */
import t from "tap";

import { planted } from "../support/planted.ts";
import { Rig } from "../support/rig.ts";

const CONFIG = `
import { $config, aws, Linkable, Secret } from "livedev";
export default $config({
  app: () => ({ name: "shop", home: "local", removal: "remove" }),
  async run() {
    const files = new aws.Bucket("Files");
    const stripe = new Secret("StripeKey");
    const big = new Linkable("Big", { properties: { text: "x".repeat(20_000), files: files.name } });
    const api = new aws.Function("Api", { handler: "src/api.handler", url: true, link: [files, stripe, big], whenAway: "deployed" });
    return { api: api.url, key: stripe.value };
  },
});
`;

const API = `
import { Resource } from "livedev";
const nope = () => {
  try {
    return Resource.Nope.name;
  } catch (error) {
    return error.message;
  }
};
export const handler = async (event: { rawQueryString?: string }) => event.rawQueryString === "nope" ? nope() : ({
  statusCode: 200,
  body: JSON.stringify({
    bucket: Resource.Files.name, key: Resource.StripeKey.value, big: Resource.Big.text.length, files: Resource.Big.files,
    app: Resource.App, names: Object.keys(Resource).toSorted(),
    environment: Object.keys(process.env).filter((name) => name.startsWith("SST_")).toSorted(),
  }),
});
`;

const rig = Rig.open({ files: { "livedev.config.ts": CONFIG, "src/api.ts": API } });
t.teardown(() => rig[Symbol.asyncDispose]());

t.test(
  "a deployment needs its secrets, seals them with the links, and is deployed again when one changes",
  async (t) => {
    const set = (value: string) => rig.run("livedev.js", ["secret", "set", "StripeKey"], value);

    const refused = await rig.livedev("deploy");
    t.equal(refused.code, 1);
    t.match(refused.stderr, "The secret StripeKey has no value in stage dev.");
    t.match(refused.stderr, "`livedev secret set StripeKey --stage dev`");

    await set("planted walrus 4478 first");
    const deployed = await rig.livedev("deploy", "--json");
    t.equal(deployed.code, 0, deployed.stderr + rig.daemonLog());
    const { urls, outputs, steps } = JSON.parse(deployed.stdout) as {
      urls: Record<string, string>;
      outputs: Record<string, unknown>;
      steps: number;
    };
    t.equal(steps, 4);
    t.strictSame(outputs, { api: urls["Api"], key: "«sealed»" });
    const ask = async () => (await (await fetch(urls["Api"] ?? "")).json()) as Record<string, unknown>;
    const first = await ask();
    t.match(first, {
      bucket: /^shop-dev-files-/,
      key: "planted walrus 4478 first",
      big: 20_000,
      app: { name: "shop", stage: "dev" },
      names: ["App", "Big", "Files", "StripeKey"],
      environment: ["SST_KEY", "SST_KEY_FILE", "SST_RESOURCE_App"],
    });
    t.equal(first["files"], first["bucket"]);
    t.match(
      await (await fetch(`${urls["Api"] ?? ""}?nope`)).json(),
      /Nope is not linked to Api\..* give new aws\.Function\("Api", .* the line\n {2}link: \[(?=.*Files)(?=.*StripeKey)(?=.*Big).*, Nope\],/,
    );
    t.match((await rig.livedev("plan")).stdout, "Nothing to do: all stands as the config says.");
    t.strictSame(planted(rig, ["walrus 4478"]), []);

    await set("planted walrus 4478 second");
    const plan = JSON.parse((await rig.livedev("plan", "--json")).stdout) as { steps: unknown[] };
    t.match(plan.steps, [
      {
        step: "update",
        resource: 'aws.Function "Api"',
        changes: [{ what: "links", to: "changed" }, { what: "code" }],
        drift: false,
      },
    ]);
    t.equal(plan.steps.length, 1);
    t.equal((await rig.livedev("deploy")).code, 0);
    t.equal((await ask())["key"], "planted walrus 4478 second");
    t.match((await rig.livedev("plan")).stdout, "Nothing to do: all stands as the config says.");

    t.equal((await rig.livedevd("start", "--yes")).code, 0);
    await rig.livedevd("stop");
    t.equal(
      (await ask())["key"],
      "planted walrus 4478 second",
      "away: the deployed code, with what it was deployed with",
    );
    t.strictSame(planted(rig, ["walrus 4478"]), []);
    t.equal((await rig.livedev("remove", "--yes")).code, 0);
  },
);

t.test("what a failed command printed of a secret is told to nobody", async (t) => {
  const config = CONFIG.replace(
    "return {",
    `new DevCommand("Tell", { link: [stripe], deploy: { command: 'echo "$SST_RESOURCE_StripeKey"; exit 3' } }); return {`,
  ).replace("aws,", "aws, DevCommand,");
  rig.save("livedev.config.ts", config);
  await using client = await rig.connect();
  await client.call("secret.set", { values: { StripeKey: "planted walrus 4478" } });
  const failed = await rig.livedev("deploy");
  t.equal(failed.code, 1);
  t.match(failed.stderr, /exit code 3.*"value":"«sealed»"/s);
  t.notMatch((await rig.livedev("status")).stdout, "walrus");
  t.notMatch((await rig.livedev("doctor")).stdout, "walrus");
  t.strictSame(planted(rig, ["walrus 4478"]), []);
});
