/** One invocation from event to outcome, over a real history. */
import t from "tap";

import { deferred } from "../../daemon/lib/scope.ts";
import { StreamError, type StreamedAnswer } from "../../proto/answer.ts";
import { CODE, ok, Rig, shown } from "./rig.ts";
import { ownFolder } from "../support/folder.ts";

t.test(
  "an invocation is recorded at each of its steps, and ok only when the stub has the answer",
  async (t) => {
    const rig = await Rig.open(t);
    const acked = deferred<void>();
    const sent = rig.send({ takes: () => acked.promise });
    t.match(await rig.row(sent), { status: "received" });
    const { request, outcome } = await rig.call();
    request.position("building");
    request.begun(CODE);
    await request.logged({ stream: "stdout", text: "hello" });
    t.match(await rig.row(sent), { status: "running", codeHash: CODE.codeHash, coldStart: false });
    outcome.resolve(ok({ a: 1 }));
    while (sent.given.length === 0) await rig.store.flushed();
    t.match(await rig.row(sent), { status: "answered" });
    acked.resolve();
    await sent.done;
    t.match(await rig.row(sent), {
      status: "ok",
      event: { text: '{"n":1}' },
      answer: { text: '{"a":1}' },
      logs: [{ stream: "stdout", text: "hello" }],
    });
    t.same(await rig.story(sent), ["received", "begun", "logged", "answered", "delivered"]);
    t.same(sent.positions, ["building"]);
    t.equal(rig.invocations.count, 0);
  },
);

t.test("an answer that the stub never takes is undelivered, and kept", async (t) => {
  const rig = await Rig.open(t);
  const sent = rig.send({ takes: () => Promise.reject(new Error("the sandbox is gone")) });
  (await rig.call()).outcome.resolve(ok("x"));
  await sent.done;
  t.match(await rig.row(sent), { status: "undelivered", answer: { text: '"x"' } });
});

t.test("the user's error is passed on as it is, and its type and message stand in the row", async (t) => {
  const rig = await Rig.open(t);
  const body = Buffer.from('{"errorMessage":"no such book","errorType":"NotFound","trace":["a"]}');
  const sent = rig.send();
  (await rig.call()).outcome.resolve({
    kind: "buffered",
    status: "error",
    body,
    contentType: "application/json",
    cause: "handler",
  });
  await sent.done;
  t.same(shown(sent.given[0]).value, JSON.parse(body.toString()));
  t.match(await rig.row(sent), { status: "error", errorType: "NotFound", errorMessage: "no such book" });
});

t.test("F25: an answer that is no JSON passes through, byte by byte", async (t) => {
  const rig = await Rig.open(t);
  for (const body of [Buffer.from([0xff, 0, 0xfe]), Buffer.from('{"cut'), Buffer.alloc(0)]) {
    const sent = rig.send();
    (await rig.call()).outcome.resolve({
      kind: "buffered",
      status: "ok",
      body,
      contentType: "application/json",
    });
    await sent.done;
    const [answer] = sent.given;
    t.same(answer?.kind === "buffered" && answer.body, body);
    t.match(await rig.row(sent), { status: "ok", answer: { bytes: body.length } });
    const error = rig.send();
    (await rig.call()).outcome.resolve({
      kind: "buffered",
      status: "error",
      body,
      contentType: "x",
      errorType: "E",
    });
    await error.done;
    t.match(await rig.row(error), { status: "error", errorType: "E" });
  }
});

t.test("a handler is ended at its deadline, a little before AWS would, in Lambda's words", async (t) => {
  const rig = await Rig.open(t);
  const began = performance.now();
  const sent = rig.send({ timeoutMs: 500 });
  const { request, signal } = await rig.call();
  request.begun(CODE);
  await sent.done;
  const took = performance.now() - began;
  t.ok(signal.aborted);
  t.ok(took >= 440 && took < 500 + 1_000, `after ${took.toFixed(0)} ms`);
  t.match(shown(sent.given[0]), {
    errorType: "Sandbox.Timedout",
    cause: "timeout",
    value: { errorMessage: /^RequestId: request-1 Error: Task timed out after 0\.\d\d seconds$/ },
  });
  t.match(await rig.row(sent), { status: "error", errorType: "Sandbox.Timedout" });
});

t.test(
  "a timeout is told as it is configured, however much of it was left when the event came",
  async (t) => {
    const rig = await Rig.open(t, { timeoutMs: (name) => (name === "Api" ? 3_000 : undefined) });
    const sent = rig.send({ timeoutMs: 300 });
    (await rig.call()).request.begun(CODE);
    await sent.done;
    t.match(shown(sent.given[0]), {
      value: { errorMessage: "RequestId: request-1 Error: Task timed out after 3.00 seconds" },
    });
  },
);

t.test("an event that came too late is never run", async (t) => {
  const rig = await Rig.open(t);
  const late = rig.send({ timeoutMs: -1 });
  await late.done;
  t.ok(rig.uncalled);
  t.match(shown(late.given[0]), { errorType: "Livedev.Expired", cause: "expired" });
  t.match(await rig.row(late), { status: "expired" });

  const waited = rig.send({ timeoutMs: 100 });
  const { signal } = await rig.call();
  await waited.done;
  t.ok(signal.aborted);
  t.match(
    shown(waited.given[0]),
    { errorType: "Livedev.Expired" },
    "nor one whose turn did not come in time",
  );
  t.match(await rig.row(waited), { status: "expired" });
});

t.test("a caller that is gone ends the handler, and the row says so", async (t) => {
  const rig = await Rig.open(t);
  const sent = rig.send();
  const { request, signal } = await rig.call();
  request.begun(CODE);
  sent.giveUp();
  await sent.done;
  t.ok(signal.aborted);
  t.match(await rig.row(sent), {
    status: "error",
    errorType: "Livedev.Cancelled",
    errorMessage: "The caller is gone.",
  });
});

t.test("a fault of our own is an answer too, and is told as ours", async (t) => {
  const rig = await Rig.open(t);
  const sent = rig.send();
  (await rig.call()).outcome.reject(new TypeError("undefined is not a function"));
  await sent.done;
  t.match(shown(sent.given[0]), {
    errorType: "Livedev.NotRun",
    value: { errorMessage: "livedevd failed: undefined is not a function" },
  });
});

t.test("what an invocation prints is kept up to a bound, and the rest is said to be missing", async (t) => {
  const rig = await Rig.open(t);
  const sent = rig.send();
  const { request, outcome } = await rig.call();
  for (let line = 0; line < 25_000; line++) await request.logged({ stream: "stdout", text: `line ${line}` });
  outcome.resolve(ok(1));
  await sent.done;
  const lines = (await rig.store.events({ types: ["invocation.logged"], limit: 30_000 })).events;
  t.equal(lines.length, 20_001);
  t.match(lines.at(-1)?.event, { text: "… [this invocation's further output is not kept]" });
  const long = rig.send();
  const second = await rig.call();
  for (let line = 0; line < 100; line++)
    await second.request.logged({ stream: "stderr", text: "x".repeat(200_000) });
  second.outcome.resolve(ok(1));
  await long.done;
  t.equal((await rig.row(long)).logs.length, 42, "8 MB of long lines, and the sentence");
});

function stream(chunks: () => AsyncGenerator<Uint8Array>): StreamedAnswer {
  return { kind: "streamed", contentType: "text/plain", chunks: chunks() };
}

async function readAll(answer: {
  readonly kind: string;
  readonly chunks?: AsyncIterable<Uint8Array>;
}): Promise<number> {
  let bytes = 0;
  for await (const chunk of answer.chunks ?? []) bytes += chunk.length;
  return bytes;
}

t.test("a stream is passed on whole, and its first megabyte is kept", async (t) => {
  const rig = await Rig.open(t);
  let read = 0;
  const sent = rig.send({
    takes: async (answer) => {
      read = await readAll(answer);
    },
  });
  (await rig.call()).outcome.resolve(
    stream(async function* () {
      for (let chunk = 0; chunk < 300; chunk++) yield Buffer.alloc(10_000, "x");
    }),
  );
  await sent.done;
  t.equal(read, 3_000_000);
  const row = await rig.row(sent);
  t.match(row, { status: "ok", answer: { bytes: 3_000_000 } });
  t.match(row.answer?.text, /^x{1048576}[^x]/);
});

t.test(
  "a stream that ends in an error, one that is cut by the deadline, and one that nobody reads",
  async (t) => {
    const rig = await Rig.open(t);
    const failing = rig.send({
      takes: (answer) =>
        readAll(answer).then(
          () => {},
          () => {},
        ),
    });
    (await rig.call()).outcome.resolve(
      stream(async function* () {
        yield Buffer.from("part");
        throw new StreamError("Oops", Buffer.from('{"errorType":"Oops","errorMessage":"in the middle"}'));
      }),
    );
    await failing.done;
    t.match(await rig.row(failing), { status: "error", errorType: "Oops" });

    const slow = rig.send({
      timeoutMs: 300,
      takes: (answer) =>
        readAll(answer).then(
          () => {},
          () => {},
        ),
    });
    const { request, signal, outcome } = await rig.call();
    request.begun(CODE);
    outcome.resolve(
      stream(async function* () {
        yield Buffer.from("part");
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        throw new StreamError("Runtime.ExitError", Buffer.from("{}"));
      }),
    );
    await slow.done;
    t.match(await rig.row(slow), { status: "error", errorType: "Sandbox.Timedout" });

    const unread = rig.send();
    (await rig.call()).outcome.resolve(
      stream(async function* () {
        yield Buffer.from("part");
      }),
    );
    await unread.done;
    t.match(await rig.row(unread), { status: "error", errorType: "Livedev.StreamCut" });
  },
);

t.test("a client runs an event here, and runs one of history again", async (t) => {
  const rig = await Rig.open(t);
  const local = {
    functionName: "Api",
    event: Buffer.from("{}"),
    timeoutMs: 5_000,
    functionArn: "arn",
    environment: {},
  };
  const never = new AbortController().signal;
  const first = rig.invocations.runLocally(local, never);
  const call = await rig.call();
  t.same(call.request.environment, {});
  call.request.begun(CODE);
  call.outcome.resolve(ok(1));
  const { id, answer, durationMs } = await first;
  t.equal(shown(answer).value, 1);
  t.ok(durationMs >= 0);
  t.match(await rig.row(id), { local: true, status: "ok" });

  const replay = rig.invocations.runLocally({ ...local, replayOf: id }, never);
  const again = await rig.call();
  again.outcome.resolve(
    stream(async function* () {
      yield Buffer.from('"a');
      yield Buffer.from('b"');
    }),
  );
  const replayed = await replay;
  t.equal(shown(replayed.answer).value, "ab", "a stream is given whole");
  t.match(await rig.row(replayed.id), { local: true, replayOf: id, status: "ok" });

  const client = new AbortController();
  const given = rig.invocations.runLocally(local, client.signal);
  const { signal } = await rig.call();
  client.abort(new Error("gone"));
  await t.rejects(given, { message: "gone" });
  t.ok(signal.aborted);

  const slow = rig.invocations.runLocally({ ...local, timeoutMs: 200 }, never);
  (await rig.call()).request.begun(CODE);
  t.match(shown((await slow).answer), { errorType: "Sandbox.Timedout" });
});

t.test("stopping: what runs may finish, what comes is refused", async (t) => {
  const rig = await Rig.open(t);
  const running = rig.send();
  const { request, outcome } = await rig.call();
  request.begun(CODE);
  const drained = rig.invocations.drain(60_000, "stopping");
  const late = rig.send();
  await late.done;
  t.ok(rig.uncalled);
  t.match(shown(late.given[0]), { errorType: "Livedev.NotRun", cause: "interrupted" });
  outcome.resolve(ok("finished"));
  await drained;
  await running.done;
  t.match(await rig.row(running), { status: "ok" });
});

t.test(
  "stopping: what does not finish in time is interrupted, also at once where somebody is in a hurry",
  async (t) => {
    for (const [ms, hurry] of [
      [50, false],
      [60_000, true],
    ] as const) {
      const rig = await Rig.open(t, { file: `${ownFolder(t, { [`s${ms}`]: {} })}/s${ms}/history.db` });
      const begun = rig.send();
      (await rig.call()).request.begun(CODE);
      const waiting = rig.send();
      await rig.call();
      const now = new AbortController();
      if (hurry) now.abort();
      await rig.invocations.drain(ms, "stopping", now.signal);
      await Promise.all([begun.done, waiting.done]);
      t.match(shown(begun.given[0]), {
        errorType: "Livedev.Interrupted",
        value: { errorMessage: /while the handler ran/ },
      });
      t.match(shown(waiting.given[0]), { value: { errorMessage: /before the handler had the event/ } });
      t.match(await rig.row(begun), { status: "interrupted" });
    }
  },
);

t.test("a stub that never takes its answer does not keep the daemon from ending", async (t) => {
  const rig = await Rig.open(t);
  const sent = rig.send({ takes: () => new Promise(() => {}) });
  (await rig.call()).outcome.resolve(ok(1));
  while (sent.given.length === 0) await rig.store.flushed();
  const began = performance.now();
  await rig.invocations.drain(10, "restarting");
  t.ok(performance.now() - began < 5_000);
  t.match(await rig.row(sent), { status: "answered" });
});
