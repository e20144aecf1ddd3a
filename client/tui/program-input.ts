/** What a person does, as the bytes that a program in a terminal expects. Pure. */
import type { Key, Mouse, Paste } from "./input.ts";

export type Modes = {
  readonly applicationCursor: boolean;
  readonly bracketedPaste: boolean;
  readonly tracking: "none" | "x10" | "vt200" | "drag" | "any";
  readonly sgrMouse: boolean;
};

const ESC = "\u001B";
/** Beyond, the old way of telling the mouse has no number. */
const OLD_LIMIT = 223;

export function keyBytes({ raw }: Key, { applicationCursor }: Pick<Modes, "applicationCursor">): string {
  // oxlint-disable-next-line no-control-regex -- these are the characters in question
  const [, final] = /^\u001B[[O]([ABCDHF])$/.exec(raw) ?? [];
  if (final === undefined) return raw;
  return `${ESC}${applicationCursor ? "O" : "["}${final}`;
}

/** As if it was typed, or marked as pasted; it cannot end the marking itself. */
export function pasteBytes({ text }: Paste, { bracketedPaste }: Pick<Modes, "bracketedPaste">): string {
  const typed = text.replaceAll(/\r?\n/g, "\r");
  return bracketedPaste ? `${ESC}[200~${typed.replaceAll(ESC, "")}${ESC}[201~` : typed;
}

/** Empty where the program does not ask for it. The place is the program's own, from 0. */
export function mouseBytes(mouse: Mouse, { tracking, sgrMouse }: Modes): string {
  if (!wants(mouse.does, tracking)) return "";
  const column = mouse.x + 1;
  const row = mouse.y + 1;
  const code = codeOf(mouse) + (tracking === "x10" ? 0 : mouse.modifiers);
  if (sgrMouse) return `${ESC}[<${code};${column};${row}${mouse.does === "up" ? "m" : "M"}`;
  if (column > OLD_LIMIT || row > OLD_LIMIT) return "";
  const old = mouse.does === "up" ? (code & ~3) | 3 : code;
  return `${ESC}[M${String.fromCodePoint(32 + old, 32 + column, 32 + row)}`;
}

// oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
function wants(does: Mouse["does"], tracking: Modes["tracking"]): boolean {
  switch (tracking) {
    case "none":
      return false;
    case "x10":
      return does === "down";
    case "vt200":
      return does !== "drag" && does !== "move";
    case "drag":
      return does !== "move";
    case "any":
      return true;
  }
}

function codeOf({ does, button }: Mouse): number {
  if (does === "wheelUp") return 64;
  if (does === "wheelDown") return 65;
  if (does === "move") return 35;
  return does === "drag" ? 32 + button : button;
}
