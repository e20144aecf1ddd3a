/**
 * Who is at the other end of a loopback connection. What reaches such a port without being meant by it is kept out: web
 * pages (Origin, a rebound Host) and other users of the machine.
 */
import { readFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";

export type Meant = {
  /** As a client that means this port writes it, exactly. */
  readonly hosts: readonly string[];
  /** Of the only pages that may. */
  readonly origin?: string;
};

/** Why this request is refused: of a page first, then of a person. */
export async function strangeness(request: IncomingMessage, meant: Meant): Promise<string | undefined> {
  const { host, origin } = request.headers;
  if (host === undefined || !meant.hosts.includes(host)) return "the Host is not this port's";
  if (origin !== undefined && origin !== meant.origin) return "a web page sent it";
  return (await peerIsOurs(request.socket)) ? undefined : "another user sent it";
}

/** By socket: a keep-alive connection is looked up once. */
const peers = new WeakMap<Socket, Promise<boolean>>();

/** False where the system says that another user's process is there, or that nobody is there any more. */
export function peerIsOurs(socket: Socket): Promise<boolean> {
  let ours = peers.get(socket);
  if (ours === undefined) {
    ours = look(socket);
    peers.set(socket, ours);
  }
  return ours;
}

/**
 * Linux's table of TCP sockets names the user of each end. The answer stands only where the table shows our own end:
 * elsewhere (no /proc, a sandbox that hides it) there is nothing to compare, and the other checks must do.
 */
async function look(socket: Socket): Promise<boolean> {
  const { localPort, remotePort } = socket;
  const uid = process.getuid?.();
  if (uid === undefined || localPort === undefined || remotePort === undefined) return true;
  const here = `${LOOPBACK}:${hexPort(localPort)}`;
  const there = `${LOOPBACK}:${hexPort(remotePort)}`;
  const table = await socketsOf("/proc/net/tcp");
  if (!table.has(`${here} ${there}`)) return true;
  const peer =
    table.get(`${there} ${here}`) ??
    (await socketsOf("/proc/net/tcp6")).get(`${MAPPED}${there} ${MAPPED}${here}`);
  return peer === uid;
}

/** 127.0.0.1 as the kernel prints it: a word in the byte order of the machine. */
const LOOPBACK = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? "0100007F" : "7F000001";
/** The IPv4-mapped prefix of a client that speaks IPv4 through an IPv6 socket. */
const MAPPED = LOOPBACK === "0100007F" ? "0000000000000000FFFF0000" : "00000000000000000000FFFF";

const hexPort = (port: number) => port.toString(16).toUpperCase().padStart(4, "0");

/** The user of each end, by its own address and its peer's. */
type Table = ReadonlyMap<string, number>;

/** One reading of a table at a time, and one more for all who came since it began: theirs may not be in it. */
const readings = new Map<string, { running: Promise<unknown>; next?: Promise<Table> }>();

function socketsOf(file: string): Promise<Table> {
  const reading = readings.get(file) ?? { running: Promise.resolve() };
  readings.set(file, reading);
  reading.next ??= reading.running.then(() => {
    delete reading.next;
    const table = readTable(file);
    reading.running = table;
    return table;
  });
  return reading.next;
}

async function readTable(file: string): Promise<Table> {
  const text = await readFile(file, "latin1").catch(() => "");
  const table = new Map<string, number>();
  for (const line of text.split("\n").slice(1)) {
    // number local remote state queues timer retransmits uid
    const [, local, remote, , , , , uid] = line.trim().split(/\s+/);
    if (uid !== undefined) table.set(`${local} ${remote}`, Number(uid));
  }
  return table;
}
