/**
 * `livedev env` and `livedev run --watch` in AWS: where a secret is kept, and a program that holds old keys of the
 * developer's is started with the fresh ones.
 */
import { GetParameterCommand, SSMClient } from "@aws-sdk/client-ssm";
import t from "tap";

import { Moto, motoMissing } from "../deploy/moto.ts";
import { planted } from "../support/planted.ts";
import { Rig } from "../support/rig.ts";
import { ended, Talk } from "../support/talk.ts";

const CONFIG = (endpoint: string, profile = "") => `
  import { $config, Secret } from "livedev";
  export default $config({
    app: () => ({ name: "shop", home: "aws", endpoint: "${endpoint}"${profile} }),
    async run() {
      new Secret("Token");
    },
  });`;

const WHO = `
import { defaultProvider } from "@aws-sdk/credential-provider-node";
const own = defaultProvider();
console.log((await own()).accessKeyId);
setInterval(() => {}, 1000);
`;

t.test(
  "a secret is in SSM and a command has it; fresh keys and another profile restart the command",
  { skip: motoMissing },
  async (t) => {
    const moto = await Moto.open(t, { callsPerSecond: Number.POSITIVE_INFINITY });
    const { endpoint } = moto.serving;
    const rig = Rig.open({ files: { "livedev.config.ts": CONFIG(endpoint), "who.mjs": WHO } });
    t.teardown(() => rig[Symbol.asyncDispose]());
    const save = (text: string) => rig.save("../home/.aws/credentials", text);
    const keys = (profile: string, id: string) =>
      `[${profile}]\naws_access_key_id = ${id}\naws_secret_access_key = x\n`;
    rig.save("../home/.aws/config", "[default]\nregion = us-east-1\n[profile work]\nregion = us-east-1\n");
    save(keys("default", "AKIAFIRST") + keys("work", "AKIAWORK"));

    const { region, accessKeyId, secretAccessKey } = moto.serving;
    const value = "planted walrus 4478";
    const set = await rig.run("livedev.js", ["secret", "set", "Token"], `${value}\n`);
    t.equal(set.code, 0, set.stderr);
    const ssm = new SSMClient({ endpoint, region, credentials: { accessKeyId, secretAccessKey } });
    t.teardown(() => ssm.destroy());
    const Name = `/livedev/shop/${rig.stage}/Token`;
    const { Parameter } = await ssm.send(new GetParameterCommand({ Name }));
    t.equal(Parameter?.Type, "SecureString");
    t.not(Parameter?.Value, value, "it is encrypted where nobody asks for it in clear");
    const inClear = await ssm.send(new GetParameterCommand({ Name, WithDecryption: true }));
    t.equal(inClear.Parameter?.Value, value);
    const shown = await rig.livedev("env");
    t.match(shown.stdout, /^SST_RESOURCE_Token='«sealed»'$/m);
    t.notMatch(shown.stdout, "walrus");
    const env = JSON.parse((await rig.livedev("env", "--reveal", "--json")).stdout) as Record<string, string>;
    t.match(JSON.parse(env["SST_RESOURCE_Token"] ?? ""), { value });
    t.strictSame(planted(rig, ["walrus 4478"]), []);

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
  },
);
