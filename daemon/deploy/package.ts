import { ZipFile } from "yazl";

import { zipOptions, type PackageEntry } from "./entries.ts";
import type { StubSettings } from "./stubs.ts";

/**
 * Keeps the runtime's own command as arguments: behind a Runtime API of the stub's own it can still run the deployed
 * code. `node` and the task root come from the environment, so the same script runs in AWS and on the local cloud.
 */
const WRAPPER = `#!/bin/sh
exec node "$LAMBDA_TASK_ROOT/livedev-stub.mjs" "$@"
`;

const text = (value: string) => new TextEncoder().encode(value);

/** What makes a package a stub's. */
export function stubEntries(program: Uint8Array, settings: StubSettings): PackageEntry[] {
  return [
    { path: "livedev-stub.mjs", contents: program },
    { path: "livedev", contents: text(WRAPPER), executable: true },
    { path: "livedev.json", contents: text(`${JSON.stringify(settings, undefined, 2)}\n`) },
  ];
}

/** A stub's package, as Lambda takes it. */
export async function stubPackage(program: Uint8Array, settings: StubSettings): Promise<Buffer> {
  const zip = new ZipFile();
  for (const { path, contents, executable = false } of stubEntries(program, settings)) {
    zip.addBuffer(Buffer.from(contents), path, zipOptions(executable));
  }
  zip.end();
  const chunks: Buffer[] = [];
  for await (const chunk of zip.outputStream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
