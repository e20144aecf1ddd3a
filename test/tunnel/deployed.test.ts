/**
 * What a deployment tells stubs of their way: on moto, the settings in the package that it was given, and a real stub
 * by them. Two developers on one bastion, and one with an address of their own.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import t from "tap";

import { unzip } from "../../daemon/cloud/unzip.ts";
import { Moto, motoMissing } from "../deploy/moto.ts";
import { freePort } from "../support/free-port.ts";
import { Rig } from "../support/rig.ts";
import { TestRuntimeApi } from "../support/runtime-api.ts";
import { StubProcess } from "../support/stub.ts";
import { TlsService } from "../support/tls-service.ts";
import { Sshd, sshdMissing } from "./sshd.ts";
import { ownFolder } from "../support/folder.ts";

t.setTimeout(120_000);

const HANDLER = `export const handler = async (event: unknown) => ({ event, by: process.env["BY"] });\n`;

t.test("the way that a deployment tells stubs", { skip: motoMissing || sshdMissing }, async (t) => {
  const moto = await Moto.open(t, { callsPerSecond: Number.POSITIVE_INFINITY });
  const packages: Buffer[] = [];
  moto.refuse = ({ service, method }, body) => {
    if (service !== "lambda" || method === "GET") return undefined;
    const zip = (/"ZipFile":"([^"]+)"/.exec(body.toString()) ?? [])[1];
    if (zip !== undefined) packages.push(Buffer.from(zip, "base64"));
    return undefined;
  };
  await using sshd = await Sshd.open();
  const { endpoint, region, accessKeyId, secretAccessKey } = moto.serving;

  /** Deploys stubs; `by` is a stage of its own. */
  const deploy = async (by: string, way: object, env: Record<string, string> = {}) => {
    const rig = Rig.open({
      files: {
        "livedev.config.ts": `
          import { $config, aws } from "livedev";
          export default $config({
            app: () => ({ name: "shop", home: "aws", endpoint: "${endpoint}", ...${JSON.stringify(way)} }),
            async run() {
              new aws.Function("Api", { handler: "src/api.handler", environment: { BY: "${by}" } });
            },
          });`,
        "src/api.ts": HANDLER,
      },
    });
    t.teardown(() => rig[Symbol.asyncDispose]());
    const credentials = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
    Object.assign(rig.env, { AWS_REGION: region, ...credentials, ...env });
    rig.save("../home/.ssh/known_hosts", sshd.known());
    rig.save(".livedev/stage", `${by}\n`);
    const { code, stderr } = await rig.livedevd("start");
    t.equal(code, 0, stderr);
    const folder = ownFolder(t);
    await unzip(new Uint8Array(packages.at(-1) ?? []), folder, 10_000_000);
    const settings = JSON.parse(readFileSync(join(folder, "livedev.json"), "utf8")) as Settings;
    return { rig, settings };
  };
  type Settings = { readonly stage: string; readonly addresses: readonly { readonly address: string }[] };

  const reaches = async (settings: Settings, by: string, env: Record<string, string> = {}) => {
    await using runtime = await TestRuntimeApi.open();
    await using _stub = new StubProcess({ runtimeApi: runtime.address, port: 0, settings, env });
    const { body } = await runtime.invoke('{"n":1}');
    t.strictSame(JSON.parse(body.toString()), { event: { n: 1 }, by }, `${by}'s code has run`);
  };

  await t.test("by the bastion: each developer a port of their own, and both are reached", async (t) => {
    const bastion = { host: "127.0.0.1", port: sshd.port, user: sshd.user, key: sshd.file("id") };
    const way = { bastion: { ...bastion, listen: { address: "127.0.0.1", ports: [7430, 7459] } } };
    const ann = await deploy("ann", way);
    const bob = await deploy("bob", way);
    const addresses = [ann, bob].map(({ settings }) => settings.addresses[0]?.address ?? "");
    for (const address of addresses) t.match(address, /^tls:\/\/127\.0\.0\.1:74[345]\d$/);
    t.equal(new Set(addresses).size, 2, addresses.join(", "));
    await reaches(ann.settings, "ann");
    await reaches(bob.settings, "bob");
    await using client = await ann.rig.connect();
    t.equal((await client.call("daemon.status", {})).bridge.address, addresses[0]);
    await ann.rig.livedevd("stop");
    await bob.rig.livedevd("stop");
  });

  await t.test(
    "by an address of one's own, which is tried; doctor tells when it leads nowhere",
    async (t) => {
      const service = await TlsService.open(ownFolder(t), await freePort());
      const { address, port, certificate } = service;
      const env = { NODE_EXTRA_CA_CERTS: certificate };
      const { rig, settings } = await deploy("cat", { url: { address, port } }, env);
      t.equal(settings.addresses[0]?.address, address);
      await reaches(settings, "cat", env);
      const down = async () => {
        await using client = await rig.connect();
        return (await client.call("daemon.status", {})).bridge.down?.reason;
      };
      while ((await down()) !== undefined);
      await service[Symbol.asyncDispose]();
      // One that stands is tried once a minute.
      t.equal((await rig.livedevd("restart")).code, 0);
      while ((await down())?.includes("does not lead") !== true);
      const { stdout } = await rig.livedev("doctor");
      t.match(stdout, /does not lead to this daemon: .*ECONNREFUSED/);
      t.match(stdout, /docs\/tunnel\.md/);
    },
  );
});
