/** What makes the text of others harmless on a terminal: whoever shows it chooses what of it may stay. */

/** An SGR sequence: colours and the like, which only change how what follows looks. */
// oxlint-disable-next-line no-control-regex -- these are the characters in question
export const COLOUR = /\u001B\[[\d;:]*m/g;

/** Whatever could move the cursor, set a title, reach the clipboard or turn the direction of writing. */
const CONTROL =
  // oxlint-disable-next-line no-control-regex -- these are the characters in question
  /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]/;
const CONTROLS = new RegExp(CONTROL, "g");

export const hasControls = (text: string): boolean => CONTROL.test(text);

/** Each control character as a sign that shows it. */
export function signs(text: string): string {
  return text.replaceAll(CONTROLS, (character) => {
    const code = character.codePointAt(0) ?? 0;
    // A carriage return at a line's end is how Windows ends lines.
    if (code === 0x0d) return "";
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    return code === 0x7f ? "\u2421" : "\uFFFD";
  });
}
