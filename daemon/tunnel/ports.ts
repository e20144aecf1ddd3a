/**
 * Ports of this machine that lead to one host behind the tunnel each, for whatever cannot be told of a tunnel. They
 * stand for as long as the config has them, whether the tunnel does or not, and are the same after a restart.
 *
 *                  taken by somebody else, looked at again every second
 *     ┌────────┐ ─────────────────────────────────────────────────────► ┌────────┐
 *     │ opened │                                                        │ waits  │
 *     └────────┘ ◄───────────────────────────────────────────────────── └────────┘
 */
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";

import { codeOf, messageOf, portNotForGuests } from "../lib/errors.ts";
import { peerIsOurs } from "../lib/peer.ts";
import { heldBy, holderOf } from "../lib/ports.ts";
import { Scope } from "../lib/scope.ts";
import { listening } from "./gate.ts";

const AGAIN_MS = 1_000;

/** Who has a port that we want, as a person would name them. */
export type Taken = { readonly since: number; readonly by: string };

export type LocalPortOptions = {
  /** As before; where there was none, the first choice. */
  readonly port: number;
  /** It was given out before: another would not be found. */
  readonly insist: boolean;
  /** A connection of our own user. */
  connected(socket: Socket): void;
  onTaken(port: number, taken: Taken): void;
  onRefused(reason: string): void;
};

export class LocalPort implements AsyncDisposable {
  readonly #options: LocalPortOptions;
  readonly #scope = new Scope();
  readonly #sockets = new Set<Socket>();
  #port: number;
  #taken: Taken | undefined;

  static async open(options: LocalPortOptions): Promise<LocalPort> {
    const port = new LocalPort(options);
    if (await port.#try(options.port)) return port;
    if (!options.insist && (await port.#try(0))) return port;
    await port.#told();
    void port.#again();
    return port;
  }

  private constructor(options: LocalPortOptions) {
    this.#options = options;
    this.#port = options.port;
    this.#scope.defer(() => {
      for (const socket of this.#sockets) socket.destroy();
    });
  }

  get port(): number {
    return this.#port;
  }

  get taken(): Taken | undefined {
    return this.#taken;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }

  async #try(port: number): Promise<boolean> {
    const server = createServer(
      { pauseOnConnect: true, allowHalfOpen: true },
      (socket) => void this.#came(socket),
    );
    try {
      await listening(server, () => server.listen(port, "127.0.0.1"));
    } catch (error) {
      if (codeOf(error) === "EADDRINUSE" || codeOf(error) === "EACCES") return false;
      throw error;
    }
    return this.#stands(server);
  }

  #stands(server: Server): boolean {
    this.#scope.defer(() => new Promise((resolve) => server.close(resolve)));
    this.#port = (server.address() as AddressInfo).port;
    this.#taken = undefined;
    return true;
  }

  async #again(): Promise<void> {
    const { signal } = this.#scope;
    while (!signal.aborted) {
      await wait(AGAIN_MS, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      try {
        if (await this.#try(this.#port)) return;
        await this.#told();
      } catch (error) {
        this.#taken = { since: Date.now(), by: messageOf(error) };
      }
    }
  }

  /** Once for each holder. */
  async #told(): Promise<void> {
    const by = heldBy(await holderOf(this.#port));
    if (this.#taken?.by === by) return;
    this.#taken = { since: Date.now(), by };
    this.#options.onTaken(this.#port, this.#taken);
  }

  async #came(socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => this.#sockets.delete(socket));
    if (await peerIsOurs(socket)) return this.#options.connected(socket);
    this.#options.onRefused(portNotForGuests());
    socket.destroy();
  }
}
