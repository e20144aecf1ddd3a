/**
 * A payload as it may be shown: its text with the sensitive parts replaced, everything else as it came, byte for
 * byte (numbers beyond a double and the order of keys are kept, since nothing is printed anew). Runs in the reader
 * thread: its cost is linear in the payload, but not small.
 */
import { isSensitiveName, redact, SEALED } from "../../proto/redact.ts";

export type Shown = { readonly text: string; readonly sealed: boolean };

/** Deeper JSON is an attack on whoever walks it: then all of it is withheld. */
const MAX_DEPTH = 200;
/** JSON in a string in JSON …: an API Gateway event in an SNS message in an SQS record is three. */
const MAX_NESTED = 5;

/** As it came. */
export function revealed(bytes: Uint8Array): Shown {
  return { text: new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes), sealed: false };
}

export function shown(bytes: Uint8Array): Shown {
  const { text } = revealed(bytes);
  const safe = redactText(text, 0);
  return { text: safe, sealed: safe !== text };
}

function redactText(text: string, nested: number): string {
  const first = /^\s*([[{"])/.exec(text)?.[1];
  if (first === undefined || nested > MAX_NESTED) return redact(text);
  try {
    return new Walk(text, nested).whole();
  } catch (error) {
    if (error instanceof TooDeep) return SEALED;
    if (error instanceof NotJson) return redact(text);
    throw error;
  }
}

class NotJson extends Error {}
class TooDeep extends Error {}

const QUOTED_SEALED = JSON.stringify(SEALED);
/** Ends where a string ends; JSON.parse says whether it is one. */
const STRING = /"[^"\\]*(?:\\.[^"\\]*)*"/y;
const SCALAR = /-?\d[\d.eE+-]*|true|false|null/y;
const SPACE = /[\t\n\r ]*/y;

/** One pass over a JSON text that copies it, and puts the mark in the place of sensitive values. */
class Walk {
  readonly #text: string;
  readonly #nested: number;
  /** Copied up to here. */
  #from = 0;
  #at = 0;
  readonly #out: string[] = [];

  constructor(text: string, nested: number) {
    this.#text = text;
    this.#nested = nested;
  }

  whole(): string {
    this.#take(SPACE);
    this.#value(0);
    this.#take(SPACE);
    if (this.#at !== this.#text.length) throw new NotJson();
    if (this.#out.length === 0) return this.#text;
    return this.#out.join("") + this.#text.slice(this.#from);
  }

  #value(depth: number): void {
    if (depth > MAX_DEPTH) throw new TooDeep();
    switch (this.#text.charAt(this.#at)) {
      case "{":
        return this.#object(depth);
      case "[":
        return this.#array(depth);
      case '"':
        return this.#string();
      default:
        if (this.#take(SCALAR) === "") throw new NotJson();
    }
  }

  #object(depth: number): void {
    this.#at += 1;
    /** `{ "name": "Authorization", "value": … }`: a name that makes its neighbour sensitive. */
    let named = false;
    for (let first = true; !this.#ends("}", first); first = false) {
      const name = parseString(this.#take(STRING));
      this.#take(SPACE);
      this.#expect(":");
      this.#take(SPACE);
      const start = this.#at;
      const sensitive = isSensitiveName(name) || (named && /^value$/i.test(name));
      if (sensitive) this.#withhold(depth + 1);
      else this.#value(depth + 1);
      if (/^(?:name|key)$/i.test(name) && this.#text[start] === '"') {
        named = isSensitiveName(parseString(this.#text.slice(start, this.#at)));
      }
    }
  }

  #array(depth: number): void {
    this.#at += 1;
    for (let first = true; !this.#ends("]", first); first = false) this.#value(depth + 1);
  }

  /** Whether the container ends here; otherwise stands at its next item. */
  #ends(close: string, first: boolean): boolean {
    this.#take(SPACE);
    if (this.#text[this.#at] === close) {
      this.#at += 1;
      return true;
    }
    if (!first) this.#expect(",");
    this.#take(SPACE);
    return false;
  }

  #string(): void {
    const start = this.#at;
    const token = this.#take(STRING);
    if (token === "") throw new NotJson();
    const value = parseString(token);
    const safe = redactString(value, this.#nested);
    if (safe !== value) this.#replace(start, JSON.stringify(safe));
  }

  /** An empty value or a yes or no hides nothing, and says much to who looks for the fault. */
  #withhold(depth: number): void {
    const start = this.#at;
    const before = { out: this.#out.length, from: this.#from };
    this.#value(depth);
    this.#out.length = before.out;
    this.#from = before.from;
    if (
      /^(?:""|null|true|false|\[\s*\]|\{\s*\})$/.test(this.#text.slice(start, Math.min(this.#at, start + 16)))
    )
      return;
    this.#replace(start, QUOTED_SEALED);
  }

  #replace(start: number, by: string): void {
    this.#out.push(this.#text.slice(this.#from, start), by);
    this.#from = this.#at;
  }

  #expect(character: string): void {
    if (this.#text[this.#at] !== character) throw new NotJson();
    this.#at += 1;
  }

  #take(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? "";
    this.#at += found.length;
    return found;
  }
}

function parseString(token: string): string {
  try {
    const value: unknown = JSON.parse(token);
    if (typeof value === "string") return value;
  } catch {}
  throw new NotJson();
}

/** A string may hold JSON (a `body`), a form or a query, or any of them in base64. */
function redactString(value: string, nested: number): string {
  const safe = redactText(value, nested + 1);
  if (safe !== value) return safe;
  const decoded = fromBase64(value);
  return decoded !== undefined && redactText(decoded, nested + 1) !== decoded ? SEALED : value;
}

/** The text that this is the base64 of; undefined where it is none. */
function fromBase64(value: string): string | undefined {
  if (value.length < 16 || value.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(value)) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(value, "base64"));
  } catch {
    return undefined;
  }
}
