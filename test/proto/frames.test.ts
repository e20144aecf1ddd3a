import t from "tap";

import { decodeFrame, encodeFrame, FrameError } from "../../proto/frames.ts";
import { SAMPLES } from "../support/frames.ts";

void t.test("every frame comes out of the wire as it went in", async (t) => {
  for (const { seq, frame, payload } of SAMPLES) {
    const decoded = decodeFrame(encodeFrame(seq, frame, payload));
    t.strictSame(decoded.frame, frame);
    t.equal(decoded.seq, seq);
    t.strictSame(Buffer.from(decoded.payload), Buffer.from(payload));
  }
});

void t.test("what is no frame throws FrameError and nothing else", async (t) => {
  const header = (type: number, seq: number, json: string, length = Buffer.byteLength(json)) => {
    const fixed = Buffer.alloc(9);
    fixed.writeUInt8(type, 0);
    fixed.writeUInt32BE(seq, 1);
    fixed.writeUInt32BE(length, 5);
    return Buffer.concat([fixed, Buffer.from(json)]);
  };
  const wrong = {
    nothing: Buffer.alloc(0),
    "too short": Buffer.alloc(8),
    "unknown type": header(99, 1, "{}"),
    "type 0": header(0, 0, "{}"),
    "longer header than frame": header(4, 0, "{}", 4_000_000_000),
    "no JSON": header(4, 0, "{"),
    "an array": header(4, 0, "[]"),
    null: header(4, 0, "null"),
    "missing field": header(4, 0, "{}"),
    "wrong type": header(4, 0, '{"received":"1"}'),
    negative: header(4, 0, '{"received":-1}'),
    "sequenced ack": header(4, 7, '{"received":1}'),
    "unsequenced goodbye": header(12, 0, '{"reason":"stopping"}'),
    "unknown reason": header(12, 1, '{"reason":"tired"}'),
    "key without nonce": header(8, 1, '{"key":{"requestId":"r"},"contentType":"x"}'),
    "invalid UTF-8": Buffer.concat([header(4, 0, "", 2), Buffer.from([0xff, 0xfe])]),
  };
  for (const [name, bytes] of Object.entries(wrong)) t.throws(() => decodeFrame(bytes), FrameError, name);
});

void t.test("100,000 seeded mutations of real frames decode or throw FrameError", async (t) => {
  let seed = 42;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed % below;
  };
  const encoded = SAMPLES.map(({ seq, frame, payload }) => encodeFrame(seq, frame, payload));
  let refused = 0;
  for (let round = 0; round < 100_000; round += 1) {
    const bytes = Buffer.from(encoded[random(encoded.length)] as Uint8Array);
    for (let flip = 0; flip <= random(4); flip += 1) bytes[random(bytes.length)] = random(256);
    const cut = random(3) === 0 ? bytes.subarray(0, random(bytes.length + 1)) : bytes;
    try {
      decodeFrame(cut);
    } catch (error) {
      if (!(error instanceof FrameError)) t.fail(`seed 42, round ${round}: ${String(error)}`);
      refused += 1;
    }
  }
  t.ok(refused > 10_000, `${refused} were refused`);
});
