/**
 * The bucket that holds the state of all stages of an account and region: leases and, later, what was deployed. Its
 * name tells whose it is, and every call says who must own it, since bucket names are everybody's.
 */
import {
  CreateBucketCommand,
  PutPublicAccessBlockCommand,
  type BucketLocationConstraint,
} from "@aws-sdk/client-s3";
import { GetCallerIdentityCommand } from "@aws-sdk/client-sts";

import type { Aws } from "../aws/aws.ts";
import { awsName, explainAws } from "../aws/failure.ts";

export type StateBucket = { readonly Bucket: string; readonly ExpectedBucketOwner: string };

const PRESENT = ["BucketAlreadyOwnedByYou", "BucketAlreadyExists"];
const UNSUPPORTED = ["NotImplemented"];

/** Makes it where it is absent. @throws LivedevError */
export async function openStateBucket(aws: Aws, signal: AbortSignal): Promise<StateBucket> {
  const [s3, sts] = await Promise.all([aws.s3(), aws.sts()]);
  try {
    const { Account = "" } = await sts.send(new GetCallerIdentityCommand({}), { abortSignal: signal });
    const bucket = { Bucket: `livedev-state-${Account}-${aws.region}`, ExpectedBucketOwner: Account };
    // us-east-1 must not be named. @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
    const place =
      aws.region === "us-east-1"
        ? {}
        : { CreateBucketConfiguration: { LocationConstraint: aws.region as BucketLocationConstraint } };
    const created = await unless(PRESENT, () =>
      s3.send(new CreateBucketCommand({ Bucket: bucket.Bucket, ...place }), { abortSignal: signal }),
    );
    if (created !== undefined) {
      const all = {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      };
      await unless(UNSUPPORTED, () =>
        s3.send(new PutPublicAccessBlockCommand({ ...bucket, PublicAccessBlockConfiguration: all }), {
          abortSignal: signal,
        }),
      );
    }
    return bucket;
  } catch (error) {
    throw explainAws(error, "opening the bucket of livedev's state", aws.where);
  }
}

async function unless<T>(names: readonly string[], call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    if (names.includes(awsName(error) ?? "")) return undefined;
    throw error;
  }
}
