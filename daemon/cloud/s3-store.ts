/**
 * Buckets and objects on disk, at `<stateDir>/buckets/<bucket>/`. An object is a file of bytes under a name of its
 * own and a small file that says which; writing the small one, by a rename, is the commit. Conditions are looked at
 * right before that, in one turn of the event loop, so of two conditional writes one wins.
 */
import { createHash, randomUUID } from "node:crypto";
import {
  createReadStream,
  createWriteStream,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { mkdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";

export type ObjectMeta = {
  readonly key: string;
  readonly size: number;
  /** With its quotes, as S3 gives it. */
  readonly etag: string;
  /** Milliseconds since the epoch. */
  readonly modifiedAt: number;
  /** Headers that come back with the object: `content-type`, `cache-control`, `x-amz-meta-…`. */
  readonly headers: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
  /** The bytes' file. */
  readonly file: string;
};

/** Bytes that have arrived and belong to nothing yet. */
export type Incoming = { readonly file: string; readonly size: number; readonly md5: string };

type BucketFile = {
  readonly name: string;
  readonly createdAt: number;
  readonly documents: Record<string, string>;
};

export type Part = {
  readonly number: number;
  readonly file: string;
  readonly size: number;
  readonly md5: string;
  readonly modifiedAt: number;
};
export type Upload = {
  readonly id: string;
  readonly bucket: string;
  readonly key: string;
  readonly startedAt: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly parts: Map<number, Part>;
};

export class Bucket {
  readonly #dir: string;
  readonly #file: BucketFile;
  readonly #objects = new Map<string, ObjectMeta>();
  #sorted: string[] | undefined;

  constructor(dir: string, file: BucketFile) {
    this.#dir = dir;
    this.#file = file;
    mkdirSync(join(dir, "meta"), { recursive: true, mode: 0o700 });
    mkdirSync(join(dir, "data"), { recursive: true, mode: 0o700 });
    for (const name of readdirSync(join(dir, "meta"))) {
      if (!name.endsWith(".json")) continue;
      const meta = JSON.parse(readFileSync(join(dir, "meta", name), "utf8")) as ObjectMeta;
      this.#objects.set(meta.key, meta);
    }
    // Bytes that a kill left without an object.
    const known = new Set([...this.#objects.values()].map(({ file }) => file));
    for (const name of readdirSync(join(dir, "data"))) if (!known.has(name)) rmSync(join(dir, "data", name));
  }

  get name(): string {
    return this.#file.name;
  }

  get createdAt(): number {
    return this.#file.createdAt;
  }

  get empty(): boolean {
    return this.#objects.size === 0;
  }

  get(key: string): ObjectMeta | undefined {
    return this.#objects.get(key);
  }

  /** Keys in the order of their UTF-8 bytes, as S3 lists them. */
  keys(): readonly string[] {
    this.#sorted ??= [...this.#objects.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    return this.#sorted;
  }

  /** Policy, tags and the like, by their name in the query. */
  document(name: string): string | undefined {
    return this.#file.documents[name];
  }

  setDocument(name: string, text: string | undefined): void {
    if (text === undefined) delete this.#file.documents[name];
    else this.#file.documents[name] = text;
    writeWhole(join(this.#dir, "bucket.json"), JSON.stringify(this.#file));
  }

  async receive(body: Readable): Promise<Incoming> {
    const file = randomUUID();
    const md5 = createHash("md5");
    let size = 0;
    const measure = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        size += chunk.length;
        md5.update(chunk);
        done(null, chunk);
      },
    });
    const path = join(this.#dir, "data", file);
    try {
      await pipeline(body, measure, createWriteStream(path, { mode: 0o600 }));
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
    return { file, size, md5: md5.digest("hex") };
  }

  async drop({ file }: { readonly file: string }): Promise<void> {
    await rm(join(this.#dir, "data", file), { force: true });
  }

  /** On the disk when it returns. */
  put(meta: ObjectMeta): void {
    const before = this.#objects.get(meta.key);
    writeWhole(this.#metaFile(meta.key), JSON.stringify(meta));
    this.#objects.set(meta.key, meta);
    if (before === undefined) this.#sorted = undefined;
    else if (before.file !== meta.file) void this.drop(before);
  }

  delete(key: string): boolean {
    const before = this.#objects.get(key);
    if (before === undefined) return false;
    rmSync(this.#metaFile(key), { force: true });
    this.#objects.delete(key);
    this.#sorted = undefined;
    // A reader that has it open reads on.
    void this.drop(before);
    return true;
  }

  read(
    { file }: { readonly file: string },
    range?: { readonly start: number; readonly end: number },
  ): Readable {
    return createReadStream(join(this.#dir, "data", file), range);
  }

  /** One file of several parts. */
  async join(
    parts: readonly { readonly file: string }[],
  ): Promise<{ readonly file: string; readonly size: number }> {
    const file = randomUUID();
    const path = join(this.#dir, "data", file);
    const read = this.read.bind(this);
    async function* all() {
      for (const part of parts) yield* read(part);
    }
    await pipeline(Readable.from(all()), createWriteStream(path, { mode: 0o600 }));
    return { file, size: (await stat(path)).size };
  }

  #metaFile(key: string): string {
    return join(this.#dir, "meta", `${createHash("sha256").update(key).digest("hex")}.json`);
  }
}

export class S3Store {
  readonly #dir: string;
  readonly #buckets = new Map<string, Bucket>();
  /** Not kept over a restart, as nothing of an upload is an object yet. */
  readonly uploads = new Map<string, Upload>();

  static async open(stateDir: string): Promise<S3Store> {
    const dir = join(stateDir, "buckets");
    await mkdir(dir, { recursive: true, mode: 0o700 });
    return new S3Store(dir);
  }

  private constructor(dir: string) {
    this.#dir = dir;
    for (const name of readdirSync(dir)) {
      const folder = join(dir, name);
      let file: BucketFile;
      try {
        file = JSON.parse(readFileSync(join(folder, "bucket.json"), "utf8")) as BucketFile;
      } catch {
        // Killed while it was being made or deleted: nobody was told that it is there.
        rmSync(folder, { recursive: true, force: true });
        continue;
      }
      this.#buckets.set(name, new Bucket(folder, file));
    }
  }

  buckets(): Bucket[] {
    return [...this.#buckets.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  bucket(name: string): Bucket | undefined {
    return this.#buckets.get(name);
  }

  create(name: string): Bucket {
    const folder = join(this.#dir, name);
    const file: BucketFile = { name, createdAt: Date.now(), documents: {} };
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const bucket = new Bucket(folder, file);
    writeWhole(join(folder, "bucket.json"), JSON.stringify(file));
    this.#buckets.set(name, bucket);
    return bucket;
  }

  delete(name: string): void {
    this.#buckets.delete(name);
    rmSync(join(this.#dir, name, "bucket.json"), { force: true });
    rmSync(join(this.#dir, name), { recursive: true, force: true });
  }
}

function writeWhole(file: string, text: string): void {
  const draft = `${file}.new`;
  writeFileSync(draft, text, { mode: 0o600 });
  renameSync(draft, file);
}
