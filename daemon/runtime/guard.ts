/**
 * Who may talk to a Runtime API port. Runtime clients can send neither token nor path, so the port itself is the
 * secret, and what can reach a loopback port without being the process behind it is kept out: web pages (Origin, a
 * rebound Host) and other users of the machine.
 */
import type { IncomingMessage } from "node:http";

import { peerIsOurs } from "../lib/peer.ts";

export class Guard {
  readonly #address: string;

  /** @param address `127.0.0.1:port`, exactly as the runtime is told. */
  constructor(address: string) {
    this.#address = address;
  }

  /** Why this request is refused. */
  async refusal(request: IncomingMessage): Promise<string | undefined> {
    if (request.headers.host !== this.#address) return "the Host is not this Runtime API's";
    if (request.headers.origin !== undefined) return "a web page sent it";
    return (await peerIsOurs(request.socket)) ? undefined : "another user sent it";
  }
}
