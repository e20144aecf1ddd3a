/** Buckets of the local cloud, over the unmodified SDK. */
import { Readable } from "node:stream";

import {
  AbortMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  paginateListObjectsV2,
  PutBucketTaggingCommand,
  GetBucketTaggingCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import t, { type Test } from "tap";

import { TestCloud } from "./rig.ts";

function clientOf(t: Test, { serving }: TestCloud, more = {}) {
  const { endpoint, region, accessKeyId, secretAccessKey } = serving;
  const client = new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    maxAttempts: 1,
    ...more,
  });
  t.teardown(() => client.destroy());
  return client;
}

const shared = await TestCloud.open(t);
let buckets = 0;

async function openBucket(t: Test, cloud = shared) {
  const client = clientOf(t, cloud);
  const Bucket = `books-${(buckets += 1)}`;
  await client.send(new CreateBucketCommand({ Bucket }));
  return { cloud, client, Bucket };
}

t.test("objects are put, got, headed, listed, copied and deleted", async (t) => {
  const { client, Bucket } = await openBucket(t);
  const Key = "a folder/ä+b?c.txt";
  const put = await client.send(
    new PutObjectCommand({
      Bucket,
      Key,
      Body: "hello",
      ContentType: "text/plain",
      Metadata: { by: "ann" },
      Tagging: "k=v",
    }),
  );
  t.equal(put.ETag, '"5d41402abc4b2a76b9719d911017c592"');
  const got = await client.send(new GetObjectCommand({ Bucket, Key }));
  t.equal(await got.Body?.transformToString(), "hello");
  t.match(got, { ContentType: "text/plain", ContentLength: 5, Metadata: { by: "ann" }, ETag: put.ETag });
  t.match(await client.send(new HeadObjectCommand({ Bucket, Key })), {
    ContentLength: 5,
    Metadata: { by: "ann" },
  });
  t.match(await client.send(new GetObjectTaggingCommand({ Bucket, Key })), {
    TagSet: [{ Key: "k", Value: "v" }],
  });
  const part = await client.send(new GetObjectCommand({ Bucket, Key, Range: "bytes=1-3" }));
  t.equal(await part.Body?.transformToString(), "ell");
  t.equal(part.ContentRange, "bytes 1-3/5");

  await client.send(
    new CopyObjectCommand({ Bucket, Key: "copy", CopySource: `${Bucket}/${encodeURIComponent(Key)}` }),
  );
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }));
  t.same(
    Contents.map((object) => object.Key),
    [Key, "copy"],
  );
  await client.send(new DeleteObjectCommand({ Bucket, Key }));
  await client.send(new DeleteObjectCommand({ Bucket, Key: "never there" }));
  await t.rejects(client.send(new GetObjectCommand({ Bucket, Key })), { name: "NoSuchKey" });
  await t.rejects(client.send(new HeadObjectCommand({ Bucket, Key })), { name: "NotFound" });
  t.match(
    await client.send(
      new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: "copy" }, { Key: "<&>" }] } }),
    ),
    {
      Deleted: [{ Key: "copy" }, { Key: "<&>" }],
    },
  );
});

t.test("an empty object, a stream of unknown length and one of 20 MB arrive byte for byte", async (t) => {
  const { client, Bucket } = await openBucket(t);
  await client.send(new PutObjectCommand({ Bucket, Key: "empty", Body: new Uint8Array() }));
  const empty = await client.send(new GetObjectCommand({ Bucket, Key: "empty" }));
  t.equal((await empty.Body?.transformToByteArray())?.length, 0);

  const bytes = Buffer.alloc(20 * 1024 * 1024, (await import("node:crypto")).randomBytes(1_021));
  const upload = new Upload({
    client,
    params: { Bucket, Key: "large", Body: Readable.from(chunksOf(bytes)) },
  });
  await upload.done();
  const large = await client.send(new GetObjectCommand({ Bucket, Key: "large" }));
  t.match(large.ETag, /^"[0-9a-f]{32}-4"$/);
  t.ok(Buffer.from((await large.Body?.transformToByteArray()) ?? []).equals(bytes));

  await client.send(new PutObjectCommand({ Bucket, Key: "whole", Body: bytes, ChecksumAlgorithm: "SHA256" }));
  const whole = await client.send(new GetObjectCommand({ Bucket, Key: "whole", ChecksumMode: "ENABLED" }));
  t.ok(whole.ChecksumSHA256);
  t.ok(Buffer.from((await whole.Body?.transformToByteArray()) ?? []).equals(bytes));
  await client.send(
    new PutObjectCommand({
      Bucket,
      Key: "stream",
      Body: Readable.from(chunksOf(bytes)),
      ContentLength: bytes.length,
    }),
  );
  const stream = await client.send(new GetObjectCommand({ Bucket, Key: "stream" }));
  t.ok(
    Buffer.from((await stream.Body?.transformToByteArray()) ?? []).equals(bytes),
    "aws-chunked with a trailer",
  );
});

function* chunksOf(bytes: Buffer) {
  for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
}

t.test("of conditional writes that come together, one wins", async (t) => {
  const { client, Bucket } = await openBucket(t);
  const Key = "lease";
  const first = await Promise.allSettled(
    Array.from({ length: 8 }, (_, n) =>
      client.send(new PutObjectCommand({ Bucket, Key, Body: String(n), IfNoneMatch: "*" })),
    ),
  );
  const won = first.filter((one) => one.status === "fulfilled");
  t.equal(won.length, 1);
  t.ok(first.every((one) => one.status === "fulfilled" || one.reason.name === "PreconditionFailed"));
  const IfMatch = won[0]?.value.ETag;
  const second = await Promise.allSettled(
    Array.from({ length: 8 }, (_, n) =>
      client.send(new PutObjectCommand({ Bucket, Key, Body: `b${n}`, IfMatch })),
    ),
  );
  t.equal(second.filter((one) => one.status === "fulfilled").length, 1);
  await t.rejects(client.send(new PutObjectCommand({ Bucket, Key: "absent", Body: "x", IfMatch: '"x"' })), {
    name: "NoSuchKey",
  });
  await t.rejects(client.send(new DeleteObjectCommand({ Bucket, Key, IfMatch })), {
    name: "PreconditionFailed",
  });
  const current = await client.send(new HeadObjectCommand({ Bucket, Key }));
  const unchanged = await client
    .send(new GetObjectCommand({ Bucket, Key, IfNoneMatch: current.ETag }))
    .catch((error: { $metadata: { httpStatusCode: number } }) => error.$metadata.httpStatusCode);
  t.equal(unchanged, 304);
  await t.rejects(client.send(new GetObjectCommand({ Bucket, Key, IfMatch })), {
    name: "PreconditionFailed",
    $metadata: { httpStatusCode: 412 },
  });
  const same = await client.send(new GetObjectCommand({ Bucket, Key, IfMatch: current.ETag }));
  t.match(await same.Body?.transformToString(), /^b\d$/);

  await client.send(new DeleteObjectCommand({ Bucket, Key, IfMatch: current.ETag }));
  await t.rejects(client.send(new HeadObjectCommand({ Bucket, Key })), { name: "NotFound" });
});

t.test("lists: prefix, delimiter, pages, both versions", async (t) => {
  const { client, Bucket } = await openBucket(t);
  const keys = ["a/1", "a/2", "b/1", "b/c/2", "z", "ä"];
  for (const Key of keys) await client.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
  const top = await client.send(new ListObjectsV2Command({ Bucket, Delimiter: "/" }));
  t.same(
    top.CommonPrefixes?.map(({ Prefix }) => Prefix),
    ["a/", "b/"],
  );
  t.same(
    top.Contents?.map(({ Key }) => Key),
    ["z", "ä"],
  );
  const below = await client.send(new ListObjectsV2Command({ Bucket, Prefix: "b/", Delimiter: "/" }));
  t.same(
    below.CommonPrefixes?.map(({ Prefix }) => Prefix),
    ["b/c/"],
  );
  const found: (string | undefined)[] = [];
  for await (const { Contents = [] } of paginateListObjectsV2({ client, pageSize: 2 }, { Bucket })) {
    found.push(...Contents.map(({ Key }) => Key));
  }
  t.same(found, keys);
  const grouped: (string | undefined)[] = [];
  for await (const page of paginateListObjectsV2({ client, pageSize: 1 }, { Bucket, Delimiter: "/" })) {
    grouped.push(
      ...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix),
      ...(page.Contents ?? []).map(({ Key }) => Key),
    );
  }
  t.same(grouped, ["a/", "b/", "z", "ä"], "a group is listed once, over pages too");
  const old = await client.send(new ListObjectsCommand({ Bucket, Marker: "b/1", MaxKeys: 1 }));
  t.same(
    old.Contents?.map(({ Key }) => Key),
    ["b/c/2"],
  );
  t.ok(old.IsTruncated);
});

t.test("multipart uploads by hand: parts are listed, joined in order, or let go", async (t) => {
  const { client, Bucket } = await openBucket(t);
  const Key = "parts";
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  await client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: "one" }));
  await client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: "uno" }));
  const listed = await client.send(new ListPartsCommand({ Bucket, Key, UploadId }));
  t.match(listed.Parts, [{ PartNumber: 1, Size: 3 }]);
  await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
  await t.rejects(client.send(new ListPartsCommand({ Bucket, Key, UploadId })), { name: "NoSuchUpload" });
  await t.rejects(client.send(new HeadObjectCommand({ Bucket, Key })), { name: "NotFound" });
});

t.test("presigned links work for anybody until they expire, and only as they were signed", async (t) => {
  const { client, Bucket } = await openBucket(t);
  const Key = "for you.txt";
  const putUrl = await getSignedUrl(client, new PutObjectCommand({ Bucket, Key }), { expiresIn: 60 });
  t.equal((await fetch(putUrl, { method: "PUT", body: "by link" })).status, 200);
  const getUrl = await getSignedUrl(
    client,
    new GetObjectCommand({ Bucket, Key, ResponseContentType: "text/x" }),
    {
      expiresIn: 60,
    },
  );
  const got = await fetch(getUrl);
  t.equal(await got.text(), "by link");
  t.equal(got.headers.get("content-type"), "text/x");
  t.equal((await fetch(getUrl.replace("for%20you", "for%20me"))).status, 403);
  t.equal((await fetch(getUrl, { method: "DELETE" })).status, 403);
  const late = await getSignedUrl(client, new GetObjectCommand({ Bucket, Key }), {
    expiresIn: 60,
    signingDate: new Date(Date.now() - 120_000),
  });
  t.match(await (await fetch(late)).text(), /Request has expired/);
});

t.test("another key, no signature and a foreign page are refused; a wrong checksum is too", async (t) => {
  const { cloud, client, Bucket } = await openBucket(t);
  const wrong = clientOf(t, cloud, {
    credentials: { accessKeyId: cloud.serving.accessKeyId, secretAccessKey: "wrong" },
  });
  await t.rejects(wrong.send(new ListBucketsCommand({})), { name: "SignatureDoesNotMatch" });
  t.equal((await fetch(`${cloud.serving.endpoint}/${Bucket}/x`)).status, 403);
  t.equal(
    (await fetch(`${cloud.serving.endpoint}/${Bucket}/x`, { headers: { origin: "https://evil.example" } }))
      .status,
    403,
  );
  await t.rejects(
    client.send(
      new PutObjectCommand({
        Bucket,
        Key: "bad",
        Body: "x",
        ChecksumSHA256: Buffer.alloc(32).toString("base64"),
      }),
    ),
    { name: "BadDigest" },
  );
  await t.rejects(client.send(new HeadObjectCommand({ Bucket, Key: "bad" })), { name: "NotFound" });
  await t.rejects(client.send(new HeadBucketCommand({ Bucket, ExpectedBucketOwner: "000000000000" })));
});

t.test("buckets: made once, listed, tagged, deleted when empty; all of it survives a restart", async (t) => {
  const { cloud, client, Bucket } = await openBucket(t, await TestCloud.open(t));
  await t.rejects(client.send(new CreateBucketCommand({ Bucket })), { name: "BucketAlreadyOwnedByYou" });
  await t.rejects(client.send(new CreateBucketCommand({ Bucket: "No_Name" })), { name: "InvalidBucketName" });
  await t.rejects(client.send(new PutObjectCommand({ Bucket: "absent", Key: "x", Body: "x" })), {
    name: "NoSuchBucket",
  });
  await t.rejects(client.send(new GetBucketTaggingCommand({ Bucket })), { name: "NoSuchTagSet" });
  await client.send(new PutBucketTaggingCommand({ Bucket, Tagging: { TagSet: [{ Key: "a", Value: "1" }] } }));
  await client.send(new PutObjectCommand({ Bucket, Key: "kept", Body: "kept" }));

  await cloud.stop();
  await cloud.start();
  const again = clientOf(t, cloud);
  t.match(await again.send(new ListBucketsCommand({})), { Buckets: [{ Name: Bucket }] });
  t.match(await again.send(new GetBucketTaggingCommand({ Bucket })), { TagSet: [{ Key: "a", Value: "1" }] });
  const kept = await again.send(new GetObjectCommand({ Bucket, Key: "kept" }));
  t.equal(await kept.Body?.transformToString(), "kept");
  await t.rejects(again.send(new DeleteBucketCommand({ Bucket })), { name: "BucketNotEmpty" });
  await again.send(new DeleteObjectCommand({ Bucket, Key: "kept" }));
  await again.send(new DeleteBucketCommand({ Bucket }));
  t.same((await again.send(new ListBucketsCommand({}))).Buckets ?? [], []);
});
