/**
 * The last lines that a process printed, for the answer that tells of its end. The answer goes to whoever invoked it,
 * so it holds lines of that invocation, or of none (init, what ended the process between two), never of another one.
 */
const LINES = 20;
const CHARACTERS = 2048;

export class LastOutput {
  #requestId: string | undefined;
  #lines: string[] = [];

  add(requestId: string | undefined, text: string): void {
    if (requestId !== this.#requestId) {
      this.#requestId = requestId;
      this.#lines = [];
    }
    this.#lines.push(text.length > CHARACTERS ? `${text.slice(0, CHARACTERS)}…` : text);
    if (this.#lines.length > LINES) this.#lines.shift();
  }

  of(requestId: string | undefined): readonly string[] {
    return this.#requestId === undefined || this.#requestId === requestId ? this.#lines : [];
  }
}
