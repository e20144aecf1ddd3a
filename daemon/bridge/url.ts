/**
 * An address of the user's own that leads stubs to a port of this machine: what is behind that port, and whether the
 * address leads there, tried as a stub would.
 *
 *     listens ──► tried ──► leads here, tried again each minute
 *        ▲          └─────► does not, or the port is lost: down, tried again soon
 *        └── taken: down, looked at again
 */
import { connect, type Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";

import { createWebSocketStream, WebSocket } from "ws";

import type { WantedUrlWay } from "../../proto/app.ts";
import { untilAborted } from "../lib/abort.ts";
import { Backoff } from "../lib/backoff.ts";
import { codeOf, messageOf, urlLeadsElsewhere, urlPortTaken } from "../lib/errors.ts";
import { handshake } from "../lib/handshake.ts";
import type { Log } from "../lib/log.ts";
import { heldBy, holderOf } from "../lib/ports.ts";
import { Scope } from "../lib/scope.ts";
import type { StageKey } from "./listener.ts";

export type Door = { readonly lost: Promise<Error>; close(): Promise<void> };

export type UrlWayOptions = {
  readonly wanted: WantedUrlWay;
  /** What stands behind the port. */
  readonly listen: (port: number) => Promise<Door>;
  readonly key: () => StageKey;
  readonly log: Log;
};

const AGAIN = { firstMs: 500, maxMs: 10_000 };
const STANDS_MS = 60_000;
const TRY_MS = 5_000;

export class UrlWay implements AsyncDisposable {
  readonly wanted: WantedUrlWay;
  readonly #options: UrlWayOptions;
  readonly #scope = new Scope();
  #down: { readonly since: number; readonly reason: string } | undefined;

  static open(options: UrlWayOptions): Promise<UrlWay> {
    const way = new UrlWay(options);
    const over = way.#keep();
    way.#scope.defer(() => over);
    return Promise.resolve(way);
  }

  private constructor(options: UrlWayOptions) {
    this.#options = options;
    this.wanted = options.wanted;
    this.#down = { since: Date.now(), reason: `${options.wanted.address} is being tried` };
  }

  get down(): { readonly since: number; readonly reason: string } | undefined {
    return this.#down;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }

  async #keep(): Promise<void> {
    const { signal } = this.#scope;
    const { wanted, listen, log } = this.#options;
    const backoff = new Backoff(AGAIN);
    let door: Door | undefined;
    while (!signal.aborted) {
      try {
        door ??= await this.#listening(listen);
        await reaches(wanted.address, this.#options.key(), signal);
        backoff.reset();
        if (this.#down !== undefined) log.info({ address: wanted.address }, "the address leads here");
        this.#down = undefined;
      } catch (error) {
        if (!signal.aborted) this.#isDown(messageOf(error));
      }
      const waitMs = this.#down === undefined ? STANDS_MS : backoff.next();
      try {
        const lost = await Promise.race([
          wait(waitMs, undefined, { signal }),
          ...(door === undefined ? [] : [door.lost]),
        ]);
        if (lost instanceof Error) {
          door = undefined;
          this.#isDown(lost.message);
        }
      } catch {
        break;
      }
    }
    await door?.close();
  }

  async #listening(listen: UrlWayOptions["listen"]): Promise<Door> {
    const { port } = this.wanted;
    try {
      return await listen(port);
    } catch (error) {
      if (codeOf(error) !== "bridge.cannotListen") throw error;
      throw urlPortTaken(port, heldBy(await holderOf(port)));
    }
  }

  #isDown(reason: string): void {
    if (this.#down?.reason !== reason) this.#options.log.error({ reason }, "stubs cannot connect");
    this.#down = { since: this.#down?.since ?? Date.now(), reason };
  }
}

/** @throws where nobody answers at the address, or somebody who does not know the stage's key. */
async function reaches(address: string, key: StageKey, signal: AbortSignal): Promise<void> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(TRY_MS)]);
  const { protocol, hostname, port } = new URL(address);
  try {
    if (protocol === "wss:") await throughWebSocket(address, key, within);
    else await straight(connect({ host: hostname.replace(/^\[|\]$/g, ""), port: Number(port) }), key, within);
  } catch (error) {
    signal.throwIfAborted();
    const late = within.aborted ? `no answer within ${TRY_MS / 1000} s` : messageOf(error);
    throw urlLeadsElsewhere(address, late);
  }
}

async function straight(socket: Socket, key: StageKey, signal: AbortSignal): Promise<void> {
  try {
    const connected = new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.on("error", reject);
    });
    await untilAborted(connected, signal);
    await handshake(socket, key, signal);
  } finally {
    socket.destroy();
  }
}

async function throughWebSocket(address: string, key: StageKey, signal: AbortSignal): Promise<void> {
  const outer = new WebSocket(address, { perMessageDeflate: false, handshakeTimeout: TRY_MS });
  try {
    const opened = new Promise<void>((resolve, reject) => {
      outer.once("open", resolve);
      outer.on("error", reject);
    });
    await untilAborted(opened, signal);
    const way = createWebSocketStream(outer);
    way.on("error", () => {});
    await handshake(way, key, signal);
  } finally {
    outer.terminate();
  }
}
