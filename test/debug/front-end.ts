/**
 * Chrome's DevTools, as a person has them before them, in a headless Chromium: its own front end, told what to do by
 * the modules that its buttons call.
 *
 *     front end (a page) ──► gate ──► livedevd's port
 *
 * Headless Chromium opens no `devtools://` page, so that the front end comes from the browser's own loopback port, and
 * has that as its Origin: a web page to livedevd, which refuses it, and rightly. The gate gives its requests the Origin
 * that they have in a Chrome with windows, and changes nothing else.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { WebSocket, WebSocketServer } from "ws";

import { CHROMIUM } from "../support/parts.ts";
import type { Rig } from "../support/rig.ts";
import { Cdp, type Listed } from "./cdp.ts";

export class FrontEnd implements AsyncDisposable {
  readonly #chromium: ChildProcess;
  readonly #gate: Gate;
  readonly #page: Cdp;

  /** Its own files lie in the rig's folder, which also finds it where it stays. */
  static async open(target: string, { root, env }: Rig): Promise<FrontEnd> {
    const gate = await Gate.open(target);
    const flags = [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--no-first-run",
      "--disable-dev-shm-usage",
      "--disable-breakpad",
    ];
    const chromium = spawn(
      CHROMIUM,
      [...flags, "--remote-debugging-port=0", `--user-data-dir=${join(root, "chromium")}`, "about:blank"],
      { env, cwd: root, stdio: ["ignore", "ignore", "pipe"] },
    );
    const port = await listeningOn(chromium);
    const address = `http://127.0.0.1:${port}/devtools/js_app.html?ws=127.0.0.1:${gate.port}/`;
    const made = await fetch(`http://127.0.0.1:${port}/json/new?about:blank`, { method: "PUT" });
    const page = await Cdp.open(((await made.json()) as Listed).webSocketDebuggerUrl);
    await page.send("Page.enable");
    await page.send("Page.navigate", { url: address });
    await page.next("Page.loadEventFired");
    return new FrontEnd(chromium, gate, page);
  }

  private constructor(chromium: ChildProcess, gate: Gate, page: Cdp) {
    this.#chromium = chromium;
    this.#gate = gate;
    this.#page = page;
  }

  /** How often it connected to livedevd. */
  get connections(): number {
    return this.#gate.connections;
  }

  /** The value of what this comes to in the front end, with its modules at hand. */
  async run<T>(body: string): Promise<T> {
    const expression = `(async () => {
      const until = async (holds) => {
        while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 10));
      };
      const load = (path) => import(new URL(path, location.href));
      const SDK = await load("./core/sdk/sdk.js");
      const Workspace = await load("./models/workspace/workspace.js");
      const Bindings = await load("./models/bindings/bindings.js");
      const Breakpoints = await load("./models/breakpoints/breakpoints.js");
      ${body}
    })()`;
    const { result, exceptionDetails } = await this.#page.send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails !== undefined)
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value as T;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#chromium.once("exit", resolve));
    // With all of its processes, which a signal would leave to themselves.
    void this.#page.send("Browser.close");
    await ended;
    await this.#gate[Symbol.asyncDispose]();
  }
}

async function listeningOn(chromium: ChildProcess): Promise<number> {
  if (chromium.stderr === null) throw new Error("no stderr");
  for await (const line of createInterface({ input: chromium.stderr })) {
    const [, port] = /^DevTools listening on ws:\/\/127\.0\.0\.1:(\d+)\//.exec(line) ?? [];
    if (port !== undefined) return Number(port);
  }
  throw new Error("Chromium ended before it listened");
}

class Gate implements AsyncDisposable {
  readonly #server = createServer();
  readonly #sockets = new WebSocketServer({ server: this.#server });
  connections = 0;

  static async open(target: string): Promise<Gate> {
    const gate = new Gate(target);
    await new Promise<void>((resolve) => gate.#server.listen(0, "127.0.0.1", resolve));
    return gate;
  }

  private constructor(target: string) {
    this.#sockets.on("connection", (client) => {
      this.connections += 1;
      const livedevd = new WebSocket(target, { origin: "devtools://devtools" });
      const early: string[] = [];
      client.on("message", (data: Buffer) => {
        if (livedevd.readyState === WebSocket.OPEN) livedevd.send(data.toString());
        else early.push(data.toString());
      });
      livedevd.once("open", () => {
        for (const text of early) livedevd.send(text);
      });
      livedevd.on("message", (data: Buffer) => client.send(data.toString()));
      livedevd.on("error", () => client.terminate());
      livedevd.once("close", () => client.terminate());
      client.once("close", () => livedevd.terminate());
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#sockets.clients) client.terminate();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
