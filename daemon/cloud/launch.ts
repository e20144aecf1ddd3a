/** Starts the local cloud where none runs for the state directory; it outlives whoever asked. */
import { execFile } from "node:child_process";

import { cloudNotStarted } from "../lib/errors.ts";
import { PROGRAMS } from "../lib/programs.ts";

/** What `cloud.js start --json` prints. */
export type CloudAddress = {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
};

export async function ensureCloud(stateDir: string): Promise<CloudAddress> {
  const args = [PROGRAMS.cloud, "start", "--state-dir", stateDir, "--json"];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { maxBuffer: 1024 * 1024 }, (error, stdout, stderr) => {
      if (error === null) return resolve(JSON.parse(stdout) as CloudAddress);
      const { message, hint } = toldOn(stdout) ?? { message: stderr.trim() || error.message };
      reject(cloudNotStarted(message, hint));
    });
  });
}

/** With --json its errors are lines there too; one that died said nothing. */
function toldOn(stdout: string): { readonly message: string; readonly hint?: string } | undefined {
  try {
    return (JSON.parse(stdout) as { error?: { message: string; hint?: string } }).error;
  } catch {
    return undefined;
  }
}
