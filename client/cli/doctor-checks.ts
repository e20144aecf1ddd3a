/** What can be told without a daemon. Every check looks; none changes anything. */
import { execFileSync } from "node:child_process";
import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  statfsSync,
  statSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";

import { directoryProblem, MAX_SOCKET_PATH_BYTES, STATE_FOLDER } from "../../proto/discovery.ts";
import type { Finding } from "../../proto/rpc.ts";

import { isAlive, readText, type Place } from "../discovery.ts";
import { messageOf } from "../errors.ts";
import { CLOUD_PROGRAM, DAEMON_PROGRAM, HISTORY_PROGRAM, PACKAGE_ROOT } from "../programs.ts";

const OLDEST_NODE = [20, 19] as const;
const LITTLE_SPACE = 200 * 1024 * 1024;
/** A large project has more files than this. */
const FEW_WATCHES = 16_384;
/** Clocks of two file systems may differ by a little. */
const FUTURE_MS = 60_000;

const ok = (id: string, title: string): Finding => ({ id, level: "ok", title });
const warning = (id: string, title: string, fix: string): Finding => ({ id, level: "warning", title, fix });
const error = (id: string, title: string, fix: string): Finding => ({ id, level: "error", title, fix });

export function checkMachine(): Finding[] {
  return [nodeVersion(), programs(), sqlite(), ...watchLimit()];
}

export function checkPlace(place: Place): Finding[] {
  return [
    ...stateDirectory(place),
    ...privateFiles(place),
    ...ignored(place),
    ...space(place),
    ...clock(place),
    ...leftovers(place),
    socketDirectory(place),
    ...socketPath(place),
  ];
}

// ---- the installation

function nodeVersion(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const [oldest, least] = OLDEST_NODE;
  if (major > oldest || (major === oldest && minor >= least))
    return ok("node.version", `Node is ${process.version}.`);
  return error(
    "node.version",
    `Node is ${process.version}; livedev needs ${OLDEST_NODE.join(".")} or newer.`,
    `Install a newer Node: nvm install ${oldest}`,
  );
}

function programs(): Finding {
  const missing = [DAEMON_PROGRAM, CLOUD_PROGRAM, HISTORY_PROGRAM].filter((file) => !existsSync(file));
  if (missing.length === 0) return ok("install.programs", "livedev's programs are in place.");
  return error("install.programs", `${missing.join(", ")} is missing.`, "npm install livedev");
}

/** In a process of its own: a binding that does not fit may end the one that loads it. */
function sqlite(): Finding {
  const id = "install.sqlite";
  try {
    const script = 'new (require("better-sqlite3"))(":memory:").close()';
    execFileSync(process.execPath, ["-e", script], { cwd: PACKAGE_ROOT, stdio: "pipe", timeout: 10_000 });
    return ok(id, "The native part of better-sqlite3 loads.");
  } catch (cause) {
    return error(id, whyNotLoaded(messageOf(cause)), "npm rebuild better-sqlite3 --ignore-scripts=false");
  }
}

function whyNotLoaded(said: string): string {
  if (said.includes("bindings file")) return "The native part of better-sqlite3 is not installed.";
  if (said.includes("NODE_MODULE_VERSION"))
    return `The native part of better-sqlite3 was built for another Node than this one, ${process.version}.`;
  const reason = /^Error: (.*)$/m.exec(said)?.[1] ?? "it is not installed";
  return `The native part of better-sqlite3 does not load: ${reason}`;
}

function watchLimit(): Finding[] {
  const limit = Number(readText("/proc/sys/fs/inotify/max_user_watches") ?? Number.NaN);
  if (!(limit < FEW_WATCHES)) return [];
  return [
    warning(
      "watch.limit",
      `The system watches at most ${limit} files and folders for you; in a large project saves would go unseen.`,
      "sudo sysctl fs.inotify.max_user_watches=524288",
    ),
  ];
}

// ---- the state

function stateDirectory({ project, stateDir }: Place): Finding[] {
  const id = "state.directory";
  const folder = existsSync(stateDir)
    ? stateDir
    : existsSync(dirname(stateDir))
      ? dirname(stateDir)
      : project;
  const found = statSync(folder);
  if (!found.isDirectory()) return [error(id, `${folder} is not a folder.`, `rm ${quoted(folder)}`)];
  if (!writable(folder)) {
    return [
      error(
        id,
        `livedev cannot write to ${folder}.`,
        `sudo chown -R "$USER" ${quoted(folder)} && chmod u+rwx ${quoted(folder)}`,
      ),
    ];
  }
  if (folder === stateDir && (found.mode & 0o077) !== 0) {
    const mode = (found.mode & 0o777).toString(8);
    return [
      warning(id, `Others may enter ${stateDir} (its mode is ${mode}).`, `chmod 700 ${quoted(stateDir)}`),
    ];
  }
  return [
    ok(id, `The state directory ${stateDir} ${folder === stateDir ? "is ours alone" : "can be made"}.`),
  ];
}

function writable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function privateFiles({ stateDir }: Place): Finding[] {
  const open = filesIn(stateDir).filter((file) => {
    const found = lstatSync(file, { throwIfNoEntry: false });
    return found?.isFile() === true && (found.mode & 0o077) !== 0;
  });
  if (open.length === 0) return [];
  const names = open.map((file) => basename(file)).join(", ");
  return [
    warning(
      "state.files",
      `Others may read ${names} in ${stateDir}.`,
      `chmod 600 ${open.map(quoted).join(" ")}`,
    ),
  ];
}

/** History is private, and large. */
function ignored({ project }: Place): Finding[] {
  try {
    execFileSync("git", ["-C", project, "check-ignore", "-q", STATE_FOLDER], {
      stdio: "pipe",
      timeout: 5_000,
    });
    return [];
  } catch (cause) {
    // 1: not ignored. 128: no repository. ENOENT: no git.
    const status =
      typeof cause === "object" && cause !== null && "status" in cause ? cause.status : undefined;
    if (status !== 1) return [];
    return [
      warning(
        "state.ignored",
        `git does not ignore ${STATE_FOLDER}/, which holds your history.`,
        `echo ${STATE_FOLDER}/ >> ${quoted(join(project, ".gitignore"))}`,
      ),
    ];
  }
}

function space({ project }: Place): Finding[] {
  const { bavail, bsize } = statfsSync(project);
  const free = bavail * bsize;
  if (free > LITTLE_SPACE) return [];
  return [
    warning(
      "state.space",
      `Only ${Math.round(free / 1024 / 1024)} MB are free where the project lies.`,
      "Free some space.",
    ),
  ];
}

/** A clock that was set back leaves files of the future; AWS refuses requests whose time is off by five minutes. */
function clock({ stateDir }: Place): Finding[] {
  const [newest] = filesIn(stateDir)
    .map((file) => ({ file, at: lstatSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
    .toSorted((a, b) => b.at - a.at);
  if (newest === undefined || newest.at < Date.now() + FUTURE_MS) return [];
  return [
    warning(
      "clock",
      `${newest.file} was written at ${new Date(newest.at).toISOString()}, which is still to come: the clock was set back.`,
      "Set the clock by the network: sudo timedatectl set-ntp true",
    ),
  ];
}

function filesIn(folder: string): string[] {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return [];
  return readdirSync(folder).map((name) => join(folder, name));
}

/** What a killed daemon left is no fault: the next one takes it over. */
function leftovers({ file, socket, stateDir }: Place): Finding[] {
  if (file === undefined) {
    const path = join(stateDir, "daemon.json");
    if (!existsSync(path)) return [];
    const text = readFileSync(path, "utf8");
    return [
      warning(
        "daemon.file",
        `${path} cannot be understood (${text.length} characters).`,
        `rm ${quoted(path)}`,
      ),
    ];
  }
  if (isAlive(file)) return [];
  const what = existsSync(socket) ? "its socket and its file" : "its file";
  return [
    warning(
      "daemon.leftovers",
      `A daemon (pid ${file.pid}) was killed and left ${what}.`,
      "livedevd start takes them over.",
    ),
  ];
}

// ---- the socket

function socketDirectory({ socket }: Place): Finding {
  const id = "socket.directory";
  const folder = dirname(socket);
  const found = lstatSync(folder, { throwIfNoEntry: false });
  if (found === undefined) return ok(id, `The control socket's directory ${folder} can be made.`);
  const problem = directoryProblem(
    {
      isSymbolicLink: found.isSymbolicLink(),
      isDirectory: found.isDirectory(),
      uid: found.uid,
      mode: found.mode,
    },
    process.geteuid?.() ?? 0,
  );
  if (problem === undefined) return ok(id, `The control socket's directory ${folder} is ours alone.`);
  return error(
    id,
    `The control socket's directory ${folder} cannot be trusted: ${problem}.`,
    `rm -rf ${quoted(folder)}, or set XDG_RUNTIME_DIR to a directory of your own`,
  );
}

function socketPath({ socket }: Place): Finding[] {
  const bytes = Buffer.byteLength(socket);
  if (bytes <= MAX_SOCKET_PATH_BYTES) return [];
  return [
    error(
      "socket.path",
      `The control socket's path has ${bytes} bytes, and the system takes at most ${MAX_SOCKET_PATH_BYTES}: ${socket}`,
      "Set XDG_RUNTIME_DIR to a shorter directory.",
    ),
  ];
}

/** For a shell. */
function quoted(path: string): string {
  return /^[\w./:@%+-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}
