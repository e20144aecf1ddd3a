/**
 * One owner per stage: an object in the state bucket, written under a condition, so that of two who want it one gets
 * it. S3's own clock tells how old it is; ours may be wrong.
 *
 *     ┌──────┐ acquire ┌──────┐ another's tag on the object ┌──────┐
 *     │ free │────────►│ held │────────────────────────────►│ lost │ onLost(who)
 *     └──────┘         └─┬──▲─┘                             └──────┘
 *                renewed └──┘ every 10 s; who has not renewed for 30 s has let it go
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
 */
import { randomUUID } from "node:crypto";

import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";

import type { Aws } from "../aws/aws.ts";
import { awsName, explainAws } from "../aws/failure.ts";
import { leaseLost, messageOf, stageHeld, stageTakenOver, type LivedevError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { Scope } from "../lib/scope.ts";
import { pause } from "./pause.ts";
import { openStateBucket, type StateBucket } from "./state-bucket.ts";

export type Holder = {
  /** The same over restarts of one project's daemon on one machine: what is ours is taken again at once. */
  readonly id: string;
  /** For people: `ann@laptop`. */
  readonly name: string;
};

type LeaseFile = {
  readonly version: 1;
  readonly holder: Holder;
  /** Milliseconds since the epoch, by the holder's clock; for people. */
  readonly since: number;
  readonly released: boolean;
  /** Of this very write. A write whose answer was lost is tried again by the SDK, and then beaten by itself. */
  readonly write: string;
};

/** What stands in the bucket. */
type Found = { readonly file: LeaseFile; readonly etag: string; readonly ageMs: number };

export type LeaseOptions = {
  readonly aws: Aws;
  readonly app: string;
  readonly stage: string;
  readonly holder: Holder;
  /** Another has it: said once, and nothing is renewed any more. */
  onLost(reason: LivedevError): void;
  readonly renewMs?: number;
  readonly expiryMs?: number;
  readonly log: Log;
};

const RENEW_MS = 10_000;
const EXPIRY_MS = 30_000;
/** Two tries fit into the time until others take it for let go. */
const WRITE_MS = 8_000;
/** Behind a sleep all of its time may be over, and nobody have taken it: it is asked for once more. */
const LAST_TRY_MS = 1_000;
const ABSENT = ["NoSuchKey", "NotFound", "NoSuchBucket"];
const BEATEN = ["PreconditionFailed", "ConditionalRequestConflict", "412", "409"];

export class Lease implements AsyncDisposable {
  readonly #options: LeaseOptions;
  readonly #scope = new Scope();
  readonly #client: S3Client;
  readonly #object: StateBucket & { readonly Key: string };
  readonly #since = Date.now();
  readonly #expiryMs: number;
  #etag: string | undefined;

  /**
   * Takes it where nobody holds it, or where it is this holder's own.
   * @throws LivedevError `stage.held` with who and since when; with `takeOver` it is taken all the same.
   */
  static async acquire(options: LeaseOptions, takeOver: boolean, signal: AbortSignal): Promise<Lease> {
    const { aws, app, stage } = options;
    const bucket = await openStateBucket(aws, signal);
    const lease = new Lease(options, await aws.s3(), { ...bucket, Key: `${app}/${stage}/lease.json` });
    await lease.#acquire(takeOver, signal);
    lease.#keep();
    return lease;
  }

  private constructor(
    options: LeaseOptions,
    client: S3Client,
    object: StateBucket & { readonly Key: string },
  ) {
    this.#options = options;
    this.#client = client;
    this.#object = object;
    this.#expiryMs = options.expiryMs ?? EXPIRY_MS;
  }

  /** Of a stage that is removed nothing stays, its lease neither; another's, taken meanwhile, does. */
  async remove(): Promise<void> {
    await this.#scope.close();
    if (this.#etag === undefined) return;
    const IfMatch = this.#etag;
    this.#etag = undefined;
    await this.#client.send(new DeleteObjectCommand({ ...this.#object, IfMatch }));
  }

  /** Lets it go, so that the next one need not wait. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope.close();
    if (this.#etag === undefined) return;
    // Closing lets go of local things and waits for no network: whoever comes next can see that it is old.
    const bounded = AbortSignal.timeout(1_000);
    await this.#write({ IfMatch: this.#etag }, true, bounded).catch((error: unknown) => {
      this.#options.log.debug({ reason: messageOf(error) }, "the lease could not be released");
    });
  }

  async #acquire(takeOver: boolean, signal: AbortSignal): Promise<void> {
    const { app, stage, holder, aws } = this.#options;
    for (;;) {
      try {
        const found = await this.#read(signal);
        const free = found === undefined || found.file.released || found.ageMs > this.#expiryMs;
        if (!free && found.file.holder.id !== holder.id && !takeOver) {
          throw stageHeld(app, stage, found.file.holder.name, new Date(found.file.since));
        }
        const condition = found === undefined ? { IfNoneMatch: "*" } : { IfMatch: found.etag };
        if (await this.#write(condition, false, signal)) return;
      } catch (error) {
        throw explainAws(error, `taking the lease of ${app}/${stage}`, aws.where);
      }
      // Somebody was faster: look again who it is.
      await pause(50 + Math.random() * 100, signal);
    }
  }

  #keep(): void {
    const { renewMs = RENEW_MS, log } = this.#options;
    const { signal } = this.#scope;
    const loop = async () => {
      let renewedAt = performance.now();
      for (;;) {
        const leftMs = () => renewedAt + this.#expiryMs - performance.now();
        await pause(Math.max(0, Math.min(renewMs, leftMs())), signal).catch(() => undefined);
        if (signal.aborted || this.#etag === undefined) return;
        const began = performance.now();
        // From the moment on that another may take it, it is not believed to be ours.
        const bounded = AbortSignal.any([
          signal,
          AbortSignal.timeout(Math.max(LAST_TRY_MS, Math.ceil(leftMs()))),
        ]);
        try {
          if (!(await this.#write({ IfMatch: this.#etag }, false, bounded))) return await this.#lost(signal);
          renewedAt = began;
        } catch (error) {
          if (signal.aborted) return;
          log.warn({ reason: messageOf(error) }, "the lease could not be renewed; trying again");
          if (leftMs() <= 0) return this.#letGo(error);
        }
      }
    };
    const looping = loop().catch((error: unknown) => {
      if (!signal.aborted) log.error({ err: error }, "the lease is not renewed any more");
    });
    this.#scope.defer(() => looping);
  }

  async #lost(signal: AbortSignal): Promise<void> {
    const { app, stage } = this.#options;
    this.#etag = undefined;
    const found = await this.#read(signal).catch(() => undefined);
    this.#options.onLost(stageTakenOver(app, stage, found?.file.holder.name ?? "somebody else"));
  }

  #letGo(cause: unknown): void {
    const { app, stage } = this.#options;
    this.#etag = undefined;
    this.#options.onLost(leaseLost(app, stage, cause));
  }

  async #read(signal: AbortSignal): Promise<Found | undefined> {
    let date: string | undefined;
    const command = new GetObjectCommand(this.#object);
    command.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args);
        const { headers } = result.response as { headers?: Record<string, string> };
        date = headers?.["date"];
        return result;
      },
      { step: "deserialize", priority: "low", name: "livedevServerDate" },
    );
    try {
      const { Body, ETag = "", LastModified } = await this.#client.send(command, { abortSignal: signal });
      const file = JSON.parse((await Body?.transformToString()) ?? "null") as LeaseFile;
      const now = date === undefined ? Date.now() : Date.parse(date);
      return { file, etag: ETag, ageMs: now - (LastModified?.getTime() ?? 0) };
    } catch (error) {
      if (ABSENT.includes(awsName(error) ?? "")) return undefined;
      throw error;
    }
  }

  /** False where the condition did not hold. */
  async #write(
    condition: { IfMatch: string } | { IfNoneMatch: string },
    released: boolean,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { holder } = this.#options;
    const write = randomUUID();
    const file: LeaseFile = { version: 1, holder, since: this.#since, released, write };
    try {
      const { ETag } = await this.#client.send(
        new PutObjectCommand({
          ...this.#object,
          ...condition,
          Body: JSON.stringify(file),
          ContentType: "application/json",
        }),
        { abortSignal: AbortSignal.any([signal, AbortSignal.timeout(WRITE_MS)]) },
      );
      this.#etag = ETag;
      return true;
    } catch (error) {
      if (!BEATEN.includes(awsName(error) ?? "")) throw error;
      const found = await this.#read(signal);
      if (found?.file.write !== write) return false;
      this.#etag = found.etag;
      return true;
    }
  }
}
