/** The connection breaks at every moment: each event is answered once and run once, or its end is said to be unknown. */
import { once } from "node:events";

import t from "tap";

import { deferred } from "../../daemon/lib/scope.ts";
import type { BridgeInvocation } from "../../daemon/bridge/bridge.ts";
import { CutProxy } from "../support/cut-proxy.ts";
import { TestRuntimeApi } from "../support/runtime-api.ts";
import { ok, openBridge, portOf, streamed, StubProcess } from "../support/stub.ts";

const echo = (invocation: BridgeInvocation) => invocation.deliver(ok(invocation.event));
const errorOf = (body: Buffer) => JSON.parse(body.toString());

t.test("cut at each piece of data, in each direction, before or after it: one run, one answer", async (t) => {
  await using runtime = await TestRuntimeApi.open();
  await using bridge = await openBridge({
    receive: async (invocation) => {
      invocation.position("queued");
      invocation.position("running");
      await echo(invocation);
    },
  });
  await using proxy = await CutProxy.open(portOf(bridge));
  await using _stub = new StubProcess({ runtimeApi: runtime.address, port: proxy.port });
  await runtime.invoke('"first"');
  let rounds = 1;
  for (const direction of ["daemon", "stub"] as const) {
    for (const dropped of [true, false]) {
      for (let piece = 1; piece <= 6; piece += 1) {
        let seen = 0;
        const { connections } = proxy;
        proxy.cutAt = (to, _bytes) => {
          if (to !== direction) return false;
          seen += 1;
          if (seen !== piece) return false;
          proxy.cutAt = undefined;
          if (dropped) return true;
          // The piece is passed on first.
          setImmediate(() => proxy.cut());
          return false;
        };
        const event = `"${direction} ${dropped} ${piece}"`;
        const posted = await runtime.invoke(event);
        const was = `to ${direction}, piece ${piece}, ${dropped ? "dropped" : "passed"}`;
        t.equal(posted.body.toString(), event, was);
        rounds += 1;
        t.equal(bridge.seen.length, rounds, `${was}: run once`);
        proxy.cutAt = undefined;
        if (proxy.connections === connections && seen >= piece) await once(proxy, "connection");
      }
    }
  }
  t.equal(runtime.strays, 0);
});

t.test(
  "cut while the handler runs: it goes on, and its answer arrives over the next connection",
  async (t) => {
    await using runtime = await TestRuntimeApi.open();
    const begun = deferred<BridgeInvocation>();
    await using bridge = await openBridge({
      receive: async (invocation) => {
        begun.resolve(invocation);
        await once(proxy, "connection");
        await echo(invocation);
      },
    });
    await using proxy = await CutProxy.open(portOf(bridge));
    await using _stub = new StubProcess({ runtimeApi: runtime.address, port: proxy.port });
    const invoked = runtime.invoke('"x"');
    await begun.promise;
    proxy.cut();
    t.equal((await invoked).body.toString(), '"x"');
    t.equal(bridge.seen.length, 1);
    t.match(bridge.events.at(-1), { type: "sandbox.connected", resumed: true });
  },
);

t.test(
  "lost for good: the caller reads that the outcome is unknown, the daemon that it was not delivered",
  async (t) => {
    await using runtime = await TestRuntimeApi.open();
    const begun = deferred<BridgeInvocation>();
    const failed = deferred<{ code: string }>();
    await using bridge = await openBridge({
      graceMs: 100,
      receive: async (invocation) => {
        begun.resolve(invocation);
        invocation.position("running");
        await once(invocation.signal, "abort");
        await echo(invocation).catch(failed.resolve);
      },
    });
    await using proxy = await CutProxy.open(portOf(bridge));
    await using _stub = new StubProcess({ runtimeApi: runtime.address, port: proxy.port });
    await runtime.polled();
    const invoked = runtime.invoke('{"httpMethod":"GET"}', { timeoutMs: 900 });
    await begun.promise;
    await proxy.refuse();
    t.match(await failed.promise, { code: "bridge.sandboxLost" });
    const posted = await invoked;
    t.equal(posted.to, "error");
    t.match(errorOf(posted.body), { errorType: "Livedev.OutcomeUnknown", errorMessage: /outcome|unknown/ });

    await proxy.accept();
    t.equal(bridge.seen.length, 1);
  },
);

t.test("an answer whose stub never acks is rejected when the deadline has passed", async (t) => {
  await using runtime = await TestRuntimeApi.open();
  const failed = deferred<{ code: string }>();
  await using bridge = await openBridge({
    receive: async (invocation) => {
      proxy.blackHole();
      proxy.swallowNew(true);
      await echo(invocation).catch(failed.resolve);
    },
  });
  await using proxy = await CutProxy.open(portOf(bridge));
  await using _stub = new StubProcess({ runtimeApi: runtime.address, port: proxy.port });
  await runtime.polled();
  const invoked = runtime.invoke('"x"', { timeoutMs: 700 });
  t.match(errorOf((await invoked).body), { errorType: "Livedev.OutcomeUnknown" });
  t.match(await failed.promise, { code: "bridge.deadlinePassed" });
});

t.test("a stream survives a cut; lost for good it ends with a mid-stream error", async (t) => {
  await using runtime = await TestRuntimeApi.open();
  let forGood = false;
  const arrived = [deferred<void>(), deferred<void>()];
  await using bridge = await openBridge({
    graceMs: 200,
    receive: (invocation) =>
      invocation
        .deliver(
          streamed(
            (async function* () {
              yield Buffer.from("one ");
              await arrived[forGood ? 1 : 0]?.promise;
              if (forGood) await proxy.refuse();
              else proxy.cut();
              yield Buffer.from("two");
            })(),
          ),
        )
        .catch(() => {}),
  });
  await using proxy = await CutProxy.open(portOf(bridge));
  await using _stub = new StubProcess({ runtimeApi: runtime.address, port: proxy.port });
  const whole = await runtime.invoke("{}", { chunk: () => arrived[0]?.resolve() });
  t.equal(whole.body.toString(), "one two");
  t.notOk(whole.trailers["lambda-runtime-function-error-type"]);

  forGood = true;
  const half = await runtime.invoke("{}", { timeoutMs: 900, chunk: () => arrived[1]?.resolve() });
  t.equal(half.body.toString(), "one ");
  t.equal(half.trailers["lambda-runtime-function-error-type"], "Livedev.OutcomeUnknown");
  await proxy.accept();
});

t.test("frozen with the path cut under it: after the thaw a new connection, within a second", async (t) => {
  await using runtime = await TestRuntimeApi.open();
  await using bridge = await openBridge({ receive: echo });
  await using proxy = await CutProxy.open(portOf(bridge));
  await using stub = new StubProcess({ runtimeApi: runtime.address, port: proxy.port });
  await runtime.invoke('"warm"');
  await runtime.polled();
  for (const size of [10, 5_000_000]) {
    const { connections } = proxy;
    stub.child.kill("SIGSTOP");
    proxy.blackHole();
    const event = JSON.stringify("x".repeat(size));
    const invoked = runtime.invoke(event);
    const began = performance.now();
    stub.child.kill("SIGCONT");
    t.equal((await invoked).body.toString(), event);
    t.ok(performance.now() - began < 1_500, `${(performance.now() - began).toFixed(0)} ms`);
    t.equal(proxy.connections, connections + 1);
    await runtime.polled();
  }
  t.equal(bridge.seen.length, 3);
  t.equal(bridge.sandboxes, 1, "the newer connection has the session");
  t.equal(bridge.events.length, 1, "a frozen stub was never called disconnected");
});

t.test("the daemon was restarted before the event had an answer: the new one gets it", async (t) => {
  await using runtime = await TestRuntimeApi.open();
  const begun = deferred<void>();
  const first = await openBridge({
    receive: async (invocation) => {
      begun.resolve();
      await once(invocation.signal, "abort");
      await t.rejects(echo(invocation), { code: "bridge.closed" });
    },
  });
  const port = portOf(first);
  await using _stub = new StubProcess({ runtimeApi: runtime.address, port });
  const invoked = runtime.invoke('"x"');
  await begun.promise;
  await first[Symbol.asyncDispose]();
  await using second = await openBridge({ epoch: "epoch-2", port, receive: echo });
  t.equal((await invoked).body.toString(), '"x"');
  t.strictSame(second.seen[0]?.key, first.seen[0]?.key, "under the same key");
  t.ok((second.seen[0]?.remainingMs() ?? 0) > 0);
  t.equal((await runtime.invoke('"y"')).body.toString(), '"y"');
});

t.test(
  "a daemon that said it restarts is waited for; one that said nothing more is away at once",
  async (t) => {
    await using runtime = await TestRuntimeApi.open();
    const first = await openBridge({ receive: echo });
    const port = portOf(first);
    await using _stub = new StubProcess({ runtimeApi: runtime.address, port });
    await runtime.invoke('"warm"');
    await first.goodbye("restarting");
    await first[Symbol.asyncDispose]();
    let answered = false;
    const invoked = runtime.invoke('"x"').finally(() => (answered = true));
    await new Promise((resolve) => setTimeout(resolve, 300));
    t.equal(answered, false);
    const second = await openBridge({ epoch: "epoch-2", port, receive: echo });
    t.equal((await invoked).body.toString(), '"x"');

    await second.goodbye("restarting");
    await second[Symbol.asyncDispose]();
    const said = performance.now();
    t.match(errorOf((await runtime.invoke('"nobody came back"')).body), { errorType: "Livedev.Away" });
    const believedMs = performance.now() - said;
    t.ok(believedMs > 4_500 && believedMs < 9_000, `after 5 s: ${believedMs.toFixed(0)} ms`);

    const third = await openBridge({ epoch: "epoch-3", port, receive: echo });
    t.equal((await runtime.invoke('"back"')).body.toString(), '"back"');
    await third.goodbye("stopping");
    await third[Symbol.asyncDispose]();
    const began = performance.now();
    t.match(errorOf((await runtime.invoke('"y"')).body), { errorType: "Livedev.Away" });
    t.ok(performance.now() - began < 100, `${(performance.now() - began).toFixed(0)} ms`);
  },
);
