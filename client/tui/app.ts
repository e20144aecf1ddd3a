/**
 * The multiplexer: who has the keys, what each of them does, and what is drawn. The views know the daemon, the terminal
 * knows the user; here they meet.
 *
 *     sidebar ──open──► pane (a program, the invocations) ──leave, back──► sidebar
 *        └───over both, while it is asked: a dialog───┘
 */
import { LivedevError, multiplexerSays } from "../errors.ts";
import { clock } from "../time.ts";
import { Canvas, Painter, within, type Cursor, type Rect } from "./canvas.ts";
import { clipboardSequence, copyByTmux, MAX_COPIED } from "./clipboard.ts";
import { asCurl, asInvoke, asJson } from "./copies.ts";
import { DeployPane, type ByHand } from "./deploy-pane.ts";
import { Choice, Confirm, Help, Prompt, Question, type Dialog } from "./dialogs.ts";
import { footer } from "./footer.ts";
import { FunctionsPane } from "./functions-pane.ts";
import type { Input, Key, Mouse } from "./input.ts";
import type { Action, Context, Keymap } from "./keymap.ts";
import { layout, type Layout } from "./layout.ts";
import type { Pane } from "./pane.ts";
import { ProcessPane } from "./process-pane.ts";
import { keyOf, Sidebar, type Entry } from "./sidebar.ts";
import { line, spans, type Line } from "./spans.ts";
import { STYLES } from "./style.ts";
import { errorLine, type InvocationEvent, type System } from "./system.ts";
import type { Terminal } from "./terminal.ts";
import { TunnelPane } from "./tunnel-pane.ts";

/** Some thirty times a second: more is not seen. */
const FRAME_MS = 33;
const SAID_MS = 3_000;
const WHEEL_LINES = 3;

/** How it ended, as far as it was told by keys. */
export type Quit = "leave" | "stop";

export type AppOptions = {
  readonly system: System;
  readonly terminal: Terminal;
  readonly keymap: Keymap;
  readonly keysFile: string;
  /** Puts the stubs in place. @throws LivedevError */
  readonly goLive: (agreed: { readonly yes: boolean; readonly takeOver: boolean }) => Promise<void>;
  /** Opens a daemon where none runs. @throws LivedevError */
  readonly openDaemon: () => Promise<void>;
  readonly edit: (
    text: string,
    again: (error: LivedevError) => Promise<boolean>,
  ) => Promise<string | undefined>;
  readonly yes: boolean;
  readonly takeOver: boolean;
  /** It is not asked whether the daemon goes on. */
  readonly stopAtQuit: boolean;
  readonly quit: (how: Quit) => void;
  /** A bug: nothing goes on. */
  readonly crashed: (error: unknown) => void;
};

export class App {
  readonly #options: AppOptions;
  readonly #painter: Painter;
  #canvas = new Canvas(1, 1);
  readonly #sidebar: Sidebar;
  readonly #functions: FunctionsPane;
  readonly #deploy: DeployPane;
  readonly #tunnel: TunnelPane;
  readonly #processes = new Map<string, ProcessPane>();
  #focus: "sidebar" | "pane" = "sidebar";
  /** Whose pane has the keys: where that is gone, they go nowhere else. */
  #focused = "";
  #zoomed = false;
  #dialog: Dialog | undefined;
  #shown: Pane | undefined;
  #layout: Layout;
  #said: Line | undefined;
  #sayTimer: NodeJS.Timeout | undefined;
  #drawTimer: NodeJS.Timeout | undefined;
  #drawnAt = 0;
  #byHand: ByHand = { is: "nothing" };
  #goingLive = false;
  #liveWanted = true;
  /** The pane that the mouse was pressed in, until it is let go. */
  #pressed: Rect | undefined;
  #closed = false;

  constructor(options: AppOptions) {
    this.#options = options;
    const { system, terminal } = options;
    this.#painter = new Painter(terminal.depth);
    const changed = () => this.changed();
    const failed = (error: unknown) => this.#failed(error);
    const say = (text: string) => this.#say(text);
    this.#functions = new FunctionsPane({
      system,
      changed,
      failed,
      say,
      edit: (text) => this.#edit(text),
      choose: (title, choices) => this.#choose(title, choices),
    });
    this.#deploy = new DeployPane({ system, byHand: () => this.#byHand, plan: () => void this.#plan() });
    this.#tunnel = new TunnelPane(system);
    this.#sidebar = new Sidebar(system, () => this.#tunnel.summary);
    this.#layout = layout({ ...terminal.size, zoomed: false, focus: "sidebar" });
  }

  /** Something that is shown may be another now. */
  changed(): void {
    if (this.#closed || this.#drawTimer !== undefined) return;
    const due = this.#drawnAt + FRAME_MS - performance.now();
    this.#drawTimer = setTimeout(() => this.#draw(), Math.max(0, due));
  }

  /** What stands on the terminal is gone. */
  returned(): void {
    this.#painter.forget();
    this.changed();
  }

  invocation(event: InvocationEvent): void {
    this.#functions.take(event);
  }

  /** Another daemon, or another history: everything is asked anew. */
  reset(): void {
    this.#functions.reset();
  }

  configLoaded(): void {
    // One that was broken when it should have gone live.
    if (this.#liveWanted && this.#options.system.status?.live.state !== "live") this.goLive();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#drawTimer);
    clearTimeout(this.#sayTimer);
    this.#shown?.hide();
    this.#dialog?.cancel();
  }

  // ---- going live

  goLive(): void {
    const { yes, takeOver } = this.#options;
    void this.#goLive({ yes, takeOver });
  }

  async #goLive(agreed: { readonly yes: boolean; readonly takeOver: boolean }): Promise<void> {
    if (this.#goingLive) return;
    this.#goingLive = true;
    try {
      await this.#options.goLive(agreed);
      this.#byHand = { is: "nothing" };
    } catch (error) {
      this.#goingLive = false;
      if (!(error instanceof LivedevError)) return this.#options.crashed(error);
      await this.#notLive(error, agreed);
    } finally {
      this.#goingLive = false;
      this.#options.system.refresh();
      this.changed();
    }
  }

  async #notLive(
    error: LivedevError,
    agreed: { readonly yes: boolean; readonly takeOver: boolean },
  ): Promise<void> {
    const yes = error.code === "stage.holdsCode" && !agreed.yes;
    const takeOver = error.code === "stage.held" && !agreed.takeOver;
    if (!yes && !takeOver) {
      // The daemon's going, and a config that is mended, try again by themselves.
      if (error.code !== "connection.lost") this.#byHand = { is: "failed", message: errorLine(error) };
      return;
    }
    const question = yes ? multiplexerSays.replaceByStubs : multiplexerSays.takeOver;
    const answer = await this.#ask(
      question,
      [error.message],
      [
        { keys: ["y"], label: question },
        { keys: ["esc", "n"], label: multiplexerSays.notLive },
      ],
    );
    if (answer === 0) await this.#goLive({ yes: agreed.yes || yes, takeOver: agreed.takeOver || takeOver });
    else this.#liveWanted = false;
  }

  async #plan(): Promise<void> {
    const { system } = this.#options;
    this.#byHand = { is: "planning" };
    this.changed();
    try {
      const plan = await system.client.call("stage.plan", { dev: true });
      this.#byHand = { is: "planned", plan };
      const count = plan.steps.length + plan.commands.length;
      const live = system.status?.live.state === "live";
      if (count === 0 && live) return;
      this.changed();
      const agreed = await this.#confirm(multiplexerSays.apply(count));
      this.#byHand = { is: "nothing" };
      if (!agreed) return this.#say(multiplexerSays.notApplied);
      this.#liveWanted = true;
      await this.#goLive({ yes: this.#options.yes, takeOver: this.#options.takeOver });
    } catch (error) {
      if (!(error instanceof LivedevError)) return this.#options.crashed(error);
      this.#byHand = { is: "failed", message: errorLine(error) };
    } finally {
      this.changed();
    }
  }

  // ---- input

  input(all: readonly Input[]): void {
    for (const one of all) {
      if (this.#closed) return;
      this.#input(one);
    }
    this.changed();
  }

  #input(input: Input): void {
    const dialog = this.#dialog;
    if (dialog !== undefined) {
      if (dialog.take(input)) {
        if (this.#dialog === dialog) this.#dialog = undefined;
      } else if (dialog.scrolls === true && input.is === "key") this.#scroll(input);
      else if (dialog.scrolls === true && input.is === "mouse") this.#wheel(input);
      return;
    }
    if (input.is !== "mouse") this.#said = undefined;
    if (input.is === "mouse") this.#mouse(input);
    else if (this.#context === "program" && (input.is === "paste" || this.#action(input) === undefined))
      this.#pane.type?.(input);
    else if (input.is === "key") this.#key(input);
  }

  #scroll(key: Key): void {
    const action = this.#action(key);
    if (action !== undefined && SCROLLS.has(action)) this.#pane.act(action);
  }

  #action(key: Key): Action | undefined {
    const context = this.#context;
    return context === undefined ? undefined : this.#options.keymap.action(context, key.name);
  }

  #key(key: Key): void {
    const action = this.#action(key);
    if (action !== undefined && this.#can(action)) this.#act(action);
  }

  get #entry(): Entry {
    return this.#sidebar.selected;
  }

  // oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
  get #pane(): Pane {
    const entry = this.#entry;
    switch (entry.is) {
      case "deploy":
        return this.#deploy;
      case "functions":
        return this.#functions;
      case "tunnel":
        return this.#tunnel;
      case "process":
        return this.#process(entry.name);
    }
  }

  #process(name: string): ProcessPane {
    const found = this.#processes.get(name);
    if (found !== undefined) return found;
    const made = new ProcessPane({
      system: this.#options.system,
      name,
      changed: () => this.changed(),
      failed: (error) => this.#failed(error),
    });
    this.#processes.set(name, made);
    return made;
  }

  get #context(): Context | undefined {
    const pane = this.#pane;
    if (pane.context === "selecting") return "selecting";
    return this.#focus === "pane" ? pane.context : this.#entry.is;
  }

  #can(action: Action): boolean {
    const pane = this.#pane;
    const away = this.#options.system.awaySince !== undefined;
    switch (action) {
      case "quit":
      case "help":
      case "zoom":
      case "leave":
        return true;
      case "open":
        return away;
      case "up":
        return this.#moves ? !this.#sidebar.atTop : pane.can(action);
      case "down":
        return this.#moves ? !this.#sidebar.atBottom : pane.can(action);
      case "back":
        return this.#focus === "pane" || pane.can(action);
      default:
        return pane.can(action);
    }
  }

  /** Whether up and down are the sidebar's. */
  get #moves(): boolean {
    return this.#focus === "sidebar" && this.#context !== "selecting";
  }

  #act(action: Action): void {
    const pane = this.#pane;
    switch (action) {
      case "quit":
        return void this.#quit();
      case "help":
        this.#dialog = new Help(this.#options.keymap, this.#options.keysFile);
        return;
      case "zoom":
        this.#zoomed = !this.#zoomed;
        return;
      case "open":
        return void this.#open();
      case "up":
      case "down":
        if (this.#moves) this.#sidebar.move(action === "up" ? -1 : 1);
        else pane.act(action);
        return;
      case "focus":
        if (this.#focus === "pane") pane.act(action);
        else this.#enter();
        return;
      case "leave":
        this.#focus = "sidebar";
        return;
      case "back":
        if (pane.can(action)) pane.act(action);
        else this.#focus = "sidebar";
        return;
      case "search":
        return this.#search(pane);
      case "copy":
        return void this.#copy(pane).catch((error: unknown) => this.#failed(error));
      default:
        pane.act(action);
    }
  }

  #enter(): void {
    this.#focus = "pane";
    this.#focused = keyOf(this.#entry);
  }

  #search(pane: Pane): void {
    const filters = this.#entry.is === "functions" && !this.#functions.opened;
    this.#dialog = new Prompt(filters ? multiplexerSays.onlyWith : "/", (text) => {
      if (text !== undefined) pane.search(text);
      this.changed();
    });
  }

  async #copy(pane: Pane): Promise<void> {
    if (pane !== this.#functions || this.#context === "selecting") {
      this.#toClipboard(pane.copied());
      return;
    }
    const whole = await this.#functions.whole();
    if (whole === undefined) return;
    const { status } = this.#options.system;
    const reach = {
      fn: status?.functions.find(({ name }) => name === whole.functionName),
      endpoint: status?.cloud?.endpoint,
    };
    const ways: readonly (readonly [name: string, text: () => string])[] = [
      ["JSON", () => asJson(whole)],
      ["curl", () => asCurl(whole, reach)],
      ["livedev invoke", () => asInvoke(whole)],
      [multiplexerSays.event, () => whole.event.text],
      ...(whole.answer === undefined
        ? []
        : [[multiplexerSays.answer, () => whole.answer?.text ?? ""] as const]),
    ];
    const at = await this.#choose(
      multiplexerSays.copyAs,
      ways.map(([name]) => name),
    );
    const way = at === undefined ? undefined : ways[at];
    if (way !== undefined) this.#toClipboard(way[1]());
  }

  #toClipboard(text: string): void {
    if (text === "") return;
    if (Buffer.byteLength(text) > MAX_COPIED) return this.#say(multiplexerSays.tooLong);
    this.#options.terminal.write(clipboardSequence(text));
    copyByTmux(text);
    this.#say(multiplexerSays.copied(text));
  }

  #edit(text: string): Promise<string | undefined> {
    return this.#options.edit(text, (error) => this.#editAgain(error));
  }

  async #editAgain(error: LivedevError): Promise<boolean> {
    const answer = await this.#ask(
      error.message,
      [],
      [
        { keys: ["e", "y", "enter"], label: multiplexerSays.editAgain },
        { keys: ["esc", "n"], label: multiplexerSays.giveUp },
      ],
    );
    return answer === 0;
  }

  // ---- the mouse

  #mouse(mouse: Mouse): void {
    if (mouse.does === "wheelUp" || mouse.does === "wheelDown") return this.#wheel(mouse);
    const { sidebar, pane: rect } = this.#layout;
    if (this.#pressed === undefined && sidebar !== undefined && within(sidebar, mouse.x, mouse.y)) {
      const entry = mouse.does === "down" ? this.#sidebar.entryAt(mouse.y - sidebar.y) : undefined;
      if (entry === undefined) return;
      this.#sidebar.select(entry);
      this.#focus = "sidebar";
      return;
    }
    if (this.#pressed === undefined && !within(rect, mouse.x, mouse.y)) return;
    const pane = this.#pane;
    if (mouse.does === "down") {
      this.#pressed = rect;
      if (this.#focus === "sidebar" && this.#can("focus")) this.#enter();
    }
    const place = this.#pressed ?? rect;
    pane.mouse({ ...mouse, x: mouse.x - place.x, y: mouse.y - place.y }, this.#focus === "pane");
    if (mouse.does !== "up") return;
    this.#pressed = undefined;
    this.#toClipboard(pane.taken());
  }

  #wheel(mouse: Mouse): void {
    const lines = mouse.does === "wheelUp" ? -WHEEL_LINES : mouse.does === "wheelDown" ? WHEEL_LINES : 0;
    const { sidebar, pane: rect } = this.#layout;
    if (sidebar !== undefined && within(sidebar, mouse.x, mouse.y)) this.#sidebar.move(Math.sign(lines));
    else if (within(rect, mouse.x, mouse.y) && lines !== 0)
      this.#pane.wheel(lines, mouse.x - rect.x, mouse.y - rect.y, this.#focus === "pane");
  }

  // ---- dialogs

  #ask(
    title: string,
    text: readonly string[],
    answers: readonly { readonly keys: readonly string[]; readonly label: string }[],
  ): Promise<number | undefined> {
    return this.#dialogue((done) => new Question({ title, text, answers, done }));
  }

  #choose(title: string, choices: readonly string[]): Promise<number | undefined> {
    return this.#dialogue((done) => new Choice(title, choices, done));
  }

  async #confirm(question: string): Promise<boolean> {
    return (await this.#dialogue<number | undefined>((done) => new Confirm(question, done))) === 0;
  }

  /** In the place of whichever is there. */
  #dialogue<T>(make: (done: (answer: T) => void) => Dialog): Promise<T> {
    return new Promise((resolve) => {
      this.#dialog?.cancel();
      const dialog = make((answer) => {
        if (this.#dialog === dialog) this.#dialog = undefined;
        resolve(answer);
        this.changed();
      });
      this.#dialog = dialog;
      this.changed();
    });
  }

  async #quit(): Promise<void> {
    const { quit, stopAtQuit, system } = this.#options;
    if (stopAtQuit) return quit("stop");
    if (system.awaySince !== undefined) return quit("leave");
    const answer = await this.#ask(
      multiplexerSays.quit,
      [],
      [
        { keys: ["s", "a"], label: multiplexerSays.stopAll },
        { keys: ["l", "enter", "q", "ctrl-c"], label: multiplexerSays.leaveRunning },
        { keys: ["esc"], label: multiplexerSays.stay },
      ],
    );
    if (answer === 0) quit("stop");
    else if (answer === 1) quit("leave");
  }

  async #open(): Promise<void> {
    this.#say(multiplexerSays.opening);
    try {
      await this.#options.openDaemon();
      this.goLive();
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    if (!(error instanceof LivedevError)) return this.#options.crashed(error);
    // That the daemon is away is shown as long as it is.
    if (
      error.code === "connection.lost" ||
      error.code === "daemon.notRunning" ||
      error.code === "request.cancelled"
    )
      return;
    this.#say(errorLine(error), true);
  }

  #say(text: string, bad = false): void {
    this.#said = spans(text, bad ? STYLES.red : STYLES.green);
    clearTimeout(this.#sayTimer);
    this.#sayTimer = setTimeout(() => {
      this.#said = undefined;
      this.changed();
    }, SAID_MS);
    this.changed();
  }

  // ---- drawing

  #draw(): void {
    this.#drawTimer = undefined;
    this.#drawnAt = performance.now();
    try {
      this.#paint();
    } catch (error) {
      this.#options.crashed(error);
    }
  }

  #paint(): void {
    const { terminal, system } = this.#options;
    if (!terminal.taken) return;
    this.#settle();
    const { columns, rows } = terminal.size;
    const canvas = this.#blank(columns, rows);
    const focus = this.#focus;
    this.#layout = layout({ columns, rows, zoomed: this.#zoomed, focus });
    const { sidebar, border, title, pane: rect, footer: bottom } = this.#layout;
    const pane = this.#pane;
    if (sidebar !== undefined) this.#sidebar.draw(canvas, sidebar, focus === "sidebar");
    if (border !== undefined) {
      const style = focus === "pane" ? STYLES.green : STYLES.dim;
      for (let y = 0; y < (bottom?.y ?? rows); y += 1) canvas.write(border, y, line("│", style));
    }
    const away = system.awaySince;
    if (title !== undefined)
      canvas.write(title.x, title.y, away === undefined ? pane.title() : this.#away(away), title.columns);
    // Where the sidebar has the whole terminal there is no room for it.
    const covered = sidebar !== undefined && border === undefined;
    let cursor: Cursor | undefined = covered ? undefined : pane.draw(canvas, rect, focus === "pane");
    if (bottom !== undefined) canvas.write(bottom.x, bottom.y, this.#footer(bottom.columns), bottom.columns);
    if (this.#dialog !== undefined) cursor = this.#dialog.draw(canvas);
    terminal.tellMoves(focus === "pane" && pane.wantsMoves === true);
    terminal.write(this.#painter.paint(canvas, cursor));
  }

  #blank(columns: number, rows: number): Canvas {
    if (this.#canvas.columns === columns && this.#canvas.rows === rows) this.#canvas.clear();
    else this.#canvas = new Canvas(columns, rows);
    return this.#canvas;
  }

  /** Who is shown is looked at, who was is not; who has no program any more has no keys either. */
  #settle(): void {
    const pane = this.#pane;
    if (pane !== this.#shown) {
      this.#shown?.hide();
      this.#shown = pane;
      pane.show();
    }
    if (this.#focus !== "pane") return;
    const entry = this.#entry;
    const gone =
      keyOf(entry) !== this.#focused ||
      (entry.is === "process" &&
        this.#options.system.processes.find(({ name }) => name === entry.name)?.state === "stopped");
    if (gone) this.#focus = "sidebar";
  }

  #away(since: number): Line {
    return line(multiplexerSays.away(clock(since)), STYLES.red);
  }

  #footer(columns: number): Line {
    if (this.#said !== undefined) return this.#said;
    const { awaySince } = this.#options.system;
    if (awaySince !== undefined && this.#layout.title === undefined) return this.#away(awaySince);
    const context = this.#context;
    if (context === undefined) return [];
    const { keymap } = this.#options;
    return footer({ keymap, context, can: (action) => this.#can(action), columns, zoomed: this.#zoomed });
  }
}

const SCROLLS: ReadonlySet<Action> = new Set([
  "scrollUp",
  "scrollDown",
  "lineUp",
  "lineDown",
  "first",
  "last",
  "up",
  "down",
]);
