/**
 * Whether an event of our own (proto/knock.ts) is one of ours: whoever may invoke the function can send its bytes, and
 * only who holds the stage's key can sign them. A knock that nobody signed, or long ago, is refused; it is never run and
 * stands in no history, for it is nobody's invocation.
 */
import { createHmac, timingSafeEqual } from "node:crypto";

import { errorAnswer, type BufferedAnswer } from "../../proto/answer.ts";
import { knockOf } from "../../proto/knock.ts";

/** Lambda may have to start an environment first. By this machine's clock alone, which signed it as well. */
const GOOD_FOR_MS = 60_000;

export function makeKnock(key: Uint8Array): Uint8Array {
  const at = Date.now();
  return Buffer.from(knockOf({ at, mac: macOf(key, at).toString("hex") }));
}

/** What whoever knocked is told: nothing, or that it is not for them. */
export function answerToKnock(event: Uint8Array, keys: readonly Uint8Array[]): BufferedAnswer {
  if (keys.some((key) => isSigned(event, key))) {
    return { kind: "buffered", status: "ok", contentType: "application/json", body: Buffer.from("null") };
  }
  return errorAnswer("interrupted", "Livedev.KnockRefused", "Only livedevd itself may send this event.");
}

function isSigned(event: Uint8Array, key: Uint8Array): boolean {
  try {
    const { at, mac } = (
      JSON.parse(Buffer.from(event).toString()) as Record<string, { at: number; mac: string }>
    )["livedev:knock"] as { at: number; mac: string };
    const [theirs, ours] = [Buffer.from(mac, "hex"), macOf(key, at)];
    return (
      Math.abs(Date.now() - at) < GOOD_FOR_MS &&
      theirs.length === ours.length &&
      timingSafeEqual(theirs, ours)
    );
  } catch {
    return false;
  }
}

const macOf = (key: Uint8Array, at: number): Buffer =>
  createHmac("sha256", key).update(`livedev knock ${at}`).digest();
