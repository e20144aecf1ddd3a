/**
 * S3, as far as functions and livedev itself use it: path style, one account's buckets. What is not here answers
 * NotImplemented.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
 */
import { createHash, randomUUID } from "node:crypto";
import { Readable } from "node:stream";

import { XMLParser } from "fast-xml-parser";

import { AwsError, unsupported } from "./aws-error.ts";
import { checksumsOf, verifiedBody } from "./s3-checksums.ts";
import { listObjects } from "./s3-list.ts";
import type { Bucket, ObjectMeta, Part, S3Store, Upload } from "./s3-store.ts";
import { restXml, type ApiResponse } from "./protocols.ts";

export type S3Request = {
  readonly method: string;
  readonly region: string;
  readonly bucket: string;
  readonly key: string;
  readonly query: URLSearchParams;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Readable;
};

/** Sub-resources that are kept as they were given. */
const DOCUMENTS: Readonly<Record<string, string>> = {
  policy: "NoSuchBucketPolicy",
  cors: "NoSuchCORSConfiguration",
  tagging: "NoSuchTagSet",
  versioning: "",
  lifecycle: "NoSuchLifecycleConfiguration",
  encryption: "ServerSideEncryptionConfigurationNotFoundError",
  publicAccessBlock: "NoSuchPublicAccessBlockConfiguration",
  ownershipControls: "OwnershipControlsNotFoundError",
  notification: "",
};

/** Headers that S3 keeps and gives back. */
const KEPT =
  /^(?:content-type|content-encoding|content-language|content-disposition|cache-control|expires|x-amz-meta-.*|x-amz-website-redirect-location|x-amz-checksum-.*)$/;

export async function callS3(request: S3Request, store: S3Store, accountId: string): Promise<ApiResponse> {
  const owner = request.headers["x-amz-expected-bucket-owner"];
  if (owner !== undefined && owner !== accountId) throw new AwsError(403, "AccessDenied", "Access Denied");
  if (request.bucket === "") return listBuckets(request, store, accountId);
  if (request.key === "") return callBucket(request, store);
  const bucket = bucketOf(request, store);
  const { method, query } = request;
  if (query.has("uploadId") || query.has("uploads")) return callUpload(request, bucket, store);
  if (query.has("tagging")) return objectTagging(request, bucket);
  for (const name of ["acl", "retention", "legal-hold", "torrent", "select", "restore", "attributes"]) {
    if (query.has(name)) throw unsupported(`S3: ${method} ?${name}`);
  }
  switch (method) {
    case "PUT":
      return request.headers["x-amz-copy-source"] === undefined
        ? putObject(request, bucket)
        : copyObject(request, bucket, store);
    case "GET":
    case "HEAD":
      return getObject(request, bucket);
    case "DELETE": {
      const found = bucket.get(request.key);
      const wanted = request.headers["if-match"];
      if (wanted !== undefined && (found === undefined || !matches(wanted, found.etag))) throw precondition();
      bucket.delete(request.key);
      return { status: 204 };
    }
    default:
      throw unsupported(`S3: ${method} of an object`);
  }
}

// ---- buckets

function listBuckets({ method }: S3Request, store: S3Store, accountId: string): ApiResponse {
  if (method !== "GET") throw unsupported(`S3: ${method} /`);
  const buckets = store
    .buckets()
    .map(({ name, createdAt }) => ({ Name: name, CreationDate: iso(createdAt) }));
  return restXml(200, "ListAllMyBucketsResult", { Owner: { ID: accountId }, Buckets: { Bucket: buckets } });
}

async function callBucket(request: S3Request, store: S3Store): Promise<ApiResponse> {
  const { method, query, bucket: name } = request;
  if (method === "PUT" && [...query.keys()].every((key) => key === "x-id"))
    return createBucket(request, store);
  const bucket = bucketOf(request, store);
  if (query.has("location") && method === "GET") return restXml(200, "LocationConstraint", {});
  if (query.has("delete") && method === "POST") return deleteObjects(request, bucket);
  if (query.has("uploads") && method === "GET") return listUploads(bucket, store);
  for (const [document, missing] of Object.entries(DOCUMENTS)) {
    if (query.has(document)) return bucketDocument(request, bucket, document, missing);
  }
  switch (method) {
    case "HEAD":
      return { status: 200, headers: { "x-amz-bucket-region": request.region } };
    case "GET":
      return listObjects(query, bucket);
    case "DELETE":
      if (!bucket.empty) {
        throw new AwsError(409, "BucketNotEmpty", "The bucket you tried to delete is not empty");
      }
      store.delete(name);
      return { status: 204 };
    default:
      throw unsupported(`S3: ${method} of a bucket`);
  }
}

function createBucket({ bucket: name }: S3Request, store: S3Store): ApiResponse {
  if (!/^[a-z0-9](?:[a-z0-9.-]{1,61})[a-z0-9]$/.test(name)) {
    throw new AwsError(400, "InvalidBucketName", "The specified bucket is not valid.", { BucketName: name });
  }
  if (store.bucket(name) !== undefined) {
    throw new AwsError(
      409,
      "BucketAlreadyOwnedByYou",
      "Your previous request to create the named bucket succeeded and you already own it.",
      { BucketName: name },
    );
  }
  store.create(name);
  return { status: 200, headers: { location: `/${name}` } };
}

async function bucketDocument(
  { method, body }: S3Request,
  bucket: Bucket,
  document: string,
  missing: string,
): Promise<ApiResponse> {
  switch (method) {
    case "PUT":
      bucket.setDocument(document, await textOf(body));
      return { status: document === "policy" ? 204 : 200 };
    case "DELETE":
      bucket.setDocument(document, undefined);
      return { status: 204 };
    case "GET": {
      const text = bucket.document(document);
      if (text !== undefined) {
        return {
          status: 200,
          headers: { "content-type": document === "policy" ? "application/json" : "application/xml" },
          body: text,
        };
      }
      if (missing !== "")
        throw new AwsError(404, missing, `The bucket has no ${document}.`, { BucketName: bucket.name });
      return restXml(
        200,
        document === "versioning" ? "VersioningConfiguration" : "NotificationConfiguration",
        {},
      );
    }
    default:
      throw unsupported(`S3: ${method} ?${document}`);
  }
}

// ---- objects

async function putObject(request: S3Request, bucket: Bucket): Promise<ApiResponse> {
  const { body, headers: checksums } = verifiedBody(request);
  const incoming = await bucket.receive(body);
  const etag = `"${incoming.md5}"`;
  try {
    checkMd5(request, incoming.md5);
    checkWrite(request, bucket.get(request.key));
  } catch (error) {
    await bucket.drop(incoming);
    throw error;
  }
  bucket.put({
    key: request.key,
    size: incoming.size,
    etag,
    modifiedAt: Date.now(),
    headers: { ...keptHeaders(request), ...checksums() },
    tags: Object.fromEntries(new URLSearchParams(request.headers["x-amz-tagging"] ?? "")),
    file: incoming.file,
  });
  return { status: 200, headers: { etag, ...checksums() } };
}

async function copyObject(request: S3Request, bucket: Bucket, store: S3Store): Promise<ApiResponse> {
  const { source, meta } = sourceOf(request, store);
  const incoming = await bucket.receive(source.read(meta));
  const replace = request.headers["x-amz-metadata-directive"] === "REPLACE";
  const modifiedAt = Date.now();
  bucket.put({
    ...meta,
    key: request.key,
    etag: `"${incoming.md5}"`,
    modifiedAt,
    headers: replace ? keptHeaders(request) : meta.headers,
    file: incoming.file,
  });
  return restXml(200, "CopyObjectResult", { ETag: `"${incoming.md5}"`, LastModified: iso(modifiedAt) });
}

function sourceOf(request: S3Request, store: S3Store): { source: Bucket; meta: ObjectMeta } {
  const [path = ""] = (request.headers["x-amz-copy-source"] ?? "").split("?versionId=");
  const [, name = "", key = ""] = /^\/?([^/]+)\/(.+)$/s.exec(decodeURIComponent(path)) ?? [];
  const source = store.bucket(name);
  if (source === undefined) throw noBucket(name);
  const meta = source.get(key);
  if (meta === undefined) throw noKey(key);
  return { source, meta };
}

function getObject({ method, key, headers, query }: S3Request, bucket: Bucket): ApiResponse {
  const meta = bucket.get(key);
  if (meta === undefined) throw noKey(key);
  const modified = new Date(meta.modifiedAt).toUTCString();
  const shown: Record<string, string> = {
    "content-type": "binary/octet-stream",
    ...meta.headers,
    etag: meta.etag,
    "last-modified": modified,
    "accept-ranges": "bytes",
    "content-length": String(meta.size),
    ...overrides(query),
  };
  if (headers["x-amz-checksum-mode"]?.toUpperCase() !== "ENABLED" || headers["range"] !== undefined) {
    for (const name of Object.keys(shown)) if (name.startsWith("x-amz-checksum-")) delete shown[name];
  }
  const unchanged = headers["if-none-match"];
  const wanted = headers["if-match"];
  if (wanted !== undefined && !matches(wanted, meta.etag)) throw precondition();
  if (unchanged !== undefined && matches(unchanged, meta.etag))
    return { status: 304, headers: { etag: meta.etag } };
  const since = Date.parse(headers["if-modified-since"] ?? "");
  if (unchanged === undefined && Math.floor(meta.modifiedAt / 1000) * 1000 <= since) {
    return { status: 304, headers: { etag: meta.etag } };
  }
  const range = rangeOf(headers["range"], meta.size);
  if (range !== undefined) {
    shown["content-range"] = `bytes ${range.start}-${range.end}/${meta.size}`;
    shown["content-length"] = String(range.end - range.start + 1);
  }
  const status = range === undefined ? 200 : 206;
  if (method === "HEAD") return { status, headers: shown };
  // A stream of no bytes has no range.
  const body = meta.size === 0 ? Readable.from([]) : bucket.read(meta, range);
  return { status, headers: shown, body };
}

/** `response-content-type=…` of a presigned link. */
function overrides(query: URLSearchParams): Record<string, string> {
  return Object.fromEntries(
    [...query].flatMap(([name, value]) =>
      name.startsWith("response-") ? [[name.slice("response-".length), value]] : [],
    ),
  );
}

function rangeOf(header: string | undefined, size: number): { start: number; end: number } | undefined {
  const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? [];
  if (first === "" && last === "") return undefined;
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size - 1 : Math.min(Number(last), size - 1);
  if (start > end || start >= size) {
    throw new AwsError(416, "InvalidRange", "The requested range is not satisfiable");
  }
  return { start, end };
}

async function objectTagging({ method, key, body }: S3Request, bucket: Bucket): Promise<ApiResponse> {
  const meta = bucket.get(key);
  if (meta === undefined) throw noKey(key);
  if (method === "GET") {
    const tags = Object.entries(meta.tags).map(([Key, Value]) => ({ Key, Value }));
    return restXml(200, "Tagging", { TagSet: { Tag: tags } });
  }
  if (method !== "PUT" && method !== "DELETE") throw unsupported(`S3: ${method} ?tagging`);
  const given = method === "PUT" ? listIn(parseXml(await textOf(body)), ["Tagging", "TagSet"], "Tag") : [];
  bucket.put({
    ...meta,
    tags: Object.fromEntries(given.map((tag) => [String(tag["Key"]), String(tag["Value"])])),
  });
  return { status: method === "PUT" ? 200 : 204 };
}

async function deleteObjects({ body }: S3Request, bucket: Bucket): Promise<ApiResponse> {
  const parsed = parseXml(await textOf(body));
  const keys = listIn(parsed, ["Delete"], "Object").map((item) => String(item["Key"]));
  for (const key of keys) bucket.delete(key);
  const quiet = String((parsed["Delete"] as Fields | undefined)?.["Quiet"]) === "true";
  return restXml(200, "DeleteResult", { Deleted: quiet ? [] : keys.map((Key) => ({ Key })) });
}

// ---- multipart uploads

async function callUpload(request: S3Request, bucket: Bucket, store: S3Store): Promise<ApiResponse> {
  const { method, query, key } = request;
  if (method === "POST" && query.has("uploads")) {
    const id = randomUUID().replaceAll("-", "");
    const upload: Upload = {
      id,
      bucket: bucket.name,
      key,
      startedAt: Date.now(),
      headers: keptHeaders(request),
      parts: new Map(),
    };
    store.uploads.set(id, upload);
    return restXml(200, "InitiateMultipartUploadResult", { Bucket: bucket.name, Key: key, UploadId: id });
  }
  const upload = store.uploads.get(query.get("uploadId") ?? "");
  if (upload === undefined || upload.bucket !== bucket.name || upload.key !== key) {
    throw new AwsError(404, "NoSuchUpload", "The specified upload does not exist.");
  }
  switch (method) {
    case "PUT":
      return uploadPart(request, bucket, store, upload);
    case "POST":
      return completeUpload(request, bucket, store, upload);
    case "DELETE":
      store.uploads.delete(upload.id);
      await Promise.all([...upload.parts.values()].map((part) => bucket.drop(part)));
      return { status: 204 };
    case "GET":
      return restXml(200, "ListPartsResult", {
        Bucket: bucket.name,
        Key: key,
        UploadId: upload.id,
        IsTruncated: false,
        Part: sortedParts(upload).map((part) => ({
          PartNumber: part.number,
          ETag: `"${part.md5}"`,
          Size: part.size,
          LastModified: iso(part.modifiedAt),
        })),
      });
    default:
      throw unsupported(`S3: ${method} of an upload`);
  }
}

async function uploadPart(
  request: S3Request,
  bucket: Bucket,
  store: S3Store,
  upload: Upload,
): Promise<ApiResponse> {
  const number = Number(request.query.get("partNumber"));
  if (!Number.isInteger(number) || number < 1 || number > 10_000) {
    throw new AwsError(
      400,
      "InvalidArgument",
      "Part number must be an integer between 1 and 10000, inclusive",
    );
  }
  const copied = request.headers["x-amz-copy-source"] === undefined ? undefined : sourceOf(request, store);
  const range = rangeOf(request.headers["x-amz-copy-source-range"], copied?.meta.size ?? 0);
  const { body, headers } =
    copied === undefined
      ? verifiedBody(request)
      : { body: copied.source.read(copied.meta, range), headers: () => ({}) };
  const incoming = await bucket.receive(body);
  const before = upload.parts.get(number);
  upload.parts.set(number, { number, ...incoming, modifiedAt: Date.now() });
  if (before !== undefined) await bucket.drop(before);
  const etag = `"${incoming.md5}"`;
  if (copied !== undefined)
    return restXml(200, "CopyPartResult", { ETag: etag, LastModified: iso(Date.now()) });
  return { status: 200, headers: { etag, ...headers() } };
}

async function completeUpload(
  request: S3Request,
  bucket: Bucket,
  store: S3Store,
  upload: Upload,
): Promise<ApiResponse> {
  const wanted = listIn(parseXml(await textOf(request.body)), ["CompleteMultipartUpload"], "Part");
  const parts = wanted.map((item) => {
    const part = upload.parts.get(Number(item["PartNumber"]));
    const etag = String(item["ETag"]).replaceAll('"', "");
    if (part === undefined || part.md5 !== etag) {
      throw new AwsError(400, "InvalidPart", "One or more of the specified parts could not be found.");
    }
    return part;
  });
  if (parts.length === 0) throw malformed();
  if (parts.some((part, index) => index > 0 && part.number <= (parts[index - 1]?.number ?? 0))) {
    throw new AwsError(400, "InvalidPartOrder", "The list of parts was not in ascending order.");
  }
  const joined = await bucket.join(parts);
  const digest = createHash("md5");
  for (const { md5 } of parts) digest.update(Buffer.from(md5, "hex"));
  const etag = `"${digest.digest("hex")}-${parts.length}"`;
  try {
    checkWrite(request, bucket.get(upload.key));
  } catch (error) {
    await bucket.drop(joined);
    throw error;
  }
  bucket.put({ key: upload.key, etag, modifiedAt: Date.now(), headers: upload.headers, tags: {}, ...joined });
  store.uploads.delete(upload.id);
  await Promise.all([...upload.parts.values()].map((part) => bucket.drop(part)));
  return restXml(200, "CompleteMultipartUploadResult", {
    Location: `/${bucket.name}/${upload.key}`,
    Bucket: bucket.name,
    Key: upload.key,
    ETag: etag,
  });
}

function listUploads(bucket: Bucket, store: S3Store): ApiResponse {
  const uploads = [...store.uploads.values()].filter((upload) => upload.bucket === bucket.name);
  return restXml(200, "ListMultipartUploadsResult", {
    Bucket: bucket.name,
    IsTruncated: false,
    Upload: uploads.map(({ key, id, startedAt }) => ({ Key: key, UploadId: id, Initiated: iso(startedAt) })),
  });
}

const sortedParts = (upload: Upload): Part[] =>
  [...upload.parts.values()].sort((a, b) => a.number - b.number);

// ---- conditions, bodies, errors

/** @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html */
function checkWrite({ headers }: S3Request, found: ObjectMeta | undefined): void {
  if (headers["if-none-match"] === "*" && found !== undefined) throw precondition();
  const wanted = headers["if-match"];
  if (wanted === undefined) return;
  if (found === undefined) throw noKey("");
  if (!matches(wanted, found.etag)) throw precondition();
}

function checkMd5({ headers }: S3Request, md5: string): void {
  const given = headers["content-md5"];
  if (given !== undefined && Buffer.from(given, "base64").toString("hex") !== md5) {
    throw new AwsError(400, "BadDigest", "The Content-MD5 you specified did not match what we received.");
  }
}

const matches = (header: string, etag: string) =>
  header === "*" ||
  header.split(",").some((one) => one.trim().replaceAll('"', "") === etag.replaceAll('"', ""));

function keptHeaders({ headers }: S3Request): Record<string, string> {
  const kept = Object.entries(headers).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && KEPT.test(entry[0]),
  );
  const result = Object.fromEntries(kept);
  // How it travelled is none of the object's business.
  const encoding = result["content-encoding"]
    ?.split(",")
    .map((one) => one.trim())
    .filter((one) => one !== "aws-chunked");
  delete result["content-encoding"];
  if (encoding !== undefined && encoding.length > 0) result["content-encoding"] = encoding.join(",");
  return { ...result, ...checksumsOf(headers) };
}

function bucketOf({ bucket }: S3Request, store: S3Store): Bucket {
  const found = store.bucket(bucket);
  if (found === undefined) throw noBucket(bucket);
  return found;
}

/** A list of objects or tags, at most; larger is an attack. */
const MAX_DOCUMENT = 2 * 1024 * 1024;

async function textOf(body: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += (chunk as Buffer).length;
    if (length > MAX_DOCUMENT) throw malformed();
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString();
}

type Fields = Record<string, unknown>;

const parser = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false,
  processEntities: true,
  trimValues: false,
});

function parseXml(text: string): Fields {
  try {
    return parser.parse(text) as Fields;
  } catch {
    throw malformed();
  }
}

/** The elements `name` under `path`; one alone is no list to the parser. */
function listIn(document: Fields, path: readonly string[], name: string): Fields[] {
  let at: unknown = document;
  for (const step of path) at = typeof at === "object" && at !== null ? (at as Fields)[step] : undefined;
  const found = typeof at === "object" && at !== null ? (at as Fields)[name] : undefined;
  return found === undefined ? [] : Array.isArray(found) ? (found as Fields[]) : [found as Fields];
}

const iso = (ms: number) => new Date(ms).toISOString();
const malformed = () =>
  new AwsError(
    400,
    "MalformedXML",
    "The XML you provided was not well-formed or did not validate against our published schema",
  );
const precondition = () =>
  new AwsError(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold");
const noBucket = (name: string) =>
  new AwsError(404, "NoSuchBucket", "The specified bucket does not exist", { BucketName: name });
const noKey = (key: string) =>
  new AwsError(404, "NoSuchKey", "The specified key does not exist.", { Key: key });
