/** `livedev run --watch` in AWS: a program that holds old keys of the developer's is started with the fresh ones. */
import t from "tap";

import { Moto, motoMissing } from "../deploy/moto.ts";
import { Rig } from "../support/rig.ts";
import { ended, Talk } from "../support/talk.ts";

const CONFIG = (endpoint: string, profile = "") => `
  import { $config } from "livedev";
  export default $config({
    app: () => ({ name: "shop", home: "aws", endpoint: "${endpoint}"${profile} }),
    async run() {},
  });`;

const WHO = `
import { defaultProvider } from "@aws-sdk/credential-provider-node";
const own = defaultProvider();
console.log((await own()).accessKeyId);
setInterval(() => {}, 1000);
`;

t.test("fresh keys and another profile restart the command", { skip: motoMissing }, async (t) => {
  const moto = await Moto.open(t, { callsPerSecond: Number.POSITIVE_INFINITY });
  const { endpoint } = moto.serving;
  const rig = Rig.open({ files: { "livedev.config.ts": CONFIG(endpoint), "who.mjs": WHO } });
  t.teardown(() => rig[Symbol.asyncDispose]());
  const save = (text: string) => rig.save("../home/.aws/credentials", text);
  const keys = (profile: string, id: string) =>
    `[${profile}]\naws_access_key_id = ${id}\naws_secret_access_key = x\n`;
  rig.save("../home/.aws/config", "[default]\nregion = us-east-1\n[profile work]\nregion = us-east-1\n");
  save(keys("default", "AKIAFIRST") + keys("work", "AKIAWORK"));
  const talk = new Talk(rig, ["--watch", "--", process.execPath, "who.mjs"]);
  t.equal(await talk.line(), "AKIAFIRST");
  save(keys("default", "AKIASECOND") + keys("work", "AKIAWORK"));
  t.equal(await talk.line(), "AKIASECOND");
  rig.save("livedev.config.ts", CONFIG(endpoint, `, profile: "work"`));
  t.equal(await talk.line(), "AKIAWORK");
  // A restart of the daemon changes nothing of what the command was given, and is no reason.
  t.equal((await rig.livedevd("restart")).code, 0);
  save(keys("default", "AKIASECOND") + keys("work", "AKIATHIRD"));
  t.equal(await talk.line(), "AKIATHIRD");
  talk.child.kill("SIGTERM");
  t.equal(await ended(talk.child), 143);
});
