/**
 * A worker thread: writes one zip from entries, files, folders and other zips, and says its hash. Sorted and with the
 * same times always, so that the same content is the same package.
 */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { parentPort, workerData } from "node:worker_threads";

import { open as openZip, type Entry, type ZipFile as ReadZip } from "yauzl";
import { ZipFile } from "yazl";

import { zipOptions, type PackageEntry } from "./entries.ts";

export type PackageOrder = {
  readonly entries: readonly PackageEntry[];
  /** Files and whole folders, absolute, and where in the package they go (`""`: its root). */
  readonly copies: readonly { readonly from: string; readonly to: string }[];
  /** Their entries are taken over. */
  readonly zips: readonly string[];
  readonly out: string;
};

export type Packaged = {
  /** Base64, as Lambda tells it. */
  readonly sha256: string;
  readonly bytes: number;
  readonly unzippedBytes: number;
};

type Source = { readonly path: string; readonly executable: boolean; readonly bytes: number } & (
  | { readonly contents: Uint8Array }
  | { readonly file: string }
);

/** Given twice, the first one counts. */
async function sources(order: PackageOrder): Promise<Source[]> {
  const found: Source[] = order.entries.map(({ path, contents, executable = false }) => ({
    path,
    contents,
    executable,
    bytes: contents.byteLength,
  }));
  for (const { from, to } of order.copies) await addCopy(found, from, to);
  for (const zip of order.zips) await addZip(found, zip);
  const byPath = new Map<string, Source>();
  for (const one of found) if (!byPath.has(one.path)) byPath.set(one.path, one);
  return [...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Links are followed: in Lambda there is nothing that they could lead to. */
async function addCopy(found: Source[], from: string, to: string): Promise<void> {
  const { mode, size, ...is } = await stat(from).then((one) => ({
    mode: one.mode,
    size: one.size,
    folder: one.isDirectory(),
  }));
  if (!is.folder) {
    found.push({ path: to, file: from, executable: (mode & 0o100) !== 0, bytes: size });
    return;
  }
  for (const name of await readdir(from))
    await addCopy(found, join(from, name), to === "" ? name : `${to}/${name}`);
}

async function addZip(found: Source[], file: string): Promise<void> {
  const zip = await new Promise<ReadZip>((resolve, reject) =>
    openZip(file, { lazyEntries: true }, (error, opened) =>
      error === null ? resolve(opened) : reject(error),
    ),
  );
  await new Promise<void>((resolve, reject) => {
    zip.on("error", reject).on("end", resolve);
    zip.on("entry", (entry: Entry) => {
      if (entry.fileName.endsWith("/")) return zip.readEntry();
      zip.openReadStream(entry, (error, stream) => {
        if (error !== null) return reject(error);
        const chunks: Buffer[] = [];
        stream.on("error", reject).on("data", (chunk: Buffer) => chunks.push(chunk));
        stream.on("end", () => {
          const contents = Buffer.concat(chunks);
          const executable = ((entry.externalFileAttributes >>> 16) & 0o100) !== 0;
          found.push({ path: entry.fileName, contents, executable, bytes: contents.length });
          zip.readEntry();
        });
      });
    });
    zip.readEntry();
  });
}

async function write(order: PackageOrder): Promise<Packaged> {
  const all = await sources(order);
  const zip = new ZipFile();
  for (const source of all) {
    const options = zipOptions(source.executable);
    if ("contents" in source) zip.addBuffer(Buffer.from(source.contents), source.path, options);
    else zip.addFile(source.file, source.path, options);
  }
  zip.end();
  await pipeline(zip.outputStream, createWriteStream(order.out, { mode: 0o600 }));
  const hash = createHash("sha256");
  await pipeline(createReadStream(order.out), hash);
  return {
    sha256: hash.digest("base64"),
    bytes: (await stat(order.out)).size,
    unzippedBytes: all.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
parentPort?.postMessage(await write(workerData as PackageOrder));
