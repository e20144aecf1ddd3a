/**
 * The way in: a port of the bastion that is ours alone, whose connections come here through the SSH connection and go
 * on to the bridge. The port is chosen once and kept, since stubs have it in their settings.
 *
 *     kept or first of ours ──► asked for ──► granted ──► tried from the bastion's side ──► open
 *              ▲                    │ refused: the last connection's sshd may still be going
 *              └── the next one ◄───┘ for a while the same again, then another developer has it
 */
import { connect as connectSocket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";

import { untilAborted } from "../lib/abort.ts";
import {
  codeOf,
  gatewayPortsNo,
  LivedevError,
  messageOf,
  wayInBlocked,
  wayInRefused,
} from "../lib/errors.ts";
import { handshake } from "../lib/handshake.ts";
import { ChannelError, type ClientChannel, type Ssh } from "./ssh.ts";
import type { Traffic } from "./traffic.ts";

export type InwardSettings = {
  /** The bridge's own port, on loopback. */
  readonly bridgePort: number;
  /** Of the bastion, as stubs reach it; absent: as it is told when we come in. */
  readonly address?: string;
  readonly first: number;
  readonly last: number;
  /** Whose port is whose: developers begin at different places. */
  readonly seed: number;
  /** That of the last time. */
  readonly port?: number;
  /** By which the bridge is known when the way is tried. */
  readonly keyId: string;
  readonly key: Uint8Array;
};

export type WayIn = { readonly address: string; readonly port: number };

/** How long the port of the last time is asked for again before another is taken. */
const INSIST_MS = 8_000;
const ASK_AGAIN_MS = 250;
const TRY_MS = 5_000;

/** @throws LivedevError where the bastion grants none of the ports, or the one that it grants is not reached. */
export async function openWayIn(
  ssh: Ssh,
  settings: InwardSettings,
  foundAddress: string | undefined,
  traffic: Traffic,
  signal: AbortSignal,
): Promise<WayIn> {
  const address = settings.address ?? foundAddress;
  if (address === undefined)
    throw wayInRefused("it does not tell at which address it is reached", "listen: { address }");
  const port = await listen(ssh, { ...settings, address }, traffic, signal);
  await tryFromOutside(ssh, { address, port }, settings, signal);
  return { address, port };
}

async function listen(
  ssh: Ssh,
  settings: InwardSettings & { readonly address: string },
  traffic: Traffic,
  signal: AbortSignal,
): Promise<number> {
  const { first, last, seed, address, bridgePort } = settings;
  const count = last - first + 1;
  const inOrder = Array.from({ length: count }, (_, index) => first + ((seed + index) % count));
  const kept = settings.port !== undefined && inOrder.includes(settings.port) ? settings.port : undefined;
  const accept = (take: () => ClientChannel) => carry(take(), bridgePort, traffic);
  let reason = "";
  const granted = async (port: number): Promise<boolean> => {
    try {
      await untilAborted(ssh.listen(address, port, accept), signal);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      reason = messageOf(error);
      return false;
    }
  };
  if (kept !== undefined) {
    const until = performance.now() + INSIST_MS;
    do {
      if (await granted(kept)) return kept;
      await wait(ASK_AGAIN_MS, undefined, { signal });
    } while (performance.now() < until);
  }
  for (const port of inOrder) if (port !== kept && (await granted(port))) return port;
  throw wayInRefused(
    reason,
    `AllowTcpForwarding yes, and in authorized_keys permitlisten="${address}:${first}"`,
  );
}

/** On to the bridge, where TLS ends. */
function carry(channel: ClientChannel, bridgePort: number, traffic: Traffic): void {
  const socket = connectSocket({ port: bridgePort, host: "127.0.0.1", noDelay: true });
  traffic.join(channel, socket);
}

/** From the bastion to its own address, and so to us: a whole handshake by the stage's key, which only we can make. */
async function tryFromOutside(
  ssh: Ssh,
  { address, port }: WayIn,
  { keyId, key }: InwardSettings,
  signal: AbortSignal,
): Promise<void> {
  const reached = await greets(ssh, address, port, { keyId, key }, signal);
  if (reached === true) return;
  // It may not connect on our behalf at all: then only a stub can tell.
  if (codeOf(reached) === "EACCES") return;
  const onLoopback = await greets(ssh, "127.0.0.1", port, { keyId, key }, signal);
  if (onLoopback === true) throw gatewayPortsNo(address, port);
  throw wayInBlocked(address, port, messageOf(reached));
}

async function greets(
  ssh: Ssh,
  address: string,
  port: number,
  { keyId, key }: { keyId: string; key: Uint8Array },
  signal: AbortSignal,
): Promise<true | Error> {
  let channel: ClientChannel;
  try {
    channel = await untilAborted(ssh.dial(address, port), signal);
  } catch (error) {
    signal.throwIfAborted();
    return error as Error;
  }
  try {
    await handshake(channel, { keyId, key }, AbortSignal.any([signal, AbortSignal.timeout(TRY_MS)]));
    return true;
  } catch (error) {
    signal.throwIfAborted();
    return error instanceof LivedevError || error instanceof ChannelError
      ? error
      : new Error(messageOf(error));
  } finally {
    channel.destroy();
  }
}
