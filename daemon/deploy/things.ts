/** What stands beside functions: buckets, and what CloudFormation carries out. */
import type { WantedBucket, WantedStack } from "../../proto/app.ts";
import type { StackDrift } from "./stack-drift.ts";

export type BucketFacts = {
  readonly is: "bucket";
  readonly versioning?: boolean;
  /** Whether S3 lets nobody else in, whatever its policy says. */
  readonly closed?: boolean;
  readonly enforceHttps?: boolean;
  readonly cors?: boolean;
  readonly lifecycleRules?: number;
};

export type StackFacts = {
  readonly is: "stack";
  /** Those that CloudFormation shows. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly template: string;
  /** Of its resources; absent where they were not looked at. */
  readonly drift?: StackDrift;
};

type Thing = {
  /** `aws.Bucket`, `aws.Vpc` … */
  readonly kind: string;
  readonly component: string;
  readonly nameInAws: string;
};

export type WantedThing = Thing & {
  readonly tags: Readonly<Record<string, string>>;
  readonly hash: string;
} & (
    | { readonly is: "bucket"; readonly bucket: WantedBucket }
    | {
        readonly is: "stack";
        /** JSON or YAML. */
        readonly template: string;
        readonly parameters: Readonly<Record<string, string>>;
        readonly capabilities: WantedStack["capabilities"];
        /** Files that go into the bucket that the stack gives as its output `Bucket`. */
        readonly files?: SiteFiles;
      }
  );

export type SiteFiles = {
  /** Absolute. */
  readonly folder: string;
  readonly indexPage: string;
};

export type DeployedThing = Thing & {
  readonly is: WantedThing["is"];
  /** Of its tags; undefined: its step did not come to its end. */
  readonly hash: string | undefined;
  /** As it stands, whatever its tags say; absent where it was not looked at. */
  readonly facts?: BucketFacts | StackFacts;
  readonly outputs: Readonly<Record<string, unknown>>;
};
