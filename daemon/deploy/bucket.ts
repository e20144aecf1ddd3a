/** A bucket's steps. Each may be done again after a kill anywhere in it: the hash tag is set last. */
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteBucketCorsCommand,
  DeleteBucketLifecycleCommand,
  DeleteBucketPolicyCommand,
  DeleteObjectsCommand,
  GetBucketCorsCommand,
  GetBucketLifecycleConfigurationCommand,
  GetBucketPolicyCommand,
  GetBucketTaggingCommand,
  GetBucketVersioningCommand,
  GetPublicAccessBlockCommand,
  ListBucketsCommand,
  ListObjectVersionsCommand,
  paginateListObjectsV2,
  PutBucketCorsCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketPolicyCommand,
  PutBucketTaggingCommand,
  PutBucketVersioningCommand,
  PutPublicAccessBlockCommand,
  type BucketLocationConstraint,
  type ObjectIdentifier,
  type S3Client,
} from "@aws-sdk/client-s3";

import { resolveOutputs, type WantedBucket } from "../../proto/app.ts";
import { notOurs } from "../lib/errors.ts";
import type { Calls } from "./calls.ts";
import { isOurs, type Stage } from "./deployed.ts";
import { each } from "./each.ts";
import { partitionOf, TAGS, type Lookup } from "./stubs.ts";
import type { BucketFacts, DeployedThing, WantedThing } from "./things.ts";

type Wanted = Extract<WantedThing, { is: "bucket" }>;

const GONE = ["NoSuchBucket", "NotFound"];
const UNSET = [
  "NoSuchTagSet",
  "NoSuchTagSetError",
  "NoSuchCORSConfiguration",
  "NoSuchBucketPolicy",
  "NoSuchLifecycleConfiguration",
  "NoSuchPublicAccessBlockConfiguration",
  ...GONE,
];
const MINE = ["BucketAlreadyOwnedByYou"];
/** The local cloud keeps what a bucket holds, and does without some of how it is kept. */
const UNSUPPORTED = ["NotImplemented"];
const WIDTH = 8;

/**
 * `known`: names of buckets that were made for this stage; `begun`: those that the journal has. Tags come with a call
 * of their own: one of `begun` that has none was made by a run that was killed before it.
 */
export async function readBuckets(
  calls: Calls,
  of: Stage,
  known: Iterable<string>,
  { begun, thorough }: { readonly begun: ReadonlySet<string>; readonly thorough: boolean },
): Promise<DeployedThing[]> {
  const client = await calls.aws.s3();
  const prefix = `${of.app}-${of.stage}-`.toLowerCase().replaceAll(/[^a-z0-9-]/g, "-");
  const names = new Set(known);
  const { Buckets = [] } = await calls.try("ListBuckets", () =>
    client.send(new ListBucketsCommand({}), { abortSignal: calls.signal }),
  );
  for (const { Name = "" } of Buckets) if (Name.startsWith(prefix)) names.add(Name);
  const found: DeployedThing[] = [];
  await each(names, WIDTH, async (name) => {
    const tags = await tagsOf(calls, client, name);
    if (tags === undefined) return;
    const halfMade = begun.has(name) && Object.keys(tags).length === 0;
    if (!halfMade && !isOurs(tags, of)) return;
    found.push({
      is: "bucket",
      kind: "aws.Bucket",
      component: tags[TAGS.component] ?? name,
      nameInAws: name,
      hash: tags[TAGS.hash],
      outputs: bucketOutputs(name, calls.aws.region),
      ...(thorough && { facts: await factsOf(calls, client, name) }),
    });
  });
  return found;
}

/** What may have been changed by somebody else. What this S3 does not have at all is left out. */
async function factsOf(calls: Calls, client: S3Client, Bucket: string): Promise<BucketFacts> {
  const ask = <T>(what: string, call: () => Promise<T>) =>
    calls.unless(UNSUPPORTED, `${what} of ${Bucket}`, async (): Promise<{ readonly found?: T }> => {
      try {
        return { found: await call() };
      } catch (error) {
        if (error instanceof Error && UNSET.includes(error.name)) return {};
        throw error;
      }
    });
  const versioning = await ask("GetBucketVersioning", () =>
    client.send(new GetBucketVersioningCommand({ Bucket })),
  );
  const access = await ask("GetPublicAccessBlock", () =>
    client.send(new GetPublicAccessBlockCommand({ Bucket })),
  );
  const policy = await ask("GetBucketPolicy", () => client.send(new GetBucketPolicyCommand({ Bucket })));
  const cors = await ask("GetBucketCors", () => client.send(new GetBucketCorsCommand({ Bucket })));
  const lifecycle = await ask("GetBucketLifecycleConfiguration", () =>
    client.send(new GetBucketLifecycleConfigurationCommand({ Bucket })),
  );
  const { BlockPublicPolicy = false, RestrictPublicBuckets = false } =
    access?.found?.PublicAccessBlockConfiguration ?? {};
  return {
    is: "bucket",
    ...(versioning && { versioning: versioning.found?.Status === "Enabled" }),
    ...(access && { closed: BlockPublicPolicy && RestrictPublicBuckets }),
    ...(policy && { enforceHttps: policy.found?.Policy?.includes("aws:SecureTransport") ?? false }),
    ...(cors && { cors: (cors.found?.CORSRules?.length ?? 0) > 0 }),
    ...(lifecycle && { lifecycleRules: lifecycle.found?.Rules?.length ?? 0 }),
  };
}

export function bucketOutputs(name: string, region: string): Record<string, unknown> {
  return {
    name,
    arn: `arn:${partitionOf(region)}:s3:::${name}`,
    domain: `${name}.s3.${region}.amazonaws.com`,
  };
}

export async function putBucket(
  calls: Calls,
  wanted: Wanted,
  of: Stage,
  lookup: Lookup,
): Promise<DeployedThing> {
  const client = await calls.aws.s3();
  const { nameInAws: Bucket, bucket } = wanted;
  const { region } = calls.aws;
  const send = <T>(what: string, call: () => Promise<T>) =>
    calls.unless(UNSUPPORTED, `${what} of ${Bucket}`, call);
  // us-east-1 must not be named. @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
  const place =
    region === "us-east-1"
      ? {}
      : { CreateBucketConfiguration: { LocationConstraint: region as BucketLocationConstraint } };
  const standing = await tagsOf(calls, client, Bucket);
  if (standing === undefined) {
    await calls.unless(MINE, `CreateBucket ${Bucket}`, () =>
      client.send(new CreateBucketCommand({ Bucket, ...place })),
    );
  } else if (!isOurs(standing, of) && Object.keys(standing).length > 0) {
    throw notOurs("bucket", Bucket, of.app, of.stage);
  }
  const TagSet = (tags: Readonly<Record<string, string>>) => ({
    TagSet: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
  });
  // Whose it is, at once; that it is done, at last.
  await calls.try(`PutBucketTagging of ${Bucket}`, () =>
    client.send(new PutBucketTaggingCommand({ Bucket, Tagging: TagSet(wanted.tags) })),
  );
  const open = bucket.access === "public";
  await send("PutPublicAccessBlock", () =>
    client.send(
      new PutPublicAccessBlockCommand({
        Bucket,
        PublicAccessBlockConfiguration: {
          BlockPublicAcls: true,
          IgnorePublicAcls: true,
          BlockPublicPolicy: !open,
          RestrictPublicBuckets: !open,
        },
      }),
    ),
  );
  const statements = policyOf(bucket, bucketOutputs(Bucket, region)["arn"] as string, lookup);
  await send("the policy", () =>
    statements.length === 0
      ? client.send(new DeleteBucketPolicyCommand({ Bucket }))
      : client.send(
          new PutBucketPolicyCommand({
            Bucket,
            Policy: JSON.stringify({ Version: "2012-10-17", Statement: statements }),
          }),
        ),
  );
  await send("PutBucketVersioning", () =>
    client.send(
      new PutBucketVersioningCommand({
        Bucket,
        VersioningConfiguration: { Status: bucket.versioning ? "Enabled" : "Suspended" },
      }),
    ),
  );
  const { cors } = bucket;
  await send("the CORS rules", () =>
    cors === undefined
      ? client.send(new DeleteBucketCorsCommand({ Bucket }))
      : client.send(
          new PutBucketCorsCommand({
            Bucket,
            CORSConfiguration: {
              CORSRules: [
                {
                  AllowedMethods: [...(cors.allowMethods ?? ["GET", "HEAD", "PUT", "POST", "DELETE"])],
                  AllowedOrigins: [...(cors.allowOrigins ?? ["*"])],
                  AllowedHeaders: [...(cors.allowHeaders ?? ["*"])],
                  ...(cors.exposeHeaders !== undefined && { ExposeHeaders: [...cors.exposeHeaders] }),
                  ...(cors.maxAgeSeconds !== undefined && { MaxAgeSeconds: cors.maxAgeSeconds }),
                },
              ],
            },
          }),
        ),
  );
  await send("the lifecycle", () => putLifecycle(client, Bucket, bucket));
  await calls.try(`PutBucketTagging of ${Bucket}`, () =>
    client.send(
      new PutBucketTaggingCommand({ Bucket, Tagging: TagSet({ ...wanted.tags, [TAGS.hash]: wanted.hash }) }),
    ),
  );
  const { is, kind, component, nameInAws, hash } = wanted;
  return { is, kind, component, nameInAws, hash, outputs: bucketOutputs(Bucket, region) };
}

function putLifecycle(client: S3Client, Bucket: string, { lifecycle }: WantedBucket): Promise<unknown> {
  if (lifecycle.length === 0) return client.send(new DeleteBucketLifecycleCommand({ Bucket }));
  return client.send(
    new PutBucketLifecycleConfigurationCommand({
      Bucket,
      LifecycleConfiguration: {
        Rules: lifecycle.map(({ id, enabled, prefix, expiresInDays, expiresAt }, index) => ({
          ID: id ?? `rule-${index + 1}`,
          Status: enabled ? "Enabled" : "Disabled",
          Filter: { Prefix: prefix ?? "" },
          Expiration: {
            ...(expiresInDays !== undefined && { Days: expiresInDays }),
            ...(expiresAt !== undefined && { Date: new Date(expiresAt) }),
          },
        })),
      },
    }),
  );
}

function policyOf(bucket: WantedBucket, arn: string, lookup: Lookup): unknown[] {
  const statements: unknown[] = [];
  if (bucket.enforceHttps) {
    statements.push({
      Effect: "Deny",
      Principal: "*",
      Action: "s3:*",
      Resource: [arn, `${arn}/*`],
      Condition: { Bool: { "aws:SecureTransport": "false" } },
    });
  }
  if (bucket.access !== "private") {
    const Principal = bucket.access === "public" ? "*" : { Service: "cloudfront.amazonaws.com" };
    statements.push({ Effect: "Allow", Principal, Action: "s3:GetObject", Resource: `${arn}/*` });
  }
  const types = {
    aws: "AWS",
    service: "Service",
    federated: "Federated",
    canonical: "CanonicalUser",
  } as const;
  for (const { effect, actions, principals, conditions, paths } of bucket.policy) {
    statements.push({
      Effect: effect === "deny" ? "Deny" : "Allow",
      Action: actions,
      Principal:
        principals === "*"
          ? "*"
          : Object.fromEntries(
              principals.map(({ type, identifiers }) => [types[type], resolveOutputs(identifiers, lookup)]),
            ),
      Resource: paths.map((path) => (path === "" ? arn : `${arn}/${path}`)),
      ...(conditions.length > 0 && {
        Condition: Object.fromEntries(
          conditions.map(({ test, variable, values }) => [
            test,
            { [variable]: resolveOutputs(values, lookup) },
          ]),
        ),
      }),
    });
  }
  return statements;
}

/** With all that is in it. */
export async function deleteBucket(calls: Calls, Bucket: string): Promise<void> {
  const client = await calls.aws.s3();
  await emptyBucket(calls, Bucket);
  await calls.unless(GONE, `DeleteBucket ${Bucket}`, () => client.send(new DeleteBucketCommand({ Bucket })));
}

/** Old versions too. */
export async function emptyBucket(calls: Calls, Bucket: string): Promise<void> {
  const client = await calls.aws.s3();
  for (;;) {
    const Objects = await some(calls, client, Bucket);
    if (Objects.length === 0) return;
    await calls.unless(GONE, `DeleteObjects of ${Bucket}`, () =>
      client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects, Quiet: true } }), {
        abortSignal: calls.signal,
      }),
    );
  }
}

async function some(calls: Calls, client: S3Client, Bucket: string): Promise<ObjectIdentifier[]> {
  const versions = await calls.unless([...GONE, ...UNSUPPORTED], `ListObjectVersions of ${Bucket}`, () =>
    client.send(new ListObjectVersionsCommand({ Bucket, MaxKeys: 1000 }), { abortSignal: calls.signal }),
  );
  if (versions !== undefined) {
    return [...(versions.Versions ?? []), ...(versions.DeleteMarkers ?? [])].flatMap(({ Key, VersionId }) =>
      Key === undefined ? [] : [{ Key, ...(VersionId !== undefined && { VersionId }) }],
    );
  }
  const found = await calls.unless(GONE, `ListObjects of ${Bucket}`, async () => {
    for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket, MaxKeys: 1000 })) {
      return Contents.flatMap(({ Key }) => (Key === undefined ? [] : [{ Key }]));
    }
    return [];
  });
  return found ?? [];
}

/** Undefined where there is no such bucket, or it is not to be looked at: somebody else's. */
async function tagsOf(
  calls: Calls,
  client: S3Client,
  Bucket: string,
): Promise<Record<string, string> | undefined> {
  let tags: Record<string, string> | undefined = {};
  try {
    const { TagSet = [] } = await client.send(new GetBucketTaggingCommand({ Bucket }), {
      abortSignal: calls.signal,
    });
    tags = Object.fromEntries(TagSet.map(({ Key = "", Value = "" }) => [Key, Value]));
  } catch (error) {
    const name = error instanceof Error ? error.name : "";
    if (GONE.includes(name)) tags = undefined;
    else if (!UNSET.includes(name))
      await calls.try(`GetBucketTagging of ${Bucket}`, () => Promise.reject(error as Error));
  }
  return tags;
}
