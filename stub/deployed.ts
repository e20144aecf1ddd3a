/**
 * The code of the last real deploy, behind a small Runtime API of the stub's own: it is handed only the events for
 * which nobody was there, everything else it says goes on to Lambda's Runtime API as it is.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { errorAnswer } from "../proto/answer.ts";
import { RuntimeApi, type RuntimeEvent } from "./runtime-api.ts";

type Waiting = { readonly event: RuntimeEvent; readonly answered: () => void };

export class DeployedCode {
  readonly #command: readonly string[];
  readonly #api: string;
  #server: Promise<Server> | undefined;
  #child: ChildProcess | undefined;
  /** A /next that waits for an event. */
  #poll: ServerResponse | undefined;
  #waiting: Waiting | undefined;
  /** The answer of `#waiting` is on its way: its process may exit now. */
  #ending = false;

  constructor(command: readonly string[], api: string) {
    this.#command = command;
    this.#api = api;
  }

  /** Resolves when the event is answered. The process stays for the next one. */
  async run(event: RuntimeEvent): Promise<void> {
    this.#server ??= this.#listen();
    const { port } = (await this.#server).address() as AddressInfo;
    await new Promise<void>((resolve) => {
      this.#waiting = { event, answered: resolve };
      if (this.#child === undefined) this.#child = this.#spawn(port);
      this.#hand();
    });
  }

  #listen(): Promise<Server> {
    const server = createServer((incoming, outgoing) => this.#serve(incoming, outgoing));
    // The runtime polls for as long as nobody needs it.
    server.requestTimeout = 0;
    server.keepAliveTimeout = 0;
    return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
  }

  #spawn(port: number): ChildProcess {
    const [program = "", ...args] = this.#command;
    const { AWS_LAMBDA_EXEC_WRAPPER: _, ...env } = process.env;
    const child = spawn(program, args, {
      env: { ...env, AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${port}` },
      stdio: ["ignore", "inherit", "inherit"],
    });
    let gone = false;
    const ended = (how: string) => {
      if (gone) return;
      gone = true;
      this.#child = undefined;
      this.#poll = undefined;
      const waiting = this.#waiting;
      if (waiting === undefined || this.#ending) return;
      const { requestId } = waiting.event;
      const { body } = errorAnswer("exit", "Runtime.ExitError", `RequestId: ${requestId} Error: ${how}`);
      void new RuntimeApi(this.#api)
        .fail(requestId, "Runtime.ExitError", body)
        .catch(() => {})
        .finally(() => this.#answered());
    };
    child.on("error", (error) => ended(`The deployed code could not be started: ${error.message}`));
    child.on("exit", (code, signal) => {
      ended(
        signal === null ? `Runtime exited with exit status ${code}` : `Runtime exited with signal ${signal}`,
      );
    });
    return child;
  }

  #serve(incoming: IncomingMessage, outgoing: ServerResponse): void {
    // With home "local" this is the developer's machine, and a web page may try every port of it.
    if (incoming.headers.origin !== undefined || !isThisHost(incoming)) {
      incoming.resume();
      outgoing.writeHead(403, { "content-type": "text/plain" }).end("Only the deployed code may call this.");
      return;
    }
    if (incoming.method === "GET" && incoming.url?.endsWith("/runtime/invocation/next") === true) {
      this.#poll = outgoing;
      outgoing.on("close", () => {
        if (this.#poll === outgoing) this.#poll = undefined;
      });
      this.#hand();
      return;
    }
    this.#forward(incoming, outgoing);
  }

  #hand(): void {
    if (this.#poll === undefined || this.#waiting === undefined) return;
    const { event, headers } = this.#waiting.event;
    const poll = this.#poll;
    this.#poll = undefined;
    const { connection: _c, "transfer-encoding": _t, "keep-alive": _k, date: _d, ...rest } = headers;
    poll.writeHead(200, { ...rest, "content-length": event.length }).end(event);
  }

  #forward(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { requestId } = this.#waiting?.event ?? {};
    const ends = requestId !== undefined && incoming.url?.includes(`/invocation/${requestId}/`) === true;
    const { hostname, port } = new URL(`http://${this.#api}`);
    // An init error is told for the event at hand: Lambda's own init ended long ago.
    const initError = incoming.url?.endsWith("/runtime/init/error") === true && requestId !== undefined;
    if (ends || initError) this.#ending = true;
    const path = initError ? `/2018-06-01/runtime/invocation/${requestId}/error` : incoming.url;
    const onward = request(
      // The name that the process knows is this server's.
      {
        host: hostname,
        port: port || 80,
        method: incoming.method,
        path,
        headers: { ...incoming.headers, host: this.#api },
      },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
        if (ends || initError) answer.on("end", () => this.#answered());
      },
    );
    onward.on("error", () => {
      outgoing.destroy();
      if (ends || initError) this.#answered();
    });
    incoming.on("end", () => onward.addTrailers(incoming.trailers));
    // The process died while it posted: Lambda sees an answer that is cut short, and says so.
    incoming.on("close", () => {
      if (!incoming.complete) onward.destroy();
    });
    incoming.pipe(onward);
  }

  #answered(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    this.#ending = false;
    waiting?.answered();
  }
}

/** A name that was made to point here stands in Host. */
const isThisHost = ({ headers, socket }: IncomingMessage) => headers.host === `127.0.0.1:${socket.localPort}`;
