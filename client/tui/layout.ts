/** Where everything stands, at any size. Pure. */
import type { Rect } from "./canvas.ts";

export type Layout = {
  readonly sidebar: Rect | undefined;
  /** The column between sidebar and pane. */
  readonly border: number | undefined;
  readonly title: Rect | undefined;
  readonly pane: Rect;
  readonly footer: Rect | undefined;
};

export type LayoutOptions = {
  readonly columns: number;
  readonly rows: number;
  /** The pane alone. */
  readonly zoomed: boolean;
  /** Who has the keys: where there is room for one, it is that one. */
  readonly focus: "sidebar" | "pane";
};

/** Below, sidebar or pane, not both. */
const BOTH_COLUMNS = 50;
const TITLE_ROWS = 5;
const FOOTER_ROWS = 3;

export function layout({ columns, rows, zoomed, focus }: LayoutOptions): Layout {
  const footer = rows >= FOOTER_ROWS ? { x: 0, y: rows - 1, columns, rows: 1 } : undefined;
  const height = rows - (footer?.rows ?? 0);
  const both = !zoomed && columns >= BOTH_COLUMNS;
  const alone = !both && !zoomed && focus === "sidebar";
  const wide = both ? Math.max(20, Math.min(34, Math.floor(columns * 0.26))) : alone ? columns : 0;
  const sidebar = wide > 0 ? { x: 0, y: 0, columns: wide, rows: height } : undefined;
  const border = both ? wide : undefined;
  const x = both ? wide + 1 : 0;
  // Where the sidebar is alone the pane keeps the size that it will have: its program is not resized back and forth.
  const title = !zoomed && rows >= TITLE_ROWS ? { x, y: 0, columns: columns - x, rows: 1 } : undefined;
  const top = title?.rows ?? 0;
  const pane = { x, y: top, columns: Math.max(1, columns - x), rows: Math.max(1, height - top) };
  return { sidebar, border, title: alone ? undefined : title, pane, footer };
}
