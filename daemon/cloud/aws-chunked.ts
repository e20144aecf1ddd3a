/**
 * The body of a request whose `content-encoding` says `aws-chunked`: chunks with their length in front, each perhaps
 * with a signature, and trailers behind, in which SDKs send a checksum.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
 */
import { Transform, type TransformCallback } from "node:stream";

import { AwsError } from "./aws-error.ts";

type Step =
  | { readonly is: "size" }
  | { readonly is: "data"; left: number }
  | { readonly is: "afterData" }
  | { readonly is: "trailers" };

const MAX_LINE = 8_192;

export class AwsChunked extends Transform {
  readonly trailers: Record<string, string> = {};
  #step: Step = { is: "size" };
  #rest: Buffer = Buffer.alloc(0);

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    try {
      while (this.#advance()) {}
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _flush(done: TransformCallback): void {
    done(this.#step.is === "trailers" ? null : incomplete());
  }

  /** False: more bytes are needed. */
  #advance(): boolean {
    if (this.#step.is === "data") {
      const piece = this.#rest.subarray(0, this.#step.left);
      if (piece.length === 0) return false;
      this.#rest = this.#rest.subarray(piece.length);
      this.push(piece);
      this.#step.left -= piece.length;
      if (this.#step.left === 0) this.#step = { is: "afterData" };
      return true;
    }
    const line = this.#line();
    if (line === undefined) return false;
    this.#take(line);
    return true;
  }

  #take(line: string): void {
    switch (this.#step.is) {
      case "size": {
        const [size = ""] = line.split(";");
        if (!/^[0-9a-f]{1,12}$/i.test(size.trim())) throw incomplete();
        const left = Number.parseInt(size, 16);
        this.#step = left === 0 ? { is: "trailers" } : { is: "data", left };
        break;
      }
      case "afterData":
        if (line !== "") throw incomplete();
        this.#step = { is: "size" };
        break;
      case "trailers": {
        const colon = line.indexOf(":");
        if (colon > 0)
          this.trailers[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim();
        break;
      }
      case "data":
        throw new Error("a chunk's bytes are no line");
    }
  }

  #line(): string | undefined {
    const end = this.#rest.indexOf("\r\n");
    if (end === -1) {
      if (this.#rest.length > MAX_LINE) throw incomplete();
      return undefined;
    }
    const line = this.#rest.subarray(0, end).toString("latin1");
    this.#rest = this.#rest.subarray(end + 2);
    return line;
  }
}

const incomplete = () =>
  new AwsError(400, "IncompleteBody", "The request body is not correctly encoded as aws-chunked.");
