/**
 * What comes from the terminal, in the pieces that a person made: keys, the mouse, what was pasted. Answers of the
 * terminal, which nobody typed, are dropped. A sequence may come in parts; a lone Escape is one only once nothing
 * follows it.
 */
export type Key = {
  readonly is: "key";
  /** `a`, `A`, `ctrl-a`, `alt-x`, `shift-up`, `enter`, `esc`. */
  readonly name: string;
  /** As the terminal sent it. */
  readonly raw: string;
};

export type Mouse = {
  readonly is: "mouse";
  readonly does: "down" | "up" | "drag" | "move" | "wheelUp" | "wheelDown";
  readonly button: 0 | 1 | 2;
  /** From 0. */
  readonly x: number;
  readonly y: number;
  /** Shift 4, alt 8, ctrl 16, as the terminal counts them. */
  readonly modifiers: number;
};

export type Paste = { readonly is: "paste"; readonly text: string };

export type Input = Key | Mouse | Paste;

const ESC = "\u001B";
const PASTE_BEGINS = `${ESC}[200~`;
const PASTE_ENDS = `${ESC}[201~`;
const MAX_PASTE = 1024 * 1024;
/** Longer ones are nobody's keys. */
const MAX_SEQUENCE = 4096;

const CSI_FINAL: Readonly<Record<string, string>> = {
  A: "up",
  B: "down",
  C: "right",
  D: "left",
  H: "home",
  F: "end",
  P: "f1",
  Q: "f2",
  R: "f3",
  S: "f4",
  Z: "shift-tab",
};
const CSI_TILDE: Readonly<Record<string, string>> = {
  1: "home",
  2: "insert",
  3: "delete",
  4: "end",
  5: "pageup",
  6: "pagedown",
  7: "home",
  8: "end",
  11: "f1",
  12: "f2",
  13: "f3",
  14: "f4",
  15: "f5",
  17: "f6",
  18: "f7",
  19: "f8",
  20: "f9",
  21: "f10",
  23: "f11",
  24: "f12",
};

export class InputParser {
  #rest = "";
  /** What was pasted so far, while it goes on. */
  #paste: string | undefined;

  /** Whether an Escape, or the beginning of a sequence, waits for what follows. */
  get waits(): boolean {
    return this.#rest !== "" && this.#paste === undefined;
  }

  push(text: string): Input[] {
    this.#rest += text;
    return this.#take(false);
  }

  /** Nothing followed: what waits is keys. */
  flush(): Input[] {
    return this.#take(true);
  }

  #take(whole: boolean): Input[] {
    const found: Input[] = [];
    while (this.#rest !== "") {
      if (this.#paste !== undefined) {
        const pasted = this.#pasted(this.#paste);
        if (pasted === undefined) break;
        found.push(pasted);
        continue;
      }
      const length = sequenceLength(this.#rest);
      if (length === undefined && !whole && this.#rest.length < MAX_SEQUENCE) break;
      // An Escape by itself; what stands behind it is typed.
      const raw = this.#rest.slice(0, length ?? 1);
      this.#rest = this.#rest.slice(raw.length);
      if (raw === PASTE_BEGINS) this.#paste = "";
      else {
        const input = inputOf(raw);
        if (input !== undefined) found.push(input);
      }
    }
    return found;
  }

  #pasted(before: string): Paste | undefined {
    const text = before + this.#rest;
    const end = text.indexOf(PASTE_ENDS);
    if (end === -1 && text.length < MAX_PASTE) {
      this.#paste = text;
      this.#rest = "";
      return undefined;
    }
    this.#rest = end === -1 ? "" : text.slice(end + PASTE_ENDS.length);
    this.#paste = end === -1 ? "" : undefined;
    return { is: "paste", text: end === -1 ? text : text.slice(0, end) };
  }
}

/** Of what stands at the beginning; undefined: more of it is to come. */
function sequenceLength(text: string): number | undefined {
  if (text[0] !== ESC) return (text.codePointAt(0) ?? 0) > 0xffff ? 2 : 1;
  const second = text[1];
  if (second === undefined) return undefined;
  if (second === "[") {
    // The old way of the mouse: three bytes follow.
    if (text[2] === "M") return text.length >= 6 ? 6 : undefined;
    const end = /[@-~]/.exec(text.slice(2));
    return end === null ? undefined : 2 + end.index + 1;
  }
  if (second === "O") return text.length >= 3 ? 3 : undefined;
  // Answers: OSC, DCS, APC, PM, each up to its terminator.
  if (second === "]" || second === "P" || second === "_" || second === "^") {
    // oxlint-disable-next-line no-control-regex -- these are the characters in question
    const end = /\u0007|\u001B\\/.exec(text.slice(2));
    return end === null ? undefined : 2 + end.index + end[0].length;
  }
  // Alt and a key, which may be a sequence itself.
  if (second === ESC) {
    // No terminal tells alt of these so: it was Escape, and they came right after it.
    if (text.startsWith(`${ESC}[<`, 1) || text.startsWith(PASTE_BEGINS, 1)) return 1;
    const rest = sequenceLength(text.slice(1));
    return rest === undefined ? undefined : rest + 1;
  }
  return 1 + ((text.codePointAt(1) ?? 0) > 0xffff ? 2 : 1);
}

function inputOf(raw: string): Input | undefined {
  if (raw[0] !== ESC || raw.length === 1) return key(plainName(raw), raw);
  // oxlint-disable-next-line no-control-regex
  const mouse = /^\u001B\[<(\d+);(\d+);(\d+)([Mm])$/.exec(raw);
  if (mouse !== null) return mouseOf(mouse.slice(1, 4).map(Number), mouse[4] === "M");
  if (/^.[[\]P_^O]/s.test(raw) && raw.length > 2) {
    const name = sequenceName(raw);
    return name === undefined ? undefined : key(name, raw);
  }
  const rest = inputOf(raw.slice(1));
  return rest?.is === "key" ? key(`alt-${rest.name}`, raw) : undefined;
}

const key = (name: string, raw: string): Key => ({ is: "key", name, raw });

function plainName(raw: string): string {
  const code = raw.codePointAt(0) ?? 0;
  switch (raw) {
    case ESC:
      return "esc";
    case "\r":
      return "enter";
    case "\t":
      return "tab";
    case " ":
      return "space";
    case "\u007F":
      return "backspace";
    case "\u0000":
      return "ctrl-space";
    default:
      if (code >= 0x20) return raw;
      return `ctrl-${String.fromCodePoint(code + 0x40).toLowerCase()}`;
  }
}

/** Undefined: a terminal's answer, or nothing that we know. */
function sequenceName(raw: string): string | undefined {
  // oxlint-disable-next-line no-control-regex
  const [, kind, parameters = "", final = ""] = /^\u001B([[O])([\d;]*)([A-Za-z~])$/.exec(raw) ?? [];
  if (kind === undefined) return undefined;
  const [first = "", second = ""] = parameters.split(";");
  // `CSI 1;2R` is F3 with shift; with another first number it says where a cursor stands.
  const letter = first === "" || first === "1" ? CSI_FINAL[final] : undefined;
  const name = final === "~" ? CSI_TILDE[first] : letter;
  return name === undefined ? undefined : modifiers(Number(second || "1")) + name;
}

function modifiers(number: number): string {
  const bits = Math.max(0, number - 1);
  return `${(bits & 2) !== 0 ? "alt-" : ""}${(bits & 4) !== 0 ? "ctrl-" : ""}${(bits & 1) !== 0 ? "shift-" : ""}`;
}

function mouseOf([code = 0, column = 1, row = 1]: readonly number[], pressed: boolean): Mouse | undefined {
  const place = { x: Math.max(0, column - 1), y: Math.max(0, row - 1), modifiers: code & 28 };
  const button = code & 3;
  if ((code & 64) !== 0) {
    if (button > 1) return undefined;
    return { is: "mouse", does: button === 0 ? "wheelUp" : "wheelDown", button: 0, ...place };
  }
  if (code >= 128) return undefined;
  if (button === 3) return { is: "mouse", does: "move", button: 0, ...place };
  const does = (code & 32) !== 0 ? "drag" : pressed ? "down" : "up";
  return { is: "mouse", does, button: button as 0 | 1 | 2, ...place };
}
