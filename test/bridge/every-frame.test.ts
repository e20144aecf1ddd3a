/**
 * The connection breaks at every type of frame, in both directions: before the peer has it, when the peer has it and
 * its ack is lost, and when the ack has arrived. Each event is answered once and run once.
 */
import { once } from "node:events";

import t, { type Test } from "tap";

import { deferred } from "../../daemon/lib/scope.ts";
import { FRAME_CODES } from "../../proto/frames.ts";
import { counted } from "../support/counts.ts";
import { type Cut, FrameProxy, PHASES } from "../support/frame-proxy.ts";
import { TestRuntimeApi } from "../support/runtime-api.ts";
import { KEY, KEY_ID, ok, openBridge, portOf, streamed, StubProcess } from "../support/stub.ts";

/** How an invocation goes that has frames of these types. */
type Way = "answer" | "stream" | "reconnect" | "goodbye" | "cancel" | "refuse";

const FRAMES: readonly (Pick<Cut, "type" | "to"> & { readonly way: Way })[] = [
  { type: "invoke", to: "daemon", way: "answer" },
  { type: "ack", to: "daemon", way: "answer" },
  { type: "ack", to: "daemon", way: "stream" },
  { type: "hello", to: "daemon", way: "reconnect" },
  { type: "cancel", to: "daemon", way: "cancel" },
  { type: "welcome", to: "stub", way: "reconnect" },
  { type: "refuse", to: "stub", way: "refuse" },
  { type: "ack", to: "stub", way: "answer" },
  { type: "position", to: "stub", way: "answer" },
  { type: "answer", to: "stub", way: "answer" },
  { type: "stream.start", to: "stub", way: "stream" },
  { type: "stream.chunk", to: "stub", way: "stream" },
  { type: "stream.end", to: "stub", way: "stream" },
  { type: "goodbye", to: "stub", way: "goodbye" },
];

const total = { cuts: 0, sent: 0, answered: 0, executed: 0, refused: 0, cancelled: 0 };

async function open(functionName: string) {
  const runtime = await TestRuntimeApi.open();
  const gone = deferred<string>();
  const rig = { cutAll: () => {}, gone };
  const bridge = await openBridge({
    functionKnown: (name) => name === "api",
    receive: async (invocation) => {
      const way = JSON.parse(Buffer.from(invocation.event).toString()) as Way;
      invocation.position("queued");
      invocation.position("running");
      if (way === "reconnect") rig.cutAll();
      if (way === "goodbye") await bridge.goodbye("restarting");
      if (way !== "stream" && way !== "cancel") return invocation.deliver(ok(invocation.event));
      const chunks = async function* () {
        yield Buffer.from("one ");
        if (way === "cancel") await once(invocation.signal, "abort");
        yield Buffer.from("two");
      };
      await invocation.deliver(streamed(chunks())).catch((error: { code: string }) => {
        rig.gone.resolve(error.code);
      });
    },
  });
  const proxy = await FrameProxy.open({ target: portOf(bridge), key: KEY, keyId: KEY_ID });
  rig.cutAll = () => proxy.cutAll();
  const stub = new StubProcess({
    runtimeApi: runtime.address,
    port: proxy.port,
    settings: { functionName },
  });
  return {
    runtime,
    bridge,
    proxy,
    rig,
    async [Symbol.asyncDispose]() {
      for (const part of [stub, runtime, proxy, bridge]) await part[Symbol.asyncDispose]();
    },
  };
}

/** One event with one cut; says what came of it. */
async function round(t: Test, made: Awaited<ReturnType<typeof open>>, cut: Cut, way: Way): Promise<void> {
  const { runtime, bridge, proxy, rig } = made;
  const name = `${cut.type} to the ${cut.to}, ${cut.phase} (${way})`;
  // The connection of the round before is replaced by now.
  if (way !== "refuse") await runtime.invoke('"answer"');
  const [executed, cuts] = [bridge.seen.length, proxy.cuts];
  rig.gone = deferred<string>();
  proxy.cut = cut;
  total.sent += 1;
  const posted = await runtime.invoke(JSON.stringify(way), { leaves: way === "cancel" });
  total.answered += 1;
  if (way === "cancel") {
    t.equal(await rig.gone.promise, "bridge.cancelled", `${name}: the handler is told that the caller left`);
    total.cancelled += 1;
  } else if (way === "stream") {
    t.equal(posted.body.toString(), "one two", `${name}: the whole stream`);
    t.notOk(posted.trailers["lambda-runtime-function-error-type"]);
  } else if (way === "refuse") {
    t.match(posted.body.toString(), /Livedev\.(Refused|Away)/, `${name}: an error`);
    total.refused += 1;
  } else {
    t.equal(posted.body.toString(), JSON.stringify(way), `${name}: its answer`);
  }
  const ran = bridge.seen.length - executed;
  t.equal(ran, way === "refuse" ? 0 : 1, `${name}: executed`);
  total.executed += ran;
  // What the stub says last of all may still be on its way, and with it the cut.
  while (proxy.cuts === cuts) await new Promise((resolve) => setTimeout(resolve, 2));
  total.cuts += 1;
  t.equal(proxy.cut, undefined, `${name}: the cut was made`);
}

t.test("cut at every type of frame, both ways, at three moments: run once, answered once", async (t) => {
  t.same(
    new Set(FRAMES.map(({ type }) => type)),
    new Set(Object.keys(FRAME_CODES)),
    "every type of frame is there",
  );
  await using made = await open("api");
  for (const { way, ...frame } of FRAMES) {
    if (way === "refuse") continue;
    for (const phase of PHASES) await round(t, made, { ...frame, phase }, way);
  }
  t.equal(made.runtime.strays, 0, "nothing is answered twice");
  await made.runtime.invoke('"answer"');
  t.equal(made.bridge.sandboxes, 1);
  for (const phase of PHASES) {
    await using stranger = await open("stranger");
    await round(t, stranger, { type: "refuse", to: "stub", phase }, "refuse");
    t.equal(stranger.runtime.strays, 0);
  }
  const { cuts, sent, answered, executed, refused, cancelled } = total;
  counted(
    t,
    `${cuts} cuts: ${sent} sent, ${answered} answered (${cancelled} to callers that left), ${executed} executed, ${refused} refused`,
  );
  t.equal(answered, sent);
  t.equal(executed, sent - refused);
});
