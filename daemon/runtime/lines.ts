/**
 * A byte stream cut into lines in bounded memory. Lines are cut as bytes and decoded whole, so that neither a chunk's
 * edge nor invalid UTF-8 in one line can harm the characters of another.
 */
const NEWLINE = 0x0a;
const RETURN = 0x0d;

export class LineSplitter {
  readonly #maxBytes: number;
  readonly #onLine: (text: string) => void;
  /** The line that has no end yet. */
  #parts: Buffer[] = [];
  #length = 0;
  /** The rest of a line that was already given, cut. */
  #skipping = false;

  constructor(options: { maxBytes: number; onLine: (text: string) => void }) {
    this.#maxBytes = options.maxBytes;
    this.#onLine = options.onLine;
  }

  push(chunk: Buffer): void {
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, from);
      if (end === -1) break;
      this.#add(chunk.subarray(from, end));
      if (!this.#skipping) this.#give(this.#take());
      this.#skipping = false;
      from = end + 1;
    }
    // A copy: a short rest must not keep its whole chunk in memory.
    if (from < chunk.length) this.#add(Buffer.from(chunk.subarray(from)));
  }

  /** Gives what stands without a newline, as a line. */
  flush(): void {
    if (this.#length > 0) this.#give(this.#take());
  }

  #add(bytes: Buffer): void {
    if (this.#skipping || bytes.length === 0) return;
    const room = this.#maxBytes - this.#length;
    this.#parts.push(bytes.length > room ? bytes.subarray(0, room) : bytes);
    this.#length += Math.min(bytes.length, room);
    if (bytes.length <= room) return;
    this.#skipping = true;
    const line = this.#take();
    this.#onLine(`${line.subarray(0, wholeCharacters(line)).toString()}… [cut at ${this.#maxBytes} bytes]`);
  }

  #take(): Buffer {
    const line = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#length = 0;
    return line;
  }

  #give(line: Buffer): void {
    this.#onLine((line.at(-1) === RETURN ? line.subarray(0, -1) : line).toString());
  }
}

/** The length of `bytes` without a UTF-8 character that was cut at its end. */
function wholeCharacters(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    const needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    if (byte >= 0xc0) return needs > back ? bytes.length - back : bytes.length;
    if (byte < 0x80) return bytes.length;
  }
  return bytes.length;
}
