/**
 * A term looked for in what history shows, without regard to case. Payloads lie sealed and are shown redacted, and to
 * redact is many times dearer than to unseal: so the original bytes are searched first, and only where they may hold
 * the term is it looked for in what is shown. What only the redacted part holds is not found.
 */
import { SEALED } from "../../proto/redact.ts";
import { shown } from "./shown.ts";

export class Term {
  readonly #pattern: RegExp;
  /** Matches every payload that can match once it is shown. */
  readonly #candidate: RegExp | undefined;
  /** As it stands in the JSON of an event's row. */
  readonly #inJson: RegExp;

  constructor(term: string) {
    this.#pattern = new RegExp(escaped(term), "iu");
    this.#inJson = new RegExp(escaped(JSON.stringify(term).slice(1, -1)), "iu");
    // The mark that stands for what is redacted is in no original.
    const mayTouchMark = /[«»]/.test(term) || this.#pattern.test(SEALED);
    // A string that is redacted in part is printed anew: `\/` and `\u0041` become what they stand for.
    if (!mayTouchMark) this.#candidate = new RegExp(`${escaped(term)}|\\\\[u/]`, "iu");
  }

  in(text: string | null): boolean {
    return text !== null && this.#pattern.test(text);
  }

  inPayload(original: Uint8Array): boolean {
    if (this.#candidate !== undefined && !this.#candidate.test(decode(original))) return false;
    return this.#pattern.test(shown(original).text);
  }

  /** In the `text` of a log line, given its row's JSON. Lines were redacted before they were written. */
  inLogLine(json: string): boolean {
    if (!this.#inJson.test(json)) return false;
    return this.#pattern.test((JSON.parse(json) as { text: string }).text);
  }
}

/** As shown.ts decodes it. */
const decode = (bytes: Uint8Array) =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");

const escaped = (term: string) => term.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`);
