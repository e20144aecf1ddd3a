/** Seeded messages against the bridge (LIVEDEV_FUZZ=1000000 for more): refused or harmless, and it serves on. */
import t from "tap";

import type { Connection, ConnectionEvents } from "../../daemon/bridge/connection.ts";
import { bridgeClosed } from "../../daemon/lib/errors.ts";
import { Session } from "../../daemon/bridge/session.ts";
import { silentLog } from "../../daemon/lib/log.ts";
import {
  decodeFrame,
  type Decoded,
  encodeFrame,
  type Frame,
  FrameError,
  type Hello,
  type UpFrame,
} from "../../proto/frames.ts";
import { BareStub, type BareStubOptions } from "../support/bare-stub.ts";
import { times } from "../support/counts.ts";
import { SAMPLES } from "../support/frames.ts";
import { PLACE, ok, openBridge, portOf } from "../support/stub.ts";

const MESSAGES = Number(process.env["LIVEDEV_FUZZ"] ?? times(100_000, 4_000));
/** Over sockets a connection dies of its first wrong frame, and most of the time goes into dialling. */
const OVER_SOCKETS = MESSAGES / 20;
const BATCH = 20;

let state = Number(process.env["LIVEDEV_SEED"] ?? 20_240_401);
function random(): number {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
}
const below = (limit: number) => Math.floor(random() * limit);
const pick = <T>(items: readonly T[]): T => items[below(items.length)] as T;

const VALUES: readonly unknown[] = [
  null,
  true,
  -1,
  1e308,
  "",
  "x".repeat(5_000),
  [],
  {},
  { requestId: 1 },
  { requestId: "a", nonce: null },
  "__proto__",
];

/** A right frame, or one that is wrong in one of many ways. */
function message(seq: number): Uint8Array {
  const sample = pick(SAMPLES);
  const right = encodeFrame(sample.seq === 0 ? 0 : seq, sample.frame, sample.payload);
  switch (below(7)) {
    case 0:
      return Buffer.from(Array.from({ length: below(200) }, () => below(256)));
    case 1: {
      const bytes = Buffer.from(right);
      for (let flips = 1 + below(4); flips > 0; flips -= 1) bytes[below(bytes.length)] = below(256);
      return bytes;
    }
    case 2:
      return right.subarray(0, below(right.length));
    case 3: {
      const fields = { ...sample.frame } as Record<string, unknown>;
      const names = Object.keys(fields).filter((name) => name !== "type");
      if (names.length > 0) fields[pick(names)] = pick(VALUES);
      return encodeFrame(sample.seq === 0 ? 0 : seq, fields as Frame, sample.payload);
    }
    case 4:
      return encodeFrame(below(4_294_967_296), sample.frame, sample.payload);
    case 5: {
      const fields = { ...sample.frame, ["__proto__"]: { polluted: true }, extra: pick(VALUES) };
      return encodeFrame(sample.seq === 0 ? 0 : seq, fields, sample.payload);
    }
    default:
      return right;
  }
}

t.test(`${MESSAGES} messages to one session: a FrameError, or what the protocol says`, async (t) => {
  const hello = SAMPLES.map(({ frame }) => frame).find((frame) => frame.type === "hello") as Hello;
  const claimed = new Set<string>();
  const run: string[] = [];
  let unfinished = 0;
  const session = new Session({
    hello,
    epoch: "e1",
    graceMs: 20,
    claim: ({ requestId, nonce }) => {
      const key = `${requestId} ${nonce}`;
      return !claimed.has(key) && claimed.add(key) !== undefined;
    },
    receive: (exchange) => {
      run.push(`${exchange.key.requestId} ${exchange.key.nonce}`);
      unfinished += 1;
      const over = () => (unfinished -= 1);
      exchange.deliver(ok(exchange.event)).then(over, over);
    },
    unreadMs: () => 0,
    detached: () => {},
    log: silentLog,
  });
  let seq = 0;
  let heard = 0;
  let frameErrors = 0;
  let events: ConnectionEvents | undefined;
  const attach = () => {
    const connection = {
      handle: (given: ConnectionEvents) => (events = given),
      send: () => {},
      close: () => {},
      write: (bytes: Uint8Array) => {
        // Whatever comes in, what goes out is a frame.
        const { seq: theirs, frame } = decodeFrame(bytes);
        if (frame.type === "ack") seq = frame.received;
        heard = Math.max(heard, theirs);
      },
    };
    session.attach(connection as unknown as Connection, { ...hello, epoch: "e1", received: heard });
  };
  attach();
  for (let sent = 0; sent < MESSAGES; sent += 1) {
    let bytes = message(seq + 1);
    // Keys of their own, now and then: otherwise one sample's would be all that runs.
    if (random() < 0.2) {
      const key = { requestId: `r${below(500)}`, nonce: `n${below(3)}` };
      const fields = { remainingMs: 10, deadlineAt: 0, functionArn: "arn" };
      bytes = encodeFrame(seq + 1, { type: "invoke", key, ...fields }, Buffer.from("1"));
    }
    try {
      events?.frame(decodeFrame(bytes) as Decoded<UpFrame>);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      frameErrors += 1;
      events?.closed("malformed");
      attach();
    }
    // Deliveries and their ends come between the messages, as they do.
    if (sent % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  t.comment(`${MESSAGES} messages: ${frameErrors} frame errors, ${run.length} invocations`);
  t.equal(new Set(run).size, run.length, "no key ran twice");
  t.ok(frameErrors > MESSAGES / 4 && run.length > 500);
  session.close(bridgeClosed());
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(unfinished, 0);
});

t.test(`${OVER_SOCKETS} messages over sockets: the bridge refuses them and serves on`, async (t) => {
  const rejections: unknown[] = [];
  process.on("unhandledRejection", (error) => rejections.push(error));
  await using bridge = await openBridge({
    receive: (invocation) => invocation.deliver(ok(invocation.event)).catch(() => {}),
    graceMs: 50,
  });
  const options: BareStubOptions = {
    port: portOf(bridge),
    ...PLACE,
  };
  const heapBefore = process.memoryUsage().heapUsed;
  let sent = 0;
  let greeted = 0;
  let closed = 0;
  while (sent < OVER_SOCKETS) {
    // Some never say hello.
    const hello = random() < 0.8;
    const stub = await (hello
      ? BareStub.open(options, { sandbox: `s${below(50)}` })
      : BareStub.dial(options));
    if (hello) greeted += 1;
    const gone = new Promise<void>((resolve) => stub.socket.once("close", () => resolve()));
    for (let seq = 1; seq <= BATCH; seq += 1) {
      stub.socket.send(random() < 0.01 ? "text" : message(seq), () => {});
      sent += 1;
    }
    // It is closed by the bridge at the first wrong one; where all were right, by us.
    const pong = new Promise<void>((resolve) => stub.socket.once("pong", () => resolve()));
    if (stub.socket.readyState === stub.socket.OPEN) stub.socket.ping(undefined, undefined, () => {});
    await Promise.race([gone, pong]);
    if (stub.socket.readyState !== stub.socket.OPEN) closed += 1;
    stub.close();
    await gone;
  }
  t.comment(`${sent} messages, ${greeted} greeted connections, ${closed} closed by the bridge`);
  t.same(rejections, []);
  t.equal(({} as Record<string, unknown>)["polluted"], undefined);
  t.ok(process.memoryUsage().heapUsed - heapBefore < 200 * 1024 * 1024);

  const stub = await BareStub.open(options);
  const answered = new Promise<string>((resolve) => {
    stub.onFrame = ({ frame, payload }) => {
      if (frame.type === "answer") resolve(Buffer.from(payload).toString());
    };
  });
  stub.invoke('"after all that"');
  t.equal(await answered, '"after all that"', "and it serves on");
  stub.close();
});
