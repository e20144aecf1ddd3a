/** What stands beside the sidebar: one of these at a time. */
import type { Canvas, Cursor, Rect } from "./canvas.ts";
import type { Key, Mouse, Paste } from "./input.ts";
import type { Action, Context } from "./keymap.ts";
import type { Line } from "./spans.ts";

export type Pane = {
  /** Where its keys are heard while it has the focus; undefined: it takes none. */
  readonly context: Context | undefined;
  /** It is looked at, from now on, or no more. */
  show(): void;
  hide(): void;
  title(): Line;
  /** Gives where the cursor stands, of whoever types. */
  draw(canvas: Canvas, rect: Rect, focused: boolean): Cursor | undefined;
  /** Whether the action would do something now: the footer shows no other. */
  can(action: Action): boolean;
  act(action: Action): void;
  /** Searches it, or filters it, by what was typed. Empty: no more. */
  search(text: string): void;
  wheel(lines: number, x: number, y: number, focused: boolean): void;
  /** At a place of the pane. */
  mouse(mouse: Mouse, focused: boolean): void;
  /** What was selected by the mouse, once it is let go. */
  taken(): string;
  /** What is copied: what is selected, or what is shown. */
  copied(): string;
  /** A key for the program, where the pane has one. */
  type?(input: Key | Paste): void;
  /** Whether its program wants to hear of every move of the mouse. */
  readonly wantsMoves?: boolean;
};
