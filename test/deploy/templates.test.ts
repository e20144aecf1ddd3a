/**
 * The templates of livedev's own against CloudFormation's schemas of every resource, by cfn-lint, which comes with moto.
 * moto itself looks at few properties.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import t from "tap";

import { databaseTemplate, siteTemplate, vpcTemplate } from "../../daemon/deploy/templates.ts";
import type { WantedPostgres, WantedProcess, WantedRedis, WantedVpc } from "../../proto/app.ts";
import { finished, plainEnvironment } from "../cloud/rig.ts";
import { FOLDER, motoMissing } from "./moto.ts";
import { wantedPostgres, wantedRedis } from "./rig.ts";
import { HTTP_API, NOTIFICATIONS, TRIGGERS } from "./triggers.ts";

t.setTimeout(120_000);

const APP = { name: "shop", stage: "dev", removal: "retain" } as const;
const VPC = {
  subnets: ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
  securityGroups: ["sg-0123456789abcdef0"],
};
const nothing = () => undefined;

const network = (more: Partial<Extract<WantedVpc, { is: "new" }>>) =>
  vpcTemplate({ name: "Net", is: "new", az: 3, bastion: false, ...more }, APP, nothing).template;

const POSTGRES = wantedPostgres({ vpc: VPC });
const REDIS = wantedRedis({ vpc: VPC });
const SITE: WantedProcess = {
  name: "Docs",
  kind: "aws.StaticSite",
  environment: {},
  link: [],
  permissions: [],
  deploy: { by: "files", directory: ".", output: "dist", indexPage: "index.html" },
};
const database = (wanted: WantedPostgres | WantedRedis) =>
  databaseTemplate(wanted, APP, "secret", nothing).template;

const TEMPLATES = {
  network: network({}),
  "network-managed": network({ nat: { type: "managed" } }),
  "network-ec2-bastion": network({ nat: { type: "ec2", instance: "t4g.nano" }, bastion: true }),
  postgres: database(POSTGRES),
  "postgres-proxy": database({ ...POSTGRES, proxy: true, multiAz: true }),
  redis: database(REDIS),
  "valkey-cluster": database({ ...REDIS, engine: "valkey", version: "7.2", cluster: { nodes: 2 } }),
  site: siteTemplate(SITE).template,
  "tests-triggers": JSON.stringify(TRIGGERS),
  "tests-http-api": JSON.stringify(HTTP_API),
  "tests-notifications": JSON.stringify(NOTIFICATIONS),
};

void t.test("every template is one that CloudFormation takes", { skip: motoMissing }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "livedev-templates-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const files = Object.entries(TEMPLATES).map(([name, text]) => {
    const file = join(folder, `${name}.json`);
    writeFileSync(file, text);
    return file;
  });
  const lint = (...names: string[]) =>
    finished(
      join(FOLDER, "bin", "cfn-lint"),
      // Errors; what it only advises against stays ours to decide.
      ["--regions", "us-east-1", "--ignore-checks", "W", "--format", "parseable", "--", ...names],
      { env: { ...plainEnvironment(), HOME: folder } },
    );
  const { code, stdout, stderr } = await lint(...files);
  t.equal(code, 0, `${stdout}${stderr}`);
  const broken = join(folder, "broken.json");
  writeFileSync(broken, TEMPLATES["postgres"].replace('"DBName"', '"DatabaseName"'));
  t.match((await lint(broken)).stdout, /DatabaseName/, "it would say so");
});

void t.test(
  "passwords stand in no template: they are parameters that CloudFormation shows nobody",
  async (t) => {
    for (const wanted of [POSTGRES, { ...POSTGRES, proxy: true }, REDIS]) {
      const { template, parameters } = databaseTemplate(wanted, APP, "planted-secret", nothing);
      t.notMatch(template, /planted-secret/);
      t.match(JSON.parse(template), { Parameters: { Password: { NoEcho: true } } });
      t.equal(parameters["Password"], "planted-secret");
    }
  },
);
