/**
 * How clients find this daemon: a file in its state folder, and one in the user's list of daemons. Like the socket
 * (rpc/socket-keeper.ts) they are made again where somebody deletes them.
 */
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { DAEMON_FILE, formatDaemonFile, type DaemonFile } from "../proto/discovery.ts";

import { messageOf } from "./lib/errors.ts";
import { exists } from "./lib/file-gone.ts";
import type { Log } from "./lib/log.ts";
import { nextLook } from "./lib/looks.ts";
import { Scope } from "./lib/scope.ts";

export type AnnouncementOptions = {
  readonly file: DaemonFile;
  readonly stateDir: string;
  /** This daemon's file in the user's list. */
  readonly registryEntry: string;
  readonly log: Log;
};

export class Announcement implements AsyncDisposable {
  readonly #options: AnnouncementOptions;
  readonly #scope = new Scope();
  readonly #text: string;

  /** Whole or not at all, for whoever reads at this moment. */
  static async open(options: AnnouncementOptions): Promise<Announcement> {
    const announcement = new Announcement(options);
    await announcement.#open();
    return announcement;
  }

  private constructor(options: AnnouncementOptions) {
    this.#options = options;
    this.#text = formatDaemonFile(options.file);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }

  async #open(): Promise<void> {
    const { stateDir, registryEntry, log } = this.#options;
    const own = join(stateDir, DAEMON_FILE);
    await write(own, this.#text);
    this.#scope.defer(() => this.#remove(own));
    const files = [own];
    try {
      await mkdir(dirname(registryEntry), { recursive: true, mode: 0o700 });
      await write(registryEntry, this.#text);
      this.#scope.defer(() => this.#remove(registryEntry));
      files.push(registryEntry);
    } catch (error) {
      // A home that cannot be written: then `livedev list` does not know us, and all else works.
      log.warn(
        { path: registryEntry, reason: messageOf(error) },
        "this daemon is not in the list of daemons",
      );
    }
    const keeping = this.#keep(files);
    this.#scope.defer(() => keeping);
  }

  async #keep(files: readonly string[]): Promise<void> {
    const { log } = this.#options;
    const { signal } = this.#scope;
    while (await nextLook(signal)) {
      for (const file of files) {
        if (await exists(file)) continue;
        try {
          await write(file, this.#text);
          log.warn({ path: file }, "the file that clients find this daemon by was gone; made again");
        } catch (error) {
          log.error(
            { err: error, path: file },
            "the file that clients find this daemon by cannot be made again",
          );
        }
      }
    }
  }

  /** Ours only: another daemon may have been started in a folder that took the place of ours. */
  async #remove(file: string): Promise<void> {
    const text = await readFile(file, "utf8").catch(() => undefined);
    if (text === this.#text) await rm(file, { force: true });
  }
}

async function write(file: string, text: string): Promise<void> {
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, text, { mode: 0o600 });
  await rename(draft, file);
}
