/**
 * What a stage's daemon must know over restarts beside history, which may be moved aside when it is damaged: a small
 * file of its own, replaced as a whole.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";

import { codeOf, messageOf, stateNotWritable } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";

export class Settings<T extends object> {
  readonly #file: string;
  #values: Partial<T>;

  static open<T extends object>(options: { file: string; log: Log }): Settings<T> {
    const { file, log } = options;
    try {
      return new Settings<T>(file, JSON.parse(readFileSync(file, "utf8")) as Partial<T>);
    } catch (error) {
      // All in it can be found out again, at the cost of a deployment.
      if (codeOf(error) !== "ENOENT")
        log.warn({ file, reason: messageOf(error) }, "begun anew: it cannot be read");
      return new Settings<T>(file, {});
    }
  }

  private constructor(file: string, values: Partial<T>) {
    this.#file = file;
    this.#values = values;
  }

  get<K extends keyof T>(name: K): T[K] | undefined {
    return this.#values[name];
  }

  /** On the disk when it returns. @throws LivedevError where the disk refuses; then it holds until the end. */
  set(values: Partial<T>): void {
    const text = JSON.stringify({ ...this.#values, ...values });
    if (text === JSON.stringify(this.#values)) return;
    this.#values = { ...this.#values, ...values };
    const draft = `${this.#file}.${process.pid}`;
    try {
      writeFileSync(draft, text, { mode: 0o600 });
      renameSync(draft, this.#file);
    } catch (error) {
      throw stateNotWritable(this.#file, error);
    }
  }
}
