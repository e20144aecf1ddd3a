/** One SSH connection, through any number of hosts on the way: what the rest of the tunnel knows of ssh2. */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { connect as connectSocket, Socket } from "node:net";
import { Duplex } from "node:stream";

import ssh2, { type AnyAuthMethod, type ClientChannel, type ServerHostKeyAlgorithm } from "ssh2";

import { untilAborted } from "../lib/abort.ts";
import { continuousMs } from "../lib/clock.ts";
import { codeOf, messageOf, tunnelAuthFailed, tunnelUnreachable } from "../lib/errors.ts";
import { deferred, Scope } from "../lib/scope.ts";
import type { Hop } from "./hops.ts";
import { checkHostKey, knownKeyTypes } from "./known-hosts.ts";
import { keysOf } from "./keys.ts";

export type { ClientChannel } from "ssh2";

/** Whether ssh2's own compiled ciphers are there; without them Node's do the work, and some are slower. */
export const NATIVE: boolean = (
  createRequire(import.meta.url)("ssh2/lib/protocol/crypto.js") as { bindingAvailable: boolean }
).bindingAvailable;

/** The fastest first, as measured: bulk through AES-GCM costs twice as much without the compiled part. */
const CIPHERS = NATIVE
  ? ([
      "aes128-gcm@openssh.com",
      "aes256-gcm@openssh.com",
      "chacha20-poly1305@openssh.com",
      "aes128-ctr",
      "aes192-ctr",
      "aes256-ctr",
    ] as const)
  : ([
      "aes128-ctr",
      "aes192-ctr",
      "aes256-ctr",
      "chacha20-poly1305@openssh.com",
      "aes128-gcm@openssh.com",
      "aes256-gcm@openssh.com",
    ] as const);

const KEY_ALGORITHMS: readonly ServerHostKeyAlgorithm[] = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "rsa-sha2-512",
  "rsa-sha2-256",
];

/** Short: the system repeats a lost first packet ever more rarely, and a new attempt begins anew. */
const CONNECT_MS = 4_000;
const READY_MS = 10_000;
/** The peer is asked so often, and gone when nothing at all has come from it for so long. */
const ASK_MS = 2_000;
const DEAD_MS = 8_000;
/** After a sleep of this machine's it is asked at once, and has so long. */
const GRACE_MS = 2_000;

/** Why a channel was not opened, as Node names such failures. */
export class ChannelError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Takes a connection that came to a port of the far end, or refuses it. */
export type Accept = (accept: () => ClientChannel, refuse: () => void) => void;

export class Ssh implements AsyncDisposable {
  readonly cipher: string;
  /** Resolves with why, when the connection is gone though nobody closed it. */
  readonly lost: Promise<string>;
  readonly #scope: Scope;
  readonly #client: ssh2.Client;
  readonly #accepts = new Map<string, Accept>();

  /**
   * Each hop's connection runs through the one before.
   *
   * @throws LivedevError
   */
  static async open(hops: readonly Hop[], signal: AbortSignal): Promise<Ssh> {
    const scope = new Scope();
    try {
      let last: { ssh: Ssh; hop: Hop } | undefined;
      for (const hop of hops) last = { ssh: await Ssh.#hop(hop, last?.ssh, scope, signal), hop };
      if (last === undefined) throw new Error("no host to connect to");
      return last.ssh;
    } catch (error) {
      await scope.close();
      throw error;
    }
  }

  static async #hop(hop: Hop, through: Ssh | undefined, scope: Scope, signal: AbortSignal): Promise<Ssh> {
    const client = new ssh2.Client();
    const lost = deferred<string>();
    const socket = await way(hop, through, signal);
    // One listener per open channel, each of which ssh2 adds here.
    socket.setMaxListeners(0);
    client.setMaxListeners(0);
    let reason: string | undefined;
    const because = (why: string) => (reason ??= why);
    scope.defer(() => {
      because("it was closed");
      client.end();
      // A peer that is gone answers no disconnect.
      socket.destroy();
    });
    const watch = new Watch(socket, () => {
      because(`${hop.name} said nothing for ${DEAD_MS / 1000} s`);
      socket.destroy();
    });
    scope.defer(() => watch.stop());
    let cipher = "";
    const keys = keysOf(hop, wrongWith);
    const { agent, user: username } = hop;
    const methods: AnyAuthMethod[] = [
      ...keys.map(({ text: key }) => ({ type: "publickey" as const, username, key })),
      ...(agent === undefined ? [] : [{ type: "agent" as const, username, agent }]),
    ];
    const tried = [
      ...keys.map(({ file }) => file),
      ...(agent === undefined ? [] : [`the agent at ${agent}`]),
    ];
    const ready = deferred<void>();
    let verdict: Error | undefined;
    client.on("handshake", ({ cs }) => (cipher = cs.cipher));
    client.on("ready", () => ready.resolve());
    client.on("error", (error) => {
      because(error.message);
      const refused = verdict ?? failure(hop, error, tried);
      ready.reject(refused);
    });
    client.on("close", () => {
      watch.stop();
      ready.reject(verdict ?? tunnelUnreachable(hop.name, "the connection was closed"));
      lost.resolve(reason ?? "the connection was closed");
    });
    const known = knownKeyTypes(hop);
    const first = KEY_ALGORITHMS.filter((algorithm) => known.has(keyType(algorithm)));
    const others = KEY_ALGORITHMS.filter((algorithm) => !first.includes(algorithm));
    client.connect({
      sock: socket,
      username: hop.user,
      authHandler: methods,
      readyTimeout: READY_MS,
      // The peer is asked by this; whether it lives is told by any byte that comes (Watch).
      keepaliveInterval: ASK_MS,
      keepaliveCountMax: 1_000_000,
      hostVerifier: (key: Buffer) => {
        verdict = checkHostKey(hop, key);
        return verdict === undefined;
      },
      algorithms: {
        cipher: [...CIPHERS],
        // What is known of the host decides which of its keys it is asked for.
        serverHostKey: [...first, ...others],
      },
    });
    try {
      await untilAborted(ready.promise, signal);
    } catch (error) {
      client.destroy();
      throw error;
    }
    if (socket instanceof Socket) socket.setNoDelay(true);
    return new Ssh(client, cipher, lost.promise, scope);
  }

  private constructor(client: ssh2.Client, cipher: string, lost: Promise<string>, scope: Scope) {
    this.#client = client;
    this.cipher = cipher;
    this.lost = lost;
    this.#scope = scope;
    client.on("tcp connection", (details, accept, reject) => {
      const taker = this.#accepts.get(`${details.destIP}:${details.destPort}`);
      if (taker === undefined) reject();
      else taker(accept, reject);
    });
  }

  /** @throws ChannelError */
  dial(host: string, port: number): Promise<ClientChannel> {
    return new Promise((resolve, reject) => {
      if (this.#scope.closed) return reject(new ChannelError("ECONNRESET", "the tunnel is closed"));
      try {
        this.#client.forwardOut("127.0.0.1", 0, host, port, (error, channel) => {
          if (error === undefined) resolve(channel);
          else reject(channelError(error, host, port));
        });
      } catch (error) {
        // ssh2 throws where the connection has just gone.
        reject(new ChannelError("ECONNRESET", messageOf(error)));
      }
    });
  }

  /** A port of the far end. @throws where the far end refuses it. */
  listen(address: string, port: number, accept: Accept): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#client.forwardIn(address, port, (error) => {
        if (error !== undefined) return reject(error);
        this.#accepts.set(`${address}:${port}`, accept);
        resolve();
      });
    });
  }

  /** `held`: by a terminal, which makes sshd send small packets at once. */
  run(command: string, held = false): Promise<ClientChannel> {
    return new Promise((resolve, reject) => {
      this.#client.exec(command, held ? { pty: true } : {}, (error, channel) => {
        if (error === undefined) resolve(channel);
        else reject(error);
      });
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }
}

/** Whether the peer lives: any byte tells. A reply to a question may stand behind much that is on its way. */
class Watch {
  readonly #timer: NodeJS.Timeout;

  constructor(socket: Duplex, dead: () => void) {
    let heardAt = continuousMs();
    let tickedAt = heardAt;
    // Each packet passes here: what time it is, is asked at the tick.
    let heard = false;
    socket.on("data", () => (heard = true));
    this.#timer = setInterval(() => {
      const now = continuousMs();
      if (heard) heardAt = now;
      heard = false;
      // After a sleep of ours what came meanwhile lies unread: the peer has its time once more, but not all of it.
      if (now - tickedAt > 2 * ASK_MS) heardAt = Math.max(heardAt, now - DEAD_MS + GRACE_MS);
      tickedAt = now;
      if (now - heardAt > DEAD_MS) dead();
    }, 500);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

async function way(hop: Hop, through: Ssh | undefined, signal: AbortSignal): Promise<Duplex> {
  if (through !== undefined) {
    return through.dial(hop.host, hop.port).catch((error: unknown) => {
      throw tunnelUnreachable(hop.name, messageOf(error));
    });
  }
  if (hop.proxyCommand !== undefined) return byCommand(hop.proxyCommand);
  const socket = connectSocket({ host: hop.host, port: hop.port, noDelay: true });
  const connected = new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
    socket.setTimeout(CONNECT_MS, () => reject(new Error(`no connection within ${CONNECT_MS / 1000} s`)));
  });
  try {
    await untilAborted(connected, signal);
  } catch (error) {
    socket.destroy();
    signal.throwIfAborted();
    throw tunnelUnreachable(hop.name, messageOf(error));
  }
  socket.setTimeout(0);
  socket.removeAllListeners("error");
  return socket;
}

/** As OpenSSH: by the user's shell, which `exec` lets go of. */
function byCommand(command: string): Duplex {
  const child = spawn(process.env["SHELL"] ?? "/bin/sh", ["-c", `exec ${command}`], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  const stream = Duplex.from({ readable: child.stdout, writable: child.stdin });
  stream.once("close", () => child.kill());
  child.once("error", (error) => stream.destroy(error));
  child.once("exit", () => stream.destroy());
  return stream;
}

function wrongWith(key: Buffer): Error | undefined {
  const parsed = ssh2.utils.parseKey(key);
  return parsed instanceof Error ? parsed : undefined;
}

const keyType = (algorithm: string) => (algorithm.startsWith("rsa-sha2-") ? "ssh-rsa" : algorithm);

function failure(hop: Hop, error: Error & { level?: string }, tried: readonly string[]): Error {
  if (error.level === "client-authentication") return tunnelAuthFailed(hop.name, hop.user, tried);
  return tunnelUnreachable(hop.name, codeOf(error) ?? error.message);
}

/** RFC 4254, 5.1. */
const PROHIBITED = 1;

function channelError(error: Error & { reason?: unknown }, host: string, port: number): ChannelError {
  const text = error.message.replace(/^\(SSH\) Channel open failure: /, "");
  const code =
    error.reason === PROHIBITED
      ? "EACCES"
      : /refused/i.test(text)
        ? "ECONNREFUSED"
        : /no route|unreachable/i.test(text)
          ? "EHOSTUNREACH"
          : /timed? ?out/i.test(text)
            ? "ETIMEDOUT"
            : /not known|resolve|no address/i.test(text)
              ? "ENOTFOUND"
              : "ECONNREFUSED";
  return new ChannelError(code, `connect ${code} ${host}:${port} (${text})`);
}
