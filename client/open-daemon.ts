/**
 * Starts the daemon in the background. However many clients start at once, one daemon comes of it: the daemons' own
 * lock decides. Since a Node process costs a tenth of a second of a core, a file beside the state keeps fifty clients
 * from starting fifty; it is a courtesy, not the lock, and one left behind by a killed client only costs a look.
 */
import { spawn, type ChildProcess } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";

import { DAEMON_TAKEN, isDaemonMessage, STATE_FOLDER } from "../proto/discovery.ts";

import { isAlive, locate, readText, startTimeOfProcess, type Place } from "./discovery.ts";
import {
  codeOf,
  daemonDied,
  daemonProgramMissing,
  LivedevError,
  messageOf,
  stateUnwritable,
} from "./errors.ts";
import { withoutInherited } from "./inherited.ts";
import { notInspected } from "./inspect.ts";
import { DAEMON_PROGRAM } from "./programs.ts";

/** `opened`: ours answers. `elsewhere`: another client's or another daemon is on its way. */
export type Opened = "opened" | "elsewhere";

const MAX_LOG_BYTES = 10 * 1024 * 1024;
/** A client that opens a daemon for longer than this has been stopped or hangs. */
const MAX_OPENING_MS = 20_000;

/** Resolves once the daemon that it started says that it is ready, or at once where another client is at it. */
export async function openDaemon(place: Place, signal: AbortSignal): Promise<Opened> {
  if (!existsSync(DAEMON_PROGRAM)) throw daemonProgramMissing(DAEMON_PROGRAM);
  makeStateDir(place);
  const turn = join(place.project, STATE_FOLDER, `${place.stage}.opening`);
  if (!takeTurn(turn)) return "elsewhere";
  try {
    // Whoever had the turn before us may have opened it since we looked.
    if (isThere(place)) return "elsewhere";
    return await run(place, signal);
  } finally {
    unlinkIfThere(turn);
  }
}

/** The arguments of the daemon's program. A stage that nobody named yet is for the daemon to choose and write down. */
export function daemonArguments(place: Place): string[] {
  const stage = place.stageKnown ? ["--stage", place.stage] : [];
  return [DAEMON_PROGRAM, "--project", place.project, ...stage, "--log", place.logFile];
}

function isThere({ project, stage, stageKnown }: Place): boolean {
  const { file } = locate({ project, stage: stageKnown ? stage : undefined });
  return file !== undefined && isAlive(file);
}

async function run(place: Place, signal: AbortSignal): Promise<Opened> {
  const log = openLogFile(place);
  const startsAt = statSync(place.logFile).size;
  let child: ChildProcess;
  try {
    child = spawn(process.execPath, daemonArguments(place), {
      cwd: place.project,
      env: notInspected(),
      detached: true,
      // Its log it writes by itself; these are for what Node prints when it dies.
      stdio: withoutInherited(["ignore", log, log, "ipc"]),
    });
  } finally {
    closeSync(log);
  }
  try {
    return await new Promise<Opened>((resolve, reject) => {
      child.once("error", (error) => reject(daemonDied(messageOf(error), "", place.logFile)));
      child.on("message", (message) => {
        if (!isDaemonMessage(message)) return;
        if (message.type === "ready") resolve("opened");
        else if (message.code === DAEMON_TAKEN) resolve("elsewhere");
        else reject(new LivedevError(message.code, message.message, message.hint));
      });
      child.once("exit", (code, exitSignal) => {
        // What it sent last may still be on its way through the channel: its end comes behind.
        if (child.connected) child.once("disconnect", died);
        else setImmediate(died);
        function died() {
          const how = exitSignal === null ? `exit code ${code}` : exitSignal;
          reject(daemonDied(how, tail(place.logFile, startsAt), place.logFile));
        }
      });
      signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
      if (signal.aborted) reject(signal.reason as Error);
    });
  } finally {
    child.removeAllListeners("exit");
    if (child.connected) child.disconnect();
    child.unref();
  }
}

export function makeStateDir(place: Place): void {
  try {
    mkdirSync(place.stateDir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw stateUnwritable(place.stateDir, messageOf(error));
  }
}

/** Append only, and one old file: what a daemon printed before it died is still there after the next start. */
function openLogFile(place: Place): number {
  try {
    const size = statSync(place.logFile, { throwIfNoEntry: false })?.size ?? 0;
    if (size > MAX_LOG_BYTES) renameSync(place.logFile, `${place.logFile}.1`);
    return openSync(place.logFile, "a", 0o600);
  } catch (error) {
    throw stateUnwritable(place.logFile, messageOf(error));
  }
}

/** Whether it is ours to open the daemon. */
function takeTurn(file: string): boolean {
  const us = { pid: process.pid, startTime: startTimeOfProcess(process.pid) ?? "" };
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      writeFileSync(file, JSON.stringify(us), { flag: "wx", mode: 0o600 });
      return true;
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw stateUnwritable(dirname(file), messageOf(error));
    }
    if (isHeld(file)) return false;
    unlinkIfThere(file);
  }
  return false;
}

function isHeld(file: string): boolean {
  const age = Date.now() - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0);
  if (age > MAX_OPENING_MS) return false;
  try {
    const holder = JSON.parse(readText(file) ?? "") as { pid: number; startTime: string };
    return isAlive(holder);
  } catch {
    // Empty or cut: its writer is just at it, or died at it.
    return age < 1_000;
  }
}

function unlinkIfThere(file: string): void {
  try {
    unlinkSync(file);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}

/** The last lines that were written after `from`. */
function tail(file: string, from: number): string {
  try {
    const log = openSync(file, "r");
    const buffer = Buffer.alloc(4_096);
    const size = statSync(file).size;
    const read = readSync(log, buffer, 0, buffer.length, Math.max(from, size - buffer.length));
    closeSync(log);
    return buffer.subarray(0, read).toString().trim().split("\n").slice(-8).join("\n");
  } catch {
    return "";
  }
}
