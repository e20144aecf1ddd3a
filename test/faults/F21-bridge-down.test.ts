/** F21: what happens to the way between stub and daemon, beside its being cut (test/bridge/cuts and every-frame). */
import { createServer, Server } from "node:net";
import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";

import t from "tap";

import type { Daemon } from "../../daemon/daemon.ts";
import { diagnose } from "../../daemon/doctor.ts";
import { deferred } from "../../daemon/lib/scope.ts";
import type { DaemonStatus } from "../../proto/rpc.ts";
import { STATUS } from "../cli/fake-daemon.ts";
import { BareStub } from "../support/bare-stub.ts";
import { times } from "../support/counts.ts";
import { CutProxy, WAYS_TO_END } from "../support/cut-proxy.ts";
import { TestRuntimeApi } from "../support/runtime-api.ts";
import { PLACE, ok, openBridge, portOf, StubProcess } from "../support/stub.ts";

t.test(
  "the listener is lost: clients see since when, who is connected is served, the port comes back",
  async (t) => {
    const bridge = await openBridge({ receive: (invocation) => invocation.deliver(ok(invocation.event)) });
    t.teardown(() => bridge[Symbol.asyncDispose]());
    const port = portOf(bridge);
    await using runtime = await TestRuntimeApi.open();
    await using _stub = new StubProcess({ runtimeApi: runtime.address, port });
    t.equal((await runtime.invoke('"before"')).body.toString(), '"before"');
    t.equal(bridge.down, undefined);

    // Another program comes first.
    listenerOn(port).close();
    const other = createServer((socket) => socket.destroy());
    other.listen(port, "127.0.0.1");
    await once(other, "listening");
    const began = Date.now();
    while (bridge.down?.reason.includes(String(port)) !== true) await wait(5);
    const { since } = bridge.down;
    t.ok(since <= Date.now() && since >= began - 1_000);
    t.match(
      found(bridge.down),
      [
        {
          level: "error",
          title: `No stub can connect since ${new Date(since).toISOString()}: ${bridge.down.reason}`,
        },
      ],
      "doctor names it",
    );
    t.equal((await runtime.invoke('"meanwhile"')).body.toString(), '"meanwhile"');
    t.equal(bridge.down?.since, since, "since when it began");
    await t.rejects(BareStub.open({ ...PLACE, port }));

    await new Promise((resolve) => other.close(resolve));
    while (bridge.down !== undefined) await wait(5);
    t.same(found(bridge.down), []);
    const late = await BareStub.open({ ...PLACE, port });
    t.equal(bridge.sandboxes, 2);
    late.close();
    t.equal((await runtime.invoke('"after"')).body.toString(), '"after"');
    t.equal(runtime.strays, 0);
  },
);

t.test("reset, half-open, stalled until all is over: each event is run once and answered once", async (t) => {
  await using runtime = await TestRuntimeApi.open();
  await using bridge = await openBridge({
    receive: async (invocation) => {
      invocation.position("running");
      await invocation.deliver(ok(invocation.event));
    },
  });
  await using proxy = await CutProxy.open(portOf(bridge));
  await using _stub = new StubProcess({ runtimeApi: runtime.address, port: proxy.port });
  await runtime.invoke('"first"');
  let rounds = 1;
  for (const way of WAYS_TO_END) {
    for (const direction of ["daemon", "stub"] as const) {
      // Its probe, the event; the acks, where it stands, the answer.
      for (let piece = 1; piece <= (way === "reset" ? 3 : 2); piece += 1) {
        let seen = 0;
        proxy.endAt = (to) => {
          if (to !== direction) return undefined;
          seen += 1;
          if (seen !== piece) return undefined;
          proxy.endAt = undefined;
          return way;
        };
        const event = `"${way} ${direction} ${piece}"`;
        t.equal((await runtime.invoke(event)).body.toString(), event);
        proxy.endAt = undefined;
        // What lay in the stalled line comes now: it is of a connection that nobody trusts any more.
        proxy.release();
        rounds += 1;
        const next = `"after ${way} ${direction} ${piece}"`;
        t.equal((await runtime.invoke(next)).body.toString(), next);
        rounds += 1;
        t.equal(bridge.seen.length, rounds, `${event} ran once`);
      }
    }
  }
  t.equal(runtime.strays, 0);
  t.equal(bridge.sandboxes, 1);
});

// With the counts of CI it outlasts the stub's 10 s of looking for the daemon, else it does not.
const STALL_MS = times(30_000, 3_000);
t.test(`the whole way stalls for ${STALL_MS / 1000} s, new connections too`, async (t) => {
  await using runtime = await TestRuntimeApi.open();
  const stalled = deferred<void>();
  await using bridge = await openBridge({
    receive: async (invocation) => {
      invocation.position("running");
      if (bridge.seen.length === 2) await stalled.promise;
      await invocation.deliver(ok(invocation.event)).catch(() => {});
    },
  });
  await using proxy = await CutProxy.open(portOf(bridge));
  await using _stub = new StubProcess({ runtimeApi: runtime.address, port: proxy.port });
  await runtime.invoke('"first"');
  const invoked = runtime.invoke('"under way"');
  while (bridge.seen.length < 2) await wait(5);
  proxy.endAt = () => "stalled";
  stalled.resolve();
  await wait(STALL_MS);
  proxy.endAt = undefined;
  // All that was said meanwhile arrives at once, of connections that were given up long ago.
  proxy.release();
  const { body } = await invoked;
  if (STALL_MS > 10_000) t.equal(JSON.parse(body.toString()).errorType, "Livedev.OutcomeUnknown");
  else t.equal(body.toString(), '"under way"');
  t.equal((await runtime.invoke('"after"')).body.toString(), '"after"');
  t.equal(bridge.seen.length, 3, "each ran once");
  t.equal(runtime.strays, 0);
});

/** What doctor finds of a bridge. */
function found(down: DaemonStatus["bridge"]["down"]) {
  const daemon = {
    invocations: { underWay: () => [] },
    store: { health: () => ({ state: "writing" }) },
  } as unknown as Daemon;
  const bridge = { ...STATUS.bridge, ...(down !== undefined && { down }) };
  return diagnose(daemon, { ...STATUS, bridge }, { state: "off" }).filter(({ id }) => id === "bridge");
}

/** The server of this process on that port. */
function listenerOn(port: number): Server {
  const handles = (process as unknown as { _getActiveHandles(): unknown[] })._getActiveHandles();
  const found = handles.find((handle): handle is Server => {
    if (!(handle instanceof Server)) return false;
    const address = handle.address();
    return typeof address === "object" && address?.port === port;
  });
  if (found === undefined) throw new Error(`nobody listens on ${port}`);
  return found;
}
