/**
 * Where everything that a command says goes out. What was asked for goes to stdout, what is said beside it to
 * stderr, so that a pipe holds the answer alone. Colours only on a terminal; what a user's code printed is shown
 * inert: of its escape sequences only colours reach the terminal.
 */
import type { WriteStream } from "node:tty";

import { COLOUR, hasControls, signs } from "../inert.ts";

type Stream = NodeJS.WriteStream & Partial<Pick<WriteStream, "columns">>;

const STYLES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
  blue: [34, 39],
  magenta: [35, 39],
} as const;

export type Style = keyof typeof STYLES;

/** https://no-color.org, and FORCE_COLOR as Node has it. */
export function hasColours(stream: Stream = process.stdout): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  if ((NO_COLOR ?? "") !== "") return false;
  if (FORCE_COLOR !== undefined) return FORCE_COLOR !== "0" && FORCE_COLOR !== "false";
  return stream.isTTY && TERM !== "dumb";
}

export function paint(style: Style, text: string, stream: Stream = process.stdout): string {
  if (!hasColours(stream) || text === "") return text;
  const [open, close] = STYLES[style];
  return `\u001B[${open}m${text}\u001B[${close}m`;
}

/** What was asked for. */
export function print(text = ""): void {
  process.stdout.write(`${text}\n`);
}

/** One value, on one line: a stream of them is NDJSON. Inert too, since JSON leaves these characters as they are. */
export function printJson(value: unknown): void {
  const text = JSON.stringify(value).replaceAll(
    UNESCAPED,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  process.stdout.write(`${text}\n`);
}

/** Settles when all that was written to it is out, or nobody reads any more. */
export const written = (stream: Stream): Promise<void> =>
  new Promise((resolve) => stream.write("", () => resolve()));

/** What is said beside it. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Columns as wide as their widest cell; the last one runs on. */
export function table(rows: readonly (readonly string[])[], indent = ""): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, width(cell));
  }
  const line = (row: readonly string[]) =>
    row.map((cell, at) =>
      at === row.length - 1 ? cell : cell + " ".repeat((widths[at] ?? 0) - width(cell)),
    );
  return rows.map((row) => (indent + line(row).join("  ")).trimEnd()).join("\n");
}

// oxlint-disable-next-line no-control-regex -- these are the characters in question
const UNESCAPED = /[\u007F-\u009F\u202A-\u202E\u2066-\u2069]/g;

const width = (cell: string): number => Array.from(cell.replaceAll(COLOUR, "")).length;

/**
 * Text of others, for a terminal: whatever could move the cursor, set a title, reach the clipboard or turn the
 * direction of writing is shown as a sign instead. Colours stay where ours do, and end with the text.
 */
export function inert(text: string, stream: Stream = process.stdout): string {
  if (!hasControls(text)) return text;
  const coloured = hasColours(stream);
  let out = "";
  let from = 0;
  for (const { 0: sequence, index } of text.matchAll(COLOUR)) {
    out += signs(text.slice(from, index)) + (coloured ? sequence : "");
    from = index + sequence.length;
  }
  out += signs(text.slice(from));
  return coloured && from > 0 ? `${out}\u001B[0m` : out;
}

/**
 * `livedev logs | head`: the reader has had enough, and nothing is wrong. Node reports it as an error of the stream
 * that would end the process with a stack.
 */
export function quietOnClosedPipe(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
      process.exit();
    });
  }
}
