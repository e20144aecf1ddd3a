/**
 * Where the hook in Node programs (preload/) asks: a Unix socket in a directory that only we can enter. One question a
 * connection, a line of JSON each way:
 *
 *     { find: "db.internal" }              → { addresses: ["10.0.2.5"] }
 *     { open: "10.0.2.5", port: 5432 }     → { port: 40123 }, which is good for one connection, on loopback
 *     either                               → { error: { code, message } }
 *
 * The connection inside the VPC stands before the answer: what goes wrong with it reaches the program as the system's
 * own error would.
 */
import { chmodSync, rmSync } from "node:fs";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";

import { codeOf, messageOf, portNotForGuests } from "../lib/errors.ts";
import { peerIsOurs } from "../lib/peer.ts";
import { deferred, Scope } from "../lib/scope.ts";
import type { Traffic } from "./traffic.ts";
import type { WayOut } from "./way-out.ts";

export type GateOptions = {
  readonly socketPath: string;
  readonly out: WayOut;
  readonly traffic: Traffic;
  readonly onRefused: (reason: string) => void;
};

const MAX_QUESTION_BYTES = 1_024;
/** How long the program may take to come through the door that was opened for it. */
const COME_MS = 5_000;

export class Gate implements AsyncDisposable {
  readonly #options: GateOptions;
  readonly #scope = new Scope();

  static async open(options: GateOptions): Promise<Gate> {
    const gate = new Gate(options);
    const server = createServer({ allowHalfOpen: true }, (socket) => gate.#asked(socket));
    // A killed daemon leaves its socket; nobody else may enter the directory.
    rmSync(options.socketPath, { force: true });
    await listening(server, () => server.listen(options.socketPath));
    chmodSync(options.socketPath, 0o600);
    gate.#scope.defer(() => void server.close());
    return gate;
  }

  private constructor(options: GateOptions) {
    this.#options = options;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }

  #asked(socket: Socket): void {
    let said = "";
    socket.on("error", () => socket.destroy());
    socket.setTimeout(60_000, () => socket.destroy());
    socket.setEncoding("utf8");
    const heard = (text: string) => {
      said += text;
      if (said.length > MAX_QUESTION_BYTES) socket.destroy();
      if (socket.destroyed || !said.includes("\n")) return;
      socket.off("data", heard);
      void this.#answer(said).then((answer) => socket.end(`${JSON.stringify(answer)}\n`));
    };
    socket.on("data", heard);
  }

  async #answer(said: string): Promise<object> {
    try {
      const { find, open, port } = JSON.parse(said) as Record<string, unknown>;
      if (typeof find === "string") return { addresses: await this.#options.out.find(find) };
      if (typeof open === "string" && typeof port === "number") return { port: await this.#open(open, port) };
      return { error: { code: "EINVAL", message: "no question of the hook's" } };
    } catch (error) {
      return { error: { code: codeOf(error) ?? "ECONNREFUSED", message: messageOf(error) } };
    }
  }

  /** A port of loopback for one connection, of our own user. */
  async #open(address: string, port: number): Promise<number> {
    const { out, traffic, onRefused } = this.#options;
    const channel = await out.dial(address, port);
    const server = createServer({ pauseOnConnect: true });
    let taken = false;
    const giveUp = () => {
      server.close();
      if (!taken) channel.destroy();
    };
    const late = setTimeout(giveUp, COME_MS);
    channel.once("close", giveUp);
    server.on("connection", (socket) => {
      void peerIsOurs(socket).then((ours) => {
        if (!ours) onRefused(portNotForGuests());
        if (!ours || taken || channel.destroyed) {
          socket.destroy();
          return;
        }
        taken = true;
        clearTimeout(late);
        server.close();
        traffic.join(channel, socket);
      });
    });
    await listening(server, () => server.listen(0, "127.0.0.1"));
    return (server.address() as AddressInfo).port;
  }
}

export async function listening(server: Server, listen: () => void): Promise<void> {
  const done = deferred<void>();
  server.once("listening", done.resolve);
  server.once("error", done.reject);
  listen();
  await done.promise;
  server.off("error", done.reject);
  server.on("error", () => {});
}
