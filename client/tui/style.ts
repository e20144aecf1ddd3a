/** How a cell looks, and the SGR sequence that says so in the colours that the terminal has. */

/** -1: the terminal's own. 0 to 255: its palette. From RGB on: 24 bits. */
export type Colour = number;
export const DEFAULT_COLOUR: Colour = -1;
const RGB = 0x1000000;

export const rgb = (red: number, green: number, blue: number): Colour =>
  RGB | (red << 16) | (green << 8) | blue;

export const BOLD = 1;
export const DIM = 2;
export const ITALIC = 4;
export const UNDERLINE = 8;
export const BLINK = 16;
export const INVERSE = 32;
export const HIDDEN = 64;
export const STRIKE = 128;

const FLAGS: readonly (readonly [flag: number, sgr: number])[] = [
  [BOLD, 1],
  [DIM, 2],
  [ITALIC, 3],
  [UNDERLINE, 4],
  [BLINK, 5],
  [INVERSE, 7],
  [HIDDEN, 8],
  [STRIKE, 9],
];

export type Style = { readonly fg: Colour; readonly bg: Colour; readonly flags: number };

export const PLAIN: Style = { fg: DEFAULT_COLOUR, bg: DEFAULT_COLOUR, flags: 0 };

export const style = (fg: Colour = DEFAULT_COLOUR, flags = 0, bg: Colour = DEFAULT_COLOUR): Style => ({
  fg,
  bg,
  flags,
});

/** Our own words: colours of the palette, so that they fit the user's theme. */
export const STYLES = {
  plain: PLAIN,
  bold: style(DEFAULT_COLOUR, BOLD),
  dim: style(DEFAULT_COLOUR, DIM),
  red: style(1),
  green: style(2),
  yellow: style(3),
  blue: style(4),
  cyan: style(6),
  inverse: style(DEFAULT_COLOUR, INVERSE),
  boldInverse: style(DEFAULT_COLOUR, INVERSE | BOLD),
  link: style(6, UNDERLINE),
} as const satisfies Record<string, Style>;

export const withFlags = ({ fg, bg, flags }: Style, more: number): Style => ({ fg, bg, flags: flags | more });

/** Bits of a colour, as Node's `getColorDepth()` counts them: 24, 8 and 4; 1 is none. */
export type Depth = 1 | 4 | 8 | 24;

/** Everything anew, so that it does not matter what was set before. */
export function sgr(fg: Colour, bg: Colour, flags: number, depth: Depth): string {
  let codes = "0";
  if (flags !== 0) for (const [flag, code] of FLAGS) if ((flags & flag) !== 0) codes += `;${code}`;
  if (depth > 1) {
    if (fg !== DEFAULT_COLOUR) codes += `;${colourCodes(fg, depth, 30)}`;
    if (bg !== DEFAULT_COLOUR) codes += `;${colourCodes(bg, depth, 40)}`;
  }
  return `\u001B[${codes}m`;
}

function colourCodes(colour: Colour, depth: Depth, base: 30 | 40): string {
  if (colour >= RGB) {
    const [red, green, blue] = channels(colour);
    if (depth === 24) return `${base + 8};2;${red};${green};${blue}`;
    return colourCodes(depth === 8 ? to256(red, green, blue) : to16(red, green, blue), depth, base);
  }
  if (colour < 8) return String(base + colour);
  if (colour < 16) return String(base + 60 + colour - 8);
  return depth >= 8 ? `${base + 8};5;${colour}` : colourCodes(to16(...paletteChannels(colour)), depth, base);
}

const channels = (colour: Colour): [number, number, number] => [
  (colour >> 16) & 255,
  (colour >> 8) & 255,
  colour & 255,
];

/** The cube's levels, as xterm has them. */
const LEVELS = [0, 95, 135, 175, 215, 255] as const;

/** Of a colour beyond the first sixteen. */
function paletteChannels(colour: number): [number, number, number] {
  if (colour >= 232) {
    const grey = 8 + (colour - 232) * 10;
    return [grey, grey, grey];
  }
  const at = colour - 16;
  return [LEVELS[Math.floor(at / 36)] ?? 0, LEVELS[Math.floor(at / 6) % 6] ?? 0, LEVELS[at % 6] ?? 0];
}

export function to256(red: number, green: number, blue: number): number {
  const near = (value: number) => (value < 48 ? 0 : value < 115 ? 1 : Math.floor((value - 35) / 40));
  const [r, g, b] = [near(red), near(green), near(blue)];
  const cube = 16 + 36 * r + 6 * g + b;
  const average = (red + green + blue) / 3;
  const step = Math.max(0, Math.min(23, Math.round((average - 8) / 10)));
  const grey = 8 + step * 10;
  const far = (a: readonly number[]) =>
    (red - (a[0] ?? 0)) ** 2 + (green - (a[1] ?? 0)) ** 2 + (blue - (a[2] ?? 0)) ** 2;
  return far([grey, grey, grey]) < far([LEVELS[r] ?? 0, LEVELS[g] ?? 0, LEVELS[b] ?? 0]) ? 232 + step : cube;
}

/** The brightest channel tells which of the sixteen; a pale or a dark one is told by the difference of the others. */
export function to16(red: number, green: number, blue: number): number {
  const most = Math.max(red, green, blue);
  if (most < 64) return 0;
  const bit = (value: number) => (value > most * 0.6 ? 1 : 0);
  const hue = bit(red) | (bit(green) << 1) | (bit(blue) << 2);
  if (hue === 7) return most < 128 ? 8 : most < 224 ? 7 : 15;
  return most > 191 ? hue + 8 : hue;
}
