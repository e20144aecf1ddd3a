/**
 * The log of a daemon in the background: append only, and one old file beside it, so that a daemon that runs for
 * weeks fills no disk. What Node itself prints (a crash) goes to the descriptor that the daemon was started with, to
 * the same file until the first rotation, to the old one after it.
 */
import { closeSync, fstatSync, openSync, renameSync, writeSync } from "node:fs";

const MAX_BYTES = 10 * 1024 * 1024;

export class LogFile {
  readonly #path: string;
  readonly #maxBytes: number;
  #file: number;
  #bytes: number;

  constructor(path: string, maxBytes = MAX_BYTES) {
    this.#path = path;
    this.#maxBytes = maxBytes;
    this.#file = openSync(path, "a", 0o600);
    this.#bytes = fstatSync(this.#file).size;
  }

  /** Synchronous, as a log that shall tell of a crash must be. */
  write(line: string): void {
    try {
      const bytes = Buffer.byteLength(line);
      if (this.#bytes > 0 && this.#bytes + bytes > this.#maxBytes) this.#rotate();
      writeSync(this.#file, line);
      this.#bytes += bytes;
    } catch {
      // A full disk, a folder that is gone: no reason to end, and nowhere to say it.
    }
  }

  #rotate(): void {
    renameSync(this.#path, `${this.#path}.1`);
    const file = openSync(this.#path, "a", 0o600);
    closeSync(this.#file);
    this.#file = file;
    this.#bytes = 0;
  }
}
