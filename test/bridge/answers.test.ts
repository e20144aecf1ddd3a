import t from "tap";

import { errorAnswer, StreamError } from "../../proto/answer.ts";
import { TestRuntimeApi } from "../support/runtime-api.ts";
import { ok, openBridge, portOf, streamed, StubProcess } from "../support/stub.ts";

t.test("an event goes to the daemon byte for byte, and the answer comes back the same way", async (t) => {
  await using runtime = await TestRuntimeApi.open();
  await using bridge = await openBridge({
    receive: (invocation) => invocation.deliver(ok(invocation.event)),
  });
  await using _stub = new StubProcess({ runtimeApi: runtime.address, port: portOf(bridge) });

  const text = '{"id":12345678901234567890,"2":1,"1":2, "f":1.0}';
  const posted = await runtime.invoke(text, {
    headers: {
      "lambda-runtime-client-context": '{"custom":{"a":1}}',
      "lambda-runtime-cognito-identity": "{}",
    },
  });
  t.equal(posted.to, "response");
  t.equal(posted.body.toString(), text);
  t.equal(posted.headers["content-type"], "application/json");

  const [invocation] = bridge.seen;
  t.match(invocation, {
    key: { requestId: "request-1", nonce: /^[0-9a-f]{32}$/ },
    functionName: "api",
    functionArn: "arn:aws:lambda:eu-west-1:123456789012:function:shop-dev-api",
    traceId: "Root=1-5e1b4151;Sampled=1",
    clientContext: '{"custom":{"a":1}}',
    cognitoIdentity: "{}",
  });
  t.ok((invocation?.remainingMs() ?? 0) > 25_000 && (invocation?.remainingMs() ?? 0) <= 30_000);
  t.strictSame(invocation?.environment, { AWS_REGION: "eu-west-1", _HANDLER: "index.handler" });
  t.match(bridge.events, [{ type: "sandbox.connected", functionName: "api", resumed: false }]);
  t.equal(bridge.sandboxes, 1);
});

t.test("deliver() resolves when the stub has acked, before the caller has the answer", async (t) => {
  await using runtime = await TestRuntimeApi.open();
  const order: string[] = [];
  await using bridge = await openBridge({
    receive: async (invocation) => {
      invocation.position("queued");
      invocation.position("running");
      await invocation.deliver(ok("1"));
      order.push("delivered");
    },
  });
  await using _stub = new StubProcess({ runtimeApi: runtime.address, port: portOf(bridge) });
  await runtime.invoke("{}");
  await runtime.invoke("{}");
  t.ok(order.length >= 1, "the first was delivered before the second was asked for");
});

t.test("the user's error arrives in Lambda's shape, and is an error", async (t) => {
  await using runtime = await TestRuntimeApi.open();
  await using bridge = await openBridge({
    receive: (invocation) => invocation.deliver(errorAnswer("handler", "TypeError", "no", ["at x"])),
  });
  await using _stub = new StubProcess({ runtimeApi: runtime.address, port: portOf(bridge) });
  const posted = await runtime.invoke("{}");
  t.equal(posted.to, "error");
  t.equal(posted.headers["lambda-runtime-function-error-type"], "TypeError");
  t.strictSame(JSON.parse(posted.body.toString()), {
    errorType: "TypeError",
    errorMessage: "no",
    stackTrace: ["at x"],
  });
});

t.test("6 MB go both ways in one piece", async (t) => {
  await using runtime = await TestRuntimeApi.open();
  await using bridge = await openBridge({
    receive: (invocation) => invocation.deliver(ok(invocation.event)),
  });
  await using _stub = new StubProcess({ runtimeApi: runtime.address, port: portOf(bridge) });
  const event = Buffer.alloc(6 * 1024 * 1024, "livedev ");
  const posted = await runtime.invoke(event);
  t.ok(posted.body.equals(event));
});

t.test("a stream flows as it is written, larger than what may be unacked", async (t) => {
  await using runtime = await TestRuntimeApi.open();
  let first: (() => void) | undefined;
  const firstArrived = new Promise<void>((resolve) => (first = resolve));
  const big = Buffer.alloc(3 * 1024 * 1024, 7);
  await using bridge = await openBridge({
    receive: (invocation) =>
      invocation.deliver(
        streamed(
          (async function* () {
            yield Buffer.from("begin");
            // Hangs unless the first chunk has reached the caller by now.
            await firstArrived;
            yield big;
            yield Buffer.from("end");
          })(),
          "application/vnd.awslambda.http-integration-response",
        ),
      ),
  });
  await using _stub = new StubProcess({ runtimeApi: runtime.address, port: portOf(bridge) });
  const posted = await runtime.invoke("{}", { chunk: () => first?.() });
  t.equal(posted.headers["lambda-runtime-function-response-mode"], "streaming");
  t.equal(posted.headers["content-type"], "application/vnd.awslambda.http-integration-response");
  t.ok(posted.body.equals(Buffer.concat([Buffer.from("begin"), big, Buffer.from("end")])));
  t.notOk(posted.trailers["lambda-runtime-function-error-type"]);
});

t.test("an error in mid-stream arrives in Lambda's trailers", async (t) => {
  await using runtime = await TestRuntimeApi.open();
  await using bridge = await openBridge({
    receive: (invocation) =>
      invocation.deliver(
        streamed(
          (async function* () {
            yield Buffer.from("half");
            throw new StreamError("Error", Buffer.from('{"errorMessage":"torn"}'));
          })(),
        ),
      ),
  });
  await using _stub = new StubProcess({ runtimeApi: runtime.address, port: portOf(bridge) });
  const posted = await runtime.invoke("{}");
  t.equal(posted.body.toString(), "half");
  t.equal(posted.trailers["lambda-runtime-function-error-type"], "Error");
  t.equal(
    Buffer.from(posted.trailers["lambda-runtime-function-error-body"] ?? "", "base64").toString(),
    '{"errorMessage":"torn"}',
  );
  t.equal((await runtime.invoke("{}")).body.toString(), "half", "the stub goes on");
});

t.test("the writer of a stream is held back while the caller does not read", async (t) => {
  await using runtime = await TestRuntimeApi.open();
  await using other = await TestRuntimeApi.open();
  const chunk = 128 * 1024;
  let written = 0;
  let release: (() => void) | undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  await using bridge = await openBridge({
    receive: (invocation) => {
      if (Buffer.from(invocation.event).toString() === '"other"') return invocation.deliver(ok("1"));
      return invocation.deliver(
        streamed(
          (async function* () {
            for (; written < 400 * chunk; written += chunk) yield Buffer.alloc(chunk, written);
          })(),
        ),
      );
    },
  });
  await using _stub = new StubProcess({ runtimeApi: runtime.address, port: portOf(bridge) });
  await using _other = new StubProcess({ runtimeApi: other.address, port: portOf(bridge) });
  const invoked = runtime.invoke("{}", { chunk: () => released });
  // Time enough for all of the stream, if nothing held it back; and others are served meanwhile.
  for (let round = 0; round < 200; round += 1) await other.invoke('"other"');
  t.ok(written > 0 && written < 30 * 1024 * 1024, `${written} bytes were taken from the writer`);
  release?.();
  t.equal((await invoked).body.length, 400 * chunk);
});

t.test("two sandboxes at once keep their answers apart", async (t) => {
  await using one = await TestRuntimeApi.open();
  await using two = await TestRuntimeApi.open();
  await using bridge = await openBridge({
    receive: (invocation) => invocation.deliver(ok(invocation.event)),
  });
  await using _first = new StubProcess({ runtimeApi: one.address, port: portOf(bridge) });
  await using _second = new StubProcess({ runtimeApi: two.address, port: portOf(bridge) });
  for (let round = 0; round < 20; round += 1) {
    const answers = await Promise.all([one.invoke(`"one ${round}"`), two.invoke(`"two ${round}"`)]);
    t.strictSame(
      answers.map((answer) => answer.body.toString()),
      [`"one ${round}"`, `"two ${round}"`],
    );
  }
  t.equal(bridge.sandboxes, 2);
});

t.test("an invocation that fails inside the daemon is answered with an error", async (t) => {
  await using runtime = await TestRuntimeApi.open();
  await using bridge = await openBridge({ receive: () => Promise.reject(new Error("a bug")) });
  await using _stub = new StubProcess({ runtimeApi: runtime.address, port: portOf(bridge) });
  const posted = await runtime.invoke("{}");
  t.equal(posted.to, "error");
  t.match(JSON.parse(posted.body.toString()), { errorType: "Livedev.InternalError", errorMessage: /a bug/ });
});
