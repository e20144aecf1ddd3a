/**
 * A process's terminal as we draw it along. All that a program writes ends here, in cells: its titles, its clipboard,
 * its questions reach no terminal of the user's. Its questions are answered by the daemon's terminal already.
 */
import headless from "@xterm/headless";
import { Unicode11Addon } from "@xterm/addon-unicode11";

import type { Canvas, Cursor } from "./canvas.ts";
import type { Content, Logical, Place } from "./content.ts";
import {
  BLINK,
  BOLD,
  DEFAULT_COLOUR,
  DIM,
  HIDDEN,
  INVERSE,
  ITALIC,
  rgb,
  STRIKE,
  UNDERLINE,
  type Colour,
} from "./style.ts";

type Terminal = InstanceType<typeof headless.Terminal>;
type Cell = NonNullable<
  ReturnType<NonNullable<ReturnType<Terminal["buffer"]["active"]["getLine"]>>["getCell"]>
>;

export type Tracking = Terminal["modes"]["mouseTrackingMode"];

/** The cursor is shown unless it was hidden; the mouse is told by SGR where it was asked for. */
const CURSOR = 25;
const SGR_MOUSE = 1006;

export class Emulator implements Content {
  readonly #terminal: Terminal;
  readonly #cell: Cell;
  #cursorShown = true;
  #sgrMouse = false;

  constructor(columns: number, rows: number, scrollback: number) {
    this.#terminal = new headless.Terminal({
      cols: columns,
      rows,
      scrollback,
      allowProposedApi: true,
      logLevel: "off",
    });
    this.#terminal.loadAddon(new Unicode11Addon());
    this.#terminal.unicode.activeVersion = "11";
    this.#cell = this.#terminal.buffer.active.getNullCell();
    const { parser } = this.#terminal;
    for (const [final, on] of [
      ["h", true],
      ["l", false],
    ] as const) {
      parser.registerCsiHandler({ prefix: "?", final }, (params) => {
        if (params.includes(CURSOR)) this.#cursorShown = on;
        if (params.includes(SGR_MOUSE)) this.#sgrMouse = on;
        return false;
      });
    }
    parser.registerCsiHandler({ intermediates: "!", final: "p" }, () => {
      this.#cursorShown = true;
      return false;
    });
    parser.registerEscHandler({ final: "c" }, () => {
      this.#cursorShown = true;
      this.#sgrMouse = false;
      return false;
    });
  }

  get columns(): number {
    return this.#terminal.cols;
  }

  get rows(): number {
    return this.#terminal.rows;
  }

  /** A program that has the whole screen: nothing is above it. */
  get full(): boolean {
    return this.#terminal.buffer.active.type === "alternate";
  }

  get applicationCursor(): boolean {
    return this.#terminal.modes.applicationCursorKeysMode;
  }

  get bracketedPaste(): boolean {
    return this.#terminal.modes.bracketedPasteMode;
  }

  get tracking(): Tracking {
    return this.#terminal.modes.mouseTrackingMode;
  }

  get sgrMouse(): boolean {
    return this.#sgrMouse;
  }

  /** By the lines of the content. */
  get cursor(): Cursor | undefined {
    const { cursorX, cursorY, baseY } = this.#terminal.buffer.active;
    return this.#cursorShown ? { x: Math.min(cursorX, this.columns - 1), y: baseY + cursorY } : undefined;
  }

  /** Of the cursor, shown or not. */
  get cursorLine(): number {
    const { cursorY, baseY } = this.#terminal.buffer.active;
    return baseY + cursorY;
  }

  write(text: string): Promise<void> {
    return new Promise((resolve) => this.#terminal.write(text, resolve));
  }

  dispose(): void {
    this.#terminal.dispose();
  }

  // ---- Content

  get count(): number {
    return this.#terminal.buffer.active.length;
  }

  draw(line: number, canvas: Canvas, x: number, y: number, columns: number): void {
    const found = this.#terminal.buffer.active.getLine(line);
    if (found === undefined) return;
    const end = Math.min(columns, found.length);
    for (let column = 0; column < end; column += 1) {
      const cell = found.getCell(column, this.#cell);
      if (cell === undefined) break;
      const width = cell.getWidth();
      if (width === 0) continue;
      const text = cell.getChars();
      // The edge of the pane cuts it in half.
      const fits = column + width <= columns;
      if (cell.isAttributeDefault()) {
        if (text !== "" && fits) canvas.set(x + column, y, text, width, DEFAULT_COLOUR, DEFAULT_COLOUR, 0);
      } else {
        const shown = text === "" || !fits ? " " : text;
        canvas.set(x + column, y, shown, fits ? width : 1, foreground(cell), background(cell), flagsOf(cell));
      }
    }
  }

  slice(line: number, from: number, to: number): string {
    return this.#terminal.buffer.active.getLine(line)?.translateToString(true, Math.max(0, from), to) ?? "";
  }

  goesOn(line: number): boolean {
    return this.#terminal.buffer.active.getLine(line + 1)?.isWrapped ?? false;
  }

  logical(): Logical[] {
    const found: Logical[] = [];
    for (let line = 0; line < this.count; line += 1) {
      let text = "";
      /** Where each UTF-16 unit of the text stands. */
      const places: Place[] = [];
      this.#read(line, (characters, place) => {
        text += characters;
        for (let unit = 0; unit < characters.length; unit += 1) places.push(place);
      });
      while (this.goesOn(line)) line += 1;
      const end = places.at(-1) ?? { line, column: -1 };
      found.push({
        text: text.trimEnd(),
        at: (index) => places[index] ?? { line: end.line, column: end.column + 1 },
      });
    }
    return found;
  }

  /** Each cell that stands for something, from this line to where what is written in it ends. */
  #read(first: number, each: (characters: string, place: Place) => void): void {
    for (let line = first; ; line += 1) {
      const row = this.#terminal.buffer.active.getLine(line);
      for (let column = 0; column < this.columns; column += 1) {
        const cell = row?.getCell(column, this.#cell);
        if (cell !== undefined && cell.getWidth() > 0) each(cell.getChars() || " ", { line, column });
      }
      if (!this.goesOn(line)) return;
    }
  }
}

function foreground(cell: Cell): Colour {
  if (cell.isFgDefault()) return DEFAULT_COLOUR;
  return cell.isFgRGB() ? rgb(0, 0, 0) | cell.getFgColor() : cell.getFgColor();
}

function background(cell: Cell): Colour {
  if (cell.isBgDefault()) return DEFAULT_COLOUR;
  return cell.isBgRGB() ? rgb(0, 0, 0) | cell.getBgColor() : cell.getBgColor();
}

function flagsOf(cell: Cell): number {
  return (
    (cell.isBold() ? BOLD : 0) |
    (cell.isDim() ? DIM : 0) |
    (cell.isItalic() ? ITALIC : 0) |
    (cell.isUnderline() ? UNDERLINE : 0) |
    (cell.isBlink() ? BLINK : 0) |
    (cell.isInverse() ? INVERSE : 0) |
    (cell.isInvisible() ? HIDDEN : 0) |
    (cell.isStrikethrough() ? STRIKE : 0)
  );
}
