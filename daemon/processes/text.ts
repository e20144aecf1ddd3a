/**
 * What a program wrote to its terminal, as lines to keep and to search: of its escape sequences only colours are left,
 * and of a line that was written over and over (a progress bar) only how it stood in the end.
 */
const MAX_CHARACTERS = 8 * 1024;

// oxlint-disable-next-line no-control-regex -- these are the characters in question
const COLOUR = /\u001B\[[\d;:]*m/g;
/** CSI, OSC, DCS and their like, and two-character sequences; a colour is a CSI too, and is told apart by its end. */
const ESCAPE =
  // oxlint-disable-next-line no-control-regex
  /\u001B(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\u0007\u001B]*(?:\u0007|\u001B\\)?|[ -/]*[0-~])/g;
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0008\u000B-\u001A\u001C-\u001F\u007F]/g;

export class Lines {
  /** Without a newline yet. */
  #rest = "";
  /** The rest of a line that was given already, cut. */
  #skipping = false;

  /** Gives the lines that this text ends. */
  push(text: string): string[] {
    const parts = (this.#rest + text).split("\n");
    this.#rest = parts.pop() ?? "";
    const lines = parts.slice(this.#skipping && parts.length > 0 ? 1 : 0).map(plain);
    if (parts.length > 0) this.#skipping = false;
    if (this.#rest.length > MAX_CHARACTERS) {
      if (!this.#skipping) lines.push(plain(this.#rest));
      this.#skipping = true;
      this.#rest = "";
    }
    return lines;
  }

  /** What stands without a newline when nothing more comes. */
  flush(): string[] {
    const rest = this.#rest;
    const lines = this.#skipping || withoutColour(plain(rest)) === "" ? [] : [plain(rest)];
    this.#rest = "";
    this.#skipping = false;
    return lines;
  }
}

export const withoutColour = (text: string): string => text.replaceAll(COLOUR, "");

function plain(line: string): string {
  const ended = line.replace(/\r+$/, "");
  const last = ended.slice(ended.lastIndexOf("\r") + 1);
  const text = last
    .replaceAll(ESCAPE, (sequence) => (sequence.endsWith("m") && sequence[1] === "[" ? colour(sequence) : ""))
    .replaceAll(CONTROL, "");
  return text.length > MAX_CHARACTERS
    ? `${text.slice(0, MAX_CHARACTERS)}… [cut at ${MAX_CHARACTERS} characters]`
    : text;
}

/** `ESC [ > 4 m` and its like are no colours. */
const colour = (sequence: string): string => (sequence.match(COLOUR) === null ? "" : sequence);
