/**
 * A site's files, built and put into its bucket: what is there already in the same form is not sent again. CloudFront is
 * then told to forget what it keeps.
 */
import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { extname, join, relative, sep } from "node:path";
import { pipeline } from "node:stream/promises";

import { DeleteObjectsCommand, paginateListObjectsV2, PutObjectCommand } from "@aws-sdk/client-s3";

import { siteEmpty } from "../lib/errors.ts";
import type { Calls } from "./calls.ts";
import { each } from "./each.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".gif": "image/gif",
  ".html": "text/html; charset=utf-8",
  ".ico": "image/x-icon",
  ".jpg": "image/jpeg",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".map": "application/json",
  ".mjs": "text/javascript; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
  ".webp": "image/webp",
  ".woff2": "font/woff2",
  ".xml": "application/xml",
};

const WIDTH = 8;
/** Bundlers put a hash into the names of what never changes. */
const HASHED = /[.-][0-9A-Za-z_-]{8,}\.(?:css|js|mjs|woff2|png|jpg|svg|webp|map)$/;

type Site = {
  readonly component: string;
  readonly folder: string;
  readonly bucket: string;
  /** Of CloudFront. */
  readonly distribution: string;
};

/** How many files were sent or deleted. */
export async function putFiles(calls: Calls, site: Site): Promise<number> {
  const client = await calls.aws.s3();
  const { bucket: Bucket, folder } = site;
  const files = await filesIn(folder);
  if (files.length === 0) throw siteEmpty(site.component, folder);
  const standing = new Map<string, string>();
  await calls.try(`ListObjects of ${Bucket}`, async () => {
    for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket })) {
      for (const { Key = "", ETag = "" } of Contents) standing.set(Key, ETag.replaceAll('"', ""));
    }
  });
  const isNew = standing.size === 0;
  let changed = 0;
  await each(files, WIDTH, async (file) => {
    const Key = relative(folder, file).split(sep).join("/");
    const same = standing.get(Key) === (await md5(file));
    standing.delete(Key);
    if (same) return;
    changed += 1;
    await calls.try(`PutObject ${Key} of ${Bucket}`, async () =>
      client.send(
        new PutObjectCommand({
          Bucket,
          Key,
          // Not as a stream: the SDK could not send that again where S3 asks it to slow down.
          Body: await readFile(file),
          ContentType: TYPES[extname(file).toLowerCase()] ?? "application/octet-stream",
          CacheControl: HASHED.test(Key)
            ? "public, max-age=31536000, immutable"
            : "public, max-age=0, must-revalidate",
        }),
        { abortSignal: calls.signal },
      ),
    );
  });
  // After the new ones are there: pages that are open still load what they name until then.
  const gone = [...standing.keys()].map((Key) => ({ Key }));
  for (let at = 0; at < gone.length; at += 1000) {
    const Objects = gone.slice(at, at + 1000);
    await calls.try(`DeleteObjects of ${Bucket}`, () =>
      client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects, Quiet: true } })),
    );
  }
  changed += gone.length;
  // Of a site that held nothing CloudFront has nothing.
  if (changed > 0 && !isNew) await invalidate(calls, site.distribution);
  return changed;
}

/** What CloudFront keeps, it keeps for a day where the file does not say otherwise. It takes a minute; nobody waits. */
async function invalidate(calls: Calls, DistributionId: string): Promise<void> {
  const { CreateInvalidationCommand } = await import("@aws-sdk/client-cloudfront");
  const client = await calls.aws.cloudfront();
  await calls.try(`CreateInvalidation of ${DistributionId}`, () =>
    client.send(
      new CreateInvalidationCommand({
        DistributionId,
        InvalidationBatch: { CallerReference: randomUUID(), Paths: { Quantity: 1, Items: ["/*"] } },
      }),
      { abortSignal: calls.signal },
    ),
  );
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** As S3's ETag is, of an object that was sent in one piece. */
async function md5(file: string): Promise<string> {
  const hash = createHash("md5");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}
