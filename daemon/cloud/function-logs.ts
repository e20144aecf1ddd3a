/** What functions log, a file for each: what CloudWatch would have. The older half of a long log is dropped. */
import { appendFile, mkdir, rename, stat } from "node:fs/promises";
import { join } from "node:path";

import { messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";

const MAX_FILE_BYTES = 10 * 1024 * 1024;
/** Beyond it the function's output is held back. */
const MAX_BUFFERED = 1024 * 1024;

type Writer = {
  pending: string[];
  characters: number;
  size: number | undefined;
  writing: Promise<void> | undefined;
};

export class FunctionLogs {
  readonly #dir: string;
  readonly #log: Log;
  readonly #writers = new Map<string, Writer>();

  private constructor(dir: string, log: Log) {
    this.#dir = dir;
    this.#log = log;
  }

  static async open(options: { dir: string; log: Log }): Promise<FunctionLogs> {
    await mkdir(options.dir, { recursive: true, mode: 0o700 });
    return new FunctionLogs(options.dir, options.log);
  }

  /** A promise where the writer should wait. */
  write(name: string, line: string): void | Promise<void> {
    const writer = this.#writers.get(name) ?? {
      pending: [],
      characters: 0,
      size: undefined,
      writing: undefined,
    };
    this.#writers.set(name, writer);
    const text = `${new Date().toISOString()} ${line}\n`;
    writer.pending.push(text);
    writer.characters += text.length;
    writer.writing ??= this.#flush(name, writer);
    if (writer.characters > MAX_BUFFERED) return writer.writing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#writers.values()].flatMap(({ writing }) => writing ?? []));
  }

  async #flush(name: string, writer: Writer): Promise<void> {
    const file = join(this.#dir, `${name}.log`);
    try {
      writer.size ??= await stat(file).then(
        ({ size }) => size,
        () => 0,
      );
      while (writer.pending.length > 0) {
        const text = writer.pending.join("");
        writer.pending = [];
        writer.characters = 0;
        if (writer.size > MAX_FILE_BYTES / 2) {
          await rename(file, `${file}.1`);
          writer.size = 0;
        }
        await appendFile(file, text, { mode: 0o600 });
        writer.size += Buffer.byteLength(text);
      }
    } catch (error) {
      // A full disk must not stop the functions.
      writer.pending = [];
      writer.characters = 0;
      this.#log.warn({ function: name, error: messageOf(error) }, "a function's log could not be written");
    } finally {
      writer.writing = undefined;
    }
  }
}
