/** F17: clients that go away without a word, in the middle of whatever they were doing. */
import { randomBytes } from "node:crypto";
import { connect } from "node:net";

import t from "tap";

import { times } from "../support/counts.ts";
import { Rig } from "../support/rig.ts";
import { Inspected } from "./inspected.ts";
import { FILES } from "./support.ts";

const CLIENTS = times(10_000, 400);
const WARM_UP = times(2_000, 250);
const AT_ONCE = 40;

const call = (method: string, params: object = {}) =>
  JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });

const post = (body: string, length = body.length) =>
  `POST /rpc HTTP/1.1\r\nHost: livedevd\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${body}`;

const UPGRADE = `GET /rpc HTTP/1.1\r\nHost: livedevd\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n\r\n`;

/** A client's text frame, whose mask is zero. */
function frame(text: string): Buffer {
  const payload = Buffer.from(text);
  const head =
    payload.length < 126
      ? [0x81, 0x80 | payload.length]
      : [0x81, 0x80 | 126, payload.length >> 8, payload.length & 255];
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), payload]);
}

const SUBSCRIBE = call("events.subscribe");
const SLOW = call("function.invokeLocal", { functionName: "Echo", event: "1" });

/** What a client sends, and whether it waits for the first byte of an answer before it is gone. */
const KINDS: readonly (readonly [sent: readonly (string | Buffer)[], waits: boolean])[] = [
  [[], false],
  [["POST /rp"], false],
  [[post(call("function.list").slice(0, 20), 500)], false],
  [[post(call("daemon.status"))], false],
  [[post(call("invocation.list", { limit: 1000 }))], true],
  [[UPGRADE], true],
  [[UPGRADE, frame(SUBSCRIBE)], true],
  [[UPGRADE, frame(SUBSCRIBE).subarray(0, 9)], true],
  [[UPGRADE, frame(call("events.subscribe", { after: { database: "another", seq: 1 } }))], true],
  [[UPGRADE, frame(SUBSCRIBE), frame(call("event.list", { limit: 10_000 }))], true],
];

function vanish(path: string, kind: number): Promise<void> {
  const [sent, waits] = KINDS[kind % KINDS.length] ?? [[], false];
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      for (const one of sent) socket.write(one);
      if (!waits) setImmediate(() => socket.destroy());
    });
    socket.once("data", () => socket.destroy());
    socket.once("error", () => socket.destroy());
    socket.once("close", () => resolve());
  });
}

async function many(path: string, count: number): Promise<void> {
  let next = 0;
  const one = async () => {
    while (next < count) await vanish(path, next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
}

t.test(`F17: ${CLIENTS} clients that vanish leave neither descriptors nor memory taken`, async (t) => {
  await using rig = Rig.open({ files: FILES });
  await using daemon = await Inspected.open(rig);
  await using client = await rig.connect();
  const path = (JSON.parse(rig.read(`.livedev/${rig.stage}/daemon.json`)) as { socket: string }).socket;
  // Something to run and to replay, and what is made once is made.
  await client.call("function.invokeLocal", JSON.parse(SLOW).params);
  await many(path, WARM_UP);
  const before = await daemon.settled();
  const began = performance.now();
  await many(path, CLIENTS);
  const after = await daemon.settled();
  t.comment(
    `${CLIENTS} clients in ${Math.round(performance.now() - began)} ms; descriptors ${before.descriptors} → ${after.descriptors}; heap ${before.heapMb.toFixed(1)} → ${after.heapMb.toFixed(1)} MB`,
  );
  t.equal(after.descriptors, before.descriptors);
  t.ok(after.heapMb - before.heapMb < 3, "300 bytes a client would be seen");
  t.same((await client.call("function.list", {})).length, 2, "and who stayed is served");
});
