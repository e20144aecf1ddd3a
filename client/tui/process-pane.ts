/**
 * A process's terminal. While it is looked at it is drawn along from the daemon's output; what is above it is fetched
 * when somebody scrolls, searches or selects, and stands still until they come back:
 *
 *     hidden ──show()──► live ──scroll, search, select──► looking back ──bottom, Esc, typing──► live
 *        ▲                 └──────────────────────hide()───────┘
 *        └──────────────────────┘
 *
 * Hidden it costs nothing: nothing is asked.
 */
import { setTimeout as wait } from "node:timers/promises";

import type { ProcessStatus } from "../../proto/rpc.ts";
import { codeOf, LivedevError } from "../errors.ts";
import { clock } from "../time.ts";
import type { Canvas, Cursor, Rect } from "./canvas.ts";
import { Emulator } from "./emulator.ts";
import type { Key, Mouse, Paste } from "./input.ts";
import type { Action, Context } from "./keymap.ts";
import type { Pane } from "./pane.ts";
import { keyBytes, mouseBytes, pasteBytes } from "./program-input.ts";
import { span, spans, type Line } from "./spans.ts";
import { processStyle } from "./states.ts";
import { STYLES } from "./style.ts";
import type { System } from "./system.ts";
import { Viewer } from "./viewer.ts";

const WAIT_MS = 20_000;
const SCROLLBACK = 1_000;
/** Between two readings: what a program writes at once is drawn at once, a flood some twenty times a second. */
const FIRST_PAUSE_MS = 8;
const MAX_PAUSE_MS = 50;
const CHARACTERS_PER_MS = 400;
/** The size follows a window that is being dragged so often. */
const RESIZE_MS = 60;
const RETRY_MS = 250;
const MAX_WRITE = 512 * 1024;

export type ProcessPaneOptions = {
  readonly system: System;
  readonly name: string;
  readonly changed: () => void;
  readonly failed: (error: unknown) => void;
};

type Size = { readonly columns: number; readonly rows: number };

export class ProcessPane implements Pane {
  readonly #options: ProcessPaneOptions;
  readonly #name: string;
  #shown: AbortController | undefined;
  #live: Emulator | undefined;
  #history: Emulator | undefined;
  #viewer = new Viewer({ atEnd: false });
  #fetching: Promise<void> | undefined;
  /** Aborts it, where somebody comes back before it is there. */
  #looking = new AbortController();
  /** The mouse selects on the live screen: it stands still meanwhile. */
  #held = false;
  /** What the live screen shows is not what follows next: it is drawn anew. */
  #stale = true;
  #polling: AbortController | undefined;
  #resumed = () => {};
  #size: Size = { columns: 80, rows: 24 };
  #asked: Size | undefined;
  #resizing: NodeJS.Timeout | undefined;
  #resizedAt = 0;
  #typed = "";
  #writing = false;

  constructor(options: ProcessPaneOptions) {
    this.#options = options;
    this.#name = options.name;
  }

  get #status(): ProcessStatus | undefined {
    return this.#options.system.processes.find(({ name }) => name === this.#name);
  }

  get #alive(): boolean {
    const state = this.#status?.state;
    return state === "starting" || state === "ready" || state === "stopping";
  }

  get #lookingBack(): boolean {
    return this.#history !== undefined || this.#fetching !== undefined;
  }

  get context(): Context {
    return this.#viewer.selecting ? "selecting" : "program";
  }

  /** The sidebar's, which acts on us too. */
  get sidebarContext(): Context {
    return this.#viewer.selecting ? "selecting" : "process";
  }

  get wantsMoves(): boolean {
    return this.#live?.tracking === "any" && !this.#lookingBack;
  }

  show(): void {
    if (this.#shown !== undefined) return;
    this.#shown = new AbortController();
    this.#stale = true;
    // Another client may have given it another size meanwhile.
    this.#asked = undefined;
    void this.#follow(this.#shown.signal).catch((error: unknown) => this.#options.failed(error));
  }

  hide(): void {
    this.#shown?.abort();
    this.#shown = undefined;
    clearTimeout(this.#resizing);
    this.#resizing = undefined;
    this.#live?.dispose();
    this.#live = undefined;
    this.#toLive();
  }

  title(): Line {
    const status = this.#status;
    if (status === undefined) return [span(this.#name, STYLES.bold)];
    const { state, url, why, retryAt } = status;
    return [
      span(status.title, STYLES.bold),
      span("  "),
      span(state, processStyle(state)),
      ...(url === undefined ? [] : [span("  "), ...spans(url, STYLES.cyan)]),
      ...(why === undefined ? [] : [span("  "), ...spans(why, STYLES.dim)]),
      ...(retryAt === undefined ? [] : [span(`  again at ${clock(retryAt)}`, STYLES.dim)]),
      ...this.#place(),
    ];
  }

  #place(): Line {
    const { found, selecting } = this.#viewer;
    const back = this.#history === undefined ? 0 : this.#history.count - this.#viewer.top - this.#size.rows;
    return [
      ...(this.#lookingBack ? [span(`  ↑ ${Math.max(0, back)} lines, stands still`, STYLES.yellow)] : []),
      ...(found === "" ? [] : [span("  "), ...spans(found, STYLES.yellow)]),
      ...(selecting ? [span("  selecting", STYLES.yellow)] : []),
    ];
  }

  draw(canvas: Canvas, rect: Rect, focused: boolean): Cursor | undefined {
    this.#fit({ columns: rect.columns, rows: rect.rows });
    if (this.#history !== undefined) {
      this.#viewer.show(this.#history);
      return this.#viewer.draw(canvas, rect);
    }
    const live = this.#live;
    if (live === undefined) return undefined;
    this.#viewer.show(live);
    // Another client's terminal may be higher than our pane: what is at work is at the cursor.
    this.#viewer.lookFrom(Math.max(0, live.cursorLine - rect.rows + 1));
    const selecting = this.#viewer.draw(canvas, rect);
    if (selecting !== undefined || !focused) return selecting;
    const cursor = live.cursor;
    if (cursor === undefined || !this.#alive) return undefined;
    const y = cursor.y - this.#viewer.top;
    if (y < 0 || y >= rect.rows || cursor.x >= rect.columns) return undefined;
    return { x: rect.x + cursor.x, y: rect.y + y };
  }

  can(action: Action): boolean {
    const status = this.#status;
    if (status === undefined || this.#options.system.awaySince !== undefined) return false;
    const { state } = status;
    switch (action) {
      case "focus":
        return this.#alive;
      case "leave":
        return true;
      case "start":
        return state === "stopped" || state === "crashed" || state === "waiting";
      case "stop":
        return state !== "stopped" && state !== "stopping";
      case "restart":
        return state !== "stopping";
      case "clear":
        return this.#live !== undefined && !this.#live.full;
      case "scrollUp":
      case "lineUp":
      case "first":
        // Whether there is anything above, the daemon knows.
        return this.#history === undefined ? this.#live?.full === false : this.#viewer.can(action);
      case "scrollDown":
      case "lineDown":
      case "last":
        return this.#lookingBack;
      case "search":
      case "select":
        return this.#live !== undefined;
      case "back":
        return this.#lookingBack || this.#viewer.can("back");
      default:
        return this.#viewer.can(action);
    }
  }

  act(action: Action): void {
    switch (action) {
      case "start":
        return this.#command("process.start");
      case "stop":
        return this.#command("process.stop");
      case "restart":
        return this.#command("process.restart");
      case "clear":
        this.#toLive();
        return this.#command("process.clear");
      case "scrollUp":
      case "lineUp":
      case "first":
      case "select":
        this.#lookBack(() => this.#viewer.act(action));
        break;
      case "scrollDown":
      case "lineDown":
      case "last":
        this.#viewer.act(action);
        if (this.#viewer.atEnd && !this.#viewer.searching && !this.#viewer.selecting) this.#toLive();
        break;
      case "back":
        if (!this.#viewer.act("back")) this.#toLive();
        else if (!this.#viewer.selecting && !this.#viewer.searching && this.#viewer.atEnd) this.#toLive();
        break;
      default:
        this.#viewer.act(action);
    }
    this.#options.changed();
  }

  search(text: string): void {
    if (text === "") {
      this.#viewer.search("");
      if (this.#viewer.atEnd) this.#toLive();
    } else this.#lookBack(() => this.#viewer.search(text));
  }

  wheel(lines: number, x: number, y: number, focused: boolean): void {
    const live = this.#live;
    if (this.#history !== undefined) {
      this.#viewer.scroll(lines);
      if (lines > 0 && this.#viewer.atEnd && !this.#viewer.searching && !this.#viewer.selecting)
        this.#toLive();
    } else if (focused && live !== undefined && live.tracking !== "none") {
      const does = lines < 0 ? "wheelUp" : "wheelDown";
      this.#send(mouseBytes({ is: "mouse", does, button: 0, x, y, modifiers: 0 }, live));
    } else if (live?.full === true) {
      // As terminals do for programs that have the whole screen and no mouse.
      const key: Key = { is: "key", name: "", raw: lines < 0 ? "\u001B[A" : "\u001B[B" };
      if (focused) this.#send(keyBytes(key, live).repeat(Math.abs(lines)));
    } else if (lines < 0) this.#lookBack(() => this.#viewer.scroll(lines));
    this.#options.changed();
  }

  mouse(mouse: Mouse, focused: boolean): void {
    const live = this.#live;
    if (focused && live !== undefined && !this.#lookingBack && live.tracking !== "none") {
      this.#send(mouseBytes(mouse, live));
      return;
    }
    if (mouse.button !== 0) return;
    if (mouse.does === "down") {
      this.#held = true;
      this.#polling?.abort();
      this.#viewer.press(mouse.x, mouse.y);
    } else if (mouse.does === "drag") this.#viewer.drag(mouse.x, mouse.y);
    this.#options.changed();
  }

  taken(): string {
    const text = this.#held ? this.#viewer.take() : "";
    this.#held = false;
    this.#resumed();
    return text;
  }

  copied(): string {
    if (!this.#viewer.selecting) return this.#viewer.visible;
    const text = this.#viewer.take();
    if (this.#viewer.atEnd && !this.#viewer.searching) this.#toLive();
    return text;
  }

  type(input: Key | Paste): void {
    if (this.#lookingBack || this.#held) this.#toLive();
    this.#ownSize();
    const modes = this.#live ?? { applicationCursor: false, bracketedPaste: false };
    this.#send(input.is === "key" ? keyBytes(input, modes) : pasteBytes(input, modes));
  }

  // ---- following

  /** One loop as long as it is shown. */
  async #follow(signal: AbortSignal): Promise<void> {
    const { system } = this.#options;
    let cursor = 0;
    while (!signal.aborted) {
      await system.connected(signal);
      await this.#standsStill(signal);
      if (signal.aborted) return;
      this.#polling = new AbortController();
      const either = AbortSignal.any([signal, this.#polling.signal]);
      try {
        if (this.#stale || this.#live === undefined) cursor = await this.#drawAnew(either);
        else {
          const began = performance.now();
          const read = await this.#read(cursor, either);
          cursor = read.cursor;
          const pause = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS + read.characters / CHARACTERS_PER_MS);
          if (read.characters > 0)
            await wait(Math.max(0, pause - (performance.now() - began)), undefined, { signal });
        }
      } catch (error) {
        if (signal.aborted) return;
        this.#stale = true;
        if (this.#polling.signal.aborted) continue;
        // The next daemon's terminal has a size of its own.
        this.#asked = undefined;
        if (!(error instanceof LivedevError) && codeOf(error) !== "ABORT_ERR") throw error;
        // Its process is no part of the app any more, or the daemon is away: the system says so.
        await wait(RETRY_MS, undefined, { signal }).catch(() => {});
      }
    }
  }

  async #drawAnew(signal: AbortSignal): Promise<number> {
    const { client } = this.#options.system;
    const screen = await client.call("process.screen", { name: this.#name }, { signal });
    const live = new Emulator(screen.columns, screen.rows, 0);
    await live.write(screen.text);
    if (signal.aborted) {
      live.dispose();
      return 0;
    }
    this.#live?.dispose();
    this.#live = live;
    this.#stale = false;
    this.#options.changed();
    return screen.cursor;
  }

  async #read(after: number, signal: AbortSignal): Promise<{ cursor: number; characters: number }> {
    const { client } = this.#options.system;
    const request = { name: this.#name, after, waitMs: WAIT_MS };
    const { text, cursor, gap, columns, rows } = await client.call("process.output", request, { signal });
    const live = this.#live;
    // Its size is another: what follows is meant for that.
    if (live === undefined || gap || columns !== live.columns || rows !== live.rows) this.#stale = true;
    else if (text !== "") {
      await live.write(text);
      this.#options.changed();
    }
    return { cursor, characters: text.length };
  }

  async #standsStill(signal: AbortSignal): Promise<void> {
    while ((this.#held || this.#lookingBack) && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#resumed = resolve;
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    this.#resumed = () => {};
  }

  // ---- looking back

  #lookBack(then: () => void): void {
    if (this.#history !== undefined) {
      then();
      this.#options.changed();
      return;
    }
    const shown = this.#shown?.signal;
    if (shown === undefined) return;
    if (this.#fetching === undefined) this.#looking = new AbortController();
    const signal = AbortSignal.any([shown, this.#looking.signal]);
    const before = this.#fetching ?? this.#fetch(signal);
    this.#fetching = before.then(() => {
      if (signal.aborted) return;
      this.#fetching = undefined;
      if (this.#history === undefined) return;
      then();
      this.#options.changed();
    });
  }

  async #fetch(signal: AbortSignal): Promise<void> {
    try {
      const { client } = this.#options.system;
      const screen = await client.call(
        "process.screen",
        { name: this.#name, scrollback: SCROLLBACK },
        { signal },
      );
      const history = new Emulator(screen.columns, screen.rows, SCROLLBACK);
      await history.write(screen.text);
      if (signal.aborted) return history.dispose();
      this.#history = history;
      this.#polling?.abort();
      this.#viewer = new Viewer({ atEnd: true });
      this.#viewer.show(history);
      this.#viewer.sized(this.#size);
    } catch (error) {
      if (!signal.aborted) this.#options.failed(error);
    }
  }

  #toLive(): void {
    this.#looking.abort();
    this.#fetching = undefined;
    this.#history?.dispose();
    this.#viewer = new Viewer({ atEnd: false });
    this.#history = undefined;
    this.#stale = true;
    this.#held = false;
    this.#resumed();
  }

  // ---- the program

  #command(method: "process.start" | "process.stop" | "process.restart" | "process.clear"): void {
    const { system, failed } = this.#options;
    system.client.call(method, { name: this.#name }).then(() => system.refresh(), failed);
    // A stop answers when all have ended: meanwhile the state says so.
    system.refresh();
  }

  #send(bytes: string): void {
    if (bytes === "" || !this.#alive) return;
    this.#typed += bytes;
    if (!this.#writing) void this.#write();
  }

  /** One after the other, in the order of the keys. */
  async #write(): Promise<void> {
    this.#writing = true;
    while (this.#typed !== "") {
      const data = this.#typed.slice(0, MAX_WRITE);
      this.#typed = this.#typed.slice(data.length);
      // Whoever types sees the new size, and so does the program that reads it.
      if (this.#resizing !== undefined) this.#resize();
      try {
        await this.#options.system.client.call("process.write", { name: this.#name, data });
      } catch (error) {
        this.#typed = "";
        this.#options.failed(error);
      }
    }
    this.#writing = false;
  }

  // ---- its size: the last to ask has its way

  #fit(size: Size): void {
    if (size.columns === this.#size.columns && size.rows === this.#size.rows && this.#asked !== undefined)
      return;
    this.#size = size;
    this.#ownSize();
  }

  /** Also where another client has changed it, and somebody works here now. */
  #ownSize(): void {
    const { columns, rows } = this.#size;
    const live = this.#live;
    const asked = this.#asked;
    if (asked?.columns === columns && asked.rows === rows && live?.columns === columns && live.rows === rows)
      return;
    const due = this.#resizedAt + RESIZE_MS - performance.now();
    if (due <= 0) this.#resize();
    else this.#resizing ??= setTimeout(() => this.#resize(), due);
  }

  #resize(): void {
    clearTimeout(this.#resizing);
    this.#resizing = undefined;
    if (this.#shown === undefined || this.#options.system.awaySince !== undefined) return;
    const { columns, rows } = this.#size;
    this.#resizedAt = performance.now();
    this.#asked = { columns, rows };
    const size = { name: this.#name, columns: Math.min(1_000, columns), rows: Math.min(1_000, rows) };
    // Where it fails, whoever follows the output says so.
    this.#options.system.client.call("process.resize", size).catch(() => {});
  }
}
