/**
 * F24: what comes twice, out of order, or for nobody. The stub's side of it is in test/stub/endurance, a runtime's
 * (a stale answer, an init error that comes late) in test/runtime/api.
 */
import { once } from "node:events";

import t, { type Test } from "tap";

import { openLog } from "../../daemon/lib/log.ts";
import { deferred } from "../../daemon/lib/scope.ts";
import { type DownFrame, encodeFrame, type InvocationKey, type UpFrame } from "../../proto/frames.ts";
import { BareStub } from "../support/bare-stub.ts";
import { PLACE, ok, openBridge, portOf } from "../support/stub.ts";

const EVENT = Buffer.from('{"n":1}');
const keyOf = (word: string): InvocationKey => ({ requestId: `request-${word}`, nonce: `nonce-${word}` });
const invoke = (key: InvocationKey): UpFrame => ({
  type: "invoke",
  key,
  remainingMs: 30_000,
  deadlineAt: Date.now() + 30_000,
  functionArn: "arn",
});

/** A bridge whose invocations are answered as they are let, and a stub that says what no real one would. */
async function open(t: Test) {
  const lines: string[] = [];
  const go = deferred<void>();
  const bridge = await openBridge({
    receive: async (invocation) => {
      await go.promise;
      await invocation.deliver(ok(invocation.event));
    },
    log: openLog({ write: (line) => void lines.push(line) }, "debug"),
  });
  t.teardown(() => bridge[Symbol.asyncDispose]());
  const connect = async (more: { received?: number; epoch?: string } = {}) => {
    const stub = await BareStub.open({ ...PLACE, port: portOf(bridge) }, { sandbox: "one", ...more });
    t.teardown(() => stub.close());
    const frames: DownFrame[] = [];
    let wake = () => {};
    stub.onFrame = ({ seq, frame }) => {
      frames.push(frame);
      if (seq > 0) stub.ack(seq);
      wake();
    };
    const say = (seq: number, frame: UpFrame) => stub.socket.send(encodeFrame(seq, frame, EVENT));
    const until = async (is: (frame: DownFrame) => boolean) => {
      while (!frames.some(is)) await new Promise<void>((resolve) => (wake = resolve));
      return frames.find(is);
    };
    const acked = (received: number) => until((frame) => frame.type === "ack" && frame.received >= received);
    return { stub, frames, say, until, acked };
  };
  return { bridge, lines, go, connect };
}

t.test("F24: an event that is delivered twice is executed once", async (t) => {
  const { bridge, lines, go, connect } = await open(t);
  const { say, frames, until, acked } = await connect();
  say(1, invoke(keyOf("a")));
  // The same frame again, and the same key under another number.
  say(1, invoke(keyOf("a")));
  say(2, invoke(keyOf("a")));
  await acked(2);
  go.resolve();
  t.match(await until((frame) => frame.type === "answer"), { status: "ok", key: keyOf("a") });
  t.equal(frames.filter(({ type }) => type === "answer").length, 1);
  // And once more after its end.
  say(3, invoke(keyOf("a")));
  const late = await until((frame) => frame.type === "answer" && frame.status === "error");
  t.match(late, { key: keyOf("a"), errorType: "Livedev.OutcomeUnknown" });
  t.equal(bridge.seen.length, 1);
  t.ok(
    lines.some((line) => line.includes("an invocation came again after its end")),
    "the stray one is in the log",
  );
});

t.test("F24: frames out of order end the connection; on the next one all comes in order", async (t) => {
  const { bridge, lines, go, connect } = await open(t);
  go.resolve();
  const first = await connect();
  first.say(1, invoke(keyOf("a")));
  await first.until((frame) => frame.type === "answer");
  const closed = once(first.stub.socket, "close");
  first.say(3, invoke(keyOf("c")));
  t.equal((await closed)[0], 1002);
  t.ok(lines.some((line) => line.includes("frame 3 came after frame 1")));
  t.equal(bridge.seen.length, 1);

  // It knows this daemon, and has had one frame of it.
  const second = await connect({ epoch: "epoch-1", received: 1 });
  second.say(2, invoke(keyOf("b")));
  second.say(3, invoke(keyOf("c")));
  await second.until((frame) => frame.type === "answer" && frame.key.nonce === "nonce-c");
  t.strictSame(
    bridge.seen.map(({ key }) => key),
    [keyOf("a"), keyOf("b"), keyOf("c")],
  );
});

t.test("F24: a cancel of nothing, and an ack of what was never sent, change nothing", async (t) => {
  const { bridge, go, connect } = await open(t);
  const first = await connect();
  first.say(1, invoke(keyOf("a")));
  first.say(2, { type: "cancel", key: keyOf("unknown"), reason: "nobody's" });
  await first.acked(2);
  t.equal(bridge.seen[0]?.signal.aborted, false);
  const closed = once(first.stub.socket, "close");
  first.say(0, { type: "ack", received: 99 });
  t.equal((await closed)[0], 1002);
  t.equal(bridge.seen[0]?.signal.aborted, false, "it is waited for over the next connection");
  const second = await connect({ epoch: "epoch-1" });
  go.resolve();
  t.match(await second.until((frame) => frame.type === "answer"), { status: "ok", key: keyOf("a") });
  t.equal(bridge.seen.length, 1);
});
