import { ZipFile } from "yazl";

import type { StubSettings } from "./stubs.ts";

/**
 * Keeps the runtime's own command as arguments: behind a Runtime API of the stub's own it can still run the deployed
 * code. `node` and the task root come from the environment, so the same script runs in AWS and on the local cloud.
 */
const WRAPPER = `#!/bin/sh
exec node "$LAMBDA_TASK_ROOT/livedev-stub.mjs" "$@"
`;

/** What Lambda starts in place of the runtime. */
export const EXEC_WRAPPER = "/var/task/livedev";

/** Always the same, so that the same content is the same package: a zip's times are local, and this is its first. */
const MTIME = new Date(1980, 0, 1);

const text = (value: string) => new TextEncoder().encode(value);

/** A stub's package, as Lambda takes it. */
export async function stubPackage(program: Uint8Array, settings: StubSettings): Promise<Buffer> {
  const zip = new ZipFile();
  const add = (content: Uint8Array, path: string, mode: number) =>
    zip.addBuffer(Buffer.from(content), path, { mtime: MTIME, mode, forceDosTimestamp: true });
  add(program, "livedev-stub.mjs", 0o100644);
  add(text(WRAPPER), "livedev", 0o100755);
  add(text(`${JSON.stringify(settings, undefined, 2)}\n`), "livedev.json", 0o100644);
  zip.end();
  const chunks: Buffer[] = [];
  for await (const chunk of zip.outputStream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
