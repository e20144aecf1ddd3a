/** Streams and the largest payloads, the whole way: function URL → local cloud → stub → bridge → worker, and back. */
import { readFileSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";

import t from "tap";

import { times } from "../support/counts.ts";
import { Rig } from "../support/rig.ts";
import { HANDLERS, LiveStub, runsOf, Watched } from "../support/live-stub.ts";

const MB = 1024 * 1024;
/** What AWS's own errors name of a request and of a response. */
const REQUEST = 6_291_456;
const RESPONSE = 6_291_556;

const CONFIG = (root: string) => `
import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "streams", home: "local" }),
  async run() {
    new aws.Function("Stream", { handler: "src/stream.handler", url: true, streaming: true, timeout: "100 seconds" });
    new aws.Function("Plain", { handler: "src/plain.handler", timeout: "30 seconds" });
    new aws.Function("Waits", { handler: "src/handlers.stream", timeout: "60 seconds", environment: { RUNS: "${root}/runs" } });
  },
});
`;

const FILES = {
  "src/stream.ts": `
import { once } from "node:events";
declare const awslambda: any;
const piece = Buffer.alloc(64 * 1024, "livedev ");
export const handler = awslambda.streamifyResponse(async (event: any, out: any) => {
  const query = event.queryStringParameters ?? {};
  const bytes = Number(query.mb) * 1024 * 1024;
  for (let written = 0; written < bytes; written += piece.length) {
    if (query.tornAt !== undefined && written >= Number(query.tornAt) * 1024 * 1024) throw new Error("torn");
    if (!out.write(piece)) await once(out, "drain");
    if (query.slow !== undefined && written % (256 * 1024) === 0) console.log("written " + written);
  }
  out.end();
  if (query.name !== undefined) console.log("wrote all of " + query.name);
});
`,
  "src/plain.ts": `export const handler = async ({ bytes }: { bytes: number }) => "x".repeat(bytes - 2);`,
  "src/handlers.ts": HANDLERS,
};

const rssMb = (pid: number) =>
  Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024);

async function requested(url: URL): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(url, resolve).on("error", reject);
  });
}

/** Reads to the end; where it was cut, says so. */
async function read(response: IncomingMessage, each: (bytes: number) => void): Promise<"whole" | "cut"> {
  let bytes = 0;
  try {
    for await (const chunk of response) each((bytes += (chunk as Buffer).length));
    return response.complete ? "whole" : "cut";
  } catch {
    return "cut";
  }
}

/** The stub that carries the function: `livedev-stub.mjs` under the cloud's task roots. */
async function stubPids(): Promise<number[]> {
  const found = await rig.processes();
  return found.filter(({ command }) => command.includes("livedev-stub.mjs")).map(({ pid }) => pid);
}

const rig = Rig.open({ files: FILES });
t.teardown(() => rig[Symbol.asyncDispose]());
rig.save("livedev.config.ts", CONFIG(rig.root));
const { Stream: url = "" } = await rig.start();
const watched = await Watched.open(rig);
t.teardown(() => watched[Symbol.asyncDispose]());
const { client } = watched;

const LARGE = times(300, 150);
/** More than is taken from a handler whose answer nobody reads. */
const UNREAD = times(100, 75);

t.test(
  `${LARGE} MB flow through worker, daemon and stub in bounded memory; a torn stream is cut`,
  async (t) => {
    await read(await requested(new URL("?mb=1", url)), () => {});
    const [stub = 0] = await stubPids();
    const daemon = rig.daemonPid();
    const before = { daemon: rssMb(daemon), stub: rssMb(stub) };
    const peak = { ...before };
    let total = 0;
    const began = performance.now();
    const ended = await read(await requested(new URL(`?mb=${LARGE}`, url)), (bytes) => {
      total = bytes;
      if (bytes % (4 * MB) > 256 * 1024) return;
      peak.daemon = Math.max(peak.daemon, rssMb(daemon));
      peak.stub = Math.max(peak.stub, rssMb(stub));
    });
    const seconds = (performance.now() - began) / 1000;
    t.equal(ended, "whole");
    t.equal(total, LARGE * MB);
    t.comment(
      `${LARGE} MB in ${seconds.toFixed(1)} s; rss of the daemon ${before.daemon} → at most ${peak.daemon} MB, of the stub ${before.stub} → ${peak.stub} MB`,
    );
    t.ok(peak.daemon - before.daemon < 120, "the daemon holds no more than a part of it");
    t.ok(peak.stub - before.stub < 120, "nor does the stub");

    const slow = await requested(new URL(`?mb=${UNREAD}&slow=yes`, url));
    await read(await requested(new URL(`?mb=${UNREAD}`, url)), () => {});
    const written = watched.events
      .filter((event) => event.type === "invocation.logged")
      .reduce((most, { text }) => Math.max(most, Number(/^written (\d+)/.exec(text)?.[1] ?? 0)), 0);
    t.ok(written > 0 && written < 60 * MB, `nobody read, and ${written} bytes were taken from the handler`);
    t.ok(rssMb(daemon) - before.daemon < 120, "nor are they here");
    t.equal(await read(slow, (bytes) => (total = bytes)), "whole");
    t.equal(total, UNREAD * MB);

    // @see https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html
    const left = await requested(new URL("?mb=20&name=left", url));
    left.destroy();
    const { id: leftId } = await watched.next(
      "invocation.logged",
      ({ text }) => text === "wrote all of left",
    );
    await watched.next("invocation.delivered", (event) => event.id === leftId);
    t.match(
      await client.call("invocation.get", { id: leftId }),
      { status: "ok" },
      "AWS does not tell a function that its URL's caller has left: it runs to its end",
    );

    const torn = await read(await requested(new URL("?mb=20&tornAt=5", url)), (bytes) => (total = bytes));
    t.equal(torn, "cut", "the caller can tell");
    t.ok(total <= 6 * MB, `${total} bytes came before`);
    const { id } = await watched.next("invocation.answered", ({ status }) => status === "error");
    const history = await client.call("invocation.get", { id });
    t.match(history, { status: "error", errorMessage: "torn" });
    t.equal(history.answer?.bytes, 5 * MB, "F25: history tells how much the handler wrote");
    t.match(history.answer?.text, /^livedev .*… \(cut: 1048576 of 5242880 bytes are kept\)$/);
    const shown = await rig.livedev("history", String(id));
    t.match(shown.stdout, /5242880 bytes/);
    // Through a pipe, to its last line.
    t.match(shown.stdout, /cut: 1048576 of 5242880 bytes are kept/);
  },
);

t.test(
  "Lambda breaks a stream: the worker that writes it is ended, and history says cancelled",
  async (t) => {
    await using stub = await LiveStub.open(rig, "Waits");
    const event = JSON.stringify({ name: "x", until: `${rig.root}/never` });
    const posted = await stub.runtime.invoke(event, { leaves: true, requestId: "broken" });
    t.equal(posted.body.toString(), "begins ");
    const worker = await watched.next("worker.started", ({ functionName }) => functionName === "Waits");
    t.match(await watched.next("worker.exited", ({ pid }) => pid === worker.pid), { reason: "stopped" });
    const { id } = await watched.next("invocation.undelivered", ({ requestId }) => requestId === "broken");
    t.match(await client.call("invocation.get", { id }), {
      status: "undelivered",
      errorType: "Livedev.Cancelled",
      errorMessage: /the caller left in the middle of the stream/,
    });
    t.same(runsOf(rig), { x: 1 });
  },
);

t.test("F25: 6 MB go both ways; one byte over is Lambda's own error, and history says so", async (t) => {
  const padded = (bytes: number, answer: number) => {
    const event = JSON.stringify({ bytes: answer, padding: "" });
    return event.replace('""', JSON.stringify("p".repeat(bytes - event.length)));
  };
  const fits = await client.call("function.invoke", {
    functionName: "Plain",
    event: padded(REQUEST, RESPONSE),
  });
  t.equal(fits.functionError, undefined);
  t.equal(fits.payload.length, RESPONSE);
  const over = await client.call("function.invoke", {
    functionName: "Plain",
    event: padded(100, RESPONSE + 1),
  });
  t.equal(over.functionError, "Unhandled");
  t.match(JSON.parse(over.payload), { errorType: "Function.ResponseSizeTooLarge" });
  await watched.next("invocation.delivered", ({ requestId }) => requestId === over.requestId);
  t.match(await watched.row(over.requestId), {
    status: "error",
    errorType: "Function.ResponseSizeTooLarge",
    errorMessage: /Response payload size \(6291557 bytes\) exceeded/,
  });
  await t.rejects(client.call("function.invoke", { functionName: "Plain", event: padded(REQUEST + 1, 10) }), {
    message: /smaller than 6291456 bytes/,
  });
  t.notOk(
    watched.events.some((event) => event.type === "invocation.received" && event.bytes > REQUEST),
    "an event too large never comes here",
  );
});
