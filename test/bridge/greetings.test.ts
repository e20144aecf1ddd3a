/** Whose hello makes a session: by which protocol, and by which of the stage's keys. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import t from "tap";

import { StageKeys } from "../../daemon/credentials/stage-key.ts";
import { BRIDGE_PROTOCOL } from "../../proto/version.ts";
import { BareStub } from "../support/bare-stub.ts";
import { ok, openBridge, PLACE, portOf } from "../support/stub.ts";

/** What the stub is answered with. */
async function answerTo(stub: BareStub): Promise<string> {
  const answered = new Promise<string>((resolve) => {
    stub.onFrame = ({ frame, payload }) => {
      if (frame.type === "answer") resolve(Buffer.from(payload).toString());
    };
  });
  stub.invoke("{}");
  return answered;
}

t.test("a stub one protocol version behind is served, whatever it does not say yet", async (t) => {
  await using bridge = await openBridge({ receive: (invocation) => invocation.deliver(ok("1")) });
  const stub = await BareStub.open(
    { ...PLACE, port: portOf(bridge) },
    { protocol: BRIDGE_PROTOCOL - 1, sandbox: "behind" },
  );
  t.teardown(() => stub.close());
  t.equal(await answerTo(stub), "1");
  t.match(bridge.events, [{ type: "sandbox.connected", sandbox: "behind" }]);
});

t.test("one further behind, or ahead, is refused with what to do, and nothing is remembered", async (t) => {
  await using bridge = await openBridge({ receive: () => Promise.reject(new Error("never asked")) });
  for (const [protocol, told] of [
    [BRIDGE_PROTOCOL - 2, /livedevd start/],
    [BRIDGE_PROTOCOL + 1, /Update livedev/],
  ] as const) {
    await t.rejects(BareStub.open({ ...PLACE, port: portOf(bridge) }, { protocol }), { message: told });
  }
  t.same(bridge.events, []);
  t.equal(bridge.sandboxes, 0);
});

t.test("a stub with the key before a rotation is served until that is over, then let go", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "livedev-keys-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const expired = { tell: () => {} };
  await using keys = await StageKeys.open({ dir, previousMs: 3_000, onExpired: () => expired.tell() });
  await using bridge = await openBridge({
    keys: () => keys.accepted(),
    receive: (invocation) => invocation.deliver(ok("1")),
  });
  const over = new Promise<void>((resolve) => {
    expired.tell = () => {
      bridge.keysChanged();
      resolve();
    };
  });
  const by = (key: typeof keys.current) => ({ ...PLACE, ...key, port: portOf(bridge) });
  const before = keys.current;
  const first = await BareStub.open(by(before), { sandbox: "first" });
  await keys.rotate();
  t.equal(await answerTo(first), "1", "its connection stands");
  const again = await BareStub.open(by(before), { sandbox: "again" });
  t.equal(await answerTo(again), "1", "and it may come anew");
  const next = await BareStub.open(by(keys.current), { sandbox: "next" });
  t.teardown(() => next.close());

  const gone = [once(first.socket, "close"), once(again.socket, "close")];
  await over;
  await Promise.all(gone);
  t.equal(await answerTo(next), "1");
  await t.rejects(BareStub.open(by(before)), "it does not get past the handshake");
  t.equal(bridge.sandboxes, 1);
});
