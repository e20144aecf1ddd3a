/**
 * A function as one thing to debug, for Chrome and other clients of the DevTools protocol: it stays while the processes
 * behind it come and go.
 *
 *     client ──► what it set up is remembered, and done again in each new process
 *            ◄── one process after another, as if it were one that runs new code
 *
 * Between two processes it answers what sets something up, and says of the rest that nobody is there to ask.
 */
import type { WebSocket } from "ws";

import { breakpointsNotSet, noWorkerToAsk } from "../lib/errors.ts";
import { deferred, type Deferred } from "../lib/scope.ts";
import { Breakpoints, isInBundle, paramsFor, placeIn, sourceNow } from "./breakpoints.ts";
import { Channel } from "./channel.ts";
import type { Debuggee } from "./debuggee.ts";
import { Program } from "./program.ts";
import { Settling, SETTLING_MS, type Settled } from "./settling.ts";
import { withGeneration, withoutGeneration } from "./script-ids.ts";
import { asRequest, failure, type Event, type Params, type Reply, type Request } from "./wire.ts";

const GO = "Runtime.runIfWaitingForDebugger";

/** What changes how a process behaves from then on. */
const SETS_UP =
  /^(?:\w+\.enable|Debugger\.set(?!Breakpoint$|BreakpointByUrl$|ScriptSource$|VariableValue$|ReturnValue$|BreakpointOnFunctionCall$)\w+|Runtime\.(?:addBinding|set\w+)|Profiler\.setSamplingInterval|NodeRuntime\.\w+|Network\.\w+)$/;

type Live = {
  readonly generation: number;
  readonly debuggee: Debuggee;
  readonly channel: Channel;
  readonly program: Program;
  /** Settles when its code may be loaded. */
  readonly ready: Deferred<void>;
  go: number | undefined;
  paused: boolean;
  /** While its code is held for breakpoints that the client sets again, which knows nothing of that. */
  settling: Settling | undefined;
  held: boolean;
};

export class TargetSession {
  readonly functionName: string;
  readonly #socket: WebSocket;
  readonly #remembered = new Map<string, Request>();
  readonly #breakpoints = new Breakpoints();
  #generation = 0;
  #live: Live | undefined;
  /** Of the process that stands, or of the last one. */
  #program: Program | undefined;
  #swapping: Promise<Live | undefined> = Promise.resolve(undefined);
  /** What came while a new process was being set up, or a source read. */
  #held: Request[] | undefined;
  /** It said once that code may run: it does not say so again for each process. */
  #goes = false;
  /** It was held once for a client that takes no breakpoints away. */
  #settles = true;
  readonly #say: (text: string) => void;

  constructor(functionName: string, socket: WebSocket, say: (text: string) => void) {
    this.functionName = functionName;
    this.#socket = socket;
    this.#say = say;
    socket.on("message", (data) => {
      const request = asRequest(data);
      if (request !== undefined) this.#take(request);
    });
    socket.once("close", () => this.#live?.channel.close());
  }

  /** From now on this is the process behind it. Resolves when that may load its code; never rejects. */
  async attach(debuggee: Debuggee): Promise<void> {
    this.#swapping = this.#swapping.then(() => this.#swap(debuggee));
    const live = await this.#swapping;
    await live?.ready.promise;
  }

  async #swap(debuggee: Debuggee): Promise<Live | undefined> {
    this.#held ??= [];
    const program = await Program.read(debuggee.worker.file);
    this.#live?.channel.close();
    this.#left();
    this.#generation += 1;
    const generation = this.#generation;
    const channel = await Channel.open({
      address: debuggee.worker.address,
      received: (message) => this.#received(live, message),
      closed: () => {
        debuggee.left(live);
        live.ready.resolve();
        live.settling?.close();
        if (this.#live === live) this.#left();
      },
    });
    if (channel === undefined) {
      this.#release();
      return undefined;
    }
    const live: Live = {
      generation,
      debuggee,
      channel,
      program,
      ready: deferred(),
      go: undefined,
      paused: false,
      settling: undefined,
      held: false,
    };
    this.#live = live;
    this.#program = program;
    if (generation > 1) this.#send({ method: "Runtime.executionContextsCleared", params: {} });
    await this.#setUp(live);
    if (this.#goes) live.ready.resolve();
    this.#release();
    return live;
  }

  get open(): boolean {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  /** It did not say that code may run, and is not asked again. */
  goesAlways(): void {
    this.#goes = true;
  }

  async #setUp(live: Live): Promise<void> {
    const { channel, program } = live;
    const asked = [...this.#remembered.values()].map(({ method, params }) => channel.ask(method, params));
    for (const breakpoint of this.#breakpoints) {
      const reply = channel.ask("Debugger.setBreakpointByUrl", paramsFor(breakpoint, program));
      asked.push(reply);
      void reply.then(({ result }) => (breakpoint.real = textIn(result, "breakpointId")));
    }
    if (this.#settles) {
      const settling = new Settling(this.#breakpoints, program);
      live.settling = settling;
      for (const url of settling.urls) {
        const first = { url, lineNumber: 0, columnNumber: 0 };
        asked.push(
          channel.ask("Debugger.setBreakpointByUrl", first).then((reply) => {
            settling.stopsBy(textIn(reply.result, "breakpointId"), url);
            return reply;
          }),
        );
      }
    }
    await Promise.all(asked);
  }

  #release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const request of held) this.#take(request);
  }

  /** No process is behind it now. */
  #left(): void {
    const live = this.#live;
    this.#live = undefined;
    for (const breakpoint of this.#breakpoints) breakpoint.real = undefined;
    if (live?.paused === true) this.#send({ method: "Debugger.resumed", params: {} });
  }

  // ---- from the client

  #take(request: Request): void {
    if (this.#held === undefined) this.#answer(request);
    else this.#held.push(request);
  }

  #answer(request: Request): void {
    const { id, method, params = {} } = request;
    switch (method) {
      case "Debugger.setBreakpointByUrl":
        return void this.#setBreakpoint(id, params);
      case "Debugger.removeBreakpoint":
        return void this.#removeBreakpoint(request);
      case GO:
        this.#goes = true;
        if (this.#live !== undefined) this.#live.go = id;
        break;
      default:
        this.#remember(request);
    }
    const live = this.#live;
    if (live === undefined) return this.#send(this.#alone(request));
    const plain = withoutGeneration(params, live.generation);
    if (plain === undefined) return this.#send(failure(id, "No script for id: its process is gone"));
    live.channel.send(JSON.stringify({ id, method, params: plain }));
  }

  #remember(request: Request): void {
    const { method, params } = request;
    const [domain, verb] = method.split(".");
    if (verb === "disable") {
      for (const [key, before] of this.#remembered) {
        if (before.method.startsWith(`${domain}.`)) this.#remembered.delete(key);
      }
      if (domain === "Debugger") this.#breakpoints.clear();
    }
    if (!SETS_UP.test(method)) return;
    const name = params?.["name"] ?? params?.["instrumentation"];
    this.#remembered.set(typeof name === "string" ? `${method} ${name}` : method, request);
  }

  /** Without a process. */
  #alone({ id, method }: Request): Reply {
    if (method === "Debugger.enable") return { id, result: { debuggerId: "0.0" } };
    const known = method === GO || method.endsWith(".disable") || SETS_UP.test(method);
    return known ? { id, result: {} } : failure(id, noWorkerToAsk(this.functionName));
  }

  async #setBreakpoint(id: number, params: Params): Promise<void> {
    const live = this.#live;
    if (live === undefined) return this.#setAlone(id, params);
    const breakpoint = this.#breakpoints.add(params);
    const place = placeIn(params, live.program);
    const moved = place === undefined ? undefined : live.settling?.claim(place);
    breakpoint.source = moved;
    const reply = await live.channel.ask("Debugger.setBreakpointByUrl", paramsFor(breakpoint, live.program));
    if (reply.error !== undefined) {
      this.#breakpoints.remove(breakpoint.id);
      // Where two meet, the first of them stops.
      if (moved !== undefined) {
        return this.#send({ id, result: { breakpointId: breakpoint.id, locations: [] } });
      }
      return this.#send({ id, error: reply.error });
    }
    let result: Params = { locations: [] };
    if (this.#live === live) {
      breakpoint.real = textIn(reply.result, "breakpointId");
      result = withGeneration(reply.result, live.generation) as Params;
    }
    this.#send({ id, result: { ...result, breakpointId: breakpoint.id } });
  }

  /** Without a process. Its line is that of the file as it stands now: what comes may run a later save. */
  async #setAlone(id: number, params: Params): Promise<void> {
    this.#held = [];
    const work = this.#swapping.then(async () => {
      const breakpoint = this.#breakpoints.add(params);
      const last = this.#program;
      // In the last one's bundle, as a front end shows it until the next process comes.
      if (last !== undefined && isInBundle(params, last)) paramsFor(breakpoint, last);
      else breakpoint.source = await sourceNow(params);
      this.#send({ id, result: { locations: [], breakpointId: breakpoint.id } });
      this.#release();
      return undefined;
    });
    this.#swapping = work;
    await work;
  }

  async #removeBreakpoint({ id, method, params = {} }: Request): Promise<void> {
    const breakpoint = this.#breakpoints.remove(params["breakpointId"]);
    if (breakpoint !== undefined) this.#live?.settling?.removed(breakpoint);
    // As one does that was too slow when it was waited for.
    if (breakpoint?.inBundle === true) this.#settles = true;
    const breakpointId = breakpoint === undefined ? params["breakpointId"] : breakpoint.real;
    if (breakpointId !== undefined) await this.#live?.channel.ask(method, { breakpointId });
    this.#send({ id, result: {} });
  }

  // ---- from the process

  #received(live: Live, message: Reply | Event): void {
    if ("id" in message) {
      if (message.id === live.go) live.ready.resolve();
      return this.#send(withGeneration(message, live.generation) as Reply);
    }
    if (this.#hides(live, message)) return;
    live.debuggee.heard(live, message.method);
    if (message.method === "Debugger.paused") live.paused = true;
    if (message.method === "Debugger.resumed") live.paused = false;
    const { method, params = {} } = withGeneration(message, live.generation) as Event;
    this.#send({ method, params: this.#inOurWords(live, method, params) });
  }

  /** What the client did not ask for: that the new code is held. */
  #hides(live: Live, { method, params = {} }: Event): boolean {
    const { settling } = live;
    if (settling === undefined) return false;
    if (method === "Debugger.scriptParsed") void settling.parsed(String(params["url"]));
    const held = method === "Debugger.paused" ? settling.before(params["hitBreakpoints"]) : undefined;
    if (held !== undefined) {
      live.held = true;
      void held.then((how) => this.#run(live, how));
      return true;
    }
    if (method === "Debugger.breakpointResolved") return settling.owns(params["breakpointId"]);
    if (method !== "Debugger.resumed" || !live.held) return false;
    live.held = false;
    return true;
  }

  #run({ channel }: Live, how: Settled): void {
    void channel.ask("Debugger.resume");
    if (how === "untouched") this.#settles = false;
    if (how !== "settled") this.#say(breakpointsNotSet(this.functionName, SETTLING_MS));
  }

  #inOurWords({ program }: Live, method: string, params: Params): Params {
    switch (method) {
      case "Debugger.scriptParsed": {
        const sourceMapURL = program.mapOf(String(params["url"]));
        return sourceMapURL === undefined ? params : { ...params, sourceMapURL };
      }
      case "Debugger.breakpointResolved":
        return { ...params, breakpointId: this.#breakpoints.idOf(params["breakpointId"]) };
      case "Debugger.paused": {
        const hit = params["hitBreakpoints"];
        if (!Array.isArray(hit)) return params;
        return { ...params, hitBreakpoints: hit.map((real) => this.#breakpoints.idOf(real)) };
      }
      default:
        return params;
    }
  }

  #send(message: object): void {
    if (this.open) this.#socket.send(JSON.stringify(message));
  }
}

function textIn(params: Params | undefined, name: string): string | undefined {
  const value = params?.[name];
  return typeof value === "string" ? value : undefined;
}
