/** One sample of every frame, for tests of the wire. Changing one changes the pinned hash. */
import type { Frame } from "../../proto/frames.ts";

const key = { requestId: "8476a536-e9f4-11e8-9739-2dfe598c3fcd", nonce: "000102030405060708090a0b0c0d0e0f" };
const bytes = (text: string) => new TextEncoder().encode(text);

export const SAMPLES: readonly {
  readonly seq: number;
  readonly frame: Frame;
  readonly payload: Uint8Array;
}[] = [
  {
    seq: 0,
    frame: {
      type: "hello",
      protocol: 2,
      app: "shop",
      stage: "dev",
      functionName: "api",
      sandbox: "5f2b",
      ageMs: 12.5,
      epoch: null,
      received: 0,
      proof: "ab12",
      environment: { AWS_REGION: "eu-west-1" },
    },
    payload: bytes(""),
  },
  { seq: 0, frame: { type: "welcome", protocol: 2, epoch: "e1", received: 0 }, payload: bytes("") },
  { seq: 0, frame: { type: "refuse", code: "bridge.wrongStage", message: "No." }, payload: bytes("") },
  { seq: 0, frame: { type: "ack", received: 3 }, payload: bytes("") },
  {
    seq: 1,
    frame: {
      type: "invoke",
      key,
      remainingMs: 2_999.5,
      deadlineAt: 1_700_000_003_000,
      functionArn: "arn:aws:lambda:eu-west-1:123456789012:function:api",
      traceId: "Root=1",
      clientContext: "{}",
      cognitoIdentity: "{}",
    },
    payload: bytes('{"id":12345678901234567890}'),
  },
  { seq: 2, frame: { type: "position", key, state: "building" }, payload: bytes("") },
  {
    seq: 3,
    frame: { type: "answer", key, status: "error", contentType: "application/json", errorType: "TypeError" },
    payload: bytes('{"errorType":"TypeError"}'),
  },
  { seq: 4, frame: { type: "stream.start", key, contentType: "text/html" }, payload: bytes("") },
  { seq: 5, frame: { type: "stream.chunk", key }, payload: bytes("<p>") },
  { seq: 6, frame: { type: "stream.end", key, errorType: "Error" }, payload: bytes("{}") },
  { seq: 7, frame: { type: "cancel", key, reason: "the caller left" }, payload: bytes("") },
  { seq: 8, frame: { type: "goodbye", reason: "restarting" }, payload: bytes("") },
];
