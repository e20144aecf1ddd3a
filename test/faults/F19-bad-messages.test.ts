/** F19: whatever is sent to the control socket, the daemon says what is wrong with it, and lives. */
import { randomInt } from "node:crypto";
import { Agent, request } from "node:http";
import { connect } from "node:net";

import t from "tap";
import { WebSocket } from "ws";

import { times } from "../support/counts.ts";
import { Rig } from "../support/rig.ts";
import { Fuzz } from "./fuzz.ts";
import { Inspected } from "./inspected.ts";
import { FILES } from "./support.ts";

const MESSAGES = Number(process.env["LIVEDEV_FUZZ"] ?? times(100_000, 2_000));
const SEED = Number(process.env["LIVEDEV_SEED"] ?? randomInt(2 ** 31));

type Answer = {
  readonly id?: unknown;
  readonly result?: unknown;
  readonly error?: { code: number; message: string };
};

const rig = Rig.open({ files: FILES });
t.teardown(() => rig[Symbol.asyncDispose]());
const daemon = await Inspected.open(rig);
t.teardown(() => daemon[Symbol.asyncDispose]());
const { socket: path } = JSON.parse(rig.read(`.livedev/${rig.stage}/daemon.json`)) as { socket: string };

function post(
  path: string,
  body: string | Buffer | Iterable<Buffer>,
  agent?: Agent,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const asked = request(
      { socketPath: path, path: "/rpc", method: "POST", ...(agent && { agent }) },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (more: string) => (text += more));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      },
    );
    asked.on("error", reject);
    if (typeof body === "string" || Buffer.isBuffer(body)) {
      asked.end(body);
      return;
    }
    void (async () => {
      for (const chunk of body) {
        if (asked.destroyed || asked.writableEnded) return;
        if (!asked.write(chunk))
          await new Promise((drained) => asked.once("drain", drained).once("close", drained));
      }
      asked.end();
    })();
  });
}

/** One connection; messages that it answers, and what it was closed with. */
class Wire {
  readonly socket: WebSocket;
  readonly closed: Promise<number>;
  onAnswer: (answer: unknown) => void = () => {};

  private constructor(socket: WebSocket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once("close", (code) => resolve(code)));
    socket.on("error", () => {});
    socket.on("message", (data: Buffer) => this.onAnswer(JSON.parse(data.toString())));
  }

  static open(path: string): Promise<Wire> {
    const socket = new WebSocket("ws://livedevd/rpc", {
      createConnection: () => connect(path),
      perMessageDeflate: false,
    });
    const wire = new Wire(socket);
    return new Promise((resolve, reject) => {
      socket.once("open", () => resolve(wire));
      socket.once("error", reject);
    });
  }
}

const call = (method: unknown, params?: unknown, id: unknown = 1) =>
  JSON.stringify({ jsonrpc: "2.0", id, method, params });

t.test(
  "F19: each known kind of bad message gets JSON-RPC's own error, or its connection is closed",
  async (t) => {
    const cases: readonly [what: string, body: string | Buffer, status: number, code: number][] = [
      ["nothing", "", 200, -32700],
      ["malformed JSON", '{"jsonrpc":', 200, -32700],
      ["JSON with a byte order mark", `\ufeff${call("function.list")}`, 200, -32700],
      ["10,000 levels of arrays", "[".repeat(10_000) + "]".repeat(10_000), 200, -32600],
      ["10,000 levels, never closed", '{"a":'.repeat(10_000), 200, -32600],
      ["invalid UTF-8", Buffer.from([0x22, 0xff, 0xfe, 0x22]), 400, -32700],
      [
        "a batch of 10,000",
        `[${Array.from({ length: 10_000 }, () => call("function.list")).join(",")}]`,
        200,
        -32600,
      ],
      ["an empty batch", "[]", 200, -32600],
      ["a number", "42", 200, -32600],
      ["an unknown method", call("no.suchMethod"), 200, -32601],
      ["a method of Object.prototype", call("toString"), 200, -32601],
      ["__proto__ as method", call("__proto__"), 200, -32601],
      ["a method that is no string", call(["function.list"]), 200, -32600],
      ["an id that is an object", call("function.list", {}, {}), 200, -32600],
      ["params of the wrong type", call("invocation.list", { limit: "many" }), 200, -32602],
      ["params that are no object", call("daemon.stop", "now"), 200, -32602],
      ["params that nobody knows", call("daemon.stop", { force: true }), 200, -32602],
      [
        "a limit of 1e308",
        '{"jsonrpc":"2.0","id":1,"method":"event.list","params":{"limit":1e308}}',
        200,
        -32602,
      ],
      [
        "__proto__ among the params",
        '{"jsonrpc":"2.0","id":1,"method":"daemon.stop","params":{"__proto__":{"restarting":true}}}',
        200,
        -32602,
      ],
    ];
    for (const [what, body, status, code] of cases) {
      const answer = await post(path, body);
      t.equal(answer.status, status, what);
      t.equal((JSON.parse(answer.text) as Answer).error?.code, code, what);
    }
    t.comment(`${cases.length} kinds`);

    const before = await daemon.heapMb();
    // 100 MB of which no end is told: cut off after 8.
    const chunk = Buffer.alloc(1024 * 1024, 0x20);
    const chunks = Array.from({ length: 100 }, () => chunk);
    const long = await post(path, chunks).then(
      ({ status }) => status,
      (error: NodeJS.ErrnoException) => error.code,
    );
    t.ok(long === 413 || long === "EPIPE" || long === "ECONNRESET", String(long));
    const wire = await Wire.open(path);
    wire.socket.send(Buffer.alloc(100 * 1024 * 1024, 0x20), { binary: false });
    t.equal(await wire.closed, 1009, "too long for a WebSocket");
    // An HTTP request without an end, and one whose newline never comes: they hold up nobody.
    const endless = [`POST /rpc HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{`, "POST /rpc"].map(
      (text) => {
        const socket = connect(path);
        socket.write(text);
        return socket;
      },
    );
    t.equal((await post(path, call("function.list"))).status, 200);
    for (const socket of endless) socket.destroy();
    t.ok((await daemon.heapMb()) - before < 2, "nothing of it is kept");
    t.equal(daemon.child.exitCode, null);
  },
);

t.test(
  `F19: ${MESSAGES} fuzzed messages over HTTP and WebSocket (LIVEDEV_SEED=${SEED})`,
  { timeout: 3_600_000 },
  async (t) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 16 });
    t.teardown(() => agent.destroy());
    const fuzz = new Fuzz(SEED);
    const codes = new Map<string, number>();
    const bugs: string[] = [];
    const count = (answer: unknown, sent: string | Buffer) => {
      for (const one of Array.isArray(answer) ? (answer as Answer[]) : [answer as Answer]) {
        if ("method" in one) continue;
        const code = one.error === undefined ? "result" : String(one.error.code);
        codes.set(code, (codes.get(code) ?? 0) + 1);
        // -32603: a bug of ours.
        if (code === "-32603" || (one.error === undefined && !("result" in one)))
          bugs.push(String(sent).slice(0, 300));
      }
    };
    /** One message in ten by HTTP, since each is a request of its own. */
    const byHttp = async (messages: number) => {
      let left = messages;
      const one = async () => {
        while (left-- > 0) {
          const sent = fuzz.message();
          const { status, text } = await post(path, sent, agent);
          if (text !== "") count(JSON.parse(text), sent);
          else if (status !== 204) bugs.push(`${status} without a word`);
        }
      };
      await Promise.all(Array.from({ length: 16 }, one));
    };
    const byWebSocket = async (messages: number) => {
      let wire = await Wire.open(path);
      for (let sent = 0; sent < messages;) {
        if (wire.socket.readyState !== wire.socket.OPEN) wire = await Wire.open(path);
        let last: string | Buffer = "";
        // Behind a few hundred of them a plain request is answered, unless one of them closed the connection.
        const answered = new Promise<void>((resolve) => {
          wire.onAnswer = (answer) => {
            if ((answer as Answer).id === "the end") resolve();
            else count(answer, last);
          };
          void wire.closed.then(() => resolve());
        });
        for (let n = 0; n < 250 && sent < messages; n++) {
          last = fuzz.message();
          const binary = fuzz.chance(0.001);
          wire.socket.send(last, { binary });
          sent += 1;
          // Bytes that are no UTF-8, or no text: they must close the connection, and what follows would not be read.
          if (binary || Buffer.isBuffer(last)) break;
        }
        wire.socket.send(call("function.list", {}, "the end"));
        await answered;
      }
      wire.socket.close();
      await wire.closed;
    };
    const run = (messages: number) =>
      Promise.all([
        byHttp(Math.round(messages / 10)),
        ...Array.from({ length: 4 }, () => byWebSocket(Math.round((messages * 9) / 40))),
      ]);

    await run(Math.min(5_000, MESSAGES / 10));
    // The threads that read history and search it are started when they are first asked, and stay.
    for (const query of [{}, { text: "anything" }])
      t.equal((await post(path, call("invocation.list", query))).status, 200);
    agent.destroy();
    const before = await daemon.settled();
    const began = performance.now();
    await run(MESSAGES);
    agent.destroy();
    const after = await daemon.settled();
    const tookMs = performance.now() - began;
    t.comment(
      `${MESSAGES} messages in ${Math.round(tookMs)} ms; answers ${JSON.stringify(Object.fromEntries(codes))}; heap ${before.heapMb.toFixed(1)} → ${after.heapMb.toFixed(1)} MB; descriptors ${before.descriptors} → ${after.descriptors}`,
    );
    t.same(bugs.slice(0, 5), [], "no answer is a bug");
    t.equal(daemon.child.exitCode, null, "alive");
    t.ok(after.heapMb - before.heapMb < 5, "memory is flat");
    t.ok(after.descriptors <= before.descriptors, "descriptors are back");
    const known = new Set(["result", "-32700", "-32600", "-32601", "-32602", "-32000", "-32001"]);
    t.same(
      [...codes.keys()].filter((code) => !known.has(code)),
      [],
    );
    await using client = await rig.connect();
    const status = await client.call("daemon.status", {});
    t.equal(status.live.state, "off", "and nothing was changed");
  },
);
