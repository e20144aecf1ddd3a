/**
 * What a stage's daemon must know over restarts beside history, which may be moved aside when it is damaged: a small
 * file of its own, replaced as a whole.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";

import { codeOf, messageOf, notWritten } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";

export class Settings<T extends object> {
  readonly #file: string;
  readonly #log: Log;
  #values: Partial<T>;
  /** As the file has them. */
  #written: string;

  static open<T extends object>({ file, log }: { file: string; log: Log }): Settings<T> {
    try {
      return new Settings<T>(file, log, JSON.parse(readFileSync(file, "utf8")) as Partial<T>);
    } catch (error) {
      // All in it can be found out again, at the cost of a deployment.
      if (codeOf(error) !== "ENOENT")
        log.warn({ file, reason: messageOf(error) }, "begun anew: it cannot be read");
      return new Settings<T>(file, log, {});
    }
  }

  private constructor(file: string, log: Log, values: Partial<T>) {
    this.#file = file;
    this.#log = log;
    this.#values = values;
    this.#written = JSON.stringify(values);
  }

  get<K extends keyof T>(name: K): T[K] | undefined {
    return this.#values[name];
  }

  /** On the disk when it returns. @throws LivedevError where the disk refuses; then all is as it was. */
  set(values: Partial<T>): void {
    const whole = { ...this.#values, ...values };
    const text = JSON.stringify(whole);
    if (text !== this.#written) this.#write(text);
    this.#values = whole;
  }

  /** What is known from here on, and will be on the disk as soon as that takes it: nobody is held up meanwhile. */
  keep(values: Partial<T>): void {
    this.#values = { ...this.#values, ...values };
    try {
      this.set({});
    } catch (error) {
      this.#log.warn({ reason: messageOf(error) }, "the next daemon may not know what this one does");
    }
  }

  #write(text: string): void {
    const draft = `${this.#file}.${process.pid}`;
    try {
      writeFileSync(draft, text, { mode: 0o600 });
      renameSync(draft, this.#file);
    } catch (error) {
      throw notWritten(this.#file, error);
    }
    this.#written = text;
  }
}
