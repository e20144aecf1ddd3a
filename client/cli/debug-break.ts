/**
 * `livedev debug MyApi --break src/api.ts:12`: a debugger without an editor. It waits for an invocation that comes
 * there, prints where that stands and what it holds, and lets it go on.
 */
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { isAbsolute, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { InvalidArgumentError } from "commander";

import type { RpcResult } from "../../proto/rpc.ts";

import { Cdp, type CdpEvent, type CdpParams } from "../cdp.ts";
import type { LivedevClient } from "../client.ts";
import { connect } from "../connect.ts";
import {
  breakNotReached,
  connectionLost,
  debugPortTaken,
  functionMissing,
  lineMissing,
  noCodeAt,
  noSuchSource,
  sourceElsewhere,
} from "../errors.ts";
import type { Cli, Common } from "./cli.ts";
import { inert, note, paint, print, printJson, table } from "./output.ts";
import { Script, stopPoint, type StopPoint } from "./stop-point.ts";
import { showWait } from "./progress.ts";
import { duration } from "./time.ts";

/** As the user wrote it. */
export type Place = { readonly file: string; readonly line: number };

export type BreakOptions = Common & {
  readonly break?: readonly Place[];
  readonly follow?: boolean;
  readonly timeout?: number;
};

/** `src/api.ts:12`; given again, another one. */
export function parsePlace(text: string, before: readonly Place[] = []): readonly Place[] {
  const [, file, line] = /^(.+?):([1-9]\d*)$/.exec(text) ?? [];
  if (file === undefined) throw new InvalidArgumentError("Write it as a file and a line: src/api.ts:12.");
  return [...before, { file, line: Number(line) }];
}

export async function debugBreak(
  cli: Cli,
  functionName: string,
  options: BreakOptions & { readonly break: readonly Place[] },
): Promise<void> {
  const { signal } = cli;
  await using client = await connect({ ...options, signal });
  const sources = options.break.map((place) => sourceOf(place, client.project));
  const names = (await client.call("function.list", {}, { signal })).map(({ name }) => name);
  if (!names.includes(functionName)) throw functionMissing(functionName, names);
  await using port = await opened(client);
  const { websocketAddress = "" } = port.targets.find((target) => target.functionName === functionName) ?? {};
  await using stops = await Stops.open(websocketAddress, functionName, sources);
  const where = sources.map(({ shown }) => shown).join(", ");
  if (options.json !== true) note(`Waiting for an invocation of ${functionName} at ${where}.`);
  do {
    const stop = await showWait(where, options.json, stops.next(signal, options.timeout));
    const shown = stop.stack.map((frame) => ({ ...frame, file: shownFrom(client.project, frame.file) }));
    if (options.json === true) printJson({ functionName, ...shown[0], stack: shown, locals: stop.locals });
    else print(textOf(functionName, stop.text, { ...stop, stack: shown }));
    await stops.goOn();
  } while (options.follow === true);
}

type Source = Place & { readonly url: string; readonly shown: string };

/** From where the user stands, else from the project. */
function sourceOf(place: Place, project: string): Source {
  const found = [resolve(place.file), resolve(project, place.file)].find((file) => existsSync(file));
  if (found === undefined) throw noSuchSource(place.file);
  const file = realpathSync(found);
  const lines = readFileSync(file, "utf8").split("\n").length;
  if (place.line > lines) throw lineMissing(place.file, place.line, lines);
  return { ...place, url: pathToFileURL(file).href, shown: `${shownFrom(project, file)}:${place.line}` };
}

function shownFrom(project: string, file: string): string {
  const path = relative(project, file);
  return path.startsWith("..") || isAbsolute(path) ? file : path;
}

type On = Extract<RpcResult<"debug.status">, { state: "on" }>;

/** The debuggers' port for as long as this takes; left alone where it was open before, or others came to it. */
async function opened(client: LivedevClient): Promise<On & AsyncDisposable> {
  const before = await client.call("debug.status", {});
  const status = before.state === "on" ? before : await client.call("debug.on", { port: 0 });
  if (status.state === "off" || status.waiting !== undefined) throw debugPortTaken();
  return {
    ...status,
    async [Symbol.asyncDispose]() {
      if (before.state === "on" || !client.connected) return;
      const now = await client.call("debug.status", {});
      if (now.state === "on" && now.port === status.port && now.sessions === 0)
        await client.call("debug.off", {});
    },
  };
}

type Stop = StopPoint & { readonly text: string };

class Stops implements AsyncDisposable {
  readonly #cdp: Cdp;
  readonly #functionName: string;
  readonly #sources: readonly Source[];
  /** By the id of its breakpoint. */
  readonly #set = new Map<string, Source>();
  readonly #resolved = new Set<string>();
  readonly #scripts = new Map<string, Script>();
  readonly #paused: CdpParams[] = [];
  #checked = false;
  #failure: Error | undefined;
  #wake = () => {};

  static async open(address: string, functionName: string, sources: readonly Source[]): Promise<Stops> {
    let heard = (_event: CdpEvent) => {};
    const cdp = await Cdp.open(address, (event) => heard(event));
    const stops = new Stops(cdp, functionName, sources);
    heard = (event) => stops.#heard(event);
    try {
      await cdp.send("Debugger.enable");
      await cdp.send("Debugger.setAsyncCallStackDepth", { maxDepth: 16 });
      for (const source of sources) {
        const { url, line } = source;
        const set = await cdp.send("Debugger.setBreakpointByUrl", { url, lineNumber: line - 1 });
        stops.#set.set(set["breakpointId"], source);
        if (set["locations"].length > 0) stops.#resolved.add(set["breakpointId"]);
      }
      await cdp.send("Runtime.runIfWaitingForDebugger");
    } catch (error) {
      await cdp[Symbol.asyncDispose]();
      throw error;
    }
    void stops.#check();
    return stops;
  }

  private constructor(cdp: Cdp, functionName: string, sources: readonly Source[]) {
    this.#cdp = cdp;
    this.#functionName = functionName;
    this.#sources = sources;
    void cdp.closed.then(() => this.#fail(connectionLost()));
  }

  /** Where an invocation stands now; it goes on by `goOn()`. */
  async next(signal: AbortSignal, withinMs: number | undefined): Promise<Stop> {
    const stop = () => this.#fail(signal.reason as Error);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    const late = () =>
      this.#fail(
        breakNotReached(
          this.#functionName,
          this.#sources.map(({ shown }) => shown),
          duration(withinMs ?? 0),
        ),
      );
    const timer = withinMs === undefined ? undefined : setTimeout(late, withinMs);
    try {
      for (;;) {
        if (this.#failure !== undefined) throw this.#failure;
        const paused = this.#paused.shift();
        if (paused === undefined) await new Promise<void>((resolve) => (this.#wake = resolve));
        else if (this.#isOurs(paused)) return await this.#read(paused);
        // A `debugger` statement, perhaps: nobody asked for that here.
        else await this.goOn();
      }
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    }
  }

  async goOn(): Promise<void> {
    await this.#cdp.send("Debugger.resume");
  }

  /** Who stands at a breakpoint goes on. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#cdp[Symbol.asyncDispose]();
  }

  #isOurs({ hitBreakpoints = [] }: CdpParams): boolean {
    return (hitBreakpoints as string[]).some((id) => this.#set.has(id));
  }

  async #read(paused: CdpParams): Promise<Stop> {
    const stop = await stopPoint(this.#cdp, paused, this.#scripts);
    const [top] = stop.stack;
    const script = this.#scripts.get(paused["callFrames"][0].location.scriptId);
    return { ...stop, text: top === undefined ? "" : (script?.text(top) ?? "") };
  }

  #heard({ method, params }: CdpEvent): void {
    switch (method) {
      case "Debugger.scriptParsed": {
        const script = new Script(params);
        this.#scripts.set(params["scriptId"], script);
        if (script.mapped) void this.#check();
        break;
      }
      case "Runtime.executionContextsCleared":
        this.#scripts.clear();
        break;
      case "Debugger.breakpointResolved":
        this.#resolved.add(params["breakpointId"]);
        break;
      case "Debugger.paused":
        this.#paused.push(params);
        this.#wake();
        break;
    }
  }

  /** Once the function's code is there, a place where nothing can stop is not waited for. */
  async #check(): Promise<void> {
    const bundle = [...this.#scripts.values()].find(({ mapped }) => mapped);
    if (this.#checked || bundle === undefined || this.#set.size < this.#sources.length) return;
    this.#checked = true;
    for (const source of this.#sources) {
      if (!bundle.has(source.url)) return this.#fail(sourceElsewhere(source.file, this.#functionName));
    }
    // Which breakpoints the code has is told right behind it, before this is answered.
    await this.#cdp.send("Runtime.getHeapUsage").catch(() => undefined);
    for (const [id, { shown }] of this.#set) {
      if (!this.#resolved.has(id)) this.#fail(noCodeAt(shown));
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#wake();
  }
}

function textOf(functionName: string, source: string, { stack, locals }: StopPoint): string {
  const [top] = stack;
  const place = ({ file, line, column }: StopPoint["stack"][number]) => `${file}:${line}:${column}`;
  const frames = stack.map((frame) => [
    `${frame.async === true ? "async " : ""}${frame.name}`,
    paint("cyan", place(frame)),
  ]);
  const names = locals.map(({ name, text }) => [paint("bold", inert(name)), inert(text)]);
  return [
    `${functionName} at ${top === undefined ? "a breakpoint" : paint("cyan", place(top))}`,
    ...(source === "" ? [] : [`    ${paint("dim", inert(source.trim()))}`]),
    table(frames, "  "),
    ...(names.length === 0 ? [] : ["", table(names, "  ")]),
    "",
  ].join("\n");
}
