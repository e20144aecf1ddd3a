/** Values that are known to be secret, taken out of whatever is recorded: user code may print them. */
import { SEALED } from "../../proto/redact.ts";

/** A shorter one is a word like any other: to withhold it would make history unreadable, and tell it. */
const LEAST = 6;

export class Concealed {
  readonly #forms = new Set<string>();
  #pattern: RegExp | undefined;

  /** Beside those before, which a process that still runs may print. One of several lines comes line by line, or escaped. */
  add(values: readonly string[]): void {
    for (const value of values) {
      for (const form of [value, JSON.stringify(value).slice(1, -1), ...value.split(/\r?\n/)])
        this.#forms.add(form);
    }
    const long = [...this.#forms].filter(({ length }) => length >= LEAST).sort((a, b) => b.length - a.length);
    this.#pattern = long.length === 0 ? undefined : new RegExp(long.map(literal).join("|"), "g");
  }

  /** The same object back where nothing in it is secret. */
  from<T>(value: T): T {
    if (this.#pattern === undefined) return value;
    return this.#walk(value) as T;
  }

  #walk(value: unknown): unknown {
    if (typeof value === "string") return value.replace(this.#pattern!, SEALED);
    if (Array.isArray(value)) return value.map((item) => this.#walk(item));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.#walk(item)]));
  }
}

const literal = (text: string) => text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`);
