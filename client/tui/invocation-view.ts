/** One invocation whole: what came, what was printed, what went back, and an error with its stack. */
import type { InvocationDetail } from "../../proto/rpc.ts";
import { errorIn, prettyJson } from "../payload.ts";
import { clock, duration, fineClock } from "../time.ts";
import { errorLine, type System } from "./system.ts";
import type { Action } from "./keymap.ts";
import { line, lines, span, spans, type Line } from "./spans.ts";
import { invocationSign } from "./states.ts";
import { DEFAULT_COLOUR, STYLES, type Style } from "./style.ts";
import { TextPane } from "./text-pane.ts";

/** Of a payload; whoever needs the rest copies it. */
const MAX_SHOWN = 128 * 1024;
const MAX_LOG_LINES = 2_000;

export type InvocationViewOptions = {
  readonly system: System;
  readonly id: number;
  readonly changed: () => void;
};

export class InvocationView extends TextPane {
  readonly id: number;
  readonly #options: InvocationViewOptions;
  #detail: InvocationDetail | undefined;
  #problem = "";
  #reveal = false;
  #asking = false;
  #due = false;

  constructor(options: InvocationViewOptions) {
    super({ context: "invocation", atEnd: false });
    this.#options = options;
    this.id = options.id;
    this.refresh();
  }

  get detail(): InvocationDetail | undefined {
    return this.#detail;
  }

  get revealed(): boolean {
    return this.#reveal;
  }

  /** Whether more of it is to come. */
  get open(): boolean {
    const status = this.#detail?.status;
    return status === undefined || status === "received" || status === "running" || status === "answered";
  }

  refresh(): void {
    this.#due = true;
    if (!this.#asking) void this.#refresh();
  }

  title(): Line {
    const found = this.found;
    const detail = this.#detail;
    return [
      span(`${this.id}  ${detail?.functionName ?? ""}`, STYLES.bold),
      ...(detail === undefined ? [] : [span(`  ${detail.status}`, invocationSign(detail.status).style)]),
      ...(this.#reveal ? [span("  unsealed", STYLES.yellow)] : []),
      ...(found === "" ? [] : spans(`  ${found}`, STYLES.yellow)),
    ];
  }

  override can(action: Action): boolean {
    if (action === "reveal") return this.#reveal || sealed(this.#detail);
    return super.can(action);
  }

  override act(action: Action): void {
    if (action === "reveal") {
      this.#reveal = !this.#reveal;
      this.refresh();
    } else super.act(action);
  }

  lines(): readonly Line[] {
    const detail = this.#detail;
    if (detail === undefined) return [line(this.#problem === "" ? "…" : this.#problem, STYLES.dim)];
    return this.#shown(detail);
  }

  async #refresh(): Promise<void> {
    this.#asking = true;
    while (this.#due) {
      this.#due = false;
      try {
        const reveal = this.#reveal;
        this.#detail = await this.#options.system.client.call("invocation.get", { id: this.id, reveal });
        this.#made = undefined;
      } catch (error) {
        this.#problem = errorLine(error);
      }
    }
    this.#asking = false;
    this.#options.changed();
  }

  /** Made once for each answer: a payload may be long. */
  #made: readonly Line[] | undefined;

  #shown(detail: InvocationDetail): readonly Line[] {
    this.#made ??= [
      ...facts(detail),
      ...payload("Event", detail.event),
      ...logs(detail.logs),
      ...error(detail),
      ...(detail.answer === undefined ? [] : payload("Answer", detail.answer)),
    ];
    return this.#made;
  }
}

const sealed = (detail: InvocationDetail | undefined): boolean =>
  detail?.event.sealed === true || detail?.answer?.sealed === true;

function facts(detail: InvocationDetail): Line[] {
  const { requestId, receivedAt, durationMs, coldStart, codeHash, local, replayOf, retryOf } = detail;
  const rows: (readonly [string, string])[] = [
    ["request id", requestId],
    ["received", clock(receivedAt)],
    ...(durationMs === undefined
      ? []
      : [["took", duration(durationMs) + (coldStart === true ? ", cold start" : "")] as const]),
    ...(codeHash === undefined ? [] : [["code", codeHash] as const]),
    ...(local === true ? [["run", "on this machine alone, without AWS"] as const] : []),
    ...(replayOf === undefined ? [] : [["replay of", String(replayOf)] as const]),
    ...(retryOf === undefined ? [] : [["retry of", String(retryOf)] as const]),
  ];
  return rows.map(([name, value]) => [span(name.padEnd(12), STYLES.dim), ...spans(value)]);
}

function payload(title: string, { text, bytes, sealed }: InvocationDetail["event"]): Line[] {
  const size = `${bytes} byte${bytes === 1 ? "" : "s"}`;
  const head: Line = [
    span(title, STYLES.bold),
    span(` (${size}${sealed ? ", parts sealed" : ""})`, STYLES.dim),
  ];
  const shown = text.length > MAX_SHOWN ? text.slice(0, MAX_SHOWN) : prettyJson(text);
  const rest = text.length - shown.length;
  return [
    [],
    head,
    ...lines(shown),
    ...(text.length > MAX_SHOWN ? [line(`… ${rest} characters more: copying takes all`, STYLES.yellow)] : []),
  ];
}

function logs(printed: InvocationDetail["logs"]): Line[] {
  if (printed.length === 0) return [];
  const shown = printed.slice(-MAX_LOG_LINES);
  const left = printed.length - shown.length;
  return [
    [],
    line("Logs", STYLES.bold),
    ...(left > 0 ? [line(`… ${left} earlier ones: \`livedev history\` shows all`, STYLES.yellow)] : []),
    ...shown.flatMap(({ at, stream, text }) => {
      const base: Style = stream === "stderr" ? STYLES.yellow : STYLES.plain;
      return lines(text, base).map((one, index): Line => [
        span(index === 0 ? `${fineClock(at)}  ` : "", STYLES.dim),
        ...one,
      ]);
    }),
  ];
}

function error({ errorType, errorMessage, answer }: InvocationDetail): Line[] {
  if (errorType === undefined && errorMessage === undefined) return [];
  const head = [errorType, errorMessage].filter((part) => part !== undefined && part !== "").join(": ");
  const stack = (answer === undefined ? undefined : errorIn(answer.text)?.stack) ?? [];
  const frames = stack.filter((one) => /^\s*at /.test(one)).map((one) => `    ${one.trim()}`);
  return [
    [],
    line("Error", STYLES.bold),
    ...lines(head, STYLES.red),
    ...frames.flatMap((one) =>
      lines(one, { fg: DEFAULT_COLOUR, bg: DEFAULT_COLOUR, flags: STYLES.dim.flags }),
    ),
  ];
}
