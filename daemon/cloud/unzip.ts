/** Unpacks a deployment package. Nothing is written outside the folder, and no more than the limit. */
import { createWriteStream } from "node:fs";
import { mkdir, symlink } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";

import { fromBuffer, type Entry, type ZipFile } from "yauzl";

import { codeOf, messageOf } from "../lib/errors.ts";

/** The package's fault, not ours. */
export class ZipError extends Error {
  override readonly name = "ZipError";
}

/** Against an archive of a million empty files, which no size limit stops. */
const MAX_ENTRIES = 100_000;
const MAX_LINK = 4096;
const FILE_TYPE = 0o170000;
const SYMLINK = 0o120000;

export async function unzip(bytes: Uint8Array, into: string, maxBytes: number): Promise<void> {
  const zip = await openZip(bytes);
  if (zip.entryCount > MAX_ENTRIES) throw new ZipError(`it has more than ${MAX_ENTRIES} entries`);
  const links: { path: string; target: string }[] = [];
  let total = 0;
  for await (const entry of entries(zip)) {
    total += entry.uncompressedSize;
    if (total > maxBytes) throw new ZipError(`unzipped size must be smaller than ${maxBytes} bytes`);
    const path = inside(into, entry.fileName);
    const mode = entry.externalFileAttributes >>> 16;
    if (entry.fileName.endsWith("/")) {
      await mkdir(path, { recursive: true });
    } else if ((mode & FILE_TYPE) === SYMLINK) {
      links.push({ path, target: await readLink(zip, entry) });
    } else {
      await mkdir(dirname(path), { recursive: true });
      const executable = (mode & 0o111) !== 0;
      await writeEntry(zip, entry, path, executable ? 0o755 : 0o644);
    }
  }
  // Last, so that no entry can be written through one.
  for (const { path, target } of links) {
    inside(into, relative(into, resolve(dirname(path), target)));
    await mkdir(dirname(path), { recursive: true });
    await symlink(target, path);
  }
}

const openBuffer = promisify<Buffer, object, ZipFile>(fromBuffer);

async function openZip(bytes: Uint8Array): Promise<ZipFile> {
  try {
    return await openBuffer(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), {
      lazyEntries: true,
    });
  } catch (error) {
    throw new ZipError(messageOf(error), { cause: error });
  }
}

async function* entries(zip: ZipFile): AsyncGenerator<Entry> {
  for (;;) {
    const entry = await nextEntry(zip);
    if (entry === undefined) return;
    yield entry;
  }
}

function nextEntry(zip: ZipFile): Promise<Entry | undefined> {
  return new Promise((resolve, reject) => {
    const settle = () => zip.removeAllListeners();
    zip.once("entry", (entry: Entry) => (settle(), resolve(entry)));
    zip.once("end", () => (settle(), resolve(undefined)));
    zip.once("error", (error: Error) => (settle(), reject(new ZipError(error.message, { cause: error }))));
    zip.readEntry();
  });
}

function inside(root: string, name: string): string {
  const path = resolve(root, name);
  const within = relative(root, path);
  if (within === ".." || within.startsWith("../") || within.startsWith("/") || name.includes("\0")) {
    throw new ZipError(`${JSON.stringify(name)} lies outside the package`);
  }
  return join(root, within);
}

async function open(zip: ZipFile, entry: Entry): Promise<Readable> {
  return new Promise((resolve, reject) => {
    zip.openReadStream(entry, (error, stream) =>
      error === null ? resolve(stream) : reject(new ZipError(error.message, { cause: error })),
    );
  });
}

async function writeEntry(zip: ZipFile, entry: Entry, path: string, mode: number): Promise<void> {
  const source = await open(zip, entry);
  try {
    await pipeline(source, createWriteStream(path, { mode, flags: "wx" }));
  } catch (error) {
    const name = JSON.stringify(entry.fileName);
    const code = codeOf(error);
    if (code === "EEXIST" || code === "EISDIR")
      throw new ZipError(`${name} is there twice`, { cause: error });
    // The disk's errors are ours; those of inflating and of the sizes are the package's.
    if (code !== undefined && /^E[A-Z]+$/.test(code)) throw error;
    throw new ZipError(`${name}: ${messageOf(error)}`, { cause: error });
  }
}

async function readLink(zip: ZipFile, entry: Entry): Promise<string> {
  if (entry.uncompressedSize > MAX_LINK)
    throw new ZipError(`${JSON.stringify(entry.fileName)} is too long a link`);
  const chunks: Buffer[] = [];
  for await (const chunk of await open(zip, entry)) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
