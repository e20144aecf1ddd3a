import { createServer, type AddressInfo } from "node:net";

import t from "tap";

import { freePort } from "../support/free-port.ts";
import { shapeOf, unavailable } from "../../stub/away.ts";
import { TestRuntimeApi } from "../support/runtime-api.ts";
import { StubProcess } from "../support/stub.ts";

const EVENTS = {
  url: { version: "2.0", routeKey: "$default", rawPath: "/", requestContext: { http: { method: "GET" } } },
  http2: { version: "2.0", routeKey: "GET /", rawPath: "/", requestContext: { http: { method: "GET" } } },
  http1: { resource: "/", path: "/", httpMethod: "GET", requestContext: { stage: "dev" } },
  alb: { path: "/", httpMethod: "GET", headers: {}, requestContext: { elb: { targetGroupArn: "arn" } } },
  albMulti: {
    path: "/",
    httpMethod: "GET",
    multiValueHeaders: {},
    requestContext: { elb: { targetGroupArn: "arn" } },
  },
  sqs: { Records: [{ eventSource: "aws:sqs", body: "{}" }] },
  webSocket: { requestContext: { connectionId: "c", eventType: "MESSAGE" }, body: "" },
  authorizer: {
    type: "REQUEST",
    methodArn: "arn",
    path: "/",
    httpMethod: "GET",
    requestContext: { stage: "dev" },
  },
  plain: { name: "x" },
};

/** Of three, since this machine may be busy with other tests; it ends with the first that is under the bar. */
async function fastest(runtime: TestRuntimeApi, event: string) {
  for (let attempt = 1; ; attempt += 1) {
    const began = performance.now();
    const posted = await runtime.invoke(event);
    const tookMs = performance.now() - began;
    if (tookMs < 100 || attempt === 3) return { posted, tookMs };
  }
}

t.test("nobody there: HTTP events get a valid 503, all others an error, within 100 ms", async (t) => {
  await using runtime = await TestRuntimeApi.open();
  await using _stub = new StubProcess({ runtimeApi: runtime.address, port: await freePort() });
  await runtime.invoke("{}");
  for (const name of ["url", "http2", "http1", "alb", "albMulti"] as const) {
    const { posted, tookMs } = await fastest(runtime, JSON.stringify(EVENTS[name]));
    t.ok(tookMs < 100, `${name} took ${tookMs.toFixed(0)} ms`);
    t.equal(posted.to, "response");
    const response = JSON.parse(posted.body.toString());
    t.match(response, { statusCode: 503, body: /shop, stage dev.*livedevd start/, isBase64Encoded: false });
    if (name === "alb") t.equal(response.statusDescription, "503 Service Unavailable");
    if (name === "albMulti") t.match(response.multiValueHeaders, { "content-type": [/text\/plain/] });
    else t.match(response.headers, { "content-type": /text\/plain/ });
  }
  for (const name of ["sqs", "webSocket", "authorizer", "plain"] as const) {
    const { posted, tookMs } = await fastest(runtime, JSON.stringify(EVENTS[name]));
    t.ok(tookMs < 100, `${name} took ${tookMs.toFixed(0)} ms`);
    t.equal(posted.to, "error");
    t.equal(posted.headers["lambda-runtime-function-error-type"], "Livedev.Away");
    t.match(JSON.parse(posted.body.toString()), {
      errorType: "Livedev.Away",
      errorMessage: /livedevd start/,
    });
  }
});

t.test("a URL that streams gets its 503 as a stream begins: status and headers, then the body", async (t) => {
  await using runtime = await TestRuntimeApi.open();
  const settings = { streamingUrl: true };
  await using _stub = new StubProcess({ runtimeApi: runtime.address, port: await freePort(), settings });
  const request = (apiId: string, domainName: string) =>
    JSON.stringify({ ...EVENTS.url, requestContext: { apiId, domainName, http: { method: "GET" } } });
  for (const event of [
    request("abc", "abc.lambda-url.eu-west-1.on.aws"),
    // On the local cloud.
    request("127.0.0.1", "127.0.0.1:4000"),
  ]) {
    const posted = await runtime.invoke(event);
    t.match(posted, {
      to: "response",
      headers: {
        "content-type": "application/vnd.awslambda.http-integration-response",
        "lambda-runtime-function-response-mode": "streaming",
      },
      trailers: {},
    });
    const end = posted.body.indexOf(Buffer.alloc(8));
    t.match(JSON.parse(posted.body.subarray(0, end).toString()), {
      statusCode: 503,
      headers: { "content-type": /text\/plain/ },
    });
    t.match(posted.body.subarray(end + 8).toString(), /livedevd start/);
  }
  // The same function behind an API, or invoked: nobody there reads a stream's beginning.
  for (const event of [
    request("abc", "abc.execute-api.eu-west-1.amazonaws.com"),
    request("abc", "shop.example.com"),
    JSON.stringify(EVENTS.alb),
  ]) {
    const posted = await runtime.invoke(event);
    t.match(JSON.parse(posted.body.toString()), { statusCode: 503 });
  }
  t.equal((await runtime.invoke(JSON.stringify(EVENTS.sqs))).to, "error");
});

t.test("an event that is no JSON, or none at all, is not taken for a request", async (t) => {
  for (const event of ["", "null", "1", "[]", '{"requestContext":null}', "{", "\u0000"]) {
    t.equal(shapeOf(Buffer.from(event)), "other");
    t.equal(unavailable(Buffer.from(event), "Livedev.Away", "x").status, "error");
  }
});

t.test("a port that takes the connection and says nothing is away after a bounded time", async (t) => {
  const silent = createServer();
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  t.teardown(() => new Promise((resolve) => silent.close(resolve)));
  silent.on("connection", (socket) => {
    socket.on("error", () => {});
    t.teardown(() => socket.destroy());
  });
  await using runtime = await TestRuntimeApi.open();
  await using _stub = new StubProcess({
    runtimeApi: runtime.address,
    port: (silent.address() as AddressInfo).port,
  });
  const posted = await runtime.invoke("{}", { timeoutMs: 800 });
  t.match(JSON.parse(posted.body.toString()), { errorType: "Livedev.Away" });
});
