/**
 * A log file's last lines, then those that are written to it, over rotation: the old file is read to its end before
 * the new one is begun. The folder is watched, not the file, since the file is another one after a rotation.
 */
import { closeSync, fstatSync, openSync, readSync, statSync, watch } from "node:fs";
import { dirname } from "node:path";
import { StringDecoder } from "node:string_decoder";

import { codeOf } from "../errors.ts";

const CHUNK = 64 * 1024;

export class FileTail {
  readonly #path: string;
  readonly #onLine: (line: string) => void;
  readonly #buffer = Buffer.alloc(CHUNK);
  #file: number | undefined;
  #offset = 0;
  #decoder = new StringDecoder("utf8");
  #rest = "";

  constructor(path: string, onLine: (line: string) => void) {
    this.#path = path;
    this.#onLine = onLine;
    this.#open();
  }

  /** All that is there now. */
  read(): void {
    for (;;) {
      this.#drain();
      if (!this.#replaced()) return;
      this.#drain();
      this.close();
      this.#open();
      if (this.#file === undefined) return;
    }
  }

  /** Resolves when the signal aborts. */
  async follow(signal: AbortSignal): Promise<void> {
    const watcher = watch(dirname(this.#path));
    try {
      await new Promise<void>((resolve, reject) => {
        const look = () => {
          try {
            this.read();
          } catch (error) {
            reject(error);
          }
        };
        watcher.on("change", look);
        watcher.on("error", reject);
        signal.addEventListener("abort", () => resolve(), { once: true });
        if (signal.aborted) resolve();
        // Between the last read and the watch.
        look();
      });
    } finally {
      watcher.close();
      this.close();
    }
  }

  #drain(): void {
    if (this.#file === undefined) return;
    // Emptied in place, as `> daemon.log` does.
    if (fstatSync(this.#file).size < this.#offset) this.#offset = 0;
    for (;;) {
      const read = readSync(this.#file, this.#buffer, 0, CHUNK, this.#offset);
      if (read === 0) return;
      this.#offset += read;
      const lines = (this.#rest + this.#decoder.write(this.#buffer.subarray(0, read))).split("\n");
      this.#rest = lines.pop() ?? "";
      for (const line of lines) this.#onLine(line);
    }
  }

  /** Whether the path names another file now, or the first one. */
  #replaced(): boolean {
    const there = statSync(this.#path, { throwIfNoEntry: false });
    if (there === undefined) return false;
    return this.#file === undefined || fstatSync(this.#file).ino !== there.ino;
  }

  #open(): void {
    try {
      this.#file = openSync(this.#path, "r");
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw error;
    }
    this.#offset = 0;
    this.#rest = "";
    this.#decoder = new StringDecoder("utf8");
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}
