/** Where the daemon of a project and stage is, as its files tell (proto/discovery.ts). Reads only. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { lstatSync, readFileSync, realpathSync, statSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { dirname, join, resolve } from "node:path";

import {
  DAEMON_FILE,
  DAEMON_LOG,
  directoryProblem,
  isStage,
  parseDaemonFile,
  personalStage,
  processIdentityOf,
  PROJECT_FILES,
  socketPath,
  socketSeed,
  STAGE_FILE,
  STAGE_VARIABLES,
  STATE_FOLDER,
  type DaemonFile,
} from "../proto/discovery.ts";

import { codeOf, noProject, noSuchFolder, socketUntrusted, stageInvalid } from "./errors.ts";

export type Place = {
  /** Real path. */
  readonly project: string;
  readonly stage: string;
  /** Whether the project has a stage yet, or was given one; else `stage` is what the daemon will choose. */
  readonly stageKnown: boolean;
  readonly stateDir: string;
  readonly logFile: string;
  /** What `daemon.json` says; it may be of a daemon long gone. */
  readonly file: DaemonFile | undefined;
  readonly socket: string;
};

export function locate(options: {
  project?: string | undefined;
  stage?: string | undefined;
  cwd?: string;
  env?: NodeJS.ProcessEnv;
}): Place {
  const project = findProject(options.project, options.cwd ?? process.cwd());
  const env = options.env ?? process.env;
  const { known, from } = knownStage(project, options.stage, env);
  if (known !== undefined && !isStage(known)) throw stageInvalid(known, from);
  const stage = known ?? personalStage(userName());
  const stateDir = join(project, STATE_FOLDER, stage);
  const text = readText(join(stateDir, DAEMON_FILE));
  const file = text === undefined ? undefined : parseDaemonFile(text);
  return {
    project,
    stage,
    stageKnown: known !== undefined,
    stateDir,
    logFile: join(stateDir, DAEMON_LOG),
    file,
    // The daemon may run with another XDG_RUNTIME_DIR than this client, so its own word goes first.
    socket: file?.socket ?? defaultSocket(project, stage, env),
  };
}

/** `given`: that folder, which must be a project; else the nearest one up that is. */
function findProject(given: string | undefined, cwd: string): string {
  if (given === undefined) {
    const found = nearest(cwd);
    if (found === undefined) throw noProject(cwd);
    return realpathSync(found);
  }
  const folder = resolve(cwd, given);
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) throw noSuchFolder(folder);
  if (!isProject(folder)) throw noProject(folder);
  return realpathSync(folder);
}

function nearest(from: string): string | undefined {
  if (isProject(from)) return from;
  const up = dirname(from);
  return up === from ? undefined : nearest(up);
}

function isProject(folder: string): boolean {
  return PROJECT_FILES.some(
    (name) => statSync(join(folder, name), { throwIfNoEntry: false })?.isFile() === true,
  );
}

function knownStage(project: string, given: string | undefined, env: NodeJS.ProcessEnv) {
  if (given !== undefined) return { known: given, from: "--stage" };
  const variable = STAGE_VARIABLES.find((name) => (env[name] ?? "") !== "");
  if (variable !== undefined) return { known: env[variable], from: variable };
  return { known: readStage(project), from: join(project, STATE_FOLDER, STAGE_FILE) };
}

function readStage(project: string): string | undefined {
  const text = readText(join(project, STATE_FOLDER, STAGE_FILE))?.trim();
  return text === "" ? undefined : text;
}

function defaultSocket(project: string, stage: string, env: NodeJS.ProcessEnv): string {
  const digest = createHash("sha256").update(socketSeed(project, stage)).digest("hex");
  return socketPath(env["XDG_RUNTIME_DIR"] || tmpdir(), process.geteuid?.() ?? 0, digest);
}

/**
 * Whether the socket's directory is one that only we can write to: another user may have made it before us in a
 * shared directory, to listen in our daemon's place. `false`: there is none.
 */
export function checkSocketDirectory(socket: string): boolean {
  const directory = dirname(socket);
  const found = lstatSync(directory, { throwIfNoEntry: false });
  if (found === undefined) return false;
  const problem = directoryProblem(
    {
      isSymbolicLink: found.isSymbolicLink(),
      isDirectory: found.isDirectory(),
      uid: found.uid,
      mode: found.mode,
    },
    process.geteuid?.() ?? 0,
  );
  if (problem !== undefined) throw socketUntrusted(directory, problem);
  return true;
}

/** Whether this very process still lives: a pid that was given to another program has another start time. */
export function isAlive(daemon: { readonly pid: number; readonly startTime: string }): boolean {
  return startTimeOfProcess(daemon.pid) === daemon.startTime;
}

/** `undefined` where no such process lives. */
export function startTimeOfProcess(pid: number): string | undefined {
  if (process.platform === "linux") {
    const stat = readText(`/proc/${pid}/stat`);
    return stat === undefined
      ? undefined
      : processIdentityOf(stat, readText("/proc/sys/kernel/random/boot_id") ?? "");
  }
  try {
    const [started, state] = ["lstart=", "state="].map((column) =>
      execFileSync("ps", ["-o", column, "-p", String(pid)], {
        encoding: "utf8",
        // The same words in every language and time zone, since the daemon and its clients compare them.
        env: { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC" },
        stdio: "pipe",
      }).trim(),
    );
    return started === "" || state?.startsWith("Z") === true ? undefined : started;
  } catch {
    return undefined;
  }
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A uid without an entry in the user database, as in many containers.
    return "";
  }
}

export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = codeOf(error);
    // ESRCH: a process that ended between open and read of its /proc file.
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ESRCH") return undefined;
    throw error;
  }
}
