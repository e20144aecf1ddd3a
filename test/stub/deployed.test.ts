/** `whenAway: "deployed"`: nobody develops the stage, and the code of the last real deploy answers from the package. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";

import t, { type Test } from "tap";

import { freePort } from "../support/free-port.ts";
import { PROGRAMS } from "../../daemon/lib/programs.ts";
import { CutProxy } from "../support/cut-proxy.ts";
import { knockOf } from "../../proto/knock.ts";
import { TestRuntimeApi } from "../support/runtime-api.ts";
import { ok, openBridge, portOf, StubProcess } from "../support/stub.ts";

const CODE = `
let count = 0;
export const handler = async (event, context) => {
  count += 1;
  if (event.dies) process.exit(7);
  if (event.throws) throw new TypeError("no");
  return { deployed: true, count, requestId: context.awsRequestId, n: event.n };
};
export const stream = awslambda.streamifyResponse(async (event, out) => {
  out.write("deployed ");
  out.end("stream");
});
export const broken = 1;
`;

/** A package with the code in it, and the runtime's own command, as Lambda hands it to the wrapper. */
function deployed(t: Test, handler = "handler") {
  const root = mkdtempSync(join(tmpdir(), "livedev-deployed-"));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  writeFileSync(join(root, "index.mjs"), CODE);
  return {
    settings: { whenAway: "deployed" },
    command: [process.execPath, PROGRAMS.runner],
    env: { _HANDLER: `index.${handler}`, LAMBDA_TASK_ROOT: root, AWS_LAMBDA_FUNCTION_NAME: "api" },
  };
}

const bodyOf = ({ body }: { body: Buffer }) => JSON.parse(body.toString()) as Record<string, unknown>;

t.test("nobody there: the deployed code answers, in one process for all events", async (t) => {
  await using runtime = await TestRuntimeApi.open();
  await using _stub = new StubProcess({
    runtimeApi: runtime.address,
    port: await freePort(),
    ...deployed(t),
  });
  t.same(bodyOf(await runtime.invoke('{"n":1}')), {
    deployed: true,
    count: 1,
    requestId: "request-1",
    n: 1,
  });
  t.match(bodyOf(await runtime.invoke('{"n":2}')), { count: 2, n: 2 });
  const thrown = await runtime.invoke('{"throws":true}');
  t.equal(thrown.to, "error");
  t.match(bodyOf(thrown), { errorType: "TypeError", errorMessage: "no" });
  t.match(bodyOf(await runtime.invoke("{}")), { count: 4 });
  const knock = await runtime.invoke(knockOf({ at: Date.now(), mac: "00" }));
  t.equal(
    knock.headers["lambda-runtime-function-error-type"],
    "Livedev.Away",
    "livedevd's own is not for it",
  );

  const died = await runtime.invoke('{"dies":true}');
  t.equal(died.headers["lambda-runtime-function-error-type"], "Runtime.ExitError");
  t.match(bodyOf(died), { errorMessage: /exit status 7/ });
  t.match(bodyOf(await runtime.invoke("{}")), { count: 1 }, "and another process serves the next one");
  t.equal(runtime.strays, 0);
});

t.test("the deployed code streams, and its init error is the event's error", async (t) => {
  await using runtime = await TestRuntimeApi.open();
  await using _stub = new StubProcess({
    runtimeApi: runtime.address,
    port: await freePort(),
    ...deployed(t, "stream"),
  });
  const posted = await runtime.invoke("{}");
  t.equal(posted.headers["lambda-runtime-function-response-mode"], "streaming");
  t.equal(posted.body.toString(), "deployed stream");

  await using other = await TestRuntimeApi.open();
  await using _broken = new StubProcess({
    runtimeApi: other.address,
    port: await freePort(),
    ...deployed(t, "missing"),
  });
  for (let round = 0; round < 2; round += 1) {
    const failed = await other.invoke("{}");
    t.equal(failed.to, "error");
    t.match(bodyOf(failed), { errorType: /Runtime\./ });
  }
  t.equal(other.strays, 0);
});

t.test("somebody is there: the event goes to them, and the deployed code does not start", async (t) => {
  await using runtime = await TestRuntimeApi.open();
  await using bridge = await openBridge({ receive: (invocation) => invocation.deliver(ok('"live"')) });
  await using _stub = new StubProcess({
    runtimeApi: runtime.address,
    port: portOf(bridge),
    ...deployed(t),
  });
  t.equal((await runtime.invoke("{}")).body.toString(), '"live"');
});

t.test("an event that livedevd may have is not given to the deployed code as well", async (t) => {
  await using runtime = await TestRuntimeApi.open();
  let taken = () => {};
  const received = new Promise<void>((resolve) => (taken = resolve));
  await using bridge = await openBridge({
    receive: async (invocation) => {
      taken();
      await once(invocation.signal, "abort");
    },
    graceMs: 100,
  });
  await using proxy = await CutProxy.open(portOf(bridge));
  await using _stub = new StubProcess({ runtimeApi: runtime.address, port: proxy.port, ...deployed(t) });
  const invoked = runtime.invoke("{}", { timeoutMs: 1_000 });
  await received;
  await proxy.refuse();
  t.match(bodyOf(await invoked), { errorType: "Livedev.OutcomeUnknown" });
  t.match(
    bodyOf(await runtime.invoke("{}")),
    { deployed: true, count: 1 },
    "the next one is, for the first time",
  );
  await proxy.accept();
});
