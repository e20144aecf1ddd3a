/**
 * SOCKS5 (RFC 1928), as far as programs need it: CONNECT by IPv4 address or by name. Into the VPC through the tunnel;
 * elsewhere as without us, since a program that was told of a proxy sends it everything.
 */
import { connect, type Socket } from "node:net";

import { codeOf } from "../lib/errors.ts";
import type { Traffic } from "./traffic.ts";
import type { WayOut } from "./way-out.ts";

const VERSION = 5;
const NO_AUTHENTICATION = 0;
const CONNECT = 1;
const ADDRESS = { ipv4: 1, name: 3, ipv6: 4 } as const;
const REPLY = {
  done: 0,
  failed: 1,
  notAllowed: 2,
  unreachable: 4,
  refused: 5,
  expired: 6,
  command: 7,
  address: 8,
} as const;

const GREETING_MS = 5_000;
const DIAL_MS = 15_000;
/** A method list and a request are shorter. */
const MAX_BYTES = 600;

export async function serveSocks(socket: Socket, out: WayOut, traffic: Traffic): Promise<void> {
  const reader = new Reader(socket);
  try {
    const [version, methods = 0] = await reader.take(2);
    if (version !== VERSION) return void socket.destroy();
    const offered = await reader.take(methods);
    if (!offered.includes(NO_AUTHENTICATION)) return void socket.end(Buffer.from([VERSION, 0xff]));
    socket.write(Buffer.from([VERSION, NO_AUTHENTICATION]));
    const [, command, , kind = 0] = await reader.take(4);
    const host = await hostOf(reader, kind);
    const port = (await reader.take(2)).readUInt16BE();
    if (command !== CONNECT) return answer(socket, REPLY.command);
    if (host === undefined) return answer(socket, REPLY.address);
    const early = reader.rest();
    try {
      const where = await out.where(host);
      if (where.is === "private") {
        const channel = await out.dialFirst(where.addresses, port);
        if (socket.destroyed) return void channel.destroy();
        reply(socket, REPLY.done);
        if (early.length > 0) socket.unshift(early);
        traffic.join(channel, socket);
      } else {
        const direct = await dialled(where.addresses[0] ?? host, port);
        reply(socket, REPLY.done);
        if (early.length > 0) socket.unshift(early);
        direct.once("error", () => socket.destroy());
        direct.once("close", () => socket.destroy());
        socket.once("close", () => direct.destroy());
        socket.pipe(direct).pipe(socket);
      }
    } catch (error) {
      answer(socket, CODES[codeOf(error) ?? ""] ?? REPLY.failed);
    }
  } catch {
    socket.destroy();
  }
}

const CODES: Readonly<Record<string, number>> = {
  EACCES: REPLY.notAllowed,
  ENOTFOUND: REPLY.unreachable,
  EHOSTUNREACH: REPLY.unreachable,
  ENETUNREACH: REPLY.unreachable,
  ECONNREFUSED: REPLY.refused,
  ETIMEDOUT: REPLY.expired,
};

async function hostOf(reader: Reader, kind: number): Promise<string | undefined> {
  switch (kind) {
    case ADDRESS.ipv4:
      return [...(await reader.take(4))].join(".");
    case ADDRESS.name: {
      const [length = 0] = await reader.take(1);
      return (await reader.take(length)).toString("latin1");
    }
    case ADDRESS.ipv6:
      await reader.take(16);
      return undefined;
    default:
      return undefined;
  }
}

function dialled(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true, allowHalfOpen: true });
    socket.setTimeout(DIAL_MS, () =>
      socket.destroy(Object.assign(new Error("too late"), { code: "ETIMEDOUT" })),
    );
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.setTimeout(0);
      socket.off("error", reject);
      resolve(socket);
    });
  });
}

/** The address that we are bound to is nobody's business. */
function reply(socket: Socket, code: number): void {
  socket.write(Buffer.from([VERSION, code, 0, ADDRESS.ipv4, 0, 0, 0, 0, 0, 0]));
}

function answer(socket: Socket, code: number): void {
  reply(socket, code);
  socket.end();
}

/** Bytes in pieces of a wanted length, from a socket that is paused otherwise. */
class Reader {
  readonly #socket: Socket;
  readonly #until = performance.now() + GREETING_MS;
  #held = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  async take(count: number): Promise<Buffer> {
    while (this.#held.length < count) {
      const more = await this.#more();
      this.#held = Buffer.concat([this.#held, more]);
      if (this.#held.length > MAX_BYTES) throw new Error("more than a greeting");
    }
    const taken = this.#held.subarray(0, count);
    this.#held = this.#held.subarray(count);
    return taken;
  }

  /** Sent behind the request, before it was answered. */
  rest(): Buffer {
    return this.#held;
  }

  #more(): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const socket = this.#socket;
      const over = () => {
        clearTimeout(late);
        socket.off("data", came).off("close", gone).off("end", gone).pause();
      };
      const came = (bytes: Buffer) => {
        over();
        resolve(bytes);
      };
      const gone = () => {
        over();
        reject(new Error("it left"));
      };
      const late = setTimeout(gone, this.#until - performance.now());
      socket.on("data", came).on("close", gone).on("end", gone);
      socket.resume();
    });
  }
}
