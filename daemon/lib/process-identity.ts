/** Which process is meant, beyond its number: numbers are given out again. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

import { processIdentityOf } from "../../proto/discovery.ts";

/** When the process with this number was started, in a form to compare; `undefined` where there is none. */
export function processIdentity(pid: number): string | undefined {
  try {
    return process.platform === "linux" ? linuxIdentity(pid) : psIdentity(pid);
  } catch {
    return undefined;
  }
}

export function isAlive(pid: number, identity: string): boolean {
  return processIdentity(pid) === identity;
}

function linuxIdentity(pid: number): string | undefined {
  return processIdentityOf(
    readFileSync(`/proc/${pid}/stat`, "utf8"),
    readFileSync("/proc/sys/kernel/random/boot_id", "utf8"),
  );
}

function psIdentity(pid: number): string | undefined {
  const [started, state] = ["lstart=", "state="].map((column) =>
    execFileSync("ps", ["-o", column, "-p", String(pid)], {
      encoding: "utf8",
      // The same words in every language and time zone, since the daemon and its clients compare them.
      env: { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC" },
      stdio: "pipe",
    }).trim(),
  );
  return started === "" || state?.startsWith("Z") ? undefined : started;
}
