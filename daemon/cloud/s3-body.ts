/** A body whose SHA-256 its signature names: read once, and refused at its end where it is another. */
import { createHash } from "node:crypto";
import { Transform, type Readable } from "node:stream";

import { hashMismatch } from "./sigv4.ts";

/** `declared`: the signature's `x-amz-content-sha256`; what is no hash promises nothing of the body. */
export function hashedBody(body: Readable, declared: string): Readable {
  if (!/^[0-9a-f]{64}$/.test(declared)) return body;
  const hash = createHash("sha256");
  const check = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
    flush(done) {
      done(hash.digest("hex") === declared ? null : hashMismatch());
    },
  });
  body.on("error", (error) => check.destroy(error));
  return body.pipe(check);
}
