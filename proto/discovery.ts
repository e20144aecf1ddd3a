/**
 * How a client finds the one daemon of a project and stage: names of files and what stands in them. Both ends do
 * their own reading and writing; what they must agree on is here.
 *
 *     <project>/.livedev/stage                  the current stage, one line
 *     <project>/.livedev/<stage>/               the state directory, 0700
 *     <project>/.livedev/<stage>/daemon.json    DaemonFile, written when the socket answers, removed at the end
 *     <project>/.livedev/<stage>/daemon.log     what a daemon in the background prints
 *     <runtime dir>/livedev-<uid>/<id>.sock     the control socket; the directory 0700, the socket 0600
 *     <state home>/livedev/daemons/<id>.json    the same DaemonFile, for the user's list of all daemons
 */

/** The first that exists is the config. */
export const CONFIG_FILES = [
  "livedev.config.ts",
  "livedev.config.mts",
  "livedev.config.js",
  "livedev.config.mjs",
] as const;

export const STATE_FOLDER = ".livedev";
export const STAGE_FILE = "stage";
/**
 * The project is the nearest folder up that holds one of these: it has a config; or it had one, and what was made of it
 * is still there to be looked at, stopped and removed.
 */
export const PROJECT_FILES: readonly string[] = [...CONFIG_FILES, `${STATE_FOLDER}/${STAGE_FILE}`];
export const DAEMON_FILE = "daemon.json";
export const DAEMON_LOG = "daemon.log";

/** Linux' `sockaddr_un` holds 108 bytes with the final zero, macOS' 104; Node 20 cuts a longer path silently. */
export const MAX_SOCKET_PATH_BYTES = 107;

/** `daemon.json`. It outlives a killed daemon: pid and startTime together tell whether that process still lives. */
export type DaemonFile = {
  readonly version: 1;
  readonly pid: number;
  /** When that process was started (see `processIdentityOf`): a reused pid has another. */
  readonly startTime: string;
  readonly socket: string;
  /** This daemon instance; the same as in `daemon.hello`. */
  readonly epoch: string;
  /** Wall clock, milliseconds since the epoch. */
  readonly startedAt: number;
  readonly livedevVersion: string;
  /** Real path. */
  readonly project: string;
  readonly stage: string;
};

/**
 * What `daemon.js` sends over the IPC channel of whoever spawned it: `ready` once its socket answers; `failed` where
 * it ends instead. With code `DAEMON_TAKEN` another daemon holds the lock, so that there is one to connect to.
 */
export type DaemonMessage =
  | { readonly type: "ready"; readonly socket: string }
  | { readonly type: "failed"; readonly code: string; readonly message: string; readonly hint?: string };

export const DAEMON_TAKEN = "daemon.taken";

export function formatDaemonFile(file: DaemonFile): string {
  return `${JSON.stringify(file, undefined, 2)}\n`;
}

/** `undefined` for an empty, cut or foreign file: no daemon can be told from it. */
export function parseDaemonFile(text: string): DaemonFile | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const file = value as Record<string, unknown>;
  const whole =
    file["version"] === 1 &&
    Number.isSafeInteger(file["pid"]) &&
    (file["pid"] as number) > 0 &&
    typeof file["startTime"] === "string" &&
    typeof file["socket"] === "string" &&
    typeof file["epoch"] === "string" &&
    typeof file["startedAt"] === "number" &&
    typeof file["livedevVersion"] === "string" &&
    typeof file["project"] === "string" &&
    typeof file["stage"] === "string";
  return whole ? (value as DaemonFile) : undefined;
}

export function isDaemonMessage(value: unknown): value is DaemonMessage {
  if (typeof value !== "object" || value === null || !("type" in value)) return false;
  if (value.type === "ready") return "socket" in value && typeof value.socket === "string";
  return (
    value.type === "failed" &&
    "code" in value &&
    typeof value.code === "string" &&
    "message" in value &&
    typeof value.message === "string"
  );
}

/** Part of every name in AWS, of the local part of tags and of file names. */
const STAGE = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,18}[A-Za-z0-9])?$/;

export const isStage = (name: string): boolean => STAGE.test(name);

/** Where a stage is named, in this order, before the project's own `.livedev/stage` is asked. */
export const STAGE_VARIABLES = ["LIVEDEV_STAGE", "SST_STAGE"] as const;

/** The stage of a project that has none yet, from the user's name: `Ann O'Neil` becomes `ann-o-neil`. */
export function personalStage(user: string): string {
  const name = user
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .slice(0, 20)
    .replaceAll(/^-+|-+$/g, "");
  return name === "" || name === "root" ? "dev" : name;
}

/** `digest` is the SHA-256, in hex, of `socketSeed`. */
export function socketPath(runtimeDir: string, uid: number, digest: string): string {
  return `${runtimeDir}/livedev-${uid}/${digest.slice(0, 16)}.sock`;
}

/** The folder of the user's registry; `environment` and `home` are the process's own. */
export function registryFolder(
  environment: Readonly<{ [name: string]: string | undefined }>,
  home: string,
): string {
  return `${environment["XDG_STATE_HOME"] || `${home}/.local/state`}/livedev/daemons`;
}

/** `digest` as for `socketPath`. */
export const registryFile = (folder: string, digest: string): string =>
  `${folder}/${digest.slice(0, 16)}.json`;

/** `project` is its real path, so that a symlink to a project finds the same daemon. */
export const socketSeed = (project: string, stage: string): string => `${project}\0${stage}`;

/**
 * Which process is meant, beyond its number: numbers are given out again. From Linux' `/proc/<pid>/stat`, where start
 * times count from the boot, so the boot belongs to it. `undefined` for a zombie, which only waits for its parent.
 */
export function processIdentityOf(stat: string, bootId: string): string | undefined {
  // The second field, the command, may itself hold spaces and brackets.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state] = fields;
  return state === "Z" || state === "X" ? undefined : `${bootId.trim()}:${fields[19]}`;
}

/** What makes a socket's directory unsafe to use, in words; `undefined` for one that only we can enter. */
export function directoryProblem(
  directory: {
    readonly isSymbolicLink: boolean;
    readonly isDirectory: boolean;
    readonly uid: number;
    readonly mode: number;
  },
  ourUid: number,
): string | undefined {
  if (directory.isSymbolicLink) return "it is a symbolic link";
  if (!directory.isDirectory) return "it is not a directory";
  if (directory.uid !== ourUid) return `it belongs to user ${directory.uid}`;
  if ((directory.mode & 0o077) !== 0) {
    return `others may enter it (its mode is ${(directory.mode & 0o777).toString(8)})`;
  }
  return undefined;
}
