import { createHash } from "node:crypto";

import t from "tap";

import { encodeFrame, FRAME_CODES } from "../../proto/frames.ts";
import { BRIDGE_PROTOCOL } from "../../proto/version.ts";
import { SAMPLES } from "../support/frames.ts";

/** What the wire of each protocol version looks like. Append only: stubs of the previous version are still out there. */
const WIRES: Readonly<Record<number, string>> = {
  1: "6c23d5e9bfff08dd7c92d717f8743fdec7ef8b3453fc7abf77b1eba0faf98651",
  2: "8e27a1965fc8559d0c44ec4cfb834f9f368c18d457dc56f2cbe416790530783f",
};

void t.test("the bridge's wire is that of its version", async (t) => {
  t.strictSame(
    SAMPLES.map(({ frame }) => frame.type).sort(),
    Object.keys(FRAME_CODES).sort(),
    "test/support/frames.ts has one sample of every frame",
  );
  const hash = createHash("sha256").update(JSON.stringify(FRAME_CODES));
  for (const { seq, frame, payload } of SAMPLES) hash.update(encodeFrame(seq, frame, payload));
  t.equal(
    hash.digest("hex"),
    WIRES[BRIDGE_PROTOCOL],
    "the wire has changed: raise BRIDGE_PROTOCOL in proto/version.ts, add a history line there, and pin the new hash here",
  );
});
