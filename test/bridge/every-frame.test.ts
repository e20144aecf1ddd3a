/**
 * The connection breaks at every type of frame, in both directions: before the peer has it, when the peer has it and
 * its ack is lost, and when the ack has arrived. Each event is answered once and run once.
 */
import { once } from "node:events";

import t, { type Test } from "tap";

import { deferred } from "../../daemon/lib/scope.ts";
import { FRAME_CODES } from "../../proto/frames.ts";
import { hopsTo } from "../../daemon/tunnel/hops.ts";
import { openWayIn } from "../../daemon/tunnel/inward.ts";
import { Ssh } from "../../daemon/tunnel/ssh.ts";
import { Traffic } from "../../daemon/tunnel/traffic.ts";
import { counted, times } from "../support/counts.ts";
import { type Cut, FrameProxy, type Phase, PHASES } from "../support/frame-proxy.ts";
import { TestRuntimeApi } from "../support/runtime-api.ts";
import { Sshd, sshdMissing } from "../tunnel/sshd.ts";
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

const none = () => ({ cuts: 0, sent: 0, answered: 0, executed: 0, refused: 0, cancelled: 0 });
let total = none();

/** `by`: another port that leads to the bridge's. */
async function open(functionName: string, by = (port: number) => Promise.resolve(port)) {
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
  const proxy = await FrameProxy.open({ target: await by(portOf(bridge)), key: KEY, keyId: KEY_ID });
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

async function everyFrame(
  t: Test,
  phases: readonly Phase[],
  where: string,
  by?: (port: number) => Promise<number>,
): Promise<void> {
  total = none();
  await using made = await open("api", by);
  for (const { way, ...frame } of FRAMES) {
    if (way === "refuse") continue;
    for (const phase of phases) await round(t, made, { ...frame, phase }, way);
  }
  t.equal(made.runtime.strays, 0, "nothing is answered twice");
  await made.runtime.invoke('"answer"');
  t.equal(made.bridge.sandboxes, 1);
  for (const phase of phases) {
    await using stranger = await open("stranger", by);
    await round(t, stranger, { type: "refuse", to: "stub", phase }, "refuse");
    t.equal(stranger.runtime.strays, 0);
  }
  const { cuts, sent, answered, executed, refused, cancelled } = total;
  counted(
    t,
    `${cuts} cuts${where}: ${sent} sent, ${answered} answered (${cancelled} to callers that left), ${executed} executed, ${refused} refused`,
  );
  t.equal(answered, sent);
  t.equal(executed, sent - refused);
}

t.test("cut at every type of frame, both ways, at three moments: run once, answered once", async (t) => {
  t.same(
    new Set(FRAMES.map(({ type }) => type)),
    new Set(Object.keys(FRAME_CODES)),
    "every type of frame is there",
  );
  await everyFrame(t, PHASES, "");
});

t.test("and so where the way is an SSH connection", { skip: sshdMissing }, async (t) => {
  await using sshd = await Sshd.open();
  const machine = sshd.machine({ known_hosts: sshd.known() });
  const bastion = {
    host: "127.0.0.1",
    port: sshd.port,
    user: sshd.user,
    key: sshd.file("id"),
    ranges: [],
    names: [],
  };
  const over = new AbortController();
  const hops = hopsTo({ ...bastion, listen: { first: 7470, last: 7499 } }, machine);
  await using ssh = await Ssh.open(hops, over.signal);
  const key = { keyId: KEY_ID, key: Buffer.from(KEY, "hex") };
  const ports = { first: 7470, last: 7499, seed: 0 };
  await everyFrame(
    t,
    times(3, 1) === 3 ? PHASES : ["unacked"],
    " of connections by SSH",
    async (bridgePort) => {
      const settings = { ...ports, ...key, bridgePort };
      return (await openWayIn(ssh, settings, "127.0.0.1", new Traffic(), over.signal)).port;
    },
  );
});
