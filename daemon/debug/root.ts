/**
 * The process that VS Code's debugger believes it is attached to. It runs nothing: each worker is a child of it by the
 * NodeWorker domain, a session of its own, to which the debugger sets its breakpoints by itself.
 *
 *     attachedToWorker ──► the debugger's breakpoints ──► Runtime.runIfWaitingForDebugger ──► the worker loads its code
 */
import { randomUUID } from "node:crypto";

import type { WebSocket } from "ws";

import { deferred, type Deferred } from "../lib/scope.ts";
import { Channel } from "./channel.ts";
import type { Debuggee } from "./debuggee.ts";
import { asRequest, type Params, type Request } from "./wire.ts";

const GO = "Runtime.runIfWaitingForDebugger";

type Child = {
  readonly id: string;
  readonly debuggee: Debuggee;
  readonly channel: Channel;
  /** Settles when its code may be loaded. */
  readonly ready: Deferred<void>;
  /** The request of the debugger that says so: once it is answered, all before it has been done. */
  go: number | undefined;
};

export class RootSession {
  readonly #socket: WebSocket;
  readonly #onEnabled: () => void;
  readonly #children = new Map<string, Child>();
  #enabled = false;

  /** `onEnabled`: it wants to hear of workers from now on. */
  constructor(socket: WebSocket, onEnabled: () => void) {
    this.#socket = socket;
    this.#onEnabled = onEnabled;
    socket.on("message", (data) => {
      const request = asRequest(data);
      if (request !== undefined) this.#answer(request);
    });
    socket.once("close", () => {
      for (const child of [...this.#children.values()]) child.channel.close();
    });
  }

  get enabled(): boolean {
    return this.#enabled;
  }

  get open(): boolean {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  /** Resolves when the worker may load its code; never rejects. */
  async attach(debuggee: Debuggee): Promise<void> {
    const { functionName, pid, address, file } = debuggee.worker;
    const id = randomUUID();
    const channel = await Channel.open({
      address,
      received: (message, text) => {
        if ("method" in message) debuggee.heard(child, message.method);
        else if (message.id === child.go) child.ready.resolve();
        this.#tell("NodeWorker.receivedMessageFromWorker", { sessionId: id, message: text });
      },
      closed: () => {
        debuggee.left(child);
        child.ready.resolve();
        if (this.#children.delete(id)) this.#tell("NodeWorker.detachedFromWorker", { sessionId: id });
      },
    });
    if (channel === undefined) return;
    const child: Child = { id, debuggee, channel, ready: deferred(), go: undefined };
    this.#children.set(id, child);
    this.#tell("NodeWorker.attachedToWorker", {
      sessionId: id,
      workerInfo: {
        workerId: id,
        type: "worker",
        title: `${functionName} (pid ${pid})`,
        url: `file://${file}`,
      },
      waitingForDebugger: true,
    });
    await child.ready.promise;
  }

  #answer({ id, method, params = {} }: Request): void {
    switch (method) {
      case "NodeWorker.enable":
        this.#reply(id, {});
        if (this.#enabled) return;
        this.#enabled = true;
        return this.#onEnabled();
      case "NodeWorker.sendMessageToWorker":
        this.#reply(id, {});
        return this.#pass(params);
      case "NodeWorker.detach":
        this.#child(params["sessionId"])?.channel.close();
        return this.#reply(id, {});
      case "Runtime.evaluate":
        // js-debug would look for the process's children by its number, and lay a loader into its environment.
        return this.#reply(id, { result: { type: "undefined" } });
      case "Debugger.setBreakpointByUrl":
        // It has no scripts to set it in; js-debug reads the places all the same.
        return this.#reply(id, { breakpointId: `root:${id}`, locations: [] });
      case "Debugger.enable":
        return this.#reply(id, { debuggerId: "0.0" });
      default:
        return this.#reply(id, {});
    }
  }

  #pass({ sessionId, message }: Params): void {
    const child = this.#child(sessionId);
    if (child === undefined || typeof message !== "string") return;
    if (child.go === undefined && message.includes(GO)) {
      const { id, method } = JSON.parse(message) as Request;
      if (method === GO) child.go = id;
    }
    child.channel.send(message);
  }

  /** By its session's id, or by the target's, which js-debug makes of it: `<parent>-<session>`. */
  #child(id: unknown): Child | undefined {
    if (typeof id !== "string") return undefined;
    return this.#children.get(id) ?? [...this.#children.values()].find((child) => id.endsWith(child.id));
  }

  #reply(id: number, result: Params): void {
    this.#send({ id, result });
  }

  #tell(method: string, params: Params): void {
    this.#send({ method, params });
  }

  #send(message: object): void {
    if (this.open) this.#socket.send(JSON.stringify(message));
  }
}
