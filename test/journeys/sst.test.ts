/** Code that was written for SST's SDK reads the same values: in dev, deployed, and in a command. */
import t from "tap";

import { SST, sstMissing } from "../support/parts.ts";
import { Rig } from "../support/rig.ts";

const CONFIG = `
import { $config, aws, Linkable, Secret } from "livedev";
export default $config({
  app: () => ({ name: "shop", home: "local", removal: "remove" }),
  async run() {
    const files = new aws.Bucket("Files");
    const stripe = new Secret("StripeKey", "placeholder");
    const settings = new Linkable("Settings", { properties: { limit: 3, url: $interpolate\`https://\${files.domain}\` } });
    new aws.Function("Api", { handler: "src/api.handler", url: true, link: [files, stripe, settings] });
  },
});
`.replace("aws,", "$interpolate, aws,");

const BOTH = `
import { Resource } from "sst";
import { Resource as Ours } from "livedev";
export const read = () => ({
  theirs: [Resource.App, Resource.Files, Resource.StripeKey, Resource.Settings],
  ours: [Ours.App, Ours.Files, Ours.StripeKey, Ours.Settings],
  missing: attempt(() => Resource.Other),
  live: process.env.SST_DEV ?? "no",
});
const attempt = (read) => {
  try {
    return read();
  } catch (error) {
    return error.message;
  }
};
`;

type Read = { theirs: unknown[]; ours: unknown[]; missing: string; live: string };

t.test(
  "SST's SDK and ours read the same, in dev, deployed and in a command",
  { skip: sstMissing },
  async (t) => {
    const rig = Rig.open({
      files: {
        "livedev.config.ts": CONFIG,
        "src/both.mjs": BOTH,
        "src/api.mjs": `import { read } from "./both.mjs";\nexport const handler = async () => ({ statusCode: 200, body: JSON.stringify(read()) });\n`,
        "script.mjs": `import { read } from "./src/both.mjs";\nconsole.log(JSON.stringify(read()));\n`,
      },
    });
    t.teardown(() => rig[Symbol.asyncDispose]());
    rig.install({ sst: SST });
    const same = (read: Read, where: string) => {
      t.strictSame(read.theirs, read.ours, where);
      t.match(read.theirs, [
        { name: "shop", stage: "dev" },
        { name: /^shop-dev-files-/ },
        { type: "sst.sst.Secret", value: "placeholder" },
        { limit: 3, url: /^https:\/\/shop-dev-files-.*\.s3\..*amazonaws\.com$/ },
      ]);
      t.match(read.missing, /"Other" is not linked/);
      t.equal(read.live, where === "deployed" ? "no" : "true");
    };
    const urls = await rig.start();
    const ask = async () => (await (await fetch(urls["Api"] ?? "")).json()) as Read;
    same(await ask(), "in dev");

    const command = await rig.livedev("run", "--as", "Api", "--", process.execPath, "script.mjs");
    t.equal(command.code, 0, command.stderr);
    same(JSON.parse(command.stdout) as Read, "in a command");

    t.equal((await rig.livedev("deploy")).code, 0);
    same(await ask(), "deployed");
    t.match(rig.read("livedev-env.d.ts"), /declare module "sst" \{\n {2}export interface Resource \{/);
  },
);
