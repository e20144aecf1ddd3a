/**
 * Lines of styled text. What others wrote comes in through `spans()`: of its escape sequences only colours are heeded,
 * every other control character is a sign that shows it.
 */
import { signs } from "../inert.ts";
import {
  BLINK,
  BOLD,
  DIM,
  HIDDEN,
  INVERSE,
  ITALIC,
  PLAIN,
  rgb,
  STRIKE,
  UNDERLINE,
  type Colour,
  type Style,
} from "./style.ts";
import { glyphs, textWidth } from "./width.ts";

export type Span = { readonly text: string; readonly style: Style };
export type Line = readonly Span[];

export const span = (text: string, style: Style = PLAIN): Span => ({ text, style });
export const line = (text: string, style: Style = PLAIN): Line => [{ text, style }];

export const lineWidth = (spans: Line): number => spans.reduce((sum, { text }) => sum + textWidth(text), 0);

export const lineText = (spans: Line): string => spans.map(({ text }) => text).join("");

const TAB = "    ";
// oxlint-disable-next-line no-control-regex -- these are the characters in question
const SGR = /\u001B\[([\d;:]*)m/g;

/** A text of others, which may have many lines. */
export function lines(text: string, base: Style = PLAIN): Line[] {
  let now = base;
  return text.split("\n").map((one) => {
    const found: Span[] = [];
    let from = 0;
    const add = (part: string) => {
      if (part !== "") found.push({ text: signs(part.replaceAll("\t", TAB)), style: now });
    };
    for (const { 0: sequence, 1: parameters = "", index } of one.matchAll(SGR)) {
      add(one.slice(from, index));
      now = changed(now, parameters, base);
      from = index + sequence.length;
    }
    add(one.slice(from));
    return found;
  });
}

/** As one line, whatever stands in it. */
export const spans = (text: string, base: Style = PLAIN): Line =>
  lines(text.replaceAll(/\r?\n/g, "␊"), base)[0] ?? [];

const ON: ReadonlyMap<number, number> = new Map([
  [1, BOLD],
  [2, DIM],
  [3, ITALIC],
  [4, UNDERLINE],
  [5, BLINK],
  [7, INVERSE],
  [8, HIDDEN],
  [9, STRIKE],
]);
const OFF: ReadonlyMap<number, number> = new Map([
  [22, BOLD | DIM],
  [23, ITALIC],
  [24, UNDERLINE],
  [25, BLINK],
  [27, INVERSE],
  [28, HIDDEN],
  [29, STRIKE],
]);

function changed(style: Style, parameters: string, base: Style): Style {
  let { fg, bg, flags } = style;
  const codes = parameters.split(/[;:]/).map(Number);
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at] ?? 0;
    const on = ON.get(code);
    const off = OFF.get(code);
    if (code === 0) ({ fg, bg, flags } = base);
    // Hidden text would hide from who reads what others wrote.
    else if (on !== undefined) flags |= on === HIDDEN ? 0 : on;
    else if (off !== undefined) flags &= ~off;
    else if (code === 38 || code === 48) {
      const [colour, used] = extended(codes.slice(at + 1));
      at += used;
      if (code === 38) fg = colour ?? fg;
      else bg = colour ?? bg;
    } else if (code === 39) fg = base.fg;
    else if (code === 49) bg = base.bg;
    else if (code >= 30 && code < 38) fg = code - 30;
    else if (code >= 40 && code < 48) bg = code - 40;
    else if (code >= 90 && code < 98) fg = code - 90 + 8;
    else if (code >= 100 && code < 108) bg = code - 100 + 8;
  }
  return { fg, bg, flags };
}

function extended([kind, ...rest]: readonly number[]): [colour: Colour | undefined, used: number] {
  const byte = (value: number | undefined) => Math.max(0, Math.min(255, Math.trunc(value ?? 0) || 0));
  if (kind === 5) return [byte(rest[0]), 2];
  if (kind === 2) return [rgb(byte(rest[0]), byte(rest[1]), byte(rest[2])), 4];
  return [undefined, 1];
}

/** Broken into lines of at most so many cells; at a space where there is one not too far back. */
export function wrap(whole: Line, width: number): Line[] {
  if (width <= 0) return [];
  if (lineWidth(whole) <= width) return [whole];
  const cells = whole.flatMap(({ text, style }) => glyphs(text).map((glyph) => ({ ...glyph, style })));
  const out: Line[] = [];
  let from = 0;
  while (from < cells.length) {
    let used = 0;
    let to = from;
    while (to < cells.length && used + (cells[to]?.width ?? 0) <= width) {
      used += cells[to]?.width ?? 0;
      to += 1;
    }
    // A cell that is wider than the whole line.
    if (to === from) to += 1;
    if (to < cells.length && cells[to]?.text !== " ") {
      const space = cells.slice(from, to).findLastIndex(({ text }) => text === " ");
      if (space > width / 2) to = from + space + 1;
    }
    out.push(joined(cells.slice(from, to)));
    from = to;
  }
  return out;
}

function joined(cells: readonly { readonly text: string; readonly style: Style }[]): Line {
  const out: { text: string; style: Style }[] = [];
  for (const { text, style } of cells) {
    const last = out.at(-1);
    if (last?.style === style) last.text += text;
    else out.push({ text, style });
  }
  return out;
}

/** Turned round it has one colour: each of its own would be another background. */
export const over = (whole: Line, flags: number): Line =>
  whole.map(({ text, style }) => ({
    text,
    style:
      (flags & INVERSE) === 0
        ? { ...style, flags: style.flags | flags }
        : { ...PLAIN, flags: (style.flags & BOLD) | flags },
  }));
