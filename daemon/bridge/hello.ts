/** Whether a hello makes a session: decided before anything is remembered of the stub. */
import { createHmac, timingSafeEqual } from "node:crypto";

import type { Hello } from "../../proto/frames.ts";
import {
  bridgeProofWrong,
  bridgeWrongStage,
  type LivedevError,
  stubFunctionUnknown,
  stubTooNew,
  stubTooOld,
} from "../lib/errors.ts";

/** One version behind is served, so that a new livedev can greet the stubs that it is about to redeploy. */
export function compareProtocol(theirs: number, ours: number): "served" | "older" | "newer" {
  if (theirs > ours) return "newer";
  return theirs === ours || (theirs === ours - 1 && theirs > 0) ? "served" : "older";
}

export function refusalOf(
  hello: Hello,
  bridge: {
    protocol: number;
    app: string;
    stage: string;
    key: Uint8Array;
    exported: Uint8Array;
    functionKnown(name: string): boolean;
  },
): LivedevError | undefined {
  const proof = createHmac("sha256", bridge.key).update(bridge.exported).digest();
  const theirs = Buffer.from(hello.proof, "hex");
  if (theirs.length !== proof.length || !timingSafeEqual(theirs, proof)) return bridgeProofWrong();
  switch (compareProtocol(hello.protocol, bridge.protocol)) {
    case "older":
      return stubTooOld(hello.protocol, bridge.protocol);
    case "newer":
      return stubTooNew(hello.protocol, bridge.protocol);
    case "served":
      break;
  }
  if (hello.app !== bridge.app || hello.stage !== bridge.stage) return bridgeWrongStage(hello, bridge);
  if (!bridge.functionKnown(hello.functionName)) return stubFunctionUnknown(hello.functionName, bridge.app);
  return undefined;
}
