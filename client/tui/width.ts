/** How many cells a text takes: by the same table as the terminals of processes go by. */
import type { IUnicodeVersionProvider } from "@xterm/headless";
import { Unicode11Addon } from "@xterm/addon-unicode11";

const table = ((): IUnicodeVersionProvider => {
  let found: IUnicodeVersionProvider | undefined;
  // The addon hands its table to whoever it is loaded into.
  new Unicode11Addon().activate({
    unicode: { register: (provider: IUnicodeVersionProvider) => (found = provider) },
  });
  if (found === undefined) throw new Error("@xterm/addon-unicode11 registers no table");
  return found;
})();

/** Of a code point. */
export const widthOf = (code: number): 0 | 1 | 2 =>
  code < 0x7f ? (code < 0x20 ? 0 : 1) : table.wcwidth(code);

/** Whatever a terminal may join to what stands before or after it, or turn the writing round by; tags, variants. */
function isUnsafe(code: number): boolean {
  return (
    code < 0x20 ||
    (code >= 0x7f && code < 0xa0) ||
    code === 0xad ||
    code === 0x061c ||
    (code >= 0x200b && code <= 0x200f) ||
    (code >= 0x2028 && code <= 0x202e) ||
    (code >= 0x2060 && code <= 0x206f) ||
    (code >= 0xfe00 && code <= 0xfe0f) ||
    code === 0xfeff ||
    (code >= 0xd800 && code <= 0xdfff) ||
    (code >= 0xfff0 && code <= 0xfffb) ||
    code >= 0xe0000
  );
}

/** Marks that one letter may carry; beyond, they would only run over the lines around it. */
const MARKS = 3;

export type Glyph = { readonly text: string; readonly width: 1 | 2 };

/** What stands in one cell, or two: a letter with its marks, and nothing that acts. */
export function glyphs(text: string): Glyph[] {
  const found: Glyph[] = [];
  let marks = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (isUnsafe(code)) continue;
    const width = widthOf(code);
    const last = found.at(-1);
    if (width > 0) {
      found.push({ text: character, width: width as 1 | 2 });
      marks = 0;
    } else if (last !== undefined && marks < MARKS) {
      found[found.length - 1] = { text: last.text + character, width: last.width };
      marks += 1;
    }
  }
  return found;
}

/** One cell's content, from wherever it comes. */
export function cellText(text: string): string {
  const [first] = glyphs(text);
  return first?.text ?? " ";
}

const isPlain = (text: string): boolean => /^[\u0020-\u007E]*$/.test(text);

export function textWidth(text: string): number {
  if (isPlain(text)) return text.length;
  return glyphs(text).reduce((sum, { width }) => sum + width, 0);
}

/** Cut to so many cells, with a sign where something is missing. */
export function fit(text: string, width: number): string {
  if (width <= 0) return "";
  if (textWidth(text) <= width) return text;
  let out = "";
  let left = width - 1;
  for (const glyph of glyphs(text)) {
    if (glyph.width > left) break;
    out += glyph.text;
    left -= glyph.width;
  }
  return `${out}…`;
}

export function padded(text: string, width: number): string {
  const cut = fit(text, width);
  return cut + " ".repeat(Math.max(0, width - textWidth(cut)));
}
