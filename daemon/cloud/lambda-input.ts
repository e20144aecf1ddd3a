/** The input of Lambda's operations: a JSON object, each member checked as AWS checks it. */
import { invalidParameter, invalidRequestContent, validation } from "./aws-error.ts";

export class Input {
  readonly #members: Readonly<Record<string, unknown>>;

  constructor(body: Uint8Array) {
    this.#members = body.length === 0 ? {} : parse(body);
  }

  has(name: string): boolean {
    return this.#get(name) !== undefined;
  }

  string(name: string, pattern?: RegExp): string | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    if (typeof value !== "string") throw wrongType(name, "a string");
    if (pattern !== undefined && !pattern.test(value)) {
      throw validation(
        `1 validation error detected: Value '${value}' at '${camel(name)}' failed to satisfy constraint: Member must satisfy regular expression pattern: ${pattern.source}`,
      );
    }
    return value;
  }

  required(name: string, pattern?: RegExp): string {
    const value = this.string(name, pattern);
    if (value !== undefined && value !== "") return value;
    throw validation(
      `1 validation error detected: Value null at '${camel(name)}' failed to satisfy constraint: Member must not be null`,
    );
  }

  oneOf<const T extends string>(name: string, known: readonly T[]): T | undefined {
    const value = this.string(name);
    const found = known.find((word) => word === value);
    if (found === undefined && value !== undefined) {
      throw validation(
        `1 validation error detected: Value '${value}' at '${camel(name)}' failed to satisfy constraint: Member must satisfy enum value set: [${known.join(", ")}]`,
      );
    }
    return found;
  }

  integer(name: string, least: number, most: number): number | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    if (typeof value !== "number" || !Number.isInteger(value)) throw wrongType(name, "an integer");
    if (value >= least && value <= most) return value;
    const bound = value < least ? `greater than or equal to ${least}` : `less than or equal to ${most}`;
    throw validation(
      `1 validation error detected: Value '${value}' at '${camel(name)}' failed to satisfy constraint: Member must have value ${bound}`,
    );
  }

  boolean(name: string): boolean | undefined {
    const value = this.#get(name);
    if (value !== undefined && typeof value !== "boolean") throw wrongType(name, "a boolean");
    return value;
  }

  strings(name: string): string[] | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || !value.every((entry) => typeof entry === "string")) {
      throw wrongType(name, "a list of strings");
    }
    return value;
  }

  stringMap(name: string): Record<string, string> | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    if (!isObject(value)) throw wrongType(name, "a map");
    for (const [key, entry] of Object.entries(value)) {
      if (typeof entry !== "string" || key === "__proto__") throw wrongType(name, "a map of strings");
    }
    return value as Record<string, string>;
  }

  /** Base64, as a blob travels in JSON. */
  blob(name: string): Uint8Array | undefined {
    const value = this.string(name);
    if (value === undefined) return undefined;
    const bytes = Buffer.from(value, "base64");
    if (bytes.length < Math.floor((value.replace(/=+$/, "").length * 3) / 4)) {
      throw invalidRequestContent(`Could not parse request body into json: ${name} is not base64.`);
    }
    return bytes;
  }

  object(name: string): Input | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    if (!isObject(value)) throw wrongType(name, "a structure");
    return new Input(Buffer.from(JSON.stringify(value)));
  }

  /** Members that the cloud would have to obey and cannot: better refused than silently dropped. */
  refuse(names: readonly string[]): void {
    const given = names.find((name) => !isEmpty(this.#get(name)));
    if (given !== undefined) throw invalidParameter(`The local cloud does not implement ${given}.`);
  }

  #get(name: string): unknown {
    return Object.hasOwn(this.#members, name) ? (this.#members[name] ?? undefined) : undefined;
  }
}

function parse(body: Uint8Array): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body).toString("utf8"));
  } catch {
    throw invalidRequestContent("Could not parse request body into json: it is not JSON.");
  }
  if (!isObject(value))
    throw invalidRequestContent("Could not parse request body into json: it is not an object.");
  return value;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Clients send empty structures for what they leave as it is. */
function isEmpty(value: unknown): boolean {
  if (value === undefined || value === "") return true;
  if (Array.isArray(value)) return value.length === 0;
  return isObject(value) && Object.values(value).every(isEmpty);
}

const wrongType = (name: string, wanted: string) =>
  invalidRequestContent(`Could not parse request body into json: ${name} is not ${wanted}.`);

const camel = (name: string) => name.charAt(0).toLowerCase() + name.slice(1);
