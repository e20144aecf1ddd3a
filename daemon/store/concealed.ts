/** Values that are known to be secret, taken out of whatever is recorded: user code may print them. */
import { SEALED } from "../../proto/redact.ts";

/**
 * A shorter one is a word like any other: to withhold it wherever it stands would make history unreadable, and tell it.
 * Only a line or a payload that is nothing else is withheld.
 */
const LEAST = 6;
const WHOLE = new Set(["text", "lines"]);
/** What history is found by: a secret that reads like a function's name is no reason to lose the function's rows. */
const NAMES = new Set(["type", "functionName", "processName", "requestId"]);

export class Concealed {
  readonly #forms = new Set<string>();
  #pattern: RegExp | undefined;
  #short: ReadonlySet<string> = new Set();

  /** Beside those before, which a process that still runs may print. One of several lines comes line by line, or escaped. */
  add(values: readonly string[]): void {
    for (const value of values) {
      for (const form of [value, JSON.stringify(value).slice(1, -1), ...value.split(/\r?\n/)])
        this.#forms.add(form);
    }
    this.#short = new Set([...this.#forms].filter(({ length }) => length > 0 && length < LEAST));
    const long = [...this.#forms].filter(({ length }) => length >= LEAST).sort((a, b) => b.length - a.length);
    this.#pattern = long.length === 0 ? undefined : new RegExp(long.map(literal).join("|"), "g");
  }

  /** The same object back where nothing is known to be secret. */
  from<T>(value: T): T {
    if (this.#pattern === undefined && this.#short.size === 0) return value;
    return this.#walk(value, false) as T;
  }

  #walk(value: unknown, whole: boolean): unknown {
    if (typeof value === "string") {
      // As it is, or as JSON.
      if (whole && this.#short.has(value.trim().replace(/^"(.*)"$/s, "$1"))) return SEALED;
      return this.#pattern === undefined ? value : value.replace(this.#pattern, SEALED);
    }
    if (Array.isArray(value)) return value.map((item) => this.#walk(item, whole));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [
        key,
        NAMES.has(key) ? item : this.#walk(item, WHOLE.has(key)),
      ]),
    );
  }
}

const literal = (text: string) => text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`);
