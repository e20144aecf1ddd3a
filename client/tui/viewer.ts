/**
 * A window on a content: scrolled, searched, selected in, by keys and by the mouse. What it shows is given anew with
 * each frame; who draws a content that grows says whether the window stays at its end.
 */
import type { Canvas, Cursor, Rect } from "./canvas.ts";
import type { Content, Logical, Place } from "./content.ts";
import type { Action } from "./keymap.ts";
import { matches, nearest, step, type Match } from "./search.ts";
import { BOLD, INVERSE, UNDERLINE } from "./style.ts";

type Segment = { readonly line: number; readonly from: number; readonly to: number };

type Selection = {
  /** Undefined: the cursor is being moved to where it shall begin. */
  readonly anchor: Place | undefined;
  readonly cursor: Place;
  readonly by: "keys" | "mouse";
};

const FEW = 3;

export class Viewer {
  #content: Content | undefined;
  #rows = 1;
  #columns = 1;
  #top = 0;
  #atEnd: boolean;
  #wanted = "";
  #logical: Logical[] = [];
  #matches: Match[] = [];
  #match = 0;
  #selection: Selection | undefined;

  constructor({ atEnd }: { atEnd: boolean }) {
    this.#atEnd = atEnd;
  }

  get top(): number {
    return this.#top;
  }

  get atEnd(): boolean {
    return this.#top >= this.#lastTop;
  }

  get searching(): boolean {
    return this.#wanted !== "";
  }

  get selecting(): boolean {
    return this.#selection !== undefined;
  }

  /** `3/17 foo`; empty where nothing is searched. */
  get found(): string {
    if (this.#wanted === "") return "";
    const count = this.#matches.length;
    return count === 0 ? `no ${this.#wanted}` : `${this.#match + 1}/${count} ${this.#wanted}`;
  }

  /** What it shows from now on. Matches are those of this content. */
  show(content: Content): void {
    if (content === this.#content) return;
    this.#content = content;
    if (this.#wanted !== "") this.#look();
  }

  /** Before it was drawn for the first time. */
  sized({ columns, rows }: Pick<Rect, "columns" | "rows">): void {
    this.#columns = columns;
    this.#rows = rows;
    if (this.#atEnd) this.#top = this.#lastTop;
  }

  lookFrom(line: number): void {
    this.#top = line;
  }

  draw(canvas: Canvas, rect: Rect): Cursor | undefined {
    const content = this.#content;
    this.#rows = rect.rows;
    this.#columns = rect.columns;
    if (content === undefined) return undefined;
    if (this.#atEnd) this.#top = this.#lastTop;
    this.#top = Math.max(0, Math.min(this.#top, this.#lastTop));
    for (let row = 0; row < rect.rows && this.#top + row < content.count; row += 1) {
      content.draw(this.#top + row, canvas, rect.x, rect.y + row, rect.columns);
    }
    for (const [at, match] of this.#matches.entries()) {
      const flags = at === this.#match ? INVERSE | BOLD : INVERSE | UNDERLINE;
      for (const segment of this.#segments(match)) this.#mark(canvas, rect, segment, flags);
    }
    return this.#drawSelection(canvas, rect);
  }

  can(action: Action): boolean {
    const { count } = this;
    switch (action) {
      case "scrollUp":
      case "lineUp":
      case "first":
        return this.#top > 0 || this.selecting;
      case "scrollDown":
      case "lineDown":
      case "last":
        return !this.atEnd || this.selecting;
      case "search":
      case "select":
        return count > 0;
      case "copy":
        return this.#selection === undefined ? count > 0 : this.#selection.anchor !== undefined;
      case "next":
      case "previous":
        return this.#matches.length > 0;
      case "back":
        return this.selecting || this.searching;
      case "up":
      case "down":
      case "left":
      case "right":
        return this.selecting;
      default:
        return false;
    }
  }

  /** Whether it was for us. */
  act(action: Action): boolean {
    if (!this.can(action)) return false;
    const half = Math.max(1, Math.floor(this.#rows / 2));
    switch (action) {
      case "up":
        this.#go(-1, 0);
        break;
      case "down":
        this.#go(1, 0);
        break;
      case "left":
        this.#go(0, -1);
        break;
      case "right":
        this.#go(0, 1);
        break;
      case "scrollUp":
        this.scroll(-half);
        break;
      case "scrollDown":
        this.scroll(half);
        break;
      case "lineUp":
        this.scroll(-FEW);
        break;
      case "lineDown":
        this.scroll(FEW);
        break;
      case "first":
        this.scroll(-this.count);
        break;
      case "last":
        this.scroll(this.count);
        break;
      case "next":
        this.#toMatch(step(this.#match, 1, this.#matches.length));
        break;
      case "previous":
        this.#toMatch(step(this.#match, -1, this.#matches.length));
        break;
      case "select":
        this.#select();
        break;
      case "back":
        if (this.selecting) this.#selection = undefined;
        else this.search("");
        break;
      default:
        return false;
    }
    return true;
  }

  scroll(lines: number): void {
    if (this.#selection?.by === "keys") return this.#go(lines, 0);
    this.#top = Math.max(0, Math.min(this.#top + lines, this.#lastTop));
    this.#atEnd = lines > 0 && this.atEnd;
  }

  search(text: string): void {
    this.#wanted = text;
    this.#look();
    if (this.#matches.length === 0) return;
    const bottom = this.#top + this.#rows - 1;
    const lineOf = (match: Match) => this.#logical[match.line]?.at(match.from).line ?? 0;
    const lines = this.#matches.map((match) => ({ ...match, line: lineOf(match) }));
    this.#toMatch(nearest(lines, bottom));
  }

  // ---- selecting

  /** At a place of the window. */
  press(x: number, y: number): void {
    const place = this.#placeAt(x, y);
    this.#selection = { anchor: place, cursor: place, by: "mouse" };
  }

  /** Beyond the window's edge it scrolls along. */
  drag(x: number, y: number): void {
    if (this.#selection === undefined) return;
    if (y < 0) this.#top = Math.max(0, this.#top - 1);
    if (y >= this.#rows) this.#top = Math.min(this.#lastTop, this.#top + 1);
    this.#selection = { ...this.#selection, cursor: this.#placeAt(x, y) };
  }

  /** Gives what is selected, if anything is, and selects no more. */
  take(): string {
    const text = this.selected;
    this.#selection = undefined;
    return text;
  }

  get selected(): string {
    const ends = this.#ends();
    const content = this.#content;
    if (ends === undefined || content === undefined) return "";
    const [from, to] = ends;
    let text = "";
    for (let line = from.line; line <= to.line; line += 1) {
      const begin = line === from.line ? from.column : 0;
      const end = line === to.line ? to.column + 1 : Number.MAX_SAFE_INTEGER;
      text += content.slice(line, begin, end);
      if (line < to.line && !content.goesOn(line)) text = `${text.trimEnd()}\n`;
    }
    return text.trimEnd();
  }

  /** What the window shows. */
  get visible(): string {
    const content = this.#content;
    if (content === undefined) return "";
    let text = "";
    const end = Math.min(content.count, this.#top + this.#rows);
    for (let line = this.#top; line < end; line += 1) {
      text += content.slice(line, 0, Number.MAX_SAFE_INTEGER);
      if (!content.goesOn(line)) text = `${text.trimEnd()}\n`;
    }
    return text.trimEnd();
  }

  get count(): number {
    return this.#content?.count ?? 0;
  }

  get #lastTop(): number {
    return Math.max(0, this.count - this.#rows);
  }

  #select(): void {
    const cursor = this.#selection?.cursor ?? {
      line: Math.min(this.count, this.#top + this.#rows) - 1,
      column: 0,
    };
    // The first time only the cursor is there; the second it begins where that stands, the third anew.
    const begun = this.#selection !== undefined;
    this.#selection = { cursor, anchor: begun ? cursor : undefined, by: "keys" };
  }

  #go(lines: number, columns: number): void {
    const selection = this.#selection;
    if (selection === undefined) return;
    const clamp = (value: number, most: number) => Math.max(0, Math.min(value, most));
    const line = clamp(selection.cursor.line + lines, this.count - 1);
    const column = clamp(selection.cursor.column + columns, this.#columns - 1);
    this.#selection = { ...selection, cursor: { line, column } };
    this.#reveal(line);
  }

  #placeAt(x: number, y: number): Place {
    const line = Math.max(0, Math.min(this.#top + Math.max(0, Math.min(y, this.#rows - 1)), this.count - 1));
    return { line, column: Math.max(0, Math.min(x, this.#columns - 1)) };
  }

  #ends(): [from: Place, to: Place] | undefined {
    const { anchor, cursor } = this.#selection ?? {};
    if (anchor === undefined || cursor === undefined) return undefined;
    // A click is no selection.
    if (this.#selection?.by === "mouse" && anchor.line === cursor.line && anchor.column === cursor.column)
      return undefined;
    const turned =
      cursor.line < anchor.line || (cursor.line === anchor.line && cursor.column < anchor.column);
    return turned ? [cursor, anchor] : [anchor, cursor];
  }

  #drawSelection(canvas: Canvas, rect: Rect): Cursor | undefined {
    const ends = this.#ends();
    if (ends !== undefined) {
      const [from, to] = ends;
      for (
        let line = Math.max(from.line, this.#top);
        line <= to.line && line < this.#top + rect.rows;
        line += 1
      ) {
        const begin = line === from.line ? from.column : 0;
        const end = line === to.line ? to.column + 1 : rect.columns;
        this.#mark(canvas, rect, { line, from: begin, to: end }, INVERSE);
      }
    }
    if (this.#selection?.by !== "keys") return undefined;
    const { line, column } = this.#selection.cursor;
    return { x: rect.x + column, y: rect.y + line - this.#top };
  }

  // ---- searching

  #look(): void {
    this.#logical = this.#wanted === "" ? [] : (this.#content?.logical() ?? []);
    this.#matches = matches(
      this.#logical.map(({ text }) => text),
      this.#wanted,
    );
    this.#match = Math.min(this.#match, Math.max(0, this.#matches.length - 1));
  }

  #toMatch(at: number): void {
    this.#match = at;
    const match = this.#matches[at];
    const place = match === undefined ? undefined : this.#logical[match.line]?.at(match.from);
    if (place === undefined) return;
    if (this.#selection?.by === "keys") this.#selection = { ...this.#selection, cursor: place };
    this.#reveal(place.line);
  }

  /** In the middle, where it was not to be seen. */
  #reveal(line: number): void {
    if (line >= this.#top && line < this.#top + this.#rows) return;
    const near = Math.abs(line - this.#top) <= 1 || Math.abs(line - this.#top - this.#rows) <= 1;
    const wanted = near
      ? line < this.#top
        ? line
        : line - this.#rows + 1
      : line - Math.floor(this.#rows / 2);
    this.#top = Math.max(0, Math.min(wanted, this.#lastTop));
    this.#atEnd = false;
  }

  *#segments({ line, from, to }: Match): Generator<Segment> {
    const logical = this.#logical[line];
    if (logical === undefined) return;
    const [begin, end] = [logical.at(from), logical.at(to - 1)];
    for (let at = begin.line; at <= end.line; at += 1) {
      yield {
        line: at,
        from: at === begin.line ? begin.column : 0,
        to: at === end.line ? end.column + 1 : Number.MAX_SAFE_INTEGER,
      };
    }
  }

  #mark(canvas: Canvas, rect: Rect, { line, from, to }: Segment, flags: number): void {
    const row = line - this.#top;
    if (row < 0 || row >= rect.rows) return;
    const columns = Math.min(to, rect.columns) - from;
    if (columns > 0) canvas.flip({ x: rect.x + from, y: rect.y + row, columns, rows: 1 }, flags);
  }
}
