/**
 * Checksums that SDKs send with an object, before it or in a trailer behind it: compared where Node can compute them,
 * kept and given back in any case.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
 */
import { createHash } from "node:crypto";
import { Transform, type Readable } from "node:stream";
import { crc32 } from "node:zlib";

import { AwsChunked } from "./aws-chunked.ts";
import { AwsError } from "./aws-error.ts";

type Headers = Readonly<Record<string, string | undefined>>;

const CHECKSUM = /^x-amz-checksum-(?:crc32|crc32c|crc64nvme|sha1|sha256)$/;

export function checksumsOf(headers: Headers): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && CHECKSUM.test(entry[0]),
    ),
  );
}

/** The object's own bytes. `headers()` is right once they were read to their end. */
export function verifiedBody(request: { readonly headers: Headers; readonly body: Readable }): {
  readonly body: Readable;
  readonly headers: () => Record<string, string>;
} {
  const { headers } = request;
  const chunked =
    headers["content-encoding"]?.includes("aws-chunked") === true ||
    (headers["x-amz-content-sha256"] ?? "").startsWith("STREAMING-");
  const decoder = chunked ? new AwsChunked() : undefined;
  const given = () => ({ ...checksumsOf(headers), ...checksumsOf(decoder?.trailers ?? {}) });
  const check = new Check(headers, given);
  const source =
    decoder === undefined
      ? request.body
      : request.body.on("error", (error) => decoder.destroy(error)).pipe(decoder);
  source.on("error", (error) => check.destroy(error));
  return { body: source.pipe(check), headers: given };
}

class Check extends Transform {
  readonly #given: () => Record<string, string>;
  readonly #sha256: ReturnType<typeof createHash> | undefined;
  readonly #sha1: ReturnType<typeof createHash> | undefined;
  #crc32: number | undefined;

  constructor(headers: Headers, given: () => Record<string, string>) {
    super();
    this.#given = given;
    const named = `${Object.keys(checksumsOf(headers)).join(" ")} ${headers["x-amz-trailer"] ?? ""}`;
    this.#sha256 = named.includes("sha256") ? createHash("sha256") : undefined;
    this.#sha1 = named.includes("sha1") ? createHash("sha1") : undefined;
    this.#crc32 = named.includes("crc32") ? 0 : undefined;
  }

  override _transform(
    chunk: Buffer,
    _encoding: string,
    done: (error?: Error | null, data?: Buffer) => void,
  ): void {
    this.#sha256?.update(chunk);
    this.#sha1?.update(chunk);
    if (this.#crc32 !== undefined) this.#crc32 = crc32(chunk, this.#crc32);
    done(null, chunk);
  }

  override _flush(done: (error?: Error | null) => void): void {
    const crc = Buffer.alloc(4);
    crc.writeUInt32BE(this.#crc32 ?? 0);
    const computed: Record<string, string | undefined> = {
      "x-amz-checksum-sha256": this.#sha256?.digest("base64"),
      "x-amz-checksum-sha1": this.#sha1?.digest("base64"),
      "x-amz-checksum-crc32": this.#crc32 === undefined ? undefined : crc.toString("base64"),
    };
    for (const [name, value] of Object.entries(this.#given())) {
      const ours = computed[name];
      if (ours !== undefined && ours !== value) {
        done(
          new AwsError(400, "BadDigest", `The ${name} you specified did not match the calculated checksum.`),
        );
        return;
      }
    }
    done();
  }
}
