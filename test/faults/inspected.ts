/** A daemon whose heap is seen from outside, through Node's inspector. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import { WebSocket } from "ws";

import { ROOT, type Rig } from "../support/rig.ts";
import { descriptors } from "./support.ts";

export class Inspected implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly #socket: WebSocket;
  #id = 0;

  private constructor(child: ChildProcess, socket: WebSocket) {
    this.child = child;
    this.#socket = socket;
  }

  /** Resolves when the daemon's socket answers. */
  static async open(rig: Rig): Promise<Inspected> {
    const command = ["--inspect=127.0.0.1:0", join(ROOT, "dist/daemon.js"), "--project", rig.project];
    const child = spawn(process.execPath, command, {
      cwd: rig.project,
      env: rig.env,
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    const address = new Promise<string>((resolve) => {
      createInterface({ input: child.stderr! }).on("line", (line) => {
        const [, found] = /^Debugger listening on (ws:\S+)/.exec(line) ?? [];
        if (found !== undefined) resolve(found);
      });
    });
    const ready = once(child, "message");
    const socket = new WebSocket(await address);
    await Promise.all([once(socket, "open"), ready]);
    return new Inspected(child, socket);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Used after a collection, in megabytes. */
  async heapMb(): Promise<number> {
    await this.#send("HeapProfiler.collectGarbage");
    const { usedSize } = await this.#send("Runtime.getHeapUsage");
    return Number(usedSize) / 1024 / 1024;
  }

  /** Both as they are when sockets that were closed are gone, which takes some turns of the daemon's loop. */
  async settled(): Promise<{ readonly descriptors: number; readonly heapMb: number }> {
    let least = Infinity;
    for (let quiet = 0; quiet < 10;) {
      const now = descriptors(this.pid);
      quiet = now < least ? 0 : quiet + 1;
      least = Math.min(least, now);
      await wait(50);
    }
    return { descriptors: least, heapMb: await this.heapMb() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.terminate();
    this.child.kill("SIGTERM");
    if (this.child.exitCode === null) await once(this.child, "exit");
  }

  #send(method: string): Promise<Record<string, unknown>> {
    const id = (this.#id += 1);
    this.#socket.send(JSON.stringify({ id, method }));
    return new Promise((resolve) => {
      const listen = (data: Buffer) => {
        const message = JSON.parse(data.toString()) as { id?: number; result: Record<string, unknown> };
        if (message.id !== id) return;
        this.#socket.off("message", listen);
        resolve(message.result);
      };
      this.#socket.on("message", listen);
    });
  }
}
