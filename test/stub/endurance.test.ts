/** A stub lives for hours in an environment with 1,024 descriptors, and hears what is not for it. */
import { readdirSync, readFileSync } from "node:fs";

import t from "tap";

import { BareDaemon } from "../support/bare-daemon.ts";
import { times } from "../support/counts.ts";
import { KEY, KEY_ID, ok, openBridge, portOf, StubProcess } from "../support/stub.ts";
import { FrameProxy } from "../support/frame-proxy.ts";
import { TestRuntimeApi } from "../support/runtime-api.ts";

const ROUNDS = times(10_000, 500);

const descriptorsOf = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;
const rssKb = (pid: number) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);

t.test(
  `${ROUNDS} invocations with at most 1,024 descriptors, with cuts in between: flat memory and descriptors`,
  async (t) => {
    await using runtime = await TestRuntimeApi.open();
    await using bridge = await openBridge({
      receive: (invocation) => invocation.deliver(ok(invocation.event)),
    });
    await using proxy = await FrameProxy.open({ target: portOf(bridge), key: KEY, keyId: KEY_ID });
    await using stub = new StubProcess({ runtimeApi: runtime.address, port: proxy.port, limit: 1_024 });
    const pid = stub.child.pid ?? 0;
    // The shell that sets the limit has become the stub by then.
    await runtime.polled();
    t.match(readFileSync(`/proc/${pid}/limits`, "utf8"), /Max open files\s+1024/);
    const event = JSON.stringify({ padding: "x".repeat(2_000) });
    const at: { rss: number; descriptors: number }[] = [];
    for (let round = 1; round <= ROUNDS; round += 1) {
      if (round % times(250, 125) === 0) proxy.cutAll();
      const { body } = await runtime.invoke(event);
      if (body.toString() !== event) t.fail(`round ${round} was answered ${body.toString().slice(0, 100)}`);
      if (round % (ROUNDS / 5) === 0) at.push({ rss: rssKb(pid), descriptors: descriptorsOf(pid) });
    }
    t.equal(bridge.seen.length, ROUNDS);
    t.equal(runtime.strays, 0);
    t.comment(
      at.map(({ rss, descriptors }) => `${Math.round(rss / 1024)} MB, ${descriptors} fds`).join(" → "),
    );
    const [first, last] = [at[0], at.at(-1)];
    t.ok((last?.descriptors ?? 0) <= (first?.descriptors ?? 0) + 5, "no descriptor is left behind");
    t.ok((last?.rss ?? 0) < 1.3 * (first?.rss ?? 0) + 10 * 1024, "nor is memory");
  },
);

t.test("frames of another invocation, and answers to nothing, change nothing", async (t) => {
  await using runtime = await TestRuntimeApi.open();
  // Every kind of frame for keys that are not under way: before the right answer, and once more when it is over.
  await using daemon = await BareDaemon.open(({ key }, event, say) => {
    for (const stray of [
      { ...key, nonce: "f".repeat(32) },
      { requestId: "nobody", nonce: "0".repeat(32) },
    ]) {
      say({ type: "position", key: stray, state: "running" });
      say({ type: "stream.start", key: stray, contentType: "text/plain" });
      say({ type: "stream.chunk", key: stray }, "wrong");
      say({ type: "stream.end", key: stray, errorType: "Wrong" }, "{}");
      say({ type: "answer", key: stray, status: "ok", contentType: "text/plain" }, "wrong");
    }
    say({ type: "answer", key, status: "ok", contentType: "application/json" }, event);
    say({ type: "answer", key, status: "ok", contentType: "text/plain" }, "again");
    say({ type: "stream.start", key, contentType: "text/plain" });
    say({ type: "stream.chunk", key }, "again");
    say({ type: "stream.end", key });
  });
  await using _stub = new StubProcess({ runtimeApi: runtime.address, port: daemon.port });
  for (let round = 0; round < 50; round += 1) {
    t.equal((await runtime.invoke(`${round}`)).body.toString(), `${round}`);
  }
  t.equal(runtime.strays, 0);
  t.equal(daemon.connections, 1);
});
