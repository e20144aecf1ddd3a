/** What a pane can scroll, search and select in: lines of cells, wherever they come from. */
import type { Canvas } from "./canvas.ts";
import { lineText, wrap, type Line } from "./spans.ts";
import { textWidth } from "./width.ts";

export type Place = { readonly line: number; readonly column: number };

/** A line as it was written, which may take several on the screen. */
export type Logical = {
  readonly text: string;
  /** Where the character at this index of the text stands. */
  at(index: number): Place;
};

export type Content = {
  readonly count: number;
  draw(line: number, canvas: Canvas, x: number, y: number, columns: number): void;
  /** The text of these cells. */
  slice(line: number, from: number, to: number): string;
  /** Whether what is written there goes on in the next line. */
  goesOn(line: number): boolean;
  logical(): Logical[];
};

/** Ours: styled text, wrapped to the pane. */
export class TextContent implements Content {
  readonly #rows: { readonly line: Line; readonly text: string; readonly goesOn: boolean }[];

  constructor(lines: readonly Line[], columns: number) {
    this.#rows = lines.flatMap((whole) => {
      const parts = whole.length === 0 ? [whole] : wrap(whole, Math.max(1, columns));
      return parts.map((line, at) => ({ line, text: lineText(line), goesOn: at < parts.length - 1 }));
    });
  }

  get count(): number {
    return this.#rows.length;
  }

  draw(line: number, canvas: Canvas, x: number, y: number, columns: number): void {
    canvas.write(x, y, this.#rows[line]?.line ?? [], columns);
  }

  slice(line: number, from: number, to: number): string {
    let column = 0;
    let out = "";
    for (const character of this.#rows[line]?.text ?? "") {
      if (column >= from && column < to) out += character;
      column += textWidth(character);
    }
    return out;
  }

  goesOn(line: number): boolean {
    return this.#rows[line]?.goesOn ?? false;
  }

  logical(): Logical[] {
    const found: Logical[] = [];
    for (let line = 0; line < this.#rows.length; line += 1) {
      const first = line;
      const parts = [this.#rows[line]?.text ?? ""];
      while (this.goesOn(line)) {
        line += 1;
        parts.push(this.#rows[line]?.text ?? "");
      }
      found.push({
        text: parts.join(""),
        at(index) {
          let rest = index;
          let part = 0;
          while (part < parts.length - 1 && rest >= (parts[part] ?? "").length) {
            rest -= (parts[part] ?? "").length;
            part += 1;
          }
          return { line: first + part, column: textWidth((parts[part] ?? "").slice(0, rest)) };
        },
      });
    }
    return found;
  }
}
