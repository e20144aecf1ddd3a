/** Deployments into a real local cloud, with a real journal. */
import { ListRolesCommand } from "@aws-sdk/client-iam";
import { ListFunctionsCommand } from "@aws-sdk/client-lambda";
import { dirname, join } from "node:path";
import type { Test } from "tap";

import { Aws } from "../../daemon/aws/aws.ts";
import { Deploy, type Stepped } from "../../daemon/deploy/deploy.ts";
import { bundleForRelease } from "../../daemon/functions/release.ts";
import { silentLog } from "../../daemon/lib/log.ts";
import { PROGRAMS } from "../../daemon/lib/programs.ts";
import { Journal } from "../../daemon/store/journal.ts";
import type {
  WantedApp,
  WantedBucket,
  WantedFunction,
  WantedPostgres,
  WantedProcess,
  WantedRedis,
  WantedStack,
} from "../../proto/app.ts";
import type { TestCloud } from "../cloud/rig.ts";
import { wantedFunction as anyFunction } from "../support/wanted.ts";

export type DeployRig = {
  readonly deploy: Deploy;
  readonly journal: Journal;
  readonly aws: Aws;
  readonly steps: Stepped[];
  /** The steps of the last run, `create aws.Function "Api" role`. */
  readonly taken: () => string[];
  /** What a stub proves itself with: a change is another key. */
  bridge: { addresses: { address: string; match: string }[]; key: Uint8Array; keyId: string };
};

export type DeployPlace = {
  readonly serving: Pick<TestCloud["serving"], "endpoint" | "region" | "accessKeyId" | "secretAccessKey">;
  readonly journalFile: string;
  readonly app: string;
  readonly stage: string;
  /** moto has it, the local cloud does not. */
  readonly cloudFormation?: boolean;
  /** Where handlers lie; by default beside the journal. */
  readonly project?: string;
};

/** Closed by `close`, or with the test. */
export async function openDeploy(
  place: DeployPlace,
  more: {
    journal?: (journal: Journal) => Pick<Journal, "append" | "entries">;
    maxRequestBytes?: number;
  } = {},
): Promise<DeployRig & { readonly close: () => Promise<void> }> {
  const { endpoint, region, accessKeyId, secretAccessKey } = place.serving;
  const credentials = { accessKeyId, secretAccessKey };
  const aws = await Aws.open({ endpoint, region, credentials, log: silentLog });
  const journal = Journal.open({ file: place.journalFile, log: silentLog });
  const steps: Stepped[] = [];
  const bridge = {
    addresses: [{ address: "tls://127.0.0.1:1", match: "*" }],
    key: Buffer.alloc(32, 7),
    keyId: "key-1",
  };
  const deploy = await Deploy.open({
    aws,
    journal: more.journal?.(journal) ?? journal,
    app: place.app,
    stage: place.stage,
    cloudFormation: place.cloudFormation ?? false,
    project: place.project ?? dirname(place.journalFile),
    workDir: join(dirname(place.journalFile), `work-${place.stage}`),
    stubFile: PROGRAMS.stub,
    build: (wanted) => bundleForRelease(wanted, place.project ?? dirname(place.journalFile)),
    bridge: () => bridge,
    onStep: (step) => steps.push(step),
    maxRequestBytes: more.maxRequestBytes,
    log: silentLog,
  });
  return {
    aws,
    deploy,
    journal,
    steps,
    bridge,
    taken: () => steps.splice(0).map(({ step, resource }) => `${step} ${resource}`),
    close: async () => {
      await deploy[Symbol.asyncDispose]();
      await aws[Symbol.asyncDispose]();
      journal.close();
    },
  };
}

/** A stage of the app `shop`, closed with the test. */
export async function openStage(t: Test, cloud: TestCloud, stage: string): Promise<DeployRig> {
  const journalFile = join(cloud.stateDir, `journal-${stage}.db`);
  const rig = await openDeploy({ serving: cloud.serving, journalFile, app: "shop", stage });
  t.teardown(rig.close);
  return rig;
}

export function wantedApp(
  place: { readonly app?: string; readonly stage: string },
  functions: readonly WantedFunction[],
  more: Partial<WantedApp> = {},
): WantedApp {
  return {
    name: place.app ?? "shop",
    stage: place.stage,
    home: "local",
    region: "us-east-1",
    watch: ["."],
    functions,
    buckets: [],
    stacks: [],
    vpcs: [],
    databases: [],
    processes: [],
    secrets: [],
    removal: "retain",
    ...more,
  };
}

export function wantedFunction(name: string, more: Partial<WantedFunction> = {}): WantedFunction {
  const own = { handler: "src/index.handler", timeoutMs: 10_000, memoryMb: 256 };
  return anyFunction(name, { ...own, ...more });
}

export function wantedBucket(name: string, more: Partial<WantedBucket> = {}): WantedBucket {
  return {
    name,
    access: "private",
    versioning: false,
    enforceHttps: true,
    lifecycle: [],
    policy: [],
    ...more,
  };
}

export function wantedStack(
  name: string,
  body: Readonly<Record<string, unknown>>,
  parameters: WantedStack["parameters"] = {},
): WantedStack {
  return { name, template: { body }, parameters, capabilities: [], tags: {} };
}

/** A small database in a VPC, with every default filled in. */
export const wantedPostgres = (
  more: Pick<WantedPostgres, "vpc"> & Partial<WantedPostgres>,
): WantedPostgres => ({
  name: "Database",
  kind: "aws.Postgres",
  version: "16.4",
  instance: "t4g.micro",
  storageGb: 20,
  username: "postgres",
  database: "shop",
  proxy: false,
  multiAz: false,
  ...more,
});

export const wantedRedis = (more: Pick<WantedRedis, "vpc"> & Partial<WantedRedis>): WantedRedis => ({
  name: "Cache",
  kind: "aws.Redis",
  engine: "redis",
  version: "7.1",
  instance: "t4g.micro",
  cluster: false,
  ...more,
});

/** A frontend, until told otherwise. */
export const wantedProcess = (name: string, more: Partial<WantedProcess>): WantedProcess => ({
  name,
  kind: "aws.Nextjs",
  environment: {},
  link: [],
  permissions: [],
  ...more,
});

/** Everything of an app's name that stands in the cloud. */
export async function standing(cloud: TestCloud, prefix: string): Promise<string[]> {
  const { Functions = [] } = await cloud.lambda().send(new ListFunctionsCommand({}));
  const { Roles = [] } = await cloud.iam().send(new ListRolesCommand({ MaxItems: 1000 }));
  return [
    ...Functions.map(({ FunctionName }) => `function ${FunctionName}`),
    ...Roles.map(({ RoleName }) => `role ${RoleName}`),
  ].filter((one) => one.includes(` ${prefix}`));
}
