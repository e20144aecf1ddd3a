/**
 * An address of the user's own as the way of stubs: `tls://` through whatever carries bytes, `wss://` through a service
 * that ends TLS, which is a real TLS proxy here that keeps all it reads.
 */
import { once } from "node:events";
import { get } from "node:http";
import { createServer } from "node:net";

import t, { type Test } from "tap";
import { WebSocket } from "ws";

import { counted, times } from "../support/counts.ts";
import { CutProxy } from "../support/cut-proxy.ts";
import { freePort } from "../support/free-port.ts";
import { TestRuntimeApi } from "../support/runtime-api.ts";
import { ok, openBridge, streamed, StubProcess } from "../support/stub.ts";
import { TlsService } from "../support/tls-service.ts";
import { ownFolder } from "../support/folder.ts";

t.setTimeout(120_000);

const SECRET = "planted, and nobody else's";
const STREAM = JSON.stringify("stream");

async function openAll(t: Test) {
  const refused: string[] = [];
  const bridge = await openBridge({
    onRefused: (reason) => refused.push(reason),
    receive: async (invocation) => {
      invocation.position("running");
      if (Buffer.from(invocation.event).toString() !== STREAM)
        return invocation.deliver(ok(invocation.event));
      const chunks = async function* () {
        for (let n = 0; n < 5; n += 1) yield Buffer.from(`${SECRET} ${n};`);
      };
      await invocation.deliver(streamed(chunks()));
    },
  });
  t.teardown(() => bridge[Symbol.asyncDispose]());
  const runtime = await TestRuntimeApi.open();
  t.teardown(() => runtime[Symbol.asyncDispose]());
  const start = (address: string, certificate = "", more: Record<string, unknown> = {}) =>
    new StubProcess({
      runtimeApi: runtime.address,
      port: 0,
      settings: { addresses: [{ address, match: "*" }], ...more },
      env: { NODE_EXTRA_CA_CERTS: certificate },
    });
  return { bridge, runtime, refused, start };
}

t.test("wss: a service that ends TLS carries sealed bytes alone", async (t) => {
  const { bridge, runtime, refused, start } = await openAll(t);
  await using service = await TlsService.open(ownFolder(t), await freePort());
  const { address, port } = service;
  await bridge.apply({ address, port });
  await using _stub = start(address, service.certificate);

  await t.test("events, answers, streams and 6 MB pass, and the service reads none of it", async (t) => {
    const event = JSON.stringify({ text: SECRET });
    t.equal((await runtime.invoke(event)).body.toString(), event);
    const parts = [0, 1, 2, 3, 4].map((n) => `${SECRET} ${n};`);
    t.equal((await runtime.invoke(STREAM)).body.toString(), parts.join(""));
    const large = JSON.stringify({ text: SECRET.repeat(230_000) });
    t.ok((await runtime.invoke(large)).body.equals(Buffer.from(large)), `${large.length} bytes`);
    const read = Buffer.concat(service.read).toString("latin1");
    t.match(read, /^GET \/of\/mine\?a=1 HTTP\/1\.1\r\n/, "a WebSocket at the address that was given");
    for (const word of [SECRET, "planted", "hello", "AWS_REGION", "shop"])
      t.notOk(read.includes(word), `not ${word}`);
    t.ok(read.length > 2 * large.length, "all of it passed there");
    t.equal(service.connections, 1, "by one connection");
  });

  await t.test("it breaks in the middle of things: each event is run once and answered once", async (t) => {
    const rounds = times(30, 10);
    const [ran, cuts] = [bridge.seen.length, service.connections];
    let answered = 0;
    for (let round = 0; round < rounds; round += 1) {
      // At another of the pieces that pass: greeting, TLS, hello, event, ack, answer.
      service.cutAfter(1 + (round % 8));
      const event = JSON.stringify(`round ${round}`);
      if ((await runtime.invoke(event)).body.toString() === event) answered += 1;
    }
    service.cutAfter(Infinity);
    t.equal(answered, rounds);
    t.equal(bridge.seen.length - ran, rounds);
    t.equal(runtime.strays, 0);
    t.ok(service.connections > cuts);
    counted(t, `${service.connections - cuts} cuts of a wss way: ${rounds} sent, ${answered} answered once`);
  });

  await t.test("nobody is behind it: away at once, as the service says; then back", async (t) => {
    await bridge.apply(undefined);
    service.cut();
    const gone = JSON.parse((await runtime.invoke('"gone"')).body.toString());
    t.match(gone, { errorType: "Livedev.Away", errorMessage: /502/ });
    await bridge.apply({ address, port });
    while ((await runtime.invoke('"back"')).body.toString() !== '"back"');
    t.equal(runtime.strays, 0);
  });

  await t.test("web pages, plain requests and strangers get nothing at its port", async (t) => {
    const page = new WebSocket(`ws://127.0.0.1:${port}/`, { origin: "https://example.com" });
    const [error] = (await once(page, "error")) as [Error];
    t.match(error.message, /hang up|ECONNRESET/);
    const plain = await new Promise<number | undefined>((resolve) =>
      get(`http://127.0.0.1:${port}/`, ({ statusCode }) => resolve(statusCode)),
    );
    t.equal(plain, 426);
    t.strictSame(refused, ["a web page's request"]);
    // Frames without the inner TLS.
    const bare = new WebSocket(`ws://127.0.0.1:${port}/`);
    await once(bare, "open");
    bare.send("hello");
    await once(bare, "close");
    t.equal(refused.at(-1), "it is not TLS with this stage's key");
  });
});

t.test("a stub with another key is told so, through the service too", async (t) => {
  const { bridge, runtime, start } = await openAll(t);
  await using service = await TlsService.open(ownFolder(t), await freePort());
  await bridge.apply({ address: service.address, port: service.port });
  while (!(await answers(service.port)));
  await using _stub = start(service.address, service.certificate, { keyId: "another" });
  const { body } = await runtime.invoke('"mine"');
  t.match(JSON.parse(body.toString()), { errorType: "Livedev.Refused", errorMessage: /key/ });
  t.equal(bridge.seen.length, 0);
});

t.test("a service whose certificate nobody vouches for is told nothing", async (t) => {
  const { bridge, runtime, start } = await openAll(t);
  await using service = await TlsService.open(ownFolder(t), await freePort());
  await bridge.apply({ address: service.address, port: service.port });
  await using _stub = start(service.address);
  const { body } = await runtime.invoke('"mine"');
  t.match(JSON.parse(body.toString()), { errorType: "Livedev.Away", errorMessage: /self-signed/ });
  t.strictSame(service.read, []);
  const reason = () => bridge.down?.reason ?? "";
  while (!reason().includes("self-signed")) await once(service, "connection");
  t.match(reason(), /does not lead to this daemon: self-signed certificate/);
});

t.test("tls: bytes as they are, to a port of its own; down is told while it leads elsewhere", async (t) => {
  const { bridge, runtime, start } = await openAll(t);
  const port = await freePort();
  await using forwarder = await CutProxy.open(port);
  const address = `tls://localhost:${forwarder.port}`;
  const holder = createServer((socket) => socket.destroy());
  holder.listen(port, "127.0.0.1");
  await once(holder, "listening");
  await bridge.apply({ address, port });
  const reason = () => bridge.down?.reason ?? "";
  while (!reason().includes("taken")) await turn();
  t.match(reason(), new RegExp(`Port ${port}.* is taken by .*\\(pid ${process.pid}\\)`));
  await new Promise((resolve) => holder.close(resolve));
  while (reason() !== "") await turn();

  await using _stub = start(address);
  t.equal((await runtime.invoke('"first"')).body.toString(), '"first"');
  forwarder.cut();
  t.equal((await runtime.invoke('"second"')).body.toString(), '"second"');
  await bridge.apply({ address: `tls://127.0.0.1:${await freePort()}`, port });
  while (!reason().includes("ECONNREFUSED")) await turn();
  t.equal(
    (await runtime.invoke('"third"')).body.toString(),
    '"third"',
    "who comes in is served all the same",
  );
});

const turn = () => new Promise((resolve) => setTimeout(resolve, 10));

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    get(`http://127.0.0.1:${port}/`, () => resolve(true)).once("error", () => resolve(false));
  });
}
