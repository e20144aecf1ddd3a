/** ListObjects, both versions. @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html */
import { AwsError } from "./aws-error.ts";
import { restXml, type ApiResponse } from "./protocols.ts";
import type { Bucket } from "./s3-store.ts";

const MAX_KEYS = 1_000;

export function listObjects(query: URLSearchParams, bucket: Bucket): ApiResponse {
  const v2 = query.get("list-type") === "2";
  const prefix = query.get("prefix") ?? "";
  const delimiter = query.get("delimiter") ?? "";
  const limit = Math.min(MAX_KEYS, limitOf(query.get("max-keys")));
  const token = query.get("continuation-token");
  const after =
    token === null ? ((v2 ? query.get("start-after") : query.get("marker")) ?? "") : fromToken(token);
  const encode = query.get("encoding-type") === "url" ? encodeKey : (text: string) => text;

  const contents: string[] = [];
  const prefixes = new Set<string>();
  let last = "";
  let truncated = false;
  for (const key of bucket.keys()) {
    if (!key.startsWith(prefix) || compare(key, after) <= 0) continue;
    const end = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length);
    const group = end === -1 ? undefined : key.slice(0, end + delimiter.length);
    // A group that was listed is over with all its keys.
    if (group !== undefined && (prefixes.has(group) || (after !== "" && after.startsWith(group)))) continue;
    if (contents.length + prefixes.size === limit) {
      truncated = limit > 0;
      break;
    }
    if (group === undefined) contents.push(key);
    else prefixes.add(group);
    last = group ?? key;
  }
  return restXml(200, "ListBucketResult", {
    Name: bucket.name,
    Prefix: encode(prefix),
    ...(delimiter !== "" && { Delimiter: encode(delimiter) }),
    MaxKeys: limit,
    ...(encode === encodeKey && { EncodingType: "url" }),
    IsTruncated: truncated,
    ...(v2 && { KeyCount: contents.length + prefixes.size }),
    ...(v2 && token !== null && { ContinuationToken: token }),
    ...(truncated && (v2 ? { NextContinuationToken: toToken(last) } : { NextMarker: encode(last) })),
    Contents: contents.map((key) => {
      const { etag = "", size = 0, modifiedAt = 0 } = bucket.get(key) ?? {};
      return {
        Key: encode(key),
        LastModified: new Date(modifiedAt).toISOString(),
        ETag: etag,
        Size: size,
        StorageClass: "STANDARD",
      };
    }),
    CommonPrefixes: [...prefixes].map((group) => ({ Prefix: encode(group) })),
  });
}

function limitOf(text: string | null): number {
  if (text === null) return MAX_KEYS;
  const limit = Number(text);
  if (!Number.isInteger(limit) || limit < 0) {
    throw new AwsError(
      400,
      "InvalidArgument",
      "Argument max-keys must be an integer between 0 and 2147483647",
    );
  }
  return limit;
}

const compare = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
const encodeKey = (key: string) => encodeURIComponent(key).replaceAll("%2F", "/");
const toToken = (key: string) => Buffer.from(key).toString("base64url");
const fromToken = (token: string) => Buffer.from(token, "base64url").toString();
