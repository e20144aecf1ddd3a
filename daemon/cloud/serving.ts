/** The running cloud of a state directory, as other processes see it: found, started, asked, stopped. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { request, type IncomingMessage } from "node:http";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";

import { cloudFailed, cloudNotStopped, messageOf, notWritten } from "../lib/errors.ts";
import { PROGRAMS } from "../lib/programs.ts";
import { lockHolder } from "./lock.ts";
import type { Refused } from "../lib/refusals.ts";
import { isAlive } from "../lib/process-identity.ts";
import { signRequest } from "./sigv4.ts";

export type Serving = {
  readonly endpoint: string;
  readonly region: string;
  readonly accountId: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly stateDir: string;
  readonly pid: number;
  /** Tells the process from a later one with its number. */
  readonly identity: string;
};

export type FunctionStatus = {
  readonly name: string;
  readonly arn: string;
  readonly url?: string;
  /** Why the URL does not answer. */
  readonly urlError?: string | undefined;
  readonly starting: number;
  readonly running: number;
  readonly idle: number;
  readonly queued: number;
};

export type CloudStatus = Serving & {
  readonly functions: readonly FunctionStatus[];
  readonly environments: number;
  readonly queued: number;
  /** Asynchronous invocations that wait, run or wait for a retry. */
  readonly asyncPending: number;
  readonly refusals: readonly Refused[];
};

const START_MS = 20_000;
const STOP_MS = 10_000;
const STATUS_MS = 10_000;
const POLL_MS = 25;

export async function findServing(stateDir: string): Promise<Serving | undefined> {
  let serving: Serving;
  try {
    serving = JSON.parse(await readFile(join(stateDir, "serving.json"), "utf8")) as Serving;
  } catch {
    return undefined;
  }
  return isAlive(serving.pid, serving.identity) ? serving : undefined;
}

/**
 * Starts the cloud in a process of its own, unless it runs; it outlives whoever asked. `serveArguments` are then its
 * options.
 */
export async function startServing(
  stateDir: string,
  serveArguments: readonly string[] = [],
): Promise<Serving> {
  const running = await findServing(stateDir);
  if (running !== undefined) return running;
  const logFile = join(stateDir, "cloud.log");
  const log = await openLogFile(logFile);
  const child = spawn(
    process.execPath,
    [PROGRAMS.cloud, "serve", "--state-dir", stateDir, ...serveArguments],
    {
      detached: true,
      stdio: ["ignore", log, log],
      cwd: "/",
    },
  );
  closeSync(log);
  const gone = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  let ended = false;
  void gone.then(() => (ended = true));
  child.unref();
  const until = Date.now() + START_MS;
  while (Date.now() < until) {
    const serving = await findServing(stateDir);
    if (serving !== undefined) {
      // Another starter's was first: ours finds that out by itself, and is not left behind.
      if (serving.pid !== child.pid) await within(STOP_MS, gone);
      return serving;
    }
    // Ours may have lost against another starter's: then that one's answer counts.
    if (ended && (await lockHolder(stateDir)) === undefined) break;
    await Promise.race([sleep(POLL_MS), ended ? sleep(POLL_MS) : gone]);
  }
  throw cloudFailed(logFile, await lastLine(logFile));
}

/** @throws LivedevError where the file system refuses it. */
async function openLogFile(file: string): Promise<number> {
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    return openSync(file, "a", 0o600);
  } catch (error) {
    throw notWritten(file, error);
  }
}

/** Resolves when the process is gone. */
export async function stopServing(serving: Serving): Promise<void> {
  const until = Date.now() + STOP_MS;
  process.kill(serving.pid, "SIGTERM");
  while (Date.now() < until) {
    if (!isAlive(serving.pid, serving.identity)) return;
    await sleep(POLL_MS);
  }
  throw cloudNotStopped(serving.pid);
}

export async function askStatus(
  serving: Pick<Serving, "endpoint" | "region" | "accessKeyId" | "secretAccessKey">,
): Promise<CloudStatus> {
  const url = new URL("/livedev/status", serving.endpoint);
  const headers = await signRequest({ method: "GET", url }, serving, serving.region, "lambda");
  // Not by fetch: loading it takes longer than all else that asking for a status does.
  const asked = request(url, { headers, signal: AbortSignal.timeout(STATUS_MS) }).end();
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  const body = await text(response);
  if (response.statusCode !== 200)
    throw new Error(`the local cloud answered its status with ${response.statusCode}`);
  return JSON.parse(body) as CloudStatus;
}

async function within(ms: number, promise: Promise<void>): Promise<void> {
  const patience = new AbortController();
  const { signal } = patience;
  await Promise.race([promise, sleep(ms, undefined, { signal }).catch(() => undefined)]);
  patience.abort();
}

async function lastLine(file: string): Promise<string> {
  try {
    const lines = (await readFile(file, "utf8")).trim().split("\n");
    return lines.at(-1) ?? "";
  } catch (error) {
    return messageOf(error);
  }
}
