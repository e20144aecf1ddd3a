/**
 * Entry of dist/tunnel-thread.js: the SSH connection and all that goes through it, in a thread of its own. Ciphers at
 * hundreds of megabytes a second would otherwise hold up the thread that takes stubs' frames.
 */
import { parentPort } from "node:worker_threads";

import { Carrier, type CarrierSettings, type CarrierStatus, type Telling } from "./carrier.ts";

export type ToTunnel =
  | { readonly is: "apply"; readonly settings: CarrierSettings | undefined }
  | { readonly is: "status"; readonly id: number }
  | { readonly is: "close" };

export type FromTunnel =
  | Telling
  | { readonly is: "status"; readonly id: number; readonly status: CarrierStatus }
  /** The settings of the last order are those that count; its local ends stand. */
  | { readonly is: "applied" }
  | { readonly is: "broken"; readonly message: string }
  | { readonly is: "closed" };

const post = (message: FromTunnel) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
  parentPort?.postMessage(message);
};

const carrier = new Carrier(post);

parentPort?.on("message", (message: ToTunnel) => {
  switch (message.is) {
    case "apply":
      carrier.apply(message.settings).then(
        () => post({ is: "applied" }),
        (error: Error) => post({ is: "broken", message: error.message }),
      );
      break;
    case "status":
      post({ is: "status", id: message.id, status: carrier.status });
      break;
    case "close":
      void carrier[Symbol.asyncDispose]().then(() => post({ is: "closed" }));
      break;
    default:
      message satisfies never;
  }
});
