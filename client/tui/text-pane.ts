/** A pane of our own words: lines that are made anew for each frame, in a window of them. */
import type { Canvas, Cursor, Rect } from "./canvas.ts";
import { TextContent } from "./content.ts";
import type { Mouse } from "./input.ts";
import type { Action, Context } from "./keymap.ts";
import type { Pane } from "./pane.ts";
import { lineText, type Line } from "./spans.ts";
import { Viewer } from "./viewer.ts";

export abstract class TextPane implements Pane {
  readonly #viewer: Viewer;
  readonly #own: Context | undefined;
  #content: TextContent | undefined;
  #made = "";

  constructor({ context, atEnd }: { readonly context: Context | undefined; readonly atEnd: boolean }) {
    this.#own = context;
    this.#viewer = new Viewer({ atEnd });
  }

  abstract title(): Line;
  abstract lines(columns: number): readonly Line[];
  show(): void {}
  hide(): void {}

  get context(): Context | undefined {
    return this.#viewer.selecting ? "selecting" : this.#own;
  }

  /** `3/17 foo`, where something is searched. */
  protected get found(): string {
    return this.#viewer.found;
  }

  draw(canvas: Canvas, rect: Rect): Cursor | undefined {
    const lines = this.lines(rect.columns);
    // What says the same is the same content: matches and selections stay where they are.
    const made = `${rect.columns}\n${lines.map(lineText).join("\n")}`;
    if (made !== this.#made || this.#content === undefined || this.restyled) {
      this.#made = made;
      this.#content = new TextContent(lines, rect.columns);
    }
    this.#viewer.show(this.#content);
    return this.#viewer.draw(canvas, rect);
  }

  /** Whether the same words may have other colours now. */
  protected get restyled(): boolean {
    return false;
  }

  can(action: Action): boolean {
    return this.#viewer.can(action);
  }

  act(action: Action): void {
    if (this.#viewer.act(action)) return;
    if (action === "up") this.#viewer.scroll(-1);
    if (action === "down") this.#viewer.scroll(1);
  }

  search(text: string): void {
    this.#viewer.search(text);
  }

  wheel(lines: number): void {
    this.#viewer.scroll(lines);
  }

  mouse(mouse: Mouse): void {
    if (mouse.button !== 0) return;
    if (mouse.does === "down") this.#viewer.press(mouse.x, mouse.y);
    else if (mouse.does === "drag") this.#viewer.drag(mouse.x, mouse.y);
  }

  taken(): string {
    return this.#viewer.take();
  }

  copied(): string {
    return this.#viewer.selecting ? this.#viewer.take() : this.#viewer.visible;
  }

  protected scrollBy(lines: number): void {
    this.#viewer.scroll(lines);
  }
}
