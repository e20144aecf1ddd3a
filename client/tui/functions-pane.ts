/**
 * Invocations as they come, newest first, above them what does not build; one of them whole, in their place.
 *
 *     list ──open──► one whole ──back──► list
 */
import type { FunctionStatus, InvocationDetail, InvocationSummary, RpcParams } from "../../proto/rpc.ts";
import { editSealed, LivedevError } from "../errors.ts";
import { prettyJson } from "../payload.ts";
import { duration, fineClock } from "../time.ts";
import type { Canvas, Cursor, Rect } from "./canvas.ts";
import type { Mouse } from "./input.ts";
import { InvocationView } from "./invocation-view.ts";
import type { Action, Context } from "./keymap.ts";
import type { Pane } from "./pane.ts";
import { line, over, span, spans, type Line } from "./spans.ts";
import { invocationSign } from "./states.ts";
import { INVERSE, STYLES } from "./style.ts";
import type { InvocationEvent, System } from "./system.ts";
import { padded } from "./width.ts";

const PAGE = 200;
const MOST = 1_000;
/** A search through all of history costs the daemon's reader: the next waits some of what the last one took. */
const REFRESH_MS = 150;
const REST = 4;

export type FunctionsPaneOptions = {
  readonly system: System;
  readonly changed: () => void;
  readonly failed: (error: unknown) => void;
  readonly say: (text: string) => void;
  /** Gives the terminal to the user's editor; undefined: the edit was given up. */
  readonly edit: (text: string) => Promise<string | undefined>;
  readonly choose: (title: string, choices: readonly string[]) => Promise<number | undefined>;
};

type Status = InvocationSummary["status"];

const STATUSES: readonly (readonly [name: string, of: readonly Status[] | undefined])[] = [
  ["all", undefined],
  ["failed", ["error", "interrupted", "undelivered", "expired"]],
  ["running", ["received", "running", "answered"]],
  ["ok", ["ok"]],
];

export class FunctionsPane implements Pane {
  readonly #options: FunctionsPaneOptions;
  #rows: readonly InvocationSummary[] = [];
  #more = false;
  /** Undefined: the newest, whichever that is. */
  #selected: number | undefined;
  #top = 0;
  #height = 1;
  #opened: InvocationView | undefined;
  #functionName: string | undefined;
  #status = 0;
  #text = "";
  #limit = PAGE;
  #shown = false;
  #asking = false;
  #due = false;
  #timer: NodeJS.Timeout | undefined;
  #restMs = 0;
  #problem = "";
  /** Where the first row of the list stands, for the mouse. */
  #listAt = 0;
  #logs: AsyncDisposable | undefined;
  #busy = "";

  constructor(options: FunctionsPaneOptions) {
    this.#options = options;
  }

  get context(): Context | undefined {
    return this.#opened?.context ?? "invocations";
  }

  get opened(): boolean {
    return this.#opened !== undefined;
  }

  show(): void {
    this.#shown = true;
    this.refresh();
  }

  hide(): void {
    this.#shown = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  take(event: InvocationEvent): void {
    this.refresh();
    if (event.type !== "invocation.received" && event.id === this.#opened?.id) this.#opened.refresh();
  }

  /** Another daemon, another history. */
  reset(): void {
    this.refresh();
    this.#opened?.refresh();
  }

  refresh(): void {
    this.#due = true;
    if (!this.#shown || this.#asking) return;
    this.#timer ??= setTimeout(
      () => void this.#refresh(),
      Math.max(this.#rows.length === 0 ? 0 : REFRESH_MS, this.#restMs),
    );
  }

  title(): Line {
    if (this.#opened !== undefined) return [...this.#opened.title(), ...this.#busyText()];
    const filters = [
      ...(this.#functionName === undefined ? [] : [`function ${this.#functionName}`]),
      ...(this.#status === 0 ? [] : [`status ${STATUSES[this.#status]?.[0]}`]),
      ...(this.#text === "" ? [] : [`text ${this.#text}`]),
    ];
    return [
      span("Functions", STYLES.bold),
      ...(filters.length === 0 ? [] : spans(`  only ${filters.join(", ")}`, STYLES.yellow)),
      ...this.#busyText(),
    ];
  }

  #busyText(): Line {
    return this.#busy === "" ? [] : [span(`  ${this.#busy} …`, STYLES.yellow)];
  }

  draw(canvas: Canvas, rect: Rect): Cursor | undefined {
    if (this.#opened !== undefined) return this.#opened.draw(canvas, rect);
    const broken = this.#broken(rect.rows);
    for (const [at, one] of broken.entries()) canvas.write(rect.x, rect.y + at, one, rect.columns);
    this.#listAt = broken.length;
    this.#height = Math.max(1, rect.rows - broken.length);
    const rows = this.#rows;
    if (rows.length === 0) {
      canvas.write(rect.x, rect.y + broken.length, this.#nothing(), rect.columns);
      return undefined;
    }
    const at = this.#index;
    this.#top = Math.max(0, Math.min(this.#top, rows.length - this.#height));
    if (at < this.#top) this.#top = at;
    if (at >= this.#top + this.#height) this.#top = at - this.#height + 1;
    const widest = Math.min(24, Math.max(...rows.map(({ functionName }) => functionName.length)));
    for (let row = 0; row < this.#height && this.#top + row < rows.length; row += 1) {
      const one = rows[this.#top + row];
      if (one === undefined) break;
      const y = rect.y + broken.length + row;
      const drawn = rowLine(one, widest);
      const end = canvas.write(
        rect.x,
        y,
        this.#top + row === at ? over(drawn, INVERSE) : drawn,
        rect.columns,
      );
      if (this.#top + row === at)
        canvas.cover({ x: end, y, columns: rect.x + rect.columns - end, rows: 1 }, STYLES.inverse);
    }
    return undefined;
  }

  can(action: Action): boolean {
    const opened = this.#opened;
    const away = this.#options.system.awaySince !== undefined;
    switch (action) {
      case "replay":
      case "edit":
        return !away && this.#busy === "" && (opened?.detail ?? this.#chosen) !== undefined;
      case "copy":
        return opened !== undefined ? opened.can("copy") : this.#chosen !== undefined;
      default:
    }
    if (opened !== undefined) return action === "back" || opened.can(action);
    switch (action) {
      case "up":
      case "first":
      case "scrollUp":
      case "lineUp":
        return this.#index > 0;
      case "down":
      case "last":
      case "scrollDown":
      case "lineDown":
        return this.#index < this.#rows.length - 1;
      case "focus":
        return true;
      case "search":
      case "byStatus":
        return !away;
      case "byFunction":
        return !away && (this.#options.system.status?.functions.length ?? 0) > 0;
      case "back":
        return this.#filtered;
      default:
        return false;
    }
  }

  act(action: Action): void {
    const opened = this.#opened;
    const { failed } = this.#options;
    if (action === "replay") void this.#replay(undefined).catch(failed);
    else if (action === "edit") void this.#edited().catch(failed);
    else if (opened !== undefined) {
      if (action === "back" && !opened.can("back")) this.#close();
      else opened.act(action);
    } else this.#actOnList(action);
    this.#options.changed();
  }

  #actOnList(action: Action): void {
    const half = Math.max(1, Math.floor(this.#height / 2));
    switch (action) {
      case "up":
        return this.#move(-1);
      case "down":
        return this.#move(1);
      case "scrollUp":
        return this.#move(-half);
      case "scrollDown":
        return this.#move(half);
      case "lineUp":
        return this.#move(-3);
      case "lineDown":
        return this.#move(3);
      case "first":
        this.#selected = undefined;
        return;
      case "last":
        return this.#move(this.#rows.length);
      case "focus":
        if (this.#chosen !== undefined) this.#open(this.#chosen.id);
        return;
      case "byStatus":
        this.#status = (this.#status + 1) % STATUSES.length;
        return this.#filter();
      case "byFunction":
        return void this.#chooseFunction();
      case "back":
        this.#functionName = undefined;
        this.#status = 0;
        this.#text = "";
        return this.#filter();
      default:
    }
  }

  search(text: string): void {
    if (this.#opened !== undefined) return this.#opened.search(text);
    this.#text = text;
    this.#filter();
  }

  wheel(lines: number): void {
    if (this.#opened !== undefined) this.#opened.wheel(lines);
    else this.#move(lines);
    this.#options.changed();
  }

  mouse(mouse: Mouse): void {
    if (this.#opened !== undefined) this.#opened.mouse(mouse);
    else if (mouse.does === "down" && mouse.button === 0) {
      const at = this.#top + mouse.y - this.#listAt;
      const row = mouse.y >= this.#listAt ? this.#rows[at] : undefined;
      if (row === undefined) return;
      // A second click on it opens it.
      if (row.id === this.#chosen?.id && this.#selected !== undefined) this.#open(row.id);
      else this.#selected = row.id;
    }
    this.#options.changed();
  }

  taken(): string {
    return this.#opened?.taken() ?? "";
  }

  copied(): string {
    return this.#opened?.copied() ?? "";
  }

  /** The one that is open, or chosen, whole. */
  async whole(): Promise<InvocationDetail | undefined> {
    const opened = this.#opened;
    if (opened?.detail !== undefined) return opened.detail;
    const id = opened?.id ?? this.#chosen?.id;
    return id === undefined ? undefined : this.#options.system.client.call("invocation.get", { id });
  }

  get #filtered(): boolean {
    return this.#functionName !== undefined || this.#status !== 0 || this.#text !== "";
  }

  get #index(): number {
    if (this.#selected === undefined) return 0;
    return Math.max(
      0,
      this.#rows.findIndex(({ id }) => id === this.#selected),
    );
  }

  get #chosen(): InvocationSummary | undefined {
    return this.#rows[this.#index];
  }

  #move(by: number): void {
    const at = Math.max(0, Math.min(this.#index + by, this.#rows.length - 1));
    this.#selected = at === 0 ? undefined : this.#rows[at]?.id;
    if (at >= this.#rows.length - this.#height && this.#more && this.#limit < MOST) {
      this.#limit = Math.min(MOST, this.#limit + PAGE);
      this.refresh();
    }
  }

  #open(id: number): void {
    const { system, changed } = this.#options;
    this.#close();
    const view = new InvocationView({ system, id, changed });
    this.#opened = view;
    this.#selected = id;
    void this.#followLogs(view);
  }

  #close(): void {
    this.#opened = undefined;
    const logs = this.#logs;
    this.#logs = undefined;
    void logs?.[Symbol.asyncDispose]();
  }

  /** What it prints while it is looked at: other lines are not asked for. */
  async #followLogs(view: InvocationView): Promise<void> {
    const { system, failed } = this.#options;
    try {
      const subscription = await system.client.subscribe({ types: ["invocation.logged"] }, (events) => {
        if (events.some(({ event }) => event.type === "invocation.logged" && event.id === view.id))
          view.refresh();
      });
      if (this.#opened !== view) return await subscription.close();
      this.#logs = subscription;
      view.refresh();
    } catch (error) {
      if (!(error instanceof LivedevError)) failed(error);
    }
  }

  #filter(): void {
    this.#rows = [];
    this.#selected = undefined;
    this.#limit = PAGE;
    this.#restMs = 0;
    this.#problem = "";
    this.refresh();
  }

  async #chooseFunction(): Promise<void> {
    const names = (this.#options.system.status?.functions ?? []).map(({ name }) => name);
    const at = await this.#options.choose("Invocations of", ["all functions", ...names]);
    if (at === undefined) return;
    this.#functionName = at === 0 ? undefined : names[at - 1];
    this.#filter();
  }

  async #refresh(): Promise<void> {
    this.#timer = undefined;
    this.#due = false;
    this.#asking = true;
    const query = this.#query();
    const began = performance.now();
    try {
      const rows = await this.#options.system.client.call("invocation.list", query);
      // Meanwhile another filter may have been chosen.
      if (same(query, this.#query())) {
        this.#rows = rows;
        this.#more = rows.length === query.limit;
        this.#problem = rows.length === 0 ? "none" : "";
      } else this.#due = true;
    } catch (error) {
      if (!(error instanceof LivedevError)) this.#options.failed(error);
    } finally {
      this.#asking = false;
      this.#restMs = (performance.now() - began) * REST;
      this.#options.changed();
      if (this.#due && this.#options.system.awaySince === undefined) this.refresh();
    }
  }

  #query(): RpcParams<"invocation.list"> & { readonly limit: number } {
    const status = STATUSES[this.#status]?.[1];
    return {
      limit: this.#limit,
      ...(this.#functionName !== undefined && { functionName: this.#functionName }),
      ...(status !== undefined && { status: [...status] }),
      ...(this.#text !== "" && { text: this.#text }),
    };
  }

  #nothing(): Line {
    if (this.#problem === "") return line("…", STYLES.dim);
    return line(
      this.#filtered
        ? "No invocation fits. Esc shows all."
        : "No invocation yet: `livedev invoke <function>`, or call a URL.",
      STYLES.dim,
    );
  }

  /** Until it is mended, at most half of the pane. */
  #broken(rows: number): Line[] {
    const broken = (this.#options.system.status?.functions ?? []).filter(
      ({ errors = [] }) => errors.length > 0,
    );
    const all = broken.flatMap(({ name, errors = [] }) =>
      errors.flatMap((error) => buildErrorLines(name, error)),
    );
    if (all.length === 0) return [];
    const room = Math.max(1, Math.floor(rows / 2) - 1);
    const shown = all.slice(0, room);
    const left = all.length - shown.length;
    return [...shown, left > 0 ? line(`… ${left} more lines: \`livedev status\``, STYLES.dim) : []];
  }

  // ---- replay

  async #replay(event: string | undefined): Promise<void> {
    const { system, say } = this.#options;
    const id = this.#opened?.id ?? this.#chosen?.id;
    if (id === undefined) return;
    this.#busy = `replaying ${id}`;
    try {
      const request = { id, ...(event !== undefined && { event }) };
      const answer = await system.client.call("invocation.replay", request);
      say(`${id} replayed as ${answer.id}: ${answer.status} in ${duration(answer.durationMs)}`);
      this.#open(answer.id);
    } finally {
      this.#busy = "";
      this.refresh();
      this.#options.changed();
    }
  }

  async #edited(): Promise<void> {
    const { system, say, edit } = this.#options;
    const id = this.#opened?.id ?? this.#chosen?.id;
    if (id === undefined) return;
    const { event } = await system.client.call("invocation.get", { id, reveal: true });
    if (event.sealed) throw editSealed(id);
    const before = `${prettyJson(event.text)}\n`;
    const after = await edit(before);
    if (after === undefined) return say("Nothing was run: the event was left empty.");
    // Left as it was, its very bytes run again.
    await this.#replay(after === before ? undefined : after);
  }
}

const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);

function rowLine(one: InvocationSummary, widest: number): Line {
  const { sign, style } = invocationSign(one.status);
  const { durationMs, coldStart, errorType, errorMessage, replayOf, local } = one;
  const error = [errorType, errorMessage].filter((part) => part !== undefined && part !== "").join(": ");
  return [
    span(`${fineClock(one.receivedAt)} `, STYLES.dim),
    span(`${sign} ${one.status.padEnd(11)} `, style),
    span(`${(durationMs === undefined ? "" : duration(durationMs)).padStart(11)} `),
    span(coldStart === true ? "cold " : "     ", STYLES.blue),
    span(`${padded(one.functionName, widest)} `, STYLES.bold),
    ...(replayOf !== undefined
      ? [span(`replay of ${replayOf} `, STYLES.dim)]
      : local === true
        ? [span("local ", STYLES.dim)]
        : []),
    ...spans(error, STYLES.red),
  ];
}

type BuildError = NonNullable<FunctionStatus["errors"]>[number];

/** As editors understand it: file:line:column, the first column 1. */
function buildErrorLines(
  name: string,
  { text, file, line: number, column = 0, lineText }: BuildError,
): Line[] {
  const at = file === undefined ? "" : `${file}${number === undefined ? "" : `:${number}:${column + 1}`} `;
  const head: Line = [
    span("✗ ", STYLES.red),
    span(`${name} does not build  `, STYLES.red),
    ...spans(at, STYLES.bold),
    ...spans(text),
  ];
  if (lineText === undefined || number === undefined) return [head];
  const margin = String(number);
  return [
    head,
    [span(`  ${margin} │ `, STYLES.dim), ...spans(lineText)],
    [span(`  ${" ".repeat(margin.length)} │ ${" ".repeat(column)}`, STYLES.dim), span("^", STYLES.red)],
  ];
}
