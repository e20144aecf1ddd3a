/**
 * Where the app is deployed to: the local cloud, or AWS. Both through the same clients and the same deployment; only
 * the endpoint differs.
 */
import type { WantedApp } from "../proto/app.ts";

import { Aws } from "./aws/aws.ts";
import { askStatus, findServing, startServing, type Serving } from "./cloud/serving.ts";
import { SsmSecrets } from "./credentials/ssm-secrets.ts";
import type { SecretStore } from "./credentials/secrets.ts";
import { Deploy, type DeployOptions } from "./deploy/deploy.ts";
import { Lease, type Holder, type LeaseOptions } from "./deploy/lease.ts";
import { bundleForRelease } from "./functions/release.ts";
import { componentLog, type Log } from "./lib/log.ts";
import { PROGRAMS } from "./lib/programs.ts";
import type { Refused } from "./lib/refusals.ts";
import { Scope } from "./lib/scope.ts";

export type { DeployResult, Planned, Standing } from "./deploy/deploy.ts";
export type { StageState } from "./deploy/state-file.ts";

/** What of an app says where it is deployed to. */
export type Place = Pick<WantedApp, "name" | "stage" | "home" | "region" | "profile" | "endpoint">;

export type HomeOptions = Pick<DeployOptions, "journal" | "bridge" | "secrets" | "onPlanned" | "onStep"> & {
  readonly app: Place;
  readonly holder: Holder;
  readonly onLost: LeaseOptions["onLost"];
  readonly project: string;
  /** For packages that are being made. */
  readonly workDir: string;
  /** The local cloud's state, for home: local. */
  readonly cloudDir: string;
  readonly log: Log;
};

const SECRETS_LOOK_MS = 30_000;

export class Home {
  readonly cloud: Serving | undefined;
  readonly deploy: Deploy;
  readonly #options: HomeOptions;
  readonly #key: string;
  readonly #aws: Aws;
  readonly #scope: Scope;
  #lease: Promise<Lease> | undefined;
  #followsSecrets = false;

  /** @throws LivedevError where the local cloud cannot be started. */
  static async open(options: HomeOptions): Promise<Home> {
    const { app, log } = options;
    const scope = new Scope();
    const cloud = isLocal(app) ? await startServing(options.cloudDir) : undefined;
    const { region, endpoint, profile } = app;
    const aws = scope.use(
      await Aws.open(
        cloud === undefined
          ? { region, profile, endpoint, log: componentLog(log, "aws") }
          : {
              region: cloud.region,
              endpoint: cloud.endpoint,
              credentials: cloud,
              log: componentLog(log, "aws"),
            },
      ),
    );
    const deploy = scope.use(
      await Deploy.open({
        aws,
        journal: options.journal,
        app: app.name,
        stage: app.stage,
        cloudFormation: cloud === undefined,
        project: options.project,
        workDir: options.workDir,
        stubFile: PROGRAMS.stub,
        build: (wanted) => bundleForRelease(wanted, options.project),
        bridge: options.bridge,
        secrets: options.secrets,
        onPlanned: options.onPlanned,
        onStep: options.onStep,
        log: componentLog(log, "deploy"),
      }),
    );
    return new Home(options, { aws, scope, cloud, deploy });
  }

  private constructor(
    options: HomeOptions,
    parts: { aws: Aws; scope: Scope; cloud: Serving | undefined; deploy: Deploy },
  ) {
    this.#options = options;
    this.#key = keyOf(options.app);
    this.#aws = parts.aws;
    this.#scope = parts.scope;
    this.cloud = parts.cloud;
    this.deploy = parts.deploy;
  }

  /** Where an app of AWS keeps them; one of the local cloud needs no home for that. */
  get secrets(): SecretStore {
    return this.#ssm;
  }

  get #ssm(): SsmSecrets {
    const { name, stage } = this.#options.app;
    return new SsmSecrets(this.#aws, { app: name, stage });
  }

  /** Those that a teammate sets in AWS, as long as this home is one; once. */
  followSecrets(changed: () => void, wanted: () => boolean): void {
    if (this.#followsSecrets || this.cloud !== undefined) return;
    this.#followsSecrets = true;
    const { signal } = this.#scope;
    const following = this.#ssm.follow(changed, { wanted, everyMs: SECRETS_LOOK_MS, signal });
    this.#scope.defer(() => following);
  }

  /** Of the clients here: whoever runs beside the functions asks there too. */
  get endpoint(): string | undefined {
    return this.cloud?.endpoint ?? this.#options.app.endpoint;
  }

  /** The stage's lease is ours from here on, until it is lost or this closes. @throws LivedevError `stage.held` */
  async hold(takeOver: boolean): Promise<void> {
    const acquiring = (this.#lease ??= this.#acquire(takeOver));
    try {
      await acquiring;
    } catch (error) {
      if (this.#lease === acquiring) this.#lease = undefined;
      throw error;
    }
  }

  async #acquire(takeOver: boolean): Promise<Lease> {
    const { app, holder, onLost, log } = this.#options;
    const lease = await Lease.acquire(
      {
        aws: this.#aws,
        app: app.name,
        stage: app.stage,
        holder,
        onLost: (reason) => {
          this.#lease = undefined;
          void lease[Symbol.asyncDispose]();
          onLost(reason);
        },
        log: componentLog(log, "lease"),
      },
      takeOver,
      this.#scope.signal,
    );
    return this.#scope.use(lease);
  }

  /** After the stage was removed: the lease goes too, and the bucket where nothing else is in it. */
  async forget(): Promise<void> {
    const lease = await this.#lease?.catch(() => undefined);
    this.#lease = undefined;
    await lease?.remove();
    await this.deploy.forget();
  }

  /** Lets the lease go: a stage that is not live here needs none. */
  async release(): Promise<void> {
    const lease = this.#lease;
    this.#lease = undefined;
    await (await lease?.catch(() => undefined))?.[Symbol.asyncDispose]();
  }

  /** What the local cloud's ports refused; nothing where it does not answer. */
  async refusals(): Promise<readonly Refused[]> {
    if (this.cloud === undefined) return [];
    const status = await askStatus(this.cloud).catch(() => undefined);
    return status?.refusals ?? [];
  }

  /** Starts the local cloud again where somebody stopped it. False: it is another one now, and this home is of no use. */
  async stands(): Promise<boolean> {
    if (this.cloud === undefined) return true;
    const { cloudDir } = this.#options;
    const { endpoint, accessKeyId } = await startServing(cloudDir);
    return endpoint === this.cloud.endpoint && accessKeyId === this.cloud.accessKeyId;
  }

  async cloudRuns(): Promise<boolean> {
    return (await findServing(this.#options.cloudDir)) !== undefined;
  }

  serves(app: Place): boolean {
    return keyOf(app) === this.#key;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }
}

/** With an endpoint of one's own, that is home. */
export const isLocal = ({ home, endpoint }: Place) => home === "local" && endpoint === undefined;

function keyOf({ name, stage, home, region, profile, endpoint }: Place): string {
  return JSON.stringify([name, stage, home, region, profile, endpoint]);
}
