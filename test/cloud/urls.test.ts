import {
  CreateFunctionUrlConfigCommand,
  UpdateFunctionConfigurationCommand,
  UpdateFunctionUrlConfigCommand,
} from "@aws-sdk/client-lambda";
import { request, type IncomingHttpHeaders } from "node:http";
import t from "tap";

import { signRequest } from "../../daemon/cloud/sigv4.ts";
import { openListener } from "./listener.ts";
import { ECHO, TestCloud } from "./rig.ts";

const cloud = await TestCloud.open(t);
const lambda = cloud.lambda();

type Answer = { status: number; headers: IncomingHttpHeaders; body: Buffer };

/** Node's own client: it sends exactly the headers that it is given. */
function call(
  url: string,
  options: { method?: string; headers?: Record<string, string | string[]>; body?: string | Buffer } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { method = "GET", headers = {}, body } = options;
    const outgoing = request(url, { method, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks),
        }),
      );
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

const parsed = ({ body }: Answer) => JSON.parse(body.toString());

void t.test("a request becomes an event of payload 2.0", async (t) => {
  const url = await cloud.url(await cloud.function(ECHO));
  const { host, port } = new URL(url);
  const answer = await call(`${url}a%20path/é?x=1&x=2&y=%26&z`, {
    method: "POST",
    headers: {
      "content-type": "application/json; charset=utf-8",
      cookie: "one=1; two=2",
      "x-twice": ["a", "b"],
      "user-agent": "test",
    },
    body: '{"n": 12345678901234567890, "ü": 1}',
  });
  t.equal(answer.status, 200);
  const event = parsed(answer);
  t.match(event, {
    version: "2.0",
    routeKey: "$default",
    rawQueryString: "x=1&x=2&y=%26&z",
    cookies: ["one=1", "two=2"],
    headers: {
      host,
      "content-type": "application/json; charset=utf-8",
      "x-twice": "a,b",
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-port": port,
      "x-forwarded-proto": "http",
      "x-amzn-trace-id": /^Root=1-/,
    },
    queryStringParameters: { x: "1,2", y: "&", z: "" },
    requestContext: {
      accountId: "anonymous",
      domainName: host,
      http: { method: "POST", protocol: "HTTP/1.1", sourceIp: "127.0.0.1", userAgent: "test" },
      requestId: answer.headers["x-amzn-requestid"],
      routeKey: "$default",
      stage: "$default",
      time: /^\d\d\/\w{3}\/\d{4}:\d\d:\d\d:\d\d \+0000$/,
      timeEpoch: Number,
    },
    body: '{"n": 12345678901234567890, "ü": 1}',
    isBase64Encoded: false,
  });
  t.equal(event.headers.cookie, undefined, "cookies stand apart");
  t.equal(event.requestContext.http.path, event.rawPath);
  const bare = parsed(await call(url));
  t.same([bare.body, bare.cookies, bare.queryStringParameters], [undefined, undefined, undefined]);
  t.equal(bare.rawPath, "/");
});

void t.test("bytes go in as base64, and come back as bytes", async (t) => {
  const url = await cloud.url(
    await cloud.function({
      "index.js": `exports.handler = async ({ body, isBase64Encoded, headers }) =>
        ({ statusCode: 200, headers: { "content-type": headers["content-type"], "x-base64": String(isBase64Encoded) }, body, isBase64Encoded });`,
    }),
  );
  const bytes = Buffer.from([0, 255, 128, 10, 13, 200]);
  for (const type of ["application/octet-stream", "image/png", "application/x-www-form-urlencoded"]) {
    const answer = await call(url, { method: "PUT", headers: { "content-type": type }, body: bytes });
    t.equal(answer.headers["x-base64"], "true", type);
    t.ok(answer.body.equals(bytes), type);
  }
  const zipped = await call(url, {
    method: "PUT",
    headers: { "content-type": "text/plain", "content-encoding": "gzip" },
    body: bytes,
  });
  t.equal(zipped.headers["x-base64"], "true");
});

void t.test("what a function answers becomes a response", async (t) => {
  const url = await cloud.url(
    await cloud.function({
      "index.js": `exports.handler = async ({ body }) => { const asked = JSON.parse(body); if (asked.fail) throw new Error("no"); return asked.answer; };`,
    }),
  );
  const answered = (answer: unknown) =>
    call(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ answer }),
    });
  t.match(
    await answered({
      statusCode: 201,
      headers: { "X-Own": "1", "content-type": "text/plain" },
      cookies: ["a=1; Path=/", "b=2"],
      body: "made",
    }),
    {
      status: 201,
      headers: { "x-own": "1", "content-type": "text/plain", "set-cookie": ["a=1; Path=/", "b=2"] },
      body: Buffer.from("made"),
    },
  );
  const plain = await answered({ hello: "you" });
  t.match(plain, { status: 200, headers: { "content-type": "application/json" } });
  t.same(parsed(plain), { hello: "you" });
  t.equal((await answered("text")).body.toString(), '"text"');
  t.equal((await answered({ statusCode: 204 })).status, 204);
  const inferred = await answered({ statusCode: 200, body: "x" });
  t.equal(inferred.headers["content-type"], "application/json");
  for (const wrong of [
    { statusCode: 99 },
    { statusCode: "abc" },
    { statusCode: 200, headers: { a: {} } },
    { statusCode: 200, headers: { "a\nb": "x" } },
    { statusCode: 200, headers: { a: "x\r\nset-cookie: evil=1" } },
  ]) {
    const answer = await answered(wrong);
    t.match(answer, { status: 502, headers: { "set-cookie": undefined } }, JSON.stringify(wrong));
    t.same(parsed(answer), { Message: "Internal Server Error" });
  }
  const failed = await call(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ fail: true }),
  });
  t.equal(failed.status, 502);
});

void t.test("only its own names reach it", async (t) => {
  const url = await cloud.url(await cloud.function(ECHO));
  const { port } = new URL(url);
  for (const host of [
    "evil.example",
    `evil.example:${port}`,
    "127.0.0.1",
    `127.1:${port}`,
    `0.0.0.0:${port}`,
  ]) {
    t.equal((await call(url, { headers: { host } })).status, 403, host);
  }
  t.equal((await call(url, { headers: { host: `localhost:${port}` } })).status, 200);
});

void t.test("a URL that nobody was allowed to call is forbidden", async (t) => {
  const FunctionName = await cloud.function(ECHO);
  const { FunctionUrl = "" } = await lambda.send(
    new CreateFunctionUrlConfigCommand({ FunctionName, AuthType: "NONE" }),
  );
  const answer = await call(FunctionUrl);
  t.equal(answer.status, 403);
  t.same(parsed(answer), { Message: "Forbidden" });
});

void t.test("with AWS_IAM, a signature is asked for, and its owner stands in the event", async (t) => {
  const FunctionName = await cloud.function(ECHO);
  const url = await cloud.url(FunctionName, { AuthType: "AWS_IAM" });
  t.equal((await call(url)).status, 403);
  const target = new URL("/x?b=2&a=1", url);
  const { serving } = cloud;
  const headers = await signRequest({ method: "GET", url: target }, serving, serving.region, "lambda");
  const answer = await call(target.href, { headers });
  t.equal(answer.status, 200);
  t.match(parsed(answer).requestContext.authorizer.iam, {
    accessKey: serving.accessKeyId,
    accountId: serving.accountId,
    userArn: `arn:aws:iam::${serving.accountId}:root`,
  });
  t.equal((await call(`${target.href}&c=3`, { headers })).status, 403, "another query than was signed");
});

void t.test("CORS is answered as the config says, preflights without the function", async (t) => {
  const Cors = {
    AllowOrigins: ["https://*.shop.example"],
    AllowMethods: ["PUT"],
    AllowHeaders: ["x-own"],
    MaxAge: 60,
    AllowCredentials: true,
    ExposeHeaders: ["x-shown"],
  };
  const FunctionName = await cloud.function({
    "index.js": "exports.handler = async () => ({ statusCode: 418 });",
  });
  const url = await cloud.url(FunctionName, { Cors });
  const origin = "https://www.shop.example";
  const asked = { origin, "access-control-request-method": "PUT", "access-control-request-headers": "X-Own" };
  t.match(await call(url, { method: "OPTIONS", headers: asked }), {
    status: 200,
    headers: {
      "access-control-allow-origin": origin,
      "access-control-allow-methods": "PUT",
      "access-control-allow-headers": "X-Own",
      "access-control-allow-credentials": "true",
      "access-control-max-age": "60",
    },
  });
  for (const more of [
    { origin: "https://evil.example" },
    { "access-control-request-method": "DELETE" },
    { "access-control-request-headers": "x-other" },
  ]) {
    const { headers } = await call(url, { method: "OPTIONS", headers: { ...asked, ...more } });
    t.equal(headers["access-control-allow-origin"], undefined, JSON.stringify(more));
  }
  t.match(await call(url, { method: "PUT", headers: { origin } }), {
    status: 418,
    headers: {
      "access-control-allow-origin": origin,
      "access-control-expose-headers": "x-shown",
      vary: "Origin",
    },
  });
  const foreign = await call(url, { method: "PUT", headers: { origin: "https://evil.example" } });
  t.equal(foreign.headers["access-control-allow-origin"], undefined);
});

void t.test("a streaming URL sends each piece as it is written, with the status that was set", async (t) => {
  const FunctionName = await cloud.function({
    "index.js": `
      const { request } = require("node:http");
      exports.handler = awslambda.streamifyResponse(async ({ queryStringParameters: { port, bare } }, stream) => {
        const out = bare ? stream : awslambda.HttpResponseStream.from(stream, { statusCode: 203, headers: { "x-own": "1", "content-type": "text/plain" }, cookies: ["a=1"] });
        out.write("first ");
        await new Promise((resolve) => request({ port }, resolve).end());
        out.end("second");
      });`,
  });
  const url = await cloud.url(FunctionName, { InvokeMode: "RESPONSE_STREAM" });
  const { port, hold } = await openListener(t);
  const go = hold();
  const response = await fetch(`${url}?port=${port}`);
  t.equal(response.status, 203);
  t.equal(response.headers.get("x-own"), "1");
  t.equal(response.headers.get("set-cookie"), "a=1");
  const reader = response.body!.getReader();
  t.equal(Buffer.from((await reader.read()).value ?? []).toString(), "first ");
  go();
  t.equal(Buffer.from((await reader.read()).value ?? []).toString(), "second");
  const bare = await fetch(`${url}?port=${port}&bare=1`);
  t.match([bare.status, await bare.text()], [200, "first second"]);
  await lambda.send(new UpdateFunctionUrlConfigCommand({ FunctionName, InvokeMode: "BUFFERED" }));
  const buffered = await fetch(`${url}?port=${port}`);
  t.match(
    [buffered.status, buffered.headers.get("x-own"), await buffered.text()],
    [203, "1", "first second"],
  );
});

void t.test("bodies up to six megabytes, and no more", async (t) => {
  const url = await cloud.url(
    await cloud.function({ "index.js": "exports.handler = async ({ body }) => body.length;" }),
  );
  const headers = { "content-type": "text/plain" };
  const limit = 6 * 1024 * 1024;
  t.equal(parsed(await call(url, { method: "POST", headers, body: "x".repeat(limit - 2000) })), limit - 2000);
  t.equal((await call(url, { method: "POST", headers, body: "x".repeat(limit + 1) })).status, 413);
});

void t.test("the URL stays the same over changes of its function and restarts of the cloud", async (t) => {
  const FunctionName = await cloud.function(ECHO);
  const url = await cloud.url(FunctionName);
  await lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName, Timeout: 9 }));
  t.equal((await call(url)).status, 200);
  const { endpoint, accessKeyId } = cloud.serving;
  await cloud.stop();
  await t.rejects(call(url), { code: "ECONNREFUSED" });
  await cloud.start();
  t.match(cloud.serving, { endpoint, accessKeyId });
  t.equal((await call(url)).status, 200);
});
