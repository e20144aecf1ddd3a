/** TLS by the stage's key, as a stub begins it: whether our own bridge answers at the other end of a way. */
import type { Duplex } from "node:stream";
import { connect } from "node:tls";

import { untilAborted } from "./abort.ts";

/**
 * Resolves when a whole handshake was made, which only who knows the key can; what `way` leads through is left to the
 * caller to close.
 */
export async function handshake(
  way: Duplex,
  { keyId, key }: { readonly keyId: string; readonly key: Uint8Array },
  signal: AbortSignal,
): Promise<void> {
  const made = new Promise<void>((resolve, reject) => {
    const tls = connect({
      socket: way,
      minVersion: "TLSv1.3",
      ca: [],
      pskCallback: () => ({ identity: keyId, psk: key }),
      checkServerIdentity: () => undefined,
    });
    tls.once("secureConnect", resolve);
    tls.on("error", reject);
    tls.once("close", () => reject(new Error("the connection was closed")));
  });
  await untilAborted(made, signal);
}
