/** Everything there is, in one column: its state, and what went wrong last. */
import type { ProcessStatus } from "../../proto/rpc.ts";
import { clock } from "../time.ts";
import type { Canvas, Rect } from "./canvas.ts";
import { line, lineWidth, over, span, spans, type Line } from "./spans.ts";
import { functionSign, processSign } from "./states.ts";
import { INVERSE, STYLES, type Style } from "./style.ts";
import type { System } from "./system.ts";
import { fit, textWidth } from "./width.ts";

export type Entry =
  | { readonly is: "deploy" }
  | { readonly is: "functions" }
  | { readonly is: "process"; readonly name: string }
  | { readonly is: "tunnel" };

export const keyOf = (entry: Entry): string => (entry.is === "process" ? `process ${entry.name}` : entry.is);

type Row = {
  /** Undefined: a heading. */
  readonly entry: Entry | undefined;
  readonly line: Line;
  /** At the right edge, where there is room. */
  readonly right?: Line;
  /** Below it, belonging to it. */
  readonly below?: Line;
};

export class Sidebar {
  readonly #system: System;
  readonly #tunnel: () => Line | undefined;
  #selected = "deploy";
  /** What stands on which row of the screen, for the mouse. */
  #drawn: (Entry | undefined)[] = [];
  #top = 0;
  #made: readonly Row[] = [];
  #madeOf = -1;

  constructor(system: System, tunnel: () => Line | undefined) {
    this.#system = system;
    this.#tunnel = tunnel;
  }

  get entries(): Entry[] {
    return this.#rows().flatMap(({ entry }) => (entry === undefined ? [] : [entry]));
  }

  get selected(): Entry {
    const entries = this.entries;
    return entries.find((entry) => keyOf(entry) === this.#selected) ?? entries[0] ?? { is: "deploy" };
  }

  select(entry: Entry): void {
    this.#selected = keyOf(entry);
  }

  move(by: number): void {
    const entries = this.entries;
    const at = entries.findIndex((entry) => keyOf(entry) === keyOf(this.selected));
    const next = entries[Math.max(0, Math.min(at + by, entries.length - 1))];
    if (next !== undefined) this.select(next);
  }

  get atTop(): boolean {
    return keyOf(this.selected) === keyOf(this.entries[0] ?? { is: "deploy" });
  }

  get atBottom(): boolean {
    const last = this.entries.at(-1);
    return last === undefined || keyOf(this.selected) === keyOf(last);
  }

  entryAt(row: number): Entry | undefined {
    return this.#drawn[row];
  }

  draw(canvas: Canvas, rect: Rect, focused: boolean): void {
    const selected = keyOf(this.selected);
    const lines: { readonly entry: Entry | undefined; readonly line: Line; readonly chosen: boolean }[] = [];
    for (const { entry, line, right = [], below } of this.#rows()) {
      const chosen = entry !== undefined && keyOf(entry) === selected;
      lines.push({ entry, line: spread(line, right, rect.columns), chosen });
      if (below !== undefined) lines.push({ entry, line: cut(below, rect.columns), chosen: false });
    }
    const at = lines.findIndex(({ chosen }) => chosen);
    // The one that is chosen, with what stands below it.
    this.#top = Math.max(0, Math.min(this.#top, lines.length - rect.rows));
    if (at < this.#top) this.#top = Math.max(0, at);
    if (at + 1 >= this.#top + rect.rows) this.#top = Math.max(0, Math.min(at, at + 2 - rect.rows));
    this.#drawn = [];
    for (let row = 0; row < rect.rows; row += 1) {
      const one = lines[this.#top + row];
      this.#drawn.push(one?.entry);
      if (one === undefined) continue;
      const flags = one.chosen ? (focused ? INVERSE : STYLES.bold.flags) : 0;
      const end = canvas.write(rect.x, rect.y + row, over(one.line, flags), rect.columns);
      if (one.chosen && focused)
        canvas.cover(
          { x: end, y: rect.y + row, columns: rect.x + rect.columns - end, rows: 1 },
          STYLES.inverse,
        );
    }
  }

  /** Made once for each state of the system: a program's output changes nothing of it. */
  #rows(): readonly Row[] {
    if (this.#madeOf === this.#system.version) return this.#made;
    this.#madeOf = this.#system.version;
    this.#made = this.#make();
    return this.#made;
  }

  #make(): Row[] {
    const { processes } = this.#system;
    const of = (fits: (one: ProcessStatus) => boolean) =>
      processes.filter(fits).map((one) => this.#process(one));
    const tunnel = this.#tunnel();
    return [
      this.#deploy(),
      this.#functions(),
      ...section("Frontends", of(isFrontend)),
      ...section(
        "Services",
        of((one) => !isFrontend(one) && !isTask(one)),
      ),
      ...section("Tasks", of(isTask)),
      ...(tunnel === undefined
        ? []
        : section("Network", [{ entry: { is: "tunnel" }, line: tunnel } as const])),
    ];
  }

  // oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
  #deploy(): Row {
    const { status, awaySince } = this.#system;
    const row = (sign: string, style: Style, word: string, below?: string): Row => ({
      entry: { is: "deploy" },
      line: [span(`${sign} `, style), span("Deploy")],
      right: [span(word, style)],
      ...(below !== undefined && { below: [span("  "), ...spans(below, STYLES.red)] }),
    });
    if (awaySince !== undefined) return row("✗", STYLES.red, "no daemon");
    if (status === undefined) return row("…", STYLES.dim, "");
    const { live, config } = status;
    const broken = config.state === "broken" ? config.message : undefined;
    switch (live.state) {
      case "off":
        return row("○", STYLES.yellow, "not live", broken);
      case "deploying": {
        const { course, steps } = this.#system.deployment;
        const done = steps.filter(({ state }) => state === "done").length;
        return row(
          "◐",
          STYLES.yellow,
          course.is === "running" ? `${done}/${course.steps}` : "deploying",
          broken,
        );
      }
      case "live":
        return broken === undefined ? row("●", STYLES.green, "live") : row("✗", STYLES.red, "live", broken);
      case "failed":
        return row("✗", STYLES.red, "failed", live.message);
    }
  }

  #functions(): Row {
    const functions = this.#system.status?.functions ?? [];
    const broken = functions.filter(({ state }) => state === "broken");
    const failure = this.#system.failure;
    const running = functions.reduce((sum, one) => sum + one.running, 0);
    const state =
      broken.length > 0 ? "broken" : functions.some((one) => one.state === "building") ? "building" : "ready";
    const { sign, style } = functionSign(functions.length === 0 ? "idle" : state);
    const [first] = broken;
    const error = first?.errors?.[0];
    const below =
      first !== undefined
        ? `${first.name}: ${error?.file === undefined ? "" : `${error.file}:${error.line ?? 1} `}${error?.text ?? "does not build"}`
        : failure === undefined
          ? undefined
          : `${failure.functionName}: ${failure.text}`;
    return {
      entry: { is: "functions" },
      line: [span(`${sign} `, style), span("Functions")],
      right: [
        ...(broken.length > 0 ? [span(`${broken.length} broken `, STYLES.red)] : []),
        ...(running > 0 ? [span(`${running} running `, STYLES.yellow)] : []),
        span(String(functions.length), STYLES.dim),
      ],
      ...(below !== undefined && { below: [span("  "), ...spans(below, STYLES.red)] }),
    };
  }

  #process(one: ProcessStatus): Row {
    const { sign, style } = processSign(one.state);
    const crash = this.#system.crash(one.name);
    const why =
      one.state === "crashed" || one.state === "waiting" || one.state === "stopped" ? one.why : undefined;
    const before = crash === undefined ? undefined : `${clock(crash.at)} ${crash.text}`;
    const below =
      one.state === "crashed" || (why !== undefined && one.state !== "stopped")
        ? spans(why ?? before ?? "", one.state === "crashed" ? STYLES.red : STYLES.dim)
        : before === undefined
          ? undefined
          : spans(before, STYLES.dim);
    return {
      entry: { is: "process", name: one.name },
      line: [span(`${sign} `, style), ...spans(one.title)],
      right: [span(one.state, style)],
      ...(below !== undefined && { below: [span("  "), ...below] }),
    };
  }
}

const section = (title: string, rows: readonly Row[]): Row[] =>
  rows.length === 0 ? [] : [{ entry: undefined, line: line(title, STYLES.dim) }, ...rows];

/** What starts by hand alone. */
const isTask = ({ kind, autostart }: ProcessStatus): boolean => kind === "DevCommand" && !autostart;

const FRONTENDS = new Set([
  "aws.Nextjs",
  "aws.Remix",
  "aws.Astro",
  "aws.Nuxt",
  "aws.SvelteKit",
  "aws.StaticSite",
]);

const isFrontend = ({ kind }: ProcessStatus): boolean => FRONTENDS.has(kind);

function spread(left: Line, right: Line, columns: number): Line {
  const room = columns - lineWidth(right) - 1;
  // The name matters more than the word beside its sign.
  if (lineWidth(right) === 0 || lineWidth(left) > room) return cut(left, columns);
  return [...left, span(" ".repeat(columns - lineWidth(left) - lineWidth(right))), ...right];
}

function cut(whole: Line, columns: number): Line {
  if (lineWidth(whole) <= columns) return whole;
  const out: { text: string; style: Style }[] = [];
  let left = columns;
  for (const { text, style } of whole) {
    if (left <= 0) break;
    const width = textWidth(text);
    out.push({ text: width >= left ? fit(text + "…", left) : text, style });
    left -= width;
  }
  return out;
}
