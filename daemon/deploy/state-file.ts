/**
 * What was deployed to a stage, in the account's state bucket beside the lease: a teammate's daemon finds there what
 * tags cannot tell. Tags stay the truth of whose a thing is; without this file the next deployment makes it anew.
 *
 *     <app>/<stage>/state.json      written under a condition: of two writers one is told
 *     <app>/<stage>/code/<sha>.zip  packages of the last real deployment
 *     <app>/<stage>/secrets/<name>  passwords that livedev made
 */
import { createWriteStream } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

import {
  DeleteBucketCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  paginateListObjectsV2,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";

import type { Aws } from "../aws/aws.ts";
import { awsName, explainAws } from "../aws/failure.ts";
import { stateConflict } from "../lib/errors.ts";
import type { Stage } from "./deployed.ts";
import { openStateBucket, type StateBucket } from "./state-bucket.ts";
import type { CarriedCode } from "./stubs.ts";

export type StageState = {
  readonly version: 1;
  readonly app: string;
  readonly stage: string;
  readonly region: string;
  /** Of the last run that changed something. */
  readonly at: string;
  readonly mode: "dev" | "release";
  readonly resources: readonly {
    readonly is: string;
    readonly component: string;
    readonly nameInAws: string;
  }[];
  /** By component: the package of the last real deployment. */
  readonly code: Readonly<Record<string, CarriedCode>>;
};

const ABSENT = ["NoSuchKey", "NotFound", "NoSuchBucket"];
const BEATEN = ["PreconditionFailed", "ConditionalRequestConflict", "412", "409"];

export class StateFile {
  readonly #aws: Aws;
  readonly #of: Stage;
  readonly #client: S3Client;
  readonly #bucket: StateBucket;
  readonly #signal: AbortSignal;
  #etag: string | undefined;
  state: StageState | undefined;

  static async open(aws: Aws, of: Stage, signal: AbortSignal): Promise<StateFile> {
    const bucket = await openStateBucket(aws, signal);
    const file = new StateFile(aws, of, await aws.s3(), bucket, signal);
    await file.#read();
    return file;
  }

  private constructor(aws: Aws, of: Stage, client: S3Client, bucket: StateBucket, signal: AbortSignal) {
    this.#aws = aws;
    this.#of = of;
    this.#client = client;
    this.#bucket = bucket;
    this.#signal = signal;
  }

  get bucket(): string {
    return this.#bucket.Bucket;
  }

  get account(): string {
    return this.#bucket.ExpectedBucketOwner;
  }

  /** @throws LivedevError `state.conflict` where another has written since it was read. */
  async write(state: StageState): Promise<void> {
    const condition = this.#etag === undefined ? { IfNoneMatch: "*" } : { IfMatch: this.#etag };
    const body = JSON.stringify(state, undefined, 2);
    try {
      const { ETag } = await this.#send(
        new PutObjectCommand({
          ...this.#object("state.json"),
          ...condition,
          Body: body,
          ContentType: "application/json",
        }),
      );
      this.#etag = ETag;
      this.state = state;
    } catch (error) {
      if (!BEATEN.includes(awsName(error) ?? "")) throw error;
      // A write whose answer was lost is tried again by the SDK, and then beaten by itself.
      await this.#read();
      if (JSON.stringify(this.state, undefined, 2) !== body)
        throw stateConflict(this.#of.app, this.#of.stage);
    }
  }

  async putCode(file: string, sha256: string): Promise<string> {
    const { Key } = this.#object(`code/${Buffer.from(sha256, "base64").toString("hex")}.zip`);
    // Not as a stream: the SDK could not send that again where S3 asks it to slow down.
    await this.#send(new PutObjectCommand({ ...this.#bucket, Key, Body: await readFile(file) }));
    return Key;
  }

  /** False where it is not there any more. */
  async getCode(key: string, file: string): Promise<boolean> {
    try {
      const { Body } = await this.#send(new GetObjectCommand({ ...this.#bucket, Key: key }));
      await pipeline(Body as Readable, createWriteStream(file));
      return true;
    } catch (error) {
      if (ABSENT.includes(awsName(error) ?? "")) return false;
      throw error;
    }
  }

  /** A value that the stage keeps from its first use on. The bucket is private, and encrypts. */
  async secret(name: string, make: () => string): Promise<string> {
    const place = this.#object(`secrets/${name}`);
    try {
      const { Body } = await this.#send(new GetObjectCommand(place));
      return (await Body?.transformToString()) ?? "";
    } catch (error) {
      if (!ABSENT.includes(awsName(error) ?? "")) throw error;
    }
    const made = make();
    await this.#send(new PutObjectCommand({ ...place, Body: made, IfNoneMatch: "*" }));
    return made;
  }

  async deleteCode(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    const Objects = keys.map((Key) => ({ Key }));
    await this.#send(new DeleteObjectsCommand({ ...this.#bucket, Delete: { Objects, Quiet: true } }));
  }

  /** All of the stage but its lease. */
  async clear(): Promise<void> {
    const prefix = this.#object("").Key;
    const pages = paginateListObjectsV2({ client: this.#client }, { ...this.#bucket, Prefix: prefix });
    for await (const { Contents = [] } of pages) {
      await this.deleteCode(
        Contents.flatMap(({ Key }) => (Key === undefined || Key === `${prefix}lease.json` ? [] : [Key])),
      );
    }
    this.#etag = undefined;
    this.state = undefined;
    await this.#removeBucket();
  }

  /** Where no stage of the account is left in it; S3 itself refuses where one is. */
  async #removeBucket(): Promise<void> {
    try {
      await this.#send(new DeleteBucketCommand(this.#bucket));
    } catch (error) {
      if (!["BucketNotEmpty", ...ABSENT].includes(awsName(error) ?? "")) throw error;
    }
  }

  async #read(): Promise<void> {
    try {
      const { Body, ETag } = await this.#send(new GetObjectCommand(this.#object("state.json")));
      this.state = JSON.parse((await Body?.transformToString()) ?? "") as StageState;
      this.#etag = ETag;
    } catch (error) {
      if (!ABSENT.includes(awsName(error) ?? "")) {
        throw explainAws(error, `reading the state of ${this.#of.app}/${this.#of.stage}`, this.#aws.where);
      }
      this.state = undefined;
      this.#etag = undefined;
    }
  }

  #object(name: string) {
    return { ...this.#bucket, Key: `${this.#of.app}/${this.#of.stage}/${name}` };
  }

  readonly #send: S3Client["send"] = ((command: never) =>
    this.#client.send(command, { abortSignal: this.#signal })) as S3Client["send"];
}
