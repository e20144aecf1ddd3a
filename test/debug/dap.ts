/**
 * VS Code's side of js-debug: its debug adapter as a process, driven over DAP. Each worker is a session of its own, by
 * a connection of its own, as the adapter asks for them (`startDebugging`).
 *
 * @see https://microsoft.github.io/debug-adapter-protocol/specification
 */
import { spawn, type ChildProcess } from "node:child_process";
import { connect, type Socket } from "node:net";

import { JS_DEBUG } from "../support/parts.ts";

// oxlint-disable-next-line typescript/no-explicit-any -- whatever the protocol says
type Body = Record<string, any>;

export type Stop = {
  readonly session: DapSession;
  readonly threadId: number;
  readonly reason: string;
};

/** The breakpoints of VS Code: those of a file, by line. */
export type Breakpoints = Readonly<Record<string, readonly number[]>>;

export class Dap {
  readonly #process: ChildProcess;
  readonly #closed: Promise<unknown>;
  readonly #port: number;
  readonly #sessions = new Set<DapSession>();
  readonly #stops: Stop[] = [];
  #wake: () => void = () => {};
  breakpoints: Breakpoints = {};
  exceptions: readonly string[] = [];

  /** With one root session, attached as `.vscode/launch.json` says, to this port or address in the place of its own. */
  static async open(options: {
    launch: string;
    where: { readonly port: number } | { readonly websocketAddress: string };
    cwd: string;
  }): Promise<Dap> {
    const child = spawn(process.execPath, [JS_DEBUG, "0", "127.0.0.1"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const port = await new Promise<number>((resolve) => {
      let text = "";
      child.stdout?.on("data", (chunk: Buffer) => {
        text += chunk.toString();
        const found = /:(\d+)\s/.exec(text)?.[1];
        if (found !== undefined) resolve(Number(found));
      });
    });
    const dap = new Dap(child, port);
    const launch = JSON.parse(options.launch.replaceAll("${workspaceFolder}", options.cwd)) as Body;
    const [configuration] = launch["configurations"];
    // By its own address alone.
    if ("websocketAddress" in options.where) delete configuration.port;
    // What VS Code fills in by itself: js-debug's own name for `node`, and the folder.
    await dap.session("attach", {
      ...configuration,
      ...options.where,
      type: "pwa-node",
      cwd: options.cwd,
    });
    return dap;
  }

  private constructor(child: ChildProcess, port: number) {
    this.#process = child;
    this.#closed = new Promise((resolve) => child.once("close", resolve));
    this.#port = port;
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  /** The next stop that nobody took yet. */
  async stopped(fits: (stop: Stop) => boolean = () => true): Promise<Stop> {
    for (;;) {
      const at = this.#stops.findIndex(fits);
      const [stop] = at < 0 ? [] : this.#stops.splice(at, 1);
      if (stop !== undefined) return stop;
      await new Promise<void>((resolve) => {
        const before = this.#wake;
        this.#wake = () => {
          before();
          resolve();
        };
      });
    }
  }

  async session(request: string, configuration: Body): Promise<DapSession> {
    const socket = connect(this.#port, "127.0.0.1");
    const session = new DapSession(socket, {
      started: (child, configured) => void this.session(child, configured),
      stopped: ({ threadId, reason }) => {
        this.#stops.push({ session, threadId, reason });
        const wake = this.#wake;
        this.#wake = () => {};
        wake();
      },
      ended: () => this.#sessions.delete(session),
    });
    this.#sessions.add(session);
    const initialized = session.next("initialized");
    await session.ask("initialize", {
      clientID: "test",
      adapterID: "pwa-node",
      pathFormat: "path",
      linesStartAt1: true,
      columnsStartAt1: true,
      supportsStartDebuggingRequest: true,
    });
    const launched = session.ask(request, configuration);
    await initialized;
    for (const [path, lines] of Object.entries(this.breakpoints)) await session.setBreakpoints(path, lines);
    await session.setExceptions(this.exceptions);
    await session.ask("configurationDone");
    await launched;
    return session;
  }

  /** As when an editor's lines were changed: in each session. */
  async setBreakpoints(path: string, lines: readonly number[]): Promise<void> {
    this.breakpoints = { ...this.breakpoints, [path]: lines };
    await Promise.all([...this.#sessions].map((session) => session.setBreakpoints(path, lines)));
  }

  async setExceptions(filters: readonly string[]): Promise<void> {
    this.exceptions = filters;
    await Promise.all([...this.#sessions].map((session) => session.setExceptions(filters)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#closed;
  }
}

type Heard = {
  started(request: string, configuration: Body): void;
  stopped(body: Body): void;
  ended(): void;
};

export class DapSession {
  readonly #socket: Socket;
  readonly #replies = new Map<number, { resolve(body: Body): void; reject(error: Error): void }>();
  readonly #waiting: { readonly event: string; resolve(body: Body): void }[] = [];
  readonly #heard: Heard;
  #seq = 0;
  #buffer = Buffer.alloc(0);

  constructor(socket: Socket, heard: Heard) {
    this.#socket = socket;
    this.#heard = heard;
    socket.on("data", (chunk: Buffer) => {
      this.#buffer = Buffer.concat([this.#buffer, chunk]);
      this.#read();
    });
    socket.on("error", () => {});
    socket.once("close", () => this.#over());
  }

  ask(command: string, args: Body = {}): Promise<Body> {
    this.#seq += 1;
    const seq = this.#seq;
    this.#send({ seq, type: "request", command, arguments: args });
    return new Promise((resolve, reject) => this.#replies.set(seq, { resolve, reject }));
  }

  next(event: string): Promise<Body> {
    return new Promise((resolve) => this.#waiting.push({ event, resolve }));
  }

  async setBreakpoints(path: string, lines: readonly number[]): Promise<void> {
    const breakpoints = lines.map((line) => ({ line }));
    // A session that ends meanwhile has none.
    await this.ask("setBreakpoints", { source: { path }, breakpoints }).catch(() => undefined);
  }

  async setExceptions(filters: readonly string[]): Promise<void> {
    await this.ask("setExceptionBreakpoints", { filters }).catch(() => undefined);
  }

  /** Where it stands: `src/api.ts:12`. */
  async place(threadId: number): Promise<string> {
    const { stackFrames } = await this.ask("stackTrace", { threadId, levels: 1 });
    const [{ source, line }] = stackFrames;
    return `${source.path}:${line}`;
  }

  async evaluate(threadId: number, expression: string): Promise<string> {
    const { stackFrames } = await this.ask("stackTrace", { threadId, levels: 1 });
    const { result } = await this.ask("evaluate", {
      expression,
      frameId: stackFrames[0].id,
      context: "repl",
    });
    return result;
  }

  goOn(threadId: number): Promise<Body> {
    return this.ask("continue", { threadId });
  }

  #send(message: Body): void {
    const text = JSON.stringify(message);
    this.#socket.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
  }

  #read(): void {
    for (;;) {
      const head = this.#buffer.indexOf("\r\n\r\n");
      if (head < 0) return;
      const length = Number(/Content-Length: (\d+)/.exec(this.#buffer.subarray(0, head).toString())?.[1]);
      if (this.#buffer.length < head + 4 + length) return;
      const text = this.#buffer.subarray(head + 4, head + 4 + length).toString();
      this.#buffer = this.#buffer.subarray(head + 4 + length);
      this.#take(JSON.parse(text) as Body);
    }
  }

  #take(message: Body): void {
    const { type, seq, event, command, body = {} } = message;
    if (type === "response") {
      const reply = this.#replies.get(message["request_seq"]);
      this.#replies.delete(message["request_seq"]);
      if (message["success"] === true) reply?.resolve(body);
      else reply?.reject(new Error(`${command}: ${message["message"] ?? JSON.stringify(body)}`));
      return;
    }
    if (type === "request") {
      this.#send({ seq: 0, type: "response", request_seq: seq, command, success: true, body: {} });
      const { request, configuration } = message["arguments"];
      if (command === "startDebugging") this.#heard.started(request, configuration);
      return;
    }
    if (event === "stopped") this.#heard.stopped(body);
    if (event === "terminated") this.#socket.end();
    for (const waiting of this.#waiting.filter((one) => one.event === event)) {
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      waiting.resolve(body);
    }
  }

  #over(): void {
    for (const reply of this.#replies.values()) reply.reject(new Error("the session ended"));
    this.#replies.clear();
    this.#heard.ended();
  }
}
