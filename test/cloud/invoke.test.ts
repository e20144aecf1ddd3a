import {
  InvokeCommand,
  InvokeWithResponseStreamCommand,
  type InvokeCommandInput,
} from "@aws-sdk/client-lambda";
import { request } from "node:http";
import t from "tap";

import { signRequest } from "../../daemon/cloud/sigv4.ts";
import { openListener } from "./listener.ts";
import { ECHO, invoked, TestCloud } from "./rig.ts";

const cloud = await TestCloud.open(t, "--async-retry-ms", "20");
const lambda = cloud.lambda();
const send = (input: InvokeCommandInput) => lambda.send(new InvokeCommand(input));

void t.test("an invocation's answer, its log and its request id", async (t) => {
  const FunctionName = await cloud.function({
    "index.js": `
      console.log("init");
      exports.handler = async (event, context) => {
        console.log("hello " + event.name);
        return { name: event.name, context };
      };`,
  });
  const output = await send({ FunctionName, Payload: JSON.stringify({ name: "ann" }), LogType: "Tail" });
  t.match(output, { StatusCode: 200, ExecutedVersion: "$LATEST", FunctionError: undefined });
  const { value, log, requestId = "" } = invoked(output);
  t.match(value, {
    name: "ann",
    context: {
      awsRequestId: requestId,
      functionName: FunctionName,
      functionVersion: "$LATEST",
      memoryLimitInMB: "128",
      invokedFunctionArn: new RegExp(`:function:${FunctionName}$`),
      logGroupName: `/aws/lambda/${FunctionName}`,
    },
  });
  t.match(log, /^.*init\n/m, "what init printed belongs to the first invocation");
  t.match(log, new RegExp(`START RequestId: ${requestId} Version: \\$LATEST\n`));
  t.match(log, /hello ann\n/);
  t.match(
    log,
    new RegExp(
      `END RequestId: ${requestId}\nREPORT RequestId: ${requestId}\tDuration: .* ms\tBilled Duration: .* ms\tMemory Size: 128 MB\tMax Memory Used: \\d+ MB\tInit Duration: .* ms`,
    ),
  );
  const again = await cloud.invoke(FunctionName, { name: "bob" });
  t.notMatch(again.log, /hello ann|init\n|Init Duration/, "the next log has only what is its own");
  t.equal((await send({ FunctionName })).LogResult, undefined, "no log unless asked");
});

void t.test("bytes go through unchanged, also numbers that JavaScript cannot hold", async (t) => {
  const FunctionName = await cloud.function(
    {
      "own.mjs": `
        const api = "http://" + process.env.AWS_LAMBDA_RUNTIME_API + "/2018-06-01/runtime/invocation/";
        for (;;) {
          const next = await fetch(api + "next");
          const id = next.headers.get("lambda-runtime-aws-request-id");
          await fetch(api + id + "/response", { method: "POST", body: await next.arrayBuffer() });
        }`,
      wrapper: { executable: `#!/bin/sh\nexec node "$LAMBDA_TASK_ROOT/own.mjs" "$@"\n` },
    },
    { Environment: { Variables: { AWS_LAMBDA_EXEC_WRAPPER: "/var/task/wrapper" } } },
  );
  const text = '{"n": 12345678901234567890, "10":1,  "2":2,"ü":"\\u00fc"}';
  const output = await send({ FunctionName, Payload: text });
  t.equal(Buffer.from(output.Payload ?? []).toString(), text);
});

void t.test("a function's error is an answer, in Lambda's shape", async (t) => {
  const FunctionName = await cloud.function({
    "index.js": `exports.handler = async (event) => { if (event.exit) process.exit(3); throw new RangeError("too far"); };`,
  });
  const output = await send({ FunctionName });
  t.match(output, { StatusCode: 200, FunctionError: "Unhandled" });
  t.match(invoked(output).value, { errorType: "RangeError", errorMessage: "too far", trace: [/RangeError/] });
  const exit = await cloud.invoke(FunctionName, { exit: true });
  t.match(exit, {
    error: "Unhandled",
    value: { errorType: "Runtime.ExitError", errorMessage: /exit(ed)?/i },
  });
  t.match(
    await cloud.invoke(FunctionName),
    { value: { errorType: "RangeError" } },
    "the next has a new process",
  );
});

void t.test("a package that cannot be loaded, and a wrapper that is not there", async (t) => {
  const broken = await cloud.function({ "index.js": "exports.handler = ;" });
  t.match(await cloud.invoke(broken), {
    error: "Unhandled",
    value: { errorType: "Runtime.UserCodeSyntaxError" },
  });
  const missing = await cloud.function({ "other.js": "" });
  t.match(await cloud.invoke(missing), {
    error: "Unhandled",
    value: { errorType: "Runtime.ImportModuleError" },
  });
  const wrapped = await cloud.function(ECHO, {
    Environment: { Variables: { AWS_LAMBDA_EXEC_WRAPPER: "/var/task/nothing" } },
  });
  t.match(await cloud.invoke(wrapped), { error: "Unhandled", value: { errorType: /^Runtime\./ } });
});

void t.test("what Invoke refuses", async (t) => {
  const FunctionName = await cloud.function(ECHO);
  await t.rejects(send({ FunctionName: "nobody" }), {
    name: "ResourceNotFoundException",
    message: /Function not found: arn:aws:lambda:.*:function:nobody/,
  });
  await t.rejects(send({ FunctionName, Payload: "{not json" }), {
    name: "InvalidRequestContentException",
    message: /Could not parse request body into json/,
  });
  const ofBytes = (bytes: number) => JSON.stringify("x".repeat(bytes - 2));
  t.match(await send({ FunctionName, Payload: ofBytes(6_291_456) }), { StatusCode: 200 });
  await t.rejects(send({ FunctionName, Payload: ofBytes(6_291_457) }), {
    name: "RequestTooLargeException",
    message: "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
    $metadata: { httpStatusCode: 413 },
  });
  await t.rejects(
    send({ FunctionName, InvocationType: "Event", Payload: JSON.stringify("x".repeat(1024 * 1024)) }),
    { name: "RequestTooLargeException" },
  );
  await t.rejects(send({ FunctionName, InvocationType: "Later" as "Event" }), {
    name: "ValidationException",
  });
  await t.rejects(send({ FunctionName, Qualifier: "prod" }), { name: "ResourceNotFoundException" });
});

void t.test("an answer over Lambda's limit is an error, one just under it arrives", async (t) => {
  const FunctionName = await cloud.function({
    "index.js": `exports.handler = async ({ size }) => "x".repeat(size);`,
  });
  const limit = 6 * 1024 * 1024;
  t.equal((await cloud.invoke(FunctionName, { size: limit })).value.length, limit);
  t.match(await cloud.invoke(FunctionName, { size: limit + 200 }), {
    error: "Unhandled",
    value: { errorType: "Function.ResponseSizeTooLarge" },
  });
});

void t.test("a dry run checks and runs nothing", async (t) => {
  const FunctionName = await cloud.function(ECHO);
  t.match(await send({ FunctionName, InvocationType: "DryRun" }), { StatusCode: 204 });
  const status = await cloud.status();
  t.match(
    status.functions.find(({ name }) => name === FunctionName),
    { running: 0, idle: 0, starting: 0 },
  );
});

void t.test("an event is accepted at once, and tried three times with one request id", async (t) => {
  const FunctionName = await cloud.function({
    "index.js": `
      const { request } = require("node:http");
      exports.handler = async ({ port, fail }, { awsRequestId }) => {
        await new Promise((resolve) => request({ port, path: "/" + awsRequestId }, resolve).end());
        if (fail) throw new Error("again");
      };`,
  });
  const { port, calls, call } = await openListener(t);
  const output = await send({
    FunctionName,
    InvocationType: "Event",
    Payload: JSON.stringify({ port, fail: true }),
  });
  t.match(output, { StatusCode: 202 });
  t.equal(output.Payload?.length ?? 0, 0);
  const id = output.$metadata.requestId ?? "";
  for (const turn of [1, 2, 3]) t.equal(await call(turn), `/${id}`);
  await cloud.until(({ asyncPending }) => asyncPending === 0);
  t.equal(calls.length, 3, "then it is dropped");
  await send({ FunctionName, InvocationType: "Event", Payload: JSON.stringify({ port }) });
  await call(4);
  await cloud.until(({ asyncPending }) => asyncPending === 0);
  t.equal(calls.length, 4, "one that succeeds runs once");
});

void t.test("a function's timeout ends it, and the next invocation has a new process", async (t) => {
  const FunctionName = await cloud.function(
    {
      "index.js": `exports.handler = async ({ hang }) => { if (hang) for (;;); return process.pid; };`,
    },
    { Timeout: 1 },
  );
  const first = await cloud.invoke(FunctionName);
  const hung = await cloud.invoke(FunctionName, { hang: true });
  t.match(hung, {
    error: "Unhandled",
    value: {
      errorType: "Sandbox.Timedout",
      errorMessage: `RequestId: ${hung.requestId} Error: Task timed out after 1.00 seconds`,
    },
    log: /Task timed out after 1\.00 seconds/,
  });
  t.not((await cloud.invoke(FunctionName)).value, first.value);
});

void t.test("a streamed answer arrives piece by piece", async (t) => {
  const FunctionName = await cloud.function({
    "index.js": `
      const { request } = require("node:http");
      exports.handler = awslambda.streamifyResponse(async ({ port, fail }, stream) => {
        stream.write("first ");
        await new Promise((resolve) => request({ port }, resolve).end());
        if (fail) throw new TypeError("half way");
        stream.end("second");
      });`,
  });
  const { port, hold } = await openListener(t);
  const stream = async (fail: boolean) => {
    const go = hold();
    const { EventStream } = await lambda.send(
      new InvokeWithResponseStreamCommand({
        FunctionName,
        Payload: JSON.stringify({ port, fail }),
        LogType: "Tail",
      }),
    );
    const chunks: string[] = [];
    let end: object | undefined;
    for await (const { PayloadChunk, InvokeComplete } of EventStream ?? []) {
      if (PayloadChunk?.Payload !== undefined) chunks.push(Buffer.from(PayloadChunk.Payload).toString());
      if (InvokeComplete !== undefined) end = InvokeComplete;
      // The function is let go only when its first piece is here.
      go();
    }
    return { chunks, end };
  };
  t.match(await stream(false), {
    chunks: ["first ", "second"],
    end: { ErrorCode: undefined, LogResult: String },
  });
  t.match(await stream(true), {
    chunks: ["first "],
    end: { ErrorCode: "TypeError", ErrorDetails: /half way/ },
  });
  const go = hold();
  const whole = send({ FunctionName, Payload: JSON.stringify({ port }) });
  go();
  t.equal(Buffer.from((await whole).Payload ?? []).toString(), "first second", "Invoke gathers it");
});

void t.test("a caller that leaves does not end its invocation", async (t) => {
  const FunctionName = await cloud.function({
    "index.js": `
      const { request } = require("node:http");
      const call = (port, path) => new Promise((resolve) => request({ port, path }, resolve).end());
      exports.handler = async ({ port }) => { await call(port, "/begun"); await call(port, "/done"); };`,
  });
  const { port, call, hold } = await openListener(t);
  const go = hold();
  const url = new URL(`/2015-03-31/functions/${FunctionName}/invocations`, cloud.serving.endpoint);
  const body = Buffer.from(JSON.stringify({ port }));
  const headers = await signRequest(
    { method: "POST", url, body },
    cloud.serving,
    cloud.serving.region,
    "lambda",
  );
  const outgoing = request(url, { method: "POST", headers });
  outgoing.on("error", () => undefined);
  outgoing.end(body);
  t.equal(await call(1), "/begun");
  outgoing.destroy();
  go();
  t.equal(await call(2), "/done");
});
