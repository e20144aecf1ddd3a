/** From nothing to a deployment and back, by the commands alone, on the local cloud. */
import t from "tap";

import { Rig } from "../support/rig.ts";

const config = (more = "") => `
import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "shop", home: "local", removal: "remove" }),
  async run() {
    const bucket = new aws.Bucket("Files");
    const api = new aws.Function("MyApi", { handler: "src/api.handler", url: true, link: [bucket], whenAway: "deployed"${more} });
    return { api: api.url };
  },
});
`;

const CODE = `
import { Resource } from "livedev";
export const handler = async () => ({ statusCode: 200, body: JSON.stringify({ version: 1, bucket: Resource.Files.name }) });
`;

void t.test("plan, deploy, plan, live, away, remove", async (t) => {
  const rig = Rig.open({ files: { "livedev.config.ts": config(), "src/api.ts": CODE } });
  t.teardown(() => rig[Symbol.asyncDispose]());

  const first = await rig.livedev("plan");
  t.equal(first.code, 0, first.stderr);
  t.match(
    first.stdout,
    /\+ aws\.Function "MyApi" role\n\+ aws\.Function "MyApi"\n\+ aws\.Function "MyApi" URL\n\+ aws\.Bucket "Files"\n\n4 to create, 0 to update, 0 to delete\./,
  );

  const deployed = await rig.livedev("deploy", "--json");
  t.equal(deployed.code, 0, deployed.stderr + rig.daemonLog());
  const { urls, outputs, steps } = JSON.parse(deployed.stdout) as {
    urls: Record<string, string>;
    outputs: Record<string, unknown>;
    steps: number;
  };
  t.equal(steps, 4);
  const url = urls["MyApi"] ?? "";
  t.same(outputs, { api: url });
  const answer = (await (await fetch(url)).json()) as { version: number; bucket: string };
  t.match(answer, { version: 1, bucket: /^shop-dev-files-[0-9a-f]{12}$/ });

  t.match((await rig.livedev("plan")).stdout, "Nothing to do: all stands as the config says.");
  rig.save("livedev.config.ts", config(", timeout: '7 seconds'"));
  rig.edit("src/api.ts", "version: 1", "version: 2");
  const changed = await rig.livedev("plan", "--json");
  t.match(JSON.parse(changed.stdout), {
    steps: [
      {
        step: "update",
        resource: 'aws.Function "MyApi"',
        changes: [{ what: "timeoutSeconds", from: "20", to: "7" }, { what: "code" }],
        drift: false,
      },
    ],
  });

  const asked = await rig.livedevd("start");
  t.equal(asked.code, 1);
  t.match(asked.stderr, /holds deployed code \(MyApi\)/);
  t.equal((await rig.livedevd("start", "--yes")).code, 0);
  t.match(await (await fetch(url)).json(), { version: 2, bucket: answer.bucket }, "live, at the same URL");
  await rig.livedevd("stop");
  t.match(await (await fetch(url)).json(), { version: 1, bucket: answer.bucket }, "away: what was deployed");

  const state = await rig.livedev("state", "export");
  t.match(JSON.parse(state.stdout), { app: "shop", code: { MyApi: { handler: "src/api.handler" } } });
  rig.save("state.json", state.stdout);
  t.equal((await rig.livedev("state", "import", "state.json")).code, 0);

  rig.save("livedev.config.ts", "export default nonsense(");
  t.equal((await rig.livedev("deploy")).code, 1);
  const refused = await rig.livedev("remove");
  t.match([refused.code, refused.stderr], [1, /Agree with --yes/]);
  const removed = await rig.livedev("remove", "--yes", "--json");
  t.equal(removed.code, 0, removed.stderr);
  t.match(JSON.parse(removed.stdout), { steps: 4, kept: [] });
  await t.rejects(fetch(url));
});
