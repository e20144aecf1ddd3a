import t from "tap";

import { LivedevError } from "../../proto/errors.ts";
import { openLog } from "../../daemon/lib/log.ts";
import { deferred } from "../../daemon/lib/scope.ts";

import { Rig } from "./rig.ts";

const request = (method: string, params?: unknown, id: unknown = 1) => ({
  jsonrpc: "2.0",
  id,
  method,
  params,
});

void t.test("a method answers over HTTP and over WebSocket alike", async (t) => {
  await using rig = await Rig.open();
  const posted = await rig.post(JSON.stringify(request("function.list")));
  t.equal(posted.status, 200);
  t.same(posted.json(), { jsonrpc: "2.0", id: 1, result: [] });

  const wire = await rig.wire();
  t.same(await wire.call("function.list", {}, 7), { jsonrpc: "2.0", id: 7, result: [] });
  t.equal(rig.rpc.connections, 1);
});

void t.test("bad input gets JSON-RPC's own error and changes nothing", async (t) => {
  await using rig = await Rig.open();
  const cases: [name: string, body: string | Uint8Array, code: number, message: RegExp][] = [
    ["no JSON", "{", -32700, /not JSON/],
    ["nothing", "", -32700, /not JSON/],
    ["invalid UTF-8", Buffer.from([0x22, 0xff, 0x22]), -32700, /not UTF-8/],
    ["a number", "1", -32600, /not an object/],
    ["null", "null", -32600, /not an object/],
    ["an empty batch", "[]", -32600, /empty batch/],
    ["no version", '{"id":1,"method":"function.list"}', -32600, /2\.0/],
    ["an object as id", '{"jsonrpc":"2.0","id":{},"method":"function.list"}', -32600, /id/],
    ["a number as method", '{"jsonrpc":"2.0","id":1,"method":5}', -32600, /method/],
    ["an unknown method", JSON.stringify(request("daemon.fly")), -32601, /not found/],
    ["an Object.prototype method", JSON.stringify(request("constructor")), -32601, /not found/],
    ["a wrong type", JSON.stringify(request("invocation.list", { limit: "ten" })), -32602, /limit: .*number/],
    ["out of range", JSON.stringify(request("invocation.list", { limit: 5_000 })), -32602, /limit: /],
    ["positional params", JSON.stringify(request("invocation.list", [5])), -32602, /params: .*array/],
    ["an unknown property", JSON.stringify(request("invocation.list", { limmit: 5 })), -32602, /limmit/],
    ["a missing property", JSON.stringify(request("invocation.get", {})), -32602, /id: /],
    ["10,000 levels", "[".repeat(10_000), -32600, /100 levels/],
    ["10,000 closed levels", `${"[".repeat(10_000)}${"]".repeat(10_000)}`, -32600, /100 levels/],
    [
      "a batch of 1,001",
      JSON.stringify(Array(1_001).fill(request("function.list"))),
      -32600,
      /1000 requests/,
    ],
  ];
  for (const [name, body, code, message] of cases) {
    const { error } = (await rig.post(body)).json();
    t.equal(error.code, code, name);
    t.match(error.message, message, name);
  }
  const after = await rig.post(JSON.stringify(request("function.list")));
  t.same(after.json().result, [], "and it still answers");
});

void t.test("a message of more than 8 MB is refused, by both ways, without being read whole", async (t) => {
  await using rig = await Rig.open();
  const big = Buffer.alloc(9 * 1024 * 1024, 0x20);
  const posted = await rig.post(big);
  t.equal(posted.status, 413);
  t.equal(posted.json().error.code, -32600);

  const wire = await rig.wire();
  wire.socket.on("error", () => {});
  wire.socket.send(big.toString());
  t.equal((await wire.closed).code, 1009);
});

void t.test("a WebSocket message that is binary or no UTF-8 closes that connection alone", async (t) => {
  await using rig = await Rig.open();
  const [binary, broken, other] = await Promise.all([rig.wire(), rig.wire(), rig.wire()]);
  binary.socket.send(Buffer.from("{}"));
  t.equal((await binary.closed).code, 1003);
  broken.socket.send(Buffer.from([0xff, 0xfe]), { binary: false });
  t.equal((await broken.closed).code, 1007);
  t.same((await other.call("function.list")).result, []);
});

void t.test("__proto__ as a key reaches no prototype", async (t) => {
  let seen: unknown;
  await using rig = await Rig.open({
    methods: {
      "daemon.hello": (params) => {
        seen = params;
        return Promise.reject(new LivedevError("test.done", "done"));
      },
    },
  });
  const top = '{"jsonrpc":"2.0","id":1,"method":"function.list","params":{"__proto__":{"polluted":true}}}';
  const answer = (await rig.post(top)).json();
  t.ok(answer.error?.code === -32602 || answer.result, "refused, or as if it were not there");

  const nested = `{"jsonrpc":"2.0","id":1,"method":"daemon.hello","__proto__":{"polluted":true},
    "params":{"protocol":1,"version":"1","environment":{"__proto__":"x","constructor":"y"}}}`;
  await rig.post(nested);
  t.notOk((seen as { polluted?: boolean }).polluted);
  t.equal(({} as { polluted?: boolean }).polluted, undefined);
});

void t.test("a batch is answered as an array, also a batch of one, with its bad parts named", async (t) => {
  await using rig = await Rig.open();
  const one = (await rig.post(JSON.stringify([request("function.list")]))).json();
  t.same(one, [{ jsonrpc: "2.0", id: 1, result: [] }]);

  const mixed = [request("function.list", {}, "a"), 5, { jsonrpc: "2.0", method: "function.list" }, null];
  const answers = (await rig.post(JSON.stringify(mixed))).json();
  t.match(answers, [{ id: "a", result: [] }, { error: { code: -32600 } }, { error: { code: -32600 } }]);
  t.equal(answers.length, 3, "a notification has no answer");
});

void t.test("notifications alone are answered with nothing", async (t) => {
  await using rig = await Rig.open();
  const posted = await rig.post(JSON.stringify({ jsonrpc: "2.0", method: "function.list" }));
  t.equal(posted.status, 204);
  t.equal(posted.text, "");
});

void t.test("an error that a user can mend carries its code and hint", async (t) => {
  await using rig = await Rig.open({
    methods: { "function.list": () => Promise.reject(new LivedevError("a.b", "It rains.", "Wait.")) },
  });
  t.same((await rig.post(JSON.stringify(request("function.list")))).json().error, {
    code: -32000,
    message: "It rains.",
    data: { code: "a.b", hint: "Wait." },
  });
});

void t.test("a bug's message goes to the log with its stack, never to the client", async (t) => {
  const lines: string[] = [];
  await using rig = await Rig.open({
    log: openLog({ write: (line) => void lines.push(line) }),
    methods: { "function.list": () => Promise.reject(new Error("secret detail")) },
  });
  const { error } = (await rig.post(JSON.stringify(request("function.list")))).json();
  t.equal(error.code, -32603);
  t.notMatch(error.message, /secret/);
  t.match(lines.join(""), /secret detail.*requests\.test/s);
});

void t.test("$/cancelRequest aborts the method's signal and the request ends as cancelled", async (t) => {
  const begun = deferred<void>();
  await using rig = await Rig.open({
    methods: {
      "function.list": (_params, { signal }) => {
        begun.resolve();
        return new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason as Error));
        });
      },
    },
  });
  const wire = await rig.wire();
  const answered = wire.call("function.list", {}, "slow");
  await begun.promise;
  wire.send({ jsonrpc: "2.0", method: "$/cancelRequest", params: { id: "other" } });
  wire.send({ jsonrpc: "2.0", method: "$/cancelRequest" });
  wire.send(request("function.list", {}, "slow"));
  const refused = await wire.until((message) => message.error?.code === -32600);
  t.match(refused.error.message, /still in progress/);
  wire.send({ jsonrpc: "2.0", method: "$/cancelRequest", params: { id: "slow" } });
  await wire.until((message) => message.error?.code === -32001);
  t.equal((await answered).error.code, -32600, "the refused one had the same id");
});

void t.test("a caller that goes away aborts what it asked for", async (t) => {
  const begun = [deferred<AbortSignal>(), deferred<AbortSignal>()];
  let calls = 0;
  await using rig = await Rig.open({
    methods: {
      "function.list": (_params, { signal }) => {
        begun[calls++]?.resolve(signal);
        return new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason as Error));
        });
      },
    },
  });
  const wire = await rig.wire();
  wire.send(request("function.list"));
  const first = await begun[0]!.promise;
  wire.socket.terminate();
  await aborted(first);

  const { request: httpRequest } = await import("node:http");
  const post = httpRequest({ socketPath: rig.socketPath, path: "/rpc", method: "POST" });
  post.on("error", () => {});
  post.end(JSON.stringify(request("function.list")));
  const second = await begun[1]!.promise;
  post.destroy();
  await aborted(second);
  t.ok(first.aborted && second.aborted);
});

void t.test("what waits for the answer runs after it was sent", async (t) => {
  const ran = [deferred<void>(), deferred<void>()];
  let calls = 0;
  await using rig = await Rig.open({
    methods: {
      "daemon.stop": (_params, { afterAnswer }) => {
        const one = ran[calls++];
        afterAnswer(() => one?.resolve());
        return Promise.resolve({ pid: 1 });
      },
    },
  });
  const wire = await rig.wire();
  t.same((await wire.call("daemon.stop", {})).result, { pid: 1 });
  await ran[0]!.promise;
  t.same((await rig.post(JSON.stringify(request("daemon.stop", {})))).json().result, { pid: 1 });
  await ran[1]!.promise;
});

void t.test("a closing daemon lets an answer in progress out, and no longer than a second", async (t) => {
  let answer = () => {};
  await using rig = await Rig.open({
    methods: {
      "function.list": () => new Promise((resolve) => (answer = () => resolve([]))),
    },
  });
  const asking = await rig.wire();
  asking.send({ jsonrpc: "2.0", id: 1, method: "function.list", params: {} });
  await asking.call("event.list", {});
  const closed = rig.rpc[Symbol.asyncDispose]();
  answer();
  t.match(await asking.until(({ id }) => id === 1), { result: [] });
  t.equal((await asking.closed).code, 1001);
  await closed;

  await using other = await Rig.open({ methods: { "daemon.doctor": () => new Promise(() => {}) } });
  const stuck = await other.wire();
  stuck.send({ jsonrpc: "2.0", id: 1, method: "daemon.doctor", params: {} });
  await stuck.call("event.list", {});
  await other.rpc[Symbol.asyncDispose]();
  t.equal((await stuck.closed).code, 1001);
});

void t.test("other paths, methods and web pages get nothing", async (t) => {
  await using rig = await Rig.open();
  const { post } = await import("./rig.ts");
  t.equal((await post(rig.socketPath, "", {}, "GET")).status, 404);
  t.equal((await post(rig.socketPath, "{}", {}, "POST", "/other")).status, 404);
  const { WebSocket } = await import("ws");
  const { connect } = await import("node:net");
  const refused = new WebSocket("ws://livedevd/rpc", {
    createConnection: () => connect(rig.socketPath),
    origin: "https://example.com",
  });
  const error = await new Promise<Error>((resolve) => refused.once("error", resolve));
  t.match(error.message, /404/);
});

void t.test(
  "closing lets answers in progress end, tells WebSockets, and leaves no socket file",
  async (t) => {
    const { existsSync } = await import("node:fs");
    const begun = deferred<void>();
    const release = deferred<void>();
    await using rig = await Rig.open({
      methods: {
        "function.list": async () => {
          begun.resolve();
          await release.promise;
          return [];
        },
      },
    });
    const wire = await rig.wire();
    const posted = rig.post(JSON.stringify(request("function.list")));
    await begun.promise;
    const closing = rig.rpc[Symbol.asyncDispose]();
    t.equal((await wire.closed).code, 1001);
    release.resolve();
    t.same((await posted).json().result, []);
    await closing;
    t.notOk(existsSync(rig.socketPath));
    t.equal(rig.rpc.connections, 0);
  },
);

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve());
  });
}
