/**
 * Where the app is deployed to: the local cloud, or AWS. Both through the same clients and the same deployment; only
 * the endpoint differs.
 */
import type { WantedApp } from "../proto/app.ts";

import { Aws } from "./aws/aws.ts";
import { ensureCloud, type CloudAddress } from "./cloud/launch.ts";
import { Deploy, type DeployOptions } from "./deploy/deploy.ts";
import { noWayForStubs, stageHoldsCode } from "./lib/errors.ts";
import { componentLog, type Log } from "./lib/log.ts";
import { PROGRAMS } from "./lib/programs.ts";
import { Scope } from "./lib/scope.ts";

export type { Standing } from "./deploy/deploy.ts";

export type HomeOptions = Pick<DeployOptions, "journal" | "bridge" | "onPlanned" | "onStep"> & {
  readonly app: WantedApp;
  /** The local cloud's state, for home: local. */
  readonly cloudDir: string;
  readonly log: Log;
};

export class Home {
  readonly cloud: CloudAddress | undefined;
  readonly deploy: Deploy;
  readonly #key: string;
  readonly #scope: Scope;

  /** @throws LivedevError where the local cloud cannot be started, or stubs have no way here. */
  static async open(options: HomeOptions): Promise<Home> {
    const { app, log } = options;
    if (app.home === "aws" && app.endpoint === undefined) throw noWayForStubs();
    const scope = new Scope();
    const cloud = app.home === "local" ? await ensureCloud(options.cloudDir) : undefined;
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
        stubFile: PROGRAMS.stub,
        bridge: options.bridge,
        onPlanned: options.onPlanned,
        onStep: options.onStep,
        log: componentLog(log, "deploy"),
      }),
    );
    return new Home(keyOf(app), scope, cloud, deploy);
  }

  private constructor(key: string, scope: Scope, cloud: CloudAddress | undefined, deploy: Deploy) {
    this.#key = key;
    this.#scope = scope;
    this.cloud = cloud;
    this.deploy = deploy;
  }

  serves(app: WantedApp): boolean {
    return keyOf(app) === this.#key;
  }

  /** @throws LivedevError where functions of this stage hold code that stubs would replace. */
  async mustNotHoldCode(app: WantedApp): Promise<void> {
    const functions = await this.deploy.holdingCode(app);
    if (functions.length > 0) throw stageHoldsCode(app.name, app.stage, functions);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }
}

function keyOf({ name, stage, home, region, profile, endpoint }: WantedApp): string {
  return JSON.stringify([name, stage, home, region, profile, endpoint]);
}
