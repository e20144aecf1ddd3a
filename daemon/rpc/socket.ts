/**
 * The control socket's place in the file system. The directory is the guard: only its owner can enter a directory of
 * mode 0700, on every Unix, whatever the mode of the socket inside. Node cannot ask a Unix socket for its peer's uid
 * (SO_PEERCRED needs native code), so the directory is checked before use instead.
 */
import { lstat, mkdir, unlink } from "node:fs/promises";
import { connect, type Server } from "node:net";
import { dirname } from "node:path";

import { directoryProblem, MAX_SOCKET_PATH_BYTES } from "../../proto/discovery.ts";
import {
  codeOf,
  messageOf,
  socketAnswers,
  socketDirectoryMissing,
  socketDirectoryUnsafe,
  socketPathOccupied,
  socketPathTooLong,
} from "../lib/errors.ts";

/**
 * Makes the path ready to listen on: a safe directory, no stale socket. Only the holder of the daemon's lock may call
 * it, since it removes the socket that a killed daemon left behind.
 */
export async function prepareSocket(path: string): Promise<void> {
  await checkSocketDirectory(path);
  const found = await lstat(path).catch(absent);
  if (found === undefined) return;
  if (found.isSymbolicLink()) throw socketPathOccupied(path, "it is a symbolic link");
  if (!found.isSocket()) throw socketPathOccupied(path, "something else lies there");
  if (found.uid !== ourUid()) throw socketPathOccupied(path, `it belongs to user ${found.uid}`);
  if (await answers(path)) throw socketAnswers(path);
  await unlink(path).catch(absent);
}

/** Refuses a path that is too long and a directory that others can enter; makes the directory where it is absent. */
export async function checkSocketDirectory(path: string): Promise<void> {
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_SOCKET_PATH_BYTES) throw socketPathTooLong(path, bytes, MAX_SOCKET_PATH_BYTES);

  const directory = dirname(path);
  try {
    await mkdir(directory, { mode: 0o700 });
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw socketDirectoryMissing(directory, messageOf(error));
  }
  // lstat, not stat: in a directory that all may write to (/tmp), a link could have been put there for us.
  const found = await lstat(directory);
  const problem = directoryProblem(
    {
      isSymbolicLink: found.isSymbolicLink(),
      isDirectory: found.isDirectory(),
      uid: found.uid,
      mode: found.mode,
    },
    ourUid(),
  );
  if (problem !== undefined) throw socketDirectoryUnsafe(directory, problem);
}

/** Listens with mode 0600 from the first moment: bind() happens within the call, so the umask has no gap. */
export function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) =>
      reject(
        codeOf(error) === "EADDRINUSE" ? socketPathOccupied(path, "a socket lies there already") : error,
      );
    server.once("error", failed);
    const before = process.umask(0o177);
    try {
      server.listen(path, () => {
        server.off("error", failed);
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
}

/** Whether somebody accepts connections there; a socket left by `kill -9` refuses them. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

function ourUid(): number {
  return process.geteuid?.() ?? -1;
}

function absent(error: unknown): undefined {
  if (codeOf(error) === "ENOENT") return undefined;
  throw error;
}
