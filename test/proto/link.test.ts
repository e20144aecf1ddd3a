import t from "tap";

import { decodeFrame, encodeFrame, FrameError, type Goodbye, type StreamChunk } from "../../proto/frames.ts";
import { Link } from "../../proto/link.ts";

const chunk: StreamChunk = { type: "stream.chunk", key: { requestId: "r", nonce: "n" } };
const number = (value: number) => Buffer.from(String(value));

/** A seeded generator: a failure names its seed and can be run again. */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Two ends and a wire that dies at any moment, with what is in flight; within one connection it keeps the order. */
class LossyWire {
  readonly ends = [new Link<StreamChunk>(), new Link<StreamChunk>()] as const;
  readonly got: [number[], number[]] = [[], []];
  #flight: [Uint8Array[], Uint8Array[]] = [[], []];

  connect(): void {
    for (const side of [0, 1] as const) this.ends[side].detach();
    this.#flight = [[], []];
    // hello and welcome: each says what it has before the other writes again.
    const received = [this.ends[0].received, this.ends[1].received] as const;
    for (const side of [0, 1] as const) {
      this.ends[side].attach(received[side === 0 ? 1 : 0], (bytes) => this.#flight[side].push(bytes));
    }
  }

  inFlight(side: 0 | 1): number {
    return this.#flight[side].length;
  }

  /** One frame of `side` arrives at the other end. */
  arrive(side: 0 | 1): void {
    const other = side === 0 ? 1 : 0;
    const bytes = this.#flight[side].shift();
    if (bytes === undefined) return;
    const { seq, frame, payload } = decodeFrame(bytes);
    if (frame.type === "ack") {
      this.ends[other].acked(frame.received);
      return;
    }
    const fresh = this.ends[other].receive(seq);
    this.#flight[other].push(encodeFrame(0, { type: "ack", received: this.ends[other].received }));
    if (fresh) this.got[other].push(Number(Buffer.from(payload).toString()));
  }
}

void t.test("whatever the wire loses, each frame arrives exactly once and in order", async (t) => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = seeded(seed);
    const wire = new LossyWire();
    const sent = [0, 0];
    for (let step = 0; step < 400; step += 1) {
      const side = random(2) as 0 | 1;
      const dice = random(100);
      if (dice < 35) {
        wire.ends[side].send(random(2) === 0 ? chunk : () => chunk, number(sent[side] ?? 0));
        sent[side] = (sent[side] ?? 0) + 1;
      } else if (dice < 92) wire.arrive(side);
      else if (dice < 96) wire.ends[side].detach();
      else wire.connect();
    }
    wire.connect();
    while (wire.inFlight(0) + wire.inFlight(1) > 0) {
      wire.arrive(0);
      wire.arrive(1);
    }
    for (const side of [0, 1] as const) {
      const expected = Array.from({ length: sent[side] ?? 0 }, (_, index) => index);
      const got = wire.got[side === 0 ? 1 : 0];
      if (JSON.stringify(got) !== JSON.stringify(expected)) t.strictSame(got, expected, `seed ${seed}`);
      if (wire.ends[side].unackedBytes !== 0) t.equal(wire.ends[side].unackedBytes, 0, `seed ${seed}`);
    }
  }
  t.pass("300 seeds");
});

void t.test("a gap and an ack of what was never sent are faults of the peer", async (t) => {
  const link = new Link<StreamChunk>();
  t.equal(link.receive(1), true);
  t.equal(link.receive(1), false);
  t.throws(() => link.receive(3), FrameError);
  t.equal(link.received, 1);
  t.throws(() => link.acked(1), FrameError);
  t.throws(() => link.attach(1, () => {}), FrameError);
});

void t.test("acknowledged() resolves at the ack, and rejects when the link closes before", async (t) => {
  const link = new Link<StreamChunk>();
  const first = link.send(chunk);
  const second = link.send(chunk);
  link.acked(first);
  await link.acknowledged(first);
  const waits = link.acknowledged(second);
  link.close(new Error("over"));
  await t.rejects(waits, { message: "over" });
  await t.rejects(link.acknowledged(second), { message: "over" });
  t.throws(() => link.send(chunk), { message: "over" });
  await link.acknowledged(first);
});

void t.test(
  "room() waits while too many bytes are unacked, also when they are many small frames",
  async (t) => {
    const link = new Link<StreamChunk>({ maxUnackedBytes: 1000 });
    for (let frame = 0; frame < 4; frame += 1) link.send(chunk, Buffer.alloc(1));
    let room = false;
    const waits = link.room().then(() => (room = true));
    await Promise.resolve();
    t.equal(room, false);
    link.acked(2);
    await waits;
    t.equal(room, true);
  },
);

void t.test("a frame made by a function is made anew for each connection", async (t) => {
  const link = new Link<Goodbye>();
  let made = 0;
  const reasons: unknown[] = [];
  const write = (bytes: Uint8Array) => reasons.push(decodeFrame(bytes).frame);
  link.send(() => {
    made += 1;
    return { type: "goodbye", reason: made === 1 ? "restarting" : "stopping" };
  });
  t.equal(made, 0, "not before it is written");
  link.attach(0, write);
  link.detach();
  link.attach(0, write);
  t.strictSame(reasons, [
    { type: "goodbye", reason: "restarting" },
    { type: "goodbye", reason: "stopping" },
  ]);
});

void t.test("replace() lets the payload go and keeps the place in the order", async (t) => {
  const link = new Link<StreamChunk>();
  link.send(chunk, Buffer.alloc(5000));
  link.send(chunk, Buffer.from("small"));
  link.replace((frame) => ({ frame }));
  t.ok(link.unackedBytes < 1000);
  const seqs: number[] = [];
  link.attach(0, (bytes) => seqs.push(decodeFrame(bytes).seq));
  t.strictSame(seqs, [1, 2]);
});
