/**
 * Log lines come one by one, but a private key that is printed goes over many, of which only the first says what they
 * are. From there on, what looks like more of it is withheld, up to its end.
 */
import { redact, SEALED } from "../../proto/redact.ts";

const BEGIN = /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----/;
const END = /-----END [A-Z0-9 ]{0,40}-----/;
/** Base64, as it is or in quotes with an escaped line break and a `+`, as Node prints a string in an object. */
const MORE = /^\s*["'`]?[A-Za-z0-9+/=]*(?:\\n)*["'`]?\s*[+,]?\s*$/;
/** `Proc-Type: 4,ENCRYPTED` and `DEK-Info: …` stand between the first line and the key. */
const HEADER = /^\s*["'`]?(?:Proc-Type|DEK-Info):/;
/** Of a key of 16,384 bits there are 200. */
const MAX_LINES = 250;
/** Streams that stopped in the middle of a key are forgotten, oldest first. */
const MAX_STREAMS = 1_000;

export class LineRedactor {
  /** Streams inside a key, and how many more lines may belong to it. */
  readonly #inside = new Map<string, number>();

  /** `stream` tells lines apart that were printed side by side. */
  redact(stream: string, text: string): string {
    const left = this.#inside.get(stream);
    this.#inside.delete(stream);
    if (left !== undefined) {
      const end = END.exec(text);
      if (end !== null) return SEALED + this.#outside(stream, text.slice(end.index + end[0].length));
      if (MORE.test(text) || HEADER.test(text)) {
        if (left > 1) this.#inside.set(stream, left - 1);
        return SEALED;
      }
    }
    return this.#outside(stream, text);
  }

  #outside(stream: string, text: string): string {
    if (lastIndex(text, BEGIN) > lastIndex(text, END)) {
      this.#inside.set(stream, MAX_LINES);
      const oldest = this.#inside.keys().next();
      if (this.#inside.size > MAX_STREAMS && oldest.done !== true) this.#inside.delete(oldest.value);
    }
    return redact(text);
  }
}

function lastIndex(text: string, pattern: RegExp): number {
  if (!text.includes("-----")) return -1;
  let last = -1;
  for (const { index } of text.matchAll(new RegExp(pattern, "g"))) last = index;
  return last;
}
