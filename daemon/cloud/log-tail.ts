/** The last 4 KB of an invocation's log, for `LogType: Tail`. */
const MAX_BYTES = 4096;

export class LogTail {
  #lines: Buffer[] = [];
  #bytes = 0;

  add(line: string): void {
    const bytes = Buffer.from(`${line}\n`);
    this.#lines.push(bytes);
    this.#bytes += bytes.length;
    for (let first = this.#lines[0]; first !== undefined && this.#bytes - first.length >= MAX_BYTES;) {
      this.#lines.shift();
      this.#bytes -= first.length;
      first = this.#lines[0];
    }
  }

  bytes(): Uint8Array {
    return Buffer.concat(this.#lines).subarray(-MAX_BYTES);
  }
}
