import t from "tap";

import { StreamError, type Answer, type StreamedAnswer } from "../../proto/answer.ts";
import { alive, openFunction, openProgram, shown } from "./rig.ts";

const stream = (body: string) =>
  `export const handler = awslambda.streamifyResponse(async (event, stream, context) => { ${body} });`;

function streamed(answer: Answer): StreamedAnswer {
  if (answer.kind !== "streamed") throw new Error(`not streamed: ${Buffer.from(answer.body).toString()}`);
  return answer;
}

async function bytesOf(answer: Answer): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of streamed(answer).chunks) chunks.push(chunk);
  return Buffer.concat(chunks);
}

void t.test(
  "chunks arrive while the handler still runs, and the environment goes on after the last",
  async (t) => {
    const rig = await openFunction(t, {
      "index.mjs": `let go; process.on("SIGUSR2", () => go());
      ${stream(`stream.setContentType("text/plain"); stream.write("first "); await new Promise((resolve) => { go = resolve; setInterval(() => {}, 1000).unref(); }); stream.write({ json: 1 }); console.log("done"); stream.end(" last");`)}`,
    });
    const answer = streamed(await rig.invoke());
    t.equal(answer.contentType, "text/plain");
    const chunks = answer.chunks[Symbol.asyncIterator]();
    t.equal(Buffer.from((await chunks.next()).value).toString(), "first ");
    process.kill(rig.environment.pid, "SIGUSR2");
    let rest = "";
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
      rest += Buffer.from(next.value).toString();
    }
    t.equal(rest, `{"json":1} last`);
    t.match(rig.lines, [{ requestId: "request-1", text: "done" }]);
    const again = rig.invoke();
    process.kill(rig.environment.pid, "SIGUSR2");
    t.match(await again, { kind: "streamed" });
  },
);

void t.test("status and headers of a function URL", async (t) => {
  const rig = await openFunction(t, {
    "index.mjs": stream(
      `const out = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { a: "b" } }); out.end(event.body);`,
    ),
  });
  const answer = await rig.invoke({ body: "created" });
  t.equal(streamed(answer).contentType, "application/vnd.awslambda.http-integration-response");
  t.equal(
    (await bytesOf(answer)).toString(),
    `{"statusCode":201,"headers":{"a":"b"}}${"\0".repeat(8)}created`,
  );
});

void t.test("a pipeline into the stream, binary and 20 MB long", async (t) => {
  const rig = await openFunction(t, {
    "index.mjs": `import { Readable } from "node:stream"; import { pipeline } from "node:stream/promises";
      ${stream(`await pipeline(Readable.from((function* () { for (let i = 0; i < 320; i++) yield Buffer.alloc(65536, i); })()), stream);`)}`,
  });
  const bytes = await bytesOf(await rig.invoke());
  t.equal(bytes.length, 320 * 65536);
  t.ok([0, 100, 255, 319].every((i) => bytes[i * 65536 + 5] === i % 256));
});

void t.test("a reader that stops holds the handler back", async (t) => {
  const rig = await openFunction(t, {
    "index.mjs": `import { once } from "node:events";
      ${stream(`for (let i = 0; i < 640; i++) { if (!stream.write(Buffer.alloc(65536))) { console.log("held at " + i); await once(stream, "drain"); } } console.log("all written"); stream.end();`)}`,
  });
  const answer = streamed(await rig.invoke());
  await rig.line("held at");
  t.notOk(rig.lines.some(({ text }) => text === "all written"));
  let length = 0;
  for await (const chunk of answer.chunks) length += chunk.length;
  t.equal(length, 640 * 65536);
  t.ok(rig.lines.some(({ text }) => text === "all written"));
});

void t.test("an error in mid-stream comes after the chunks", async (t) => {
  const rig = await openFunction(t, {
    "index.mjs": `import { pipeline } from "node:stream/promises";
      ${stream(`stream.write("some"); if (event.pipeline) await pipeline(async function* () { yield " more"; throw new TypeError("source"); }, stream); throw new RangeError("in the middle");`)}`,
  });
  const failing = async (event: unknown) => {
    const answer = streamed(await rig.invoke(event));
    let text = "";
    try {
      for await (const chunk of answer.chunks) text += Buffer.from(chunk).toString();
    } catch (error) {
      t.ok(error instanceof StreamError);
      const { errorType, body } = error as StreamError;
      return { text, errorType, value: JSON.parse(Buffer.from(body).toString()) };
    }
    return { text };
  };
  t.match(await failing({}), {
    text: "some",
    errorType: "RangeError",
    value: { errorType: "RangeError", errorMessage: "in the middle", trace: [/RangeError/] },
  });
  t.match(await failing({ pipeline: true }), { text: /^some/, errorType: "TypeError" });
  t.match(await failing({}), { errorType: "RangeError" }, "the environment goes on");
});

void t.test("an error before the first byte is an error like any handler's", async (t) => {
  const rig = await openFunction(t, { "index.mjs": stream(`throw new Error("at once");`) });
  t.match(shown(await rig.invoke()), { status: "error", value: { errorMessage: "at once" } });
  const sync = await openFunction(t, {
    "index.mjs": `export const handler = awslambda.streamifyResponse(() => 1);`,
  });
  t.match(shown(await sync.invoke()), {
    value: { errorMessage: "Streaming does not support non-async handlers." },
  });
  const never = await openFunction(t, { "index.mjs": stream("") });
  t.match(shown(await never.invoke()), { errorType: "Runtime.NodeJsExit" });
});

void t.test("a process that dies in mid-stream, by a signal or by an uncaught error", async (t) => {
  const files = {
    "index.mjs": stream(
      `stream.write("begun"); if (event.throw) setTimeout(() => { throw new RangeError("uncaught"); }, 5); await new Promise(() => {});`,
    ),
  };
  for (const [event, errorType] of [
    [{ throw: false }, "Runtime.ExitError"],
    [{ throw: true }, "RangeError"],
  ] as const) {
    const rig = await openFunction(t, files);
    const { chunks } = streamed(await rig.invoke(event));
    const iterator = chunks[Symbol.asyncIterator]();
    t.equal(Buffer.from((await iterator.next()).value).toString(), "begun");
    if (!event.throw) process.kill(rig.environment.pid, "SIGKILL");
    await t.rejects(iterator.next(), { name: "StreamError", errorType });
    await rig.environment.exited;
  }
});

void t.test("whoever stops reading does not stop the function", async (t) => {
  const rig = await openFunction(t, {
    "index.mjs": stream(`for (let i = 0; i < 64; i++) stream.write(Buffer.alloc(65536)); stream.end();`),
  });
  for (let i = 0; i < 2; i++) {
    const { chunks } = streamed(await rig.invoke());
    for await (const chunk of chunks) {
      t.ok(chunk.length > 0);
      break;
    }
    // The next invocation waits for the runtime, not for the reader.
    await rig.environment.settled();
  }
  t.match(await rig.invoke(), { kind: "streamed" });
});

void t.test("a raw runtime's trailers", async (t) => {
  const rig = await openProgram(
    t,
    `for (;;) {
      const { id } = await next();
      await new Promise((resolve) => {
        const request = http.request({ host, port, method: "POST", path: "/2018-06-01/runtime/invocation/" + id + "/response", headers: { "Lambda-Runtime-Function-Response-Mode": "streaming", "Transfer-Encoding": "chunked", Trailer: "Lambda-Runtime-Function-Error-Type" } }, (response) => { response.resume(); console.log("status " + response.statusCode); resolve(); });
        request.write("x");
        request.addTrailers({ "Lambda-Runtime-Function-Error-Type": "Runtime.Mine" });
        request.end();
      });
    }`,
  );
  const answer = streamed(await rig.invoke());
  t.equal(answer.contentType, "application/octet-stream");
  await t.rejects(bytesOf(answer), { message: "the stream ended with Runtime.Mine" });
  await rig.line("status 202");
});

void t.test(
  "a runtime that breaks off its stream and lives is ended, also where nobody reads any more",
  async (t) => {
    for (const reads of [true, false]) {
      const rig = await openProgram(
        t,
        `const { id } = await next();
       const request = http.request({ host, port, method: "POST", path: "/2018-06-01/runtime/invocation/" + id + "/response", headers: { "Lambda-Runtime-Function-Response-Mode": "streaming", "Transfer-Encoding": "chunked" } });
       request.on("error", () => undefined);
       process.once("SIGUSR2", () => request.destroy());
       request.write("half");
       setInterval(() => {}, 1000);`,
      );
      const chunks = streamed(await rig.invoke()).chunks[Symbol.asyncIterator]();
      t.equal(Buffer.from((await chunks.next()).value).toString(), "half");
      if (!reads) await chunks.return?.(undefined);
      process.kill(rig.environment.pid, "SIGUSR2");
      if (reads)
        await t.rejects(chunks.next(), { name: "StreamError", errorType: "Runtime.TruncatedResponse" });
      await rig.environment.settled();
      t.notOk(alive(rig.environment.pid), "whoever waits for its turn gets another one");
    }
  },
);
