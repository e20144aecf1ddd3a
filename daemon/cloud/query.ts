/** A request of AWS's Query protocol: a form with an `Action`, lists as `Name.member.1`. */
import { invalidInput } from "./aws-error.ts";

export class QueryParameters {
  readonly #values: URLSearchParams;

  constructor(body: Uint8Array) {
    this.#values = new URLSearchParams(Buffer.from(body).toString("utf8"));
  }

  get action(): string {
    return this.#values.get("Action") ?? "";
  }

  optional(name: string): string | undefined {
    return this.#values.get(name) ?? undefined;
  }

  required(name: string): string {
    const value = this.optional(name);
    if (value === undefined || value === "") {
      throw invalidInput(
        `1 validation error detected: Value at '${name}' failed to satisfy constraint: Member must not be null`,
      );
    }
    return value;
  }

  matching(name: string, pattern: RegExp): string {
    const value = this.required(name);
    if (pattern.test(value)) return value;
    throw invalidInput(
      `The specified value for ${name} is invalid. It must satisfy regular expression pattern: ${pattern.source}`,
    );
  }

  integer(name: string, fallback: number, least: number, most: number): number {
    const text = this.optional(name);
    if (text === undefined) return fallback;
    const value = Number(text);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw invalidInput(`${name} must be a whole number between ${least} and ${most}.`);
  }

  list(name: string): string[] {
    return this.#members(name).map((prefix) => this.required(prefix));
  }

  tags(name: string): Record<string, string> {
    const tags: [string, string][] = this.#members(name).map((prefix) => [
      this.required(`${prefix}.Key`),
      this.optional(`${prefix}.Value`) ?? "",
    ]);
    return Object.fromEntries(tags);
  }

  #members(name: string): string[] {
    const prefixes: string[] = [];
    for (let n = 1; ; n += 1) {
      const prefix = `${name}.member.${n}`;
      const present = [...this.#values.keys()].some((key) => key === prefix || key.startsWith(`${prefix}.`));
      if (!present) return prefixes;
      prefixes.push(prefix);
    }
  }
}
