/** What stands over everything else and has the keys meanwhile: a question, a choice, a line to type, all keys. */
import type { Canvas, Cursor } from "./canvas.ts";
import type { Input } from "./input.ts";
import { ACTION_NAMES, ACTIONS, keyShown, type Keymap } from "./keymap.ts";
import { lineWidth, span, spans, wrap, type Line } from "./spans.ts";
import { STYLES } from "./style.ts";
import { textWidth } from "./width.ts";

export type Dialog = {
  /** Gives where the cursor stands, of whoever types. */
  draw(canvas: Canvas): Cursor | undefined;
  /** Whether it is over. */
  take(input: Input): boolean;
  /** Given up from outside. */
  cancel(): void;
  /** What it does not take scrolls the pane that it asks about. */
  readonly scrolls?: boolean;
};

export type Answer = {
  /** As keys are named; the first is the one that is shown. */
  readonly keys: readonly string[];
  readonly label: string;
};

/** Gives which answer was taken; undefined: none. */
export class Question implements Dialog {
  readonly #title: string;
  readonly #text: readonly string[];
  readonly #answers: readonly Answer[];
  readonly #done: (at: number | undefined) => void;

  constructor(options: {
    readonly title: string;
    readonly text?: readonly string[];
    readonly answers: readonly Answer[];
    readonly done: (at: number | undefined) => void;
  }) {
    this.#title = options.title;
    this.#text = options.text ?? [];
    this.#answers = options.answers;
    this.#done = options.done;
  }

  draw(canvas: Canvas): undefined {
    const most = Math.max(1, canvas.columns - 4);
    const text = this.#text.flatMap((one) => wrap(spans(one), Math.min(most, 76)));
    const answers = this.#answers.flatMap(({ keys, label }) =>
      wrap([span(keyShown(keys[0] ?? ""), STYLES.bold), span(`  ${label}`)], most),
    );
    box(canvas, this.#title, [...text, ...(text.length > 0 ? [[]] : []), ...answers]);
  }

  take(input: Input): boolean {
    if (input.is !== "key") return false;
    const at = this.#answers.findIndex(({ keys }) => keys.includes(input.name));
    if (at === -1 && input.name !== "esc" && input.name !== "ctrl-c") return false;
    this.#done(at === -1 ? undefined : at);
    return true;
  }

  cancel(): void {
    this.#done(undefined);
  }
}

/** Yes or no, in the place of the footer: what it is about stays to be read. */
export class Confirm implements Dialog {
  readonly scrolls = true;
  readonly #question: string;
  readonly #done: (at: number | undefined) => void;

  constructor(question: string, done: (at: number | undefined) => void) {
    this.#question = question;
    this.#done = done;
  }

  draw(canvas: Canvas): undefined {
    const y = canvas.rows - 1;
    canvas.cover({ x: 0, y, columns: canvas.columns, rows: 1 }, STYLES.plain);
    canvas.write(0, y, [
      ...spans(this.#question, STYLES.bold),
      span("  y/⏎", STYLES.bold),
      span(" yes  ", STYLES.dim),
      span("n/esc", STYLES.bold),
      span(" no", STYLES.dim),
    ]);
  }

  take(input: Input): boolean {
    if (input.is !== "key") return false;
    const yes = input.name === "y" || input.name === "enter";
    if (!yes && !["n", "esc", "q", "ctrl-c"].includes(input.name)) return false;
    this.#done(yes ? 0 : undefined);
    return true;
  }

  cancel(): void {
    this.#done(undefined);
  }
}

/** One of a list, by arrows and Enter. */
export class Choice implements Dialog {
  readonly #title: string;
  readonly #choices: readonly string[];
  readonly #done: (at: number | undefined) => void;
  #at = 0;

  constructor(title: string, choices: readonly string[], done: (at: number | undefined) => void) {
    this.#title = title;
    this.#choices = choices;
    this.#done = done;
  }

  draw(canvas: Canvas): undefined {
    const room = Math.max(1, canvas.rows - 4);
    const top = Math.max(0, Math.min(this.#at - Math.floor(room / 2), this.#choices.length - room));
    const shown = this.#choices.slice(top, top + room);
    box(
      canvas,
      this.#title,
      shown.map((one, at) => spans(one, top + at === this.#at ? STYLES.inverse : STYLES.plain)),
    );
  }

  take(input: Input): boolean {
    if (input.is !== "key") return false;
    const last = this.#choices.length - 1;
    switch (input.name) {
      case "up":
      case "k":
      case "shift-tab":
        this.#at = Math.max(0, this.#at - 1);
        return false;
      case "down":
      case "j":
      case "tab":
        this.#at = Math.min(last, this.#at + 1);
        return false;
      case "enter":
        this.#done(this.#at);
        return true;
      case "esc":
      case "ctrl-c":
      case "q":
        this.#done(undefined);
        return true;
      default:
        return false;
    }
  }

  cancel(): void {
    this.#done(undefined);
  }
}

/** A line to type, in the place of the footer. */
export class Prompt implements Dialog {
  readonly #label: string;
  readonly #done: (text: string | undefined) => void;
  #text = "";

  constructor(label: string, done: (text: string | undefined) => void) {
    this.#label = label;
    this.#done = done;
  }

  draw(canvas: Canvas): Cursor {
    const y = canvas.rows - 1;
    canvas.cover({ x: 0, y, columns: canvas.columns, rows: 1 }, STYLES.plain);
    // The end of what is typed is what one looks at.
    let text = this.#text;
    while (text !== "" && textWidth(this.#label) + textWidth(text) >= canvas.columns) text = text.slice(1);
    const x = canvas.write(0, y, [span(this.#label, STYLES.bold), ...spans(text)]);
    return { x: Math.min(x, canvas.columns - 1), y };
  }

  take(input: Input): boolean {
    if (input.is === "paste") this.#text += input.text.replaceAll(/[\r\n]+/g, " ");
    if (input.is !== "key") return false;
    switch (input.name) {
      case "enter":
        this.#done(this.#text);
        return true;
      case "esc":
      case "ctrl-c":
        this.#done(undefined);
        return true;
      case "backspace":
      case "ctrl-h":
        // Over an empty line, as in vi: no search.
        if (this.#text === "") {
          this.#done(undefined);
          return true;
        }
        this.#text = Array.from(this.#text).slice(0, -1).join("");
        return false;
      case "ctrl-u":
        this.#text = "";
        return false;
      case "ctrl-w":
        this.#text = this.#text.replace(/\S+\s*$/, "");
        return false;
      case "space":
        this.#text += " ";
        return false;
      default:
        if (Array.from(input.name).length === 1) this.#text += input.name;
        return false;
    }
  }

  cancel(): void {
    this.#done(undefined);
  }
}

/** Everything that keys do, as they are now. Any key closes it, arrows scroll. */
export class Help implements Dialog {
  readonly #lines: readonly Line[];
  #top = 0;
  #room = 1;

  constructor(keymap: Keymap, file: string) {
    const rows = ACTION_NAMES.map((action) => ({
      keys: keymap.keys(action).map(keyShown).join(" "),
      what: ACTIONS[action].long,
    }));
    const widest = Math.max(...rows.map(({ keys }) => textWidth(keys)));
    this.#lines = [
      ...rows.map(({ keys, what }): Line => [
        span(keys + " ".repeat(widest - textWidth(keys)), STYLES.bold),
        span(`  ${what}`),
      ]),
      [],
      spans("The mouse chooses, scrolls, and copies what it is drawn over."),
      spans(`Other keys: ${file}`, STYLES.dim),
    ];
  }

  draw(canvas: Canvas): undefined {
    const lines = this.#lines.flatMap((one) => wrap(one, Math.max(1, canvas.columns - 4)));
    this.#room = Math.max(1, canvas.rows - 4);
    this.#top = Math.max(0, Math.min(this.#top, lines.length - this.#room));
    const shown = lines.slice(this.#top, this.#top + this.#room);
    const more = this.#top + this.#room < lines.length ? " (↓ more)" : "";
    box(canvas, `Keys${more}`, shown);
  }

  take(input: Input): boolean {
    if (input.is === "mouse") {
      if (input.does === "wheelUp") this.#top -= 3;
      else if (input.does === "wheelDown") this.#top += 3;
      return input.does === "down";
    }
    if (input.is === "paste") return false;
    const by: Readonly<Record<string, number>> = {
      up: -1,
      k: -1,
      down: 1,
      j: 1,
      pageup: -this.#room,
      "ctrl-u": -this.#room,
      pagedown: this.#room,
      "ctrl-d": this.#room,
    };
    const lines = by[input.name];
    if (lines === undefined) return true;
    this.#top += lines;
    return false;
  }

  cancel(): void {}
}

/** In the middle, as large as what is in it; on a tiny terminal as much of it as fits. */
function box(canvas: Canvas, title: string, lines: readonly Line[]): void {
  const inner = Math.min(
    canvas.columns - 4,
    Math.max(textWidth(title) + 2, ...lines.map((one) => lineWidth(one))),
  );
  if (inner < 1 || canvas.rows < 3) {
    // No room for a frame: the lines alone.
    const all = [spans(title, STYLES.bold), ...lines];
    for (let y = 0; y < canvas.rows; y += 1) {
      canvas.cover({ x: 0, y, columns: canvas.columns, rows: 1 }, STYLES.plain);
      canvas.write(0, y, all[y] ?? []);
    }
    return;
  }
  const rows = Math.min(lines.length, canvas.rows - 2);
  const x = Math.floor((canvas.columns - inner - 4) / 2);
  const y = Math.max(0, Math.floor((canvas.rows - rows - 2) / 2));
  const edge = "─".repeat(inner + 2);
  canvas.cover({ x, y, columns: inner + 4, rows: rows + 2 }, STYLES.plain);
  canvas.write(x, y, [span(`┌${edge}┐`, STYLES.dim)]);
  canvas.write(x + 2, y, [span(` ${title} `, STYLES.bold)], inner);
  for (let row = 0; row < rows; row += 1) {
    canvas.write(x, y + 1 + row, [span("│", STYLES.dim)]);
    canvas.write(x + 2, y + 1 + row, lines[row] ?? [], inner);
    canvas.write(x + inner + 3, y + 1 + row, [span("│", STYLES.dim)]);
  }
  canvas.write(x, y + rows + 1, [span(`└${edge}┘`, STYLES.dim)]);
}
