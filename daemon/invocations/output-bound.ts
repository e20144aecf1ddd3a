/**
 * What of an invocation's output is kept: a handler may print for as long as it likes, and history keeps its beginning
 * and says that more came.
 */
export type Line = { readonly stream: "stdout" | "stderr"; readonly text: string };

const MAX_LINES = 20_000;
const MAX_CHARACTERS = 8 * 1024 * 1024;

export class OutputBound {
  readonly #keep: (line: Line) => void;
  #lines = 0;
  #characters = 0;

  constructor(keep: (line: Line) => void) {
    this.#keep = keep;
  }

  line(line: Line): void {
    if (this.#lines > MAX_LINES) return;
    this.#lines += 1;
    this.#characters += line.text.length;
    if (this.#lines <= MAX_LINES && this.#characters <= MAX_CHARACTERS) return this.#keep(line);
    this.#lines = MAX_LINES + 1;
    this.#keep({ ...line, text: "… [this invocation's further output is not kept]" });
  }
}
