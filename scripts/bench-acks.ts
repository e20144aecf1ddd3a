/**
 * Takes the time from a frame to its ack, and beside it that of a bare echo, in a process of its own: what loads the
 * daemon must not hold up who measures it. Reads its order from standard input, prints the times.
 */
import { text } from "node:stream/consumers";
import { setTimeout as wait } from "node:timers/promises";

import { WebSocket } from "ws";

import { BareStub, type BareStubOptions } from "../test/support/bare-stub.ts";

export type AckOrder = {
  readonly stub: Omit<BareStubOptions, "key"> & { readonly key: string };
  readonly echoPort: number;
  readonly event: string;
  readonly count: number;
};

/** Milliseconds, in the order of sending. */
export type AckTimes = { readonly took: readonly number[]; readonly floor: readonly number[] };

/** Between the two, so that neither stands in the other's way. */
const PAUSE_MS = 20;
const WARM = 20;

const { stub: options, echoPort, event, count } = JSON.parse(await text(process.stdin)) as AckOrder;

const stub = await BareStub.open({ ...options, key: Buffer.from(options.key, "hex") });
const echo = await dial(echoPort);
const took: number[] = [];
const floor: number[] = [];

let acked: ((received: number) => void) | undefined;
stub.onFrame = ({ seq, frame }) => {
  if (frame.type === "ack") acked?.(frame.received);
  if (seq > 0) stub.ack(seq);
};
let echoed: (() => void) | undefined;
echo.on("message", () => echoed?.());

for (let n = 0; n < WARM + count; n++) {
  // Made before, since what the stub needs for that is not the daemon's time.
  const { seq, bytes } = stub.invokeFrame(event);
  const began = performance.now();
  await new Promise<void>((resolve) => {
    acked = (received) => received >= seq && resolve();
    stub.socket.send(bytes);
  });
  if (n >= WARM) took.push(performance.now() - began);
  await wait(PAUSE_MS);
  const beganEcho = performance.now();
  await new Promise<void>((resolve) => {
    echoed = resolve;
    echo.send(event);
  });
  if (n >= WARM) floor.push(performance.now() - beganEcho);
  await wait(PAUSE_MS);
}
console.log(JSON.stringify({ took, floor } satisfies AckTimes));
stub.close();
echo.terminate();

function dial(port: number): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`wss://127.0.0.1:${port}`, {
      pskCallback: () => ({ psk: Buffer.alloc(32, 7), identity: "bench" }),
      checkServerIdentity: () => undefined,
      minVersion: "TLSv1.3",
      perMessageDeflate: false,
    } as never);
    socket.once("open", () => resolve(socket));
    socket.once("error", reject);
  });
}
