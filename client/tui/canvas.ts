/**
 * The screen as it shall be: cells with a text and a style. `Painter` compares it, row by row, with what it drew last
 * and gives the bytes that make up the difference.
 *
 * Terminals disagree on how wide some characters are. So whatever follows one that is not plain is put at its column
 * by number, and a disagreement moves nothing but that character.
 */
import type { Line } from "./spans.ts";
import { DEFAULT_COLOUR, sgr, type Colour, type Depth, type Style } from "./style.ts";
import { cellText, glyphs } from "./width.ts";

export type Rect = {
  readonly x: number;
  readonly y: number;
  readonly columns: number;
  readonly rows: number;
};

export const within = (rect: Rect, x: number, y: number): boolean =>
  x >= rect.x && x < rect.x + rect.columns && y >= rect.y && y < rect.y + rect.rows;

/** The second half of a wide character. */
const TAIL = "";

export class Canvas {
  readonly columns: number;
  readonly rows: number;
  readonly #text: string[];
  readonly #fg: Int32Array;
  readonly #bg: Int32Array;
  readonly #flags: Uint8Array;

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
    const cells = columns * rows;
    this.#text = Array.from({ length: cells }, () => " ");
    this.#fg = new Int32Array(cells).fill(DEFAULT_COLOUR);
    this.#bg = new Int32Array(cells).fill(DEFAULT_COLOUR);
    this.#flags = new Uint8Array(cells);
  }

  /** Blank: for the next frame. */
  clear(): void {
    this.#text.fill(" ");
    this.#fg.fill(DEFAULT_COLOUR);
    this.#bg.fill(DEFAULT_COLOUR);
    this.#flags.fill(0);
  }

  /** One cell, or two; `text` may hold anything. */
  set(x: number, y: number, text: string, width: number, fg: Colour, bg: Colour, flags: number): void {
    if (x < 0 || y < 0 || x >= this.columns || y >= this.rows) return;
    // A wide one that the edge would cut in half.
    const fits = x + width <= this.columns;
    const at = y * this.columns + x;
    this.#split(at, y);
    this.#put(
      at,
      fits ? (text.length === 1 && text >= " " && text < "\u007F" ? text : cellText(text)) : " ",
      fg,
      bg,
      flags,
    );
    if (width === 2 && fits) {
      this.#split(at + 1, y);
      this.#put(at + 1, TAIL, fg, bg, flags);
    }
  }

  /** Gives the column behind it. */
  write(x: number, y: number, spans: Line, columns = this.columns - x): number {
    const end = Math.min(this.columns, x + columns);
    let at = x;
    for (const { text, style } of spans) {
      for (const glyph of glyphs(text)) {
        if (at + glyph.width > end) return at;
        this.set(at, y, glyph.text, glyph.width, style.fg, style.bg, style.flags);
        at += glyph.width;
      }
    }
    return at;
  }

  cover({ x, y, columns, rows }: Rect, style: Style, text = " "): void {
    for (let row = y; row < y + rows; row += 1) {
      for (let column = x; column < x + columns; column += 1) {
        this.set(column, row, text, 1, style.fg, style.bg, style.flags);
      }
    }
  }

  /** Turns flags on, or off where they are on: a selection is seen on inverse text, too. */
  flip({ x, y, columns, rows }: Rect, flags: number): void {
    for (let row = Math.max(0, y); row < Math.min(this.rows, y + rows); row += 1) {
      for (let column = Math.max(0, x); column < Math.min(this.columns, x + columns); column += 1) {
        const at = row * this.columns + column;
        this.#flags[at] = (this.#flags[at] ?? 0) ^ flags;
      }
    }
  }

  textAt(y: number, from = 0, to = this.columns): string {
    return this.#text
      .slice(y * this.columns + Math.max(0, from), y * this.columns + Math.min(to, this.columns))
      .join("");
  }

  /** What draws the row from its first column on; what is blank at its end is erased. */
  row(y: number, depth: Depth): string {
    const begin = y * this.columns;
    let end = begin + this.columns;
    while (end > begin && this.#isBlank(end - 1)) end -= 1;
    let out = "";
    let fg = DEFAULT_COLOUR;
    let bg = DEFAULT_COLOUR;
    let flags = 0;
    let astray = false;
    for (let at = begin; at < end; at += 1) {
      const text = this.#text[at] ?? " ";
      if (text === TAIL) continue;
      if (astray) out += `\u001B[${at - begin + 1}G`;
      if (this.#fg[at] !== fg || this.#bg[at] !== bg || this.#flags[at] !== flags) {
        fg = this.#fg[at] ?? fg;
        bg = this.#bg[at] ?? bg;
        flags = this.#flags[at] ?? flags;
        out += sgr(fg, bg, flags, depth);
      }
      out += text;
      astray = !isPlain(text);
    }
    if (fg !== DEFAULT_COLOUR || bg !== DEFAULT_COLOUR || flags !== 0) out += "\u001B[0m";
    if (end < begin + this.columns) out += `${astray ? `\u001B[${end - begin + 1}G` : ""}\u001B[K`;
    return out;
  }

  #isBlank(at: number): boolean {
    return this.#text[at] === " " && this.#bg[at] === DEFAULT_COLOUR && this.#flags[at] === 0;
  }

  #put(at: number, text: string, fg: Colour, bg: Colour, flags: number): void {
    this.#text[at] = text;
    this.#fg[at] = fg;
    this.#bg[at] = bg;
    this.#flags[at] = flags;
  }

  /** What is overwritten in part is gone as a whole. */
  #split(at: number, y: number): void {
    if (this.#text[at] === TAIL && at > y * this.columns) this.#text[at - 1] = " ";
    if (at + 1 < (y + 1) * this.columns && this.#text[at + 1] === TAIL) this.#text[at + 1] = " ";
  }
}

/** ASCII, and lines of boxes. */
function isPlain(text: string): boolean {
  if (text.length !== 1) return false;
  const code = text.charCodeAt(0);
  return code < 0x7f || (code >= 0x2500 && code <= 0x257f);
}

export type Cursor = { readonly x: number; readonly y: number };

/** The whole frame at once, where the terminal knows how; no cursor that wanders about meanwhile. */
const BEGIN = "\u001B[?2026h\u001B[?25l";
const END = "\u001B[?2026l";

export class Painter {
  readonly #depth: Depth;
  #drawn: string[] = [];
  #columns = 0;
  #cursor = "";

  constructor(depth: Depth) {
    this.#depth = depth;
  }

  /** What stands on the terminal is not what was drawn last. */
  forget(): void {
    this.#drawn = [];
    this.#columns = 0;
    this.#cursor = "";
  }

  /** The bytes that make the terminal show it; empty where it does already. */
  paint(canvas: Canvas, cursor: Cursor | undefined): string {
    let out = "";
    if (canvas.columns !== this.#columns || canvas.rows !== this.#drawn.length) {
      // Who knows what the terminal made of the old rows when it changed its size.
      out = "\u001B[0m\u001B[2J";
      this.#columns = canvas.columns;
      this.#drawn = Array.from({ length: canvas.rows }, () => "\u001B[K");
    }
    for (let y = 0; y < canvas.rows; y += 1) {
      const row = canvas.row(y, this.#depth);
      if (row === this.#drawn[y]) continue;
      this.#drawn[y] = row;
      out += `\u001B[${y + 1};1H${row}`;
    }
    const place = cursor === undefined ? "" : `\u001B[${cursor.y + 1};${cursor.x + 1}H\u001B[?25h`;
    if (out === "" && place === this.#cursor) return "";
    this.#cursor = place;
    return BEGIN + out + place + END;
  }
}
