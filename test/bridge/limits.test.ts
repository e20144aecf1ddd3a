/** How many connections a bridge keeps, and who makes room. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";

import t, { type Test } from "tap";

import { deferred } from "../../daemon/lib/scope.ts";
import { BareStub } from "../support/bare-stub.ts";
import { PLACE, ok, openBridge, portOf, type TestBridge } from "../support/stub.ts";

const open = async (t: Test, bridge: TestBridge, sandbox: string) => {
  const stub = await BareStub.open({ ...PLACE, port: portOf(bridge) }, { sandbox });
  t.teardown(() => stub.close());
  return stub;
};

t.test(
  "at the bound, who was silent for longest makes room, and who waits for an answer does not",
  async (t) => {
    const finish = deferred<void>();
    const bridge = await openBridge({
      maxConnections: 3,
      receive: async (invocation) => {
        await finish.promise;
        await invocation.deliver(ok("1"));
      },
    });
    t.teardown(() => bridge[Symbol.asyncDispose]());
    const waiting = await open(t, bridge, "waiting");
    const acked = new Promise<void>((resolve) => {
      waiting.onFrame = ({ frame }) => frame.type === "ack" && resolve();
    });
    waiting.invoke("1");
    await acked;
    const silent = await open(t, bridge, "silent");
    const speaking = await open(t, bridge, "speaking");
    const heard = once(speaking.socket, "pong");
    speaking.socket.ping();
    await heard;
    const gone = once(silent.socket, "close");
    await open(t, bridge, "new");
    await gone;
    t.equal(bridge.sandboxes, 3);
    t.match(
      bridge.events.filter(({ type }) => type === "sandbox.disconnected"),
      [{ sandbox: "silent", reason: /made room/ }],
    );
    t.equal(waiting.socket.readyState, waiting.socket.OPEN);
    t.equal(speaking.socket.readyState, speaking.socket.OPEN);

    const answered = new Promise<void>((resolve) => {
      waiting.onFrame = ({ frame }) => frame.type === "answer" && resolve();
    });
    finish.resolve();
    await answered;
    // It was there after all: back to its session, in place of the next silent one.
    await open(t, bridge, "silent");
    t.match(bridge.events.at(-1), { type: "sandbox.connected", sandbox: "silent", resumed: true });
    t.equal(bridge.sandboxes, 3);
  },
);

t.test("where everybody waits for an answer, the one more is refused at once", async (t) => {
  const bridge = await openBridge({ maxConnections: 1, receive: () => new Promise<void>(() => {}) });
  t.teardown(() => bridge[Symbol.asyncDispose]());
  const waiting = await open(t, bridge, "waiting");
  waiting.invoke("1");
  while (bridge.seen.length === 0) await once(waiting.socket, "message");
  const late = await BareStub.dial({ ...PLACE, port: portOf(bridge) });
  const [code] = (await once(late.socket, "close")) as [number];
  t.equal(code, 4004);
  t.equal(bridge.sandboxes, 1);
});

t.test(
  "the system itself asks for those that vanished",
  { skip: process.platform !== "linux" && "/proc/net/tcp" },
  async (t) => {
    const bridge = await openBridge({ receive: (invocation) => invocation.deliver(ok("1")) });
    t.teardown(() => bridge[Symbol.asyncDispose]());
    await open(t, bridge, "any");
    const port = portOf(bridge).toString(16).toUpperCase().padStart(4, "0");
    const timers = () =>
      readFileSync("/proc/net/tcp", "utf8")
        .split("\n")
        .map((line) => line.trim().split(/\s+/))
        // Established.
        .filter(([, local, , state]) => local?.endsWith(`:${port}`) === true && state === "01")
        .map(([, , , , , timer = ""]) => timer);
    // First it waits for the ack of what was written last.
    while (timers().some((timer) => timer.startsWith("01:"))) await turn();
    const rows = timers();
    t.ok(rows.length > 0);
    // Its timer is that of keep-alive.
    for (const timer of rows) t.match(timer, /^02:/);
  },
);
