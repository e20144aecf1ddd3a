/** What deploy/ is given, asked and answers. */
import type { Aws } from "../aws/aws.ts";
import type { Log } from "../lib/log.ts";
import type { Change } from "./changes.ts";
import type { Journal } from "./journal.ts";
import type { Standings } from "./outputs.ts";
import type { Step } from "./plan.ts";
import type { BuildForRelease, Release } from "./release.ts";
import type { StateFile } from "./state-file.ts";
import type { BridgeAddress, Lookup } from "./stubs.ts";
import type { Mode, Wanted, WantedParts } from "./wanted.ts";

export type DeployOptions = {
  readonly aws: Aws;
  readonly journal: Journal;
  readonly app: string;
  readonly stage: string;
  /** The local cloud has none. */
  readonly cloudFormation: boolean;
  readonly project: string;
  /** For packages that are being made. */
  readonly workDir: string;
  /** dist/stub.mjs. */
  readonly stubFile: string;
  /** Makes a function's bundle for a real deployment. */
  readonly build: BuildForRelease;
  /** Asked at each run: how stubs reach the bridge, and the stage's key. */
  readonly bridge: () => {
    readonly addresses: readonly BridgeAddress[];
    readonly key: Uint8Array;
    readonly keyId: string;
  };
  /** By name, as they are now: outputs that are a secret's value come to it. They stand in no plan and no state. */
  readonly secrets?: (() => Readonly<Record<string, string>>) | undefined;
  /** The steps that a run will take, as far as they are known at its beginning. */
  readonly onPlanned?: ((steps: readonly Pick<Stepped, "step" | "resource">[]) => void) | undefined;
  readonly onStep: (step: Stepped) => void;
  /** A package that is larger goes over S3. */
  readonly maxRequestBytes?: number | undefined;
  readonly log: Log;
};

/** A step that is done. */
export type Stepped = {
  /** `create`, `update`, `delete`; `run` of a component's own command. */
  readonly step: Step["action"] | "run";
  /** In the app's words: `aws.Function "MyApi" role`. */
  readonly resource: string;
  readonly tookMs: number;
};

export type Planned = {
  readonly steps: readonly PlannedStep[];
  /** Commands that a deployment runs each time: whether they change anything is theirs to know. */
  readonly commands: readonly { readonly resource: string; readonly command: string }[];
  /** What could not be looked at, a sentence each. */
  readonly notes: readonly string[];
};

export type PlannedStep = {
  readonly step: Step["action"];
  readonly resource: string;
  readonly changes: readonly Change[];
  /** Changed by somebody else since it was deployed. */
  readonly drift: boolean;
};

export type DeployResult = {
  readonly steps: number;
  readonly tookMs: number;
  readonly functions: Readonly<Record<string, Standing>>;
  /** By reference (`MyBucket.name`): what components give. */
  readonly known: Readonly<Record<string, unknown>>;
  /** What the config's `run()` returned. */
  readonly outputs: Readonly<Record<string, unknown>>;
};

export type ApplyOptions = {
  readonly mode?: Mode;
  /** Whether stubs may take the place of deployed code. */
  readonly replaceCode?: boolean;
  /** Functions that the app does not have any more stay for now. */
  readonly keepRemoved?: boolean;
  /** Stops before the next step; those under way come to their end. */
  readonly signal?: AbortSignal | undefined;
};

export type Standing = { readonly functionArn: string; readonly nameInAws: string; readonly url?: string };

export type Prepared = {
  standings: Standings;
  readonly program: Uint8Array;
  readonly file: StateFile | undefined;
  readonly parts: WantedParts;
  readonly releases: ReadonlyMap<string, Release>;
  /** `printed`: URLs that commands printed. */
  readonly wanted: (standings: Standings, printed?: Readonly<Record<string, unknown>>) => Wanted;
  readonly plan: () => { readonly steps: readonly Step[]; readonly wanted: Wanted };
  readonly read: () => Promise<void>;
  /** Puts the links of a function that is deployed into its package, as `lookup` knows them now. */
  readonly seal: (component: string, lookup: Lookup) => Promise<void>;
};
