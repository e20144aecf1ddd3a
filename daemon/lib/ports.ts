/** Ports of this machine: whether one answers, and who holds it. */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { connect } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { promisify } from "node:util";

export type Holder = { readonly pid: number; readonly command: string };

const PATIENCE_MS = 1_000;
const AT_ONCE = 20;

/** Either of the two addresses that `localhost` may be. */
export async function answers(port: number): Promise<boolean> {
  const tried = await Promise.all(["127.0.0.1", "::1"].map((host) => connects(host, port)));
  return tried.includes(true);
}

function connects(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const over = (answered: boolean) => {
      socket.destroy();
      resolve(answered);
    };
    socket.setTimeout(PATIENCE_MS, () => over(false));
    socket.once("connect", () => over(true));
    socket.once("error", () => over(false));
  });
}

/** As it stands in a sentence. */
export const heldBy = (holder: Holder | undefined): string =>
  holder === undefined ? "a program of another user" : `${holder.command || "a program"} (pid ${holder.pid})`;

/** Undefined where the system does not tell: another user's, or none. */
export async function holderOf(port: number): Promise<Holder | undefined> {
  try {
    return process.platform === "linux" ? await holderInProc(port) : await holderByLsof(port);
  } catch {
    return undefined;
  }
}

async function holderInProc(port: number): Promise<Holder | undefined> {
  const inodes = new Set(["/proc/net/tcp", "/proc/net/tcp6"].flatMap((file) => listening(file, port)));
  if (inodes.size === 0) return undefined;
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  for (const [index, pid] of pids.entries()) {
    if (index % AT_ONCE === AT_ONCE - 1) await turn();
    if (!holds(pid, inodes)) continue;
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
    return { pid: Number(pid), command };
  }
  return undefined;
}

const LISTEN = "0A";

function listening(file: string, port: number): string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, "0");
  return readFileSync(file, "latin1")
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const fields = line.trim().split(/\s+/);
      const [, local = "", , state] = fields;
      return state === LISTEN && local.endsWith(`:${wanted}`) ? [`socket:[${fields[9]}]`] : [];
    });
}

function holds(pid: string, sockets: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        return sockets.has(readlinkSync(`/proc/${pid}/fd/${fd}`));
      } catch {
        return false;
      }
    });
  } catch {
    return false;
  }
}

async function holderByLsof(port: number): Promise<Holder | undefined> {
  const { stdout } = await promisify(execFile)("lsof", ["-nP", `-iTCP:${port}`, "-sTCP:LISTEN", "-Fpc"]);
  const pid = /^p(\d+)/m.exec(stdout)?.[1];
  const command = /^c(.+)/m.exec(stdout)?.[1] ?? "";
  return pid === undefined ? undefined : { pid: Number(pid), command };
}
