/** The whole way but for the workers: AWS's SDK, the local cloud, the stub as it is deployed, the bridge. */
import { InvokeCommand } from "@aws-sdk/client-lambda";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";

import { deferred } from "../../daemon/lib/scope.ts";
import { TestCloud } from "../cloud/rig.ts";
import { openDeploy, wantedApp, wantedFunction, type DeployPlace } from "../deploy/rig.ts";
import { KEY, KEY_ID, ok, openBridge, portOf, streamed, type TestBridge } from "../support/stub.ts";

const cloud = await TestCloud.open(t, "--concurrency", "3");
const PLACE: DeployPlace = {
  serving: cloud.serving,
  app: "shop",
  stage: "dev",
  journalFile: join(cloud.stateDir, "journal.db"),
};
const URL = { authorization: "none" } as const;

let count = 0;

/** A function of its own whose stub knows this bridge. */
async function deployed(t: Test, bridge: TestBridge, more: Parameters<typeof wantedFunction>[1] = {}) {
  const rig = await openDeploy({ ...PLACE, journalFile: `${PLACE.journalFile}-${(count += 1)}` });
  t.teardown(() => rig.close());
  rig.bridge.addresses = [{ address: `tls://127.0.0.1:${portOf(bridge)}`, match: "*" }];
  rig.bridge.key = Buffer.from(KEY, "hex");
  rig.bridge.keyId = KEY_ID;
  const { functions } = await rig.deploy.apply(
    wantedApp(PLACE, [wantedFunction("api", { url: URL, ...more })]),
  );
  const { url = "", nameInAws = "" } = functions["api"] ?? {};
  return { url, name: nameInAws };
}

void t.test("an event reaches the bridge byte for byte, and the answer its caller", async (t) => {
  const bridge = await openBridge({ receive: (invocation) => invocation.deliver(ok(invocation.event)) });
  t.teardown(() => bridge[Symbol.asyncDispose]());
  const { name } = await deployed(t, bridge);
  const text = '{"n":12345678901234567890, "10":1, "2":2}';
  const output = await cloud.lambda().send(new InvokeCommand({ FunctionName: name, Payload: text }));
  t.equal(Buffer.from(output.Payload ?? []).toString(), text);
  const [seen] = bridge.seen;
  t.match(seen, { key: { requestId: output.$metadata.requestId }, functionName: "api" });
});

void t.test("one connection serves a sandbox over all its freezes", async (t) => {
  const bridge = await openBridge({ receive: (invocation) => invocation.deliver(ok('"warm"')) });
  t.teardown(() => bridge[Symbol.asyncDispose]());
  const { name } = await deployed(t, bridge);
  for (let turn = 0; turn < 5; turn += 1) {
    t.equal((await cloud.invoke(name)).value, "warm");
    const { functions } = await cloud.until((status) =>
      status.functions.every(({ name: other, idle }) => other !== name || idle === 1),
    );
    t.equal(functions.find(({ name: other }) => other === name)?.idle, 1);
    if (process.platform === "linux")
      await cloud.until(() => stubs(cloud).every((pid) => stateOf(pid) === "T"));
  }
  t.equal(bridge.events.filter(({ type }) => type === "sandbox.connected").length, 1);
});

void t.test("under concurrency there are more sandboxes, each with a connection of its own", async (t) => {
  const all = deferred<void>();
  const bridge: TestBridge = await openBridge({
    receive: async (invocation) => {
      if (bridge.seen.length === 3) all.resolve();
      await all.promise;
      await invocation.deliver(ok("1"));
    },
  });
  t.teardown(() => bridge[Symbol.asyncDispose]());
  const { name } = await deployed(t, bridge);
  const answers = await Promise.all([1, 2, 3].map(() => cloud.invoke(name)));
  t.same(
    answers.map(({ value }) => value),
    [1, 1, 1],
  );
  t.equal(bridge.events.filter(({ type }) => type === "sandbox.connected").length, 3);
});

void t.test("a streaming URL passes pieces on as they come", async (t) => {
  const go = deferred<void>();
  async function* pieces() {
    yield Buffer.from("first ");
    await go.promise;
    yield Buffer.from("second");
  }
  const bridge = await openBridge({
    receive: (invocation) => invocation.deliver(streamed(pieces())),
  });
  t.teardown(() => bridge[Symbol.asyncDispose]());
  const { url } = await deployed(t, bridge, { url: { ...URL, streaming: true } });
  const reader = (await fetch(url)).body!.getReader();
  t.equal(Buffer.from((await reader.read()).value ?? []).toString(), "first ");
  go.resolve();
  t.equal(Buffer.from((await reader.read()).value ?? []).toString(), "second");
});

void t.test(
  "when the bridge is gone its callers are told at once; when it is back, it is used again",
  async (t) => {
    const first = await openBridge({ receive: (invocation) => invocation.deliver(ok("1")) });
    const { url, name } = await deployed(t, first);
    t.equal((await cloud.invoke(name)).value, 1);
    const port = portOf(first);
    await first[Symbol.asyncDispose]();
    const away = await fetch(url);
    t.equal(away.status, 503);
    t.match(await cloud.invoke(name), { error: "Unhandled", value: { errorType: "Livedev.Away" } });
    const second = await openBridge({
      port,
      epoch: "epoch-2",
      receive: (invocation) => invocation.deliver(ok("2")),
    });
    t.teardown(() => second[Symbol.asyncDispose]());
    t.equal((await cloud.invoke(name)).value, 2);
  },
);

void t.test("the function's own timeout ends an invocation that the bridge never answers", async (t) => {
  const bridge = await openBridge({ receive: () => new Promise(() => {}) });
  t.teardown(() => bridge[Symbol.asyncDispose]());
  const { name } = await deployed(t, bridge, { timeoutMs: 1000 });
  t.match(await cloud.invoke(name), { error: "Unhandled", value: { errorMessage: /timed out/i } });
});

/** The cloud's stubs, by their command. */
function stubs(of: TestCloud): number[] {
  return of.processes().flatMap(({ pid, command }) => (command.includes("livedev-stub.mjs") ? [pid] : []));
}

function stateOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).charAt(0);
  } catch {
    return undefined;
  }
}

void t.test("away at a URL that streams: a 503, and not a 200 whose body says so", async (t) => {
  const bridge = await openBridge({ receive: (invocation) => invocation.deliver(ok('"here"')) });
  const { url, name } = await deployed(t, bridge, { url: { ...URL, streaming: true } });
  t.equal((await fetch(url)).status, 200);
  await bridge[Symbol.asyncDispose]();
  const response = await fetch(url);
  t.equal(response.status, 503);
  t.match(response.headers.get("content-type"), /text\/plain/);
  t.match(await response.text(), /livedevd start/);
  // Invoked, it is the error that it always was.
  t.match(await cloud.invoke(name), { error: "Unhandled", value: { errorType: "Livedev.Away" } });
});
