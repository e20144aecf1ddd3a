import { request } from "node:http";
import t from "tap";

import { openLog } from "../../daemon/lib/log.ts";
import { MAX_PAYLOAD_BYTES } from "../../proto/answer.ts";
import { invocation, NEVER, openProgram, shown } from "./rig.ts";

const ECHO = `for (;;) { const { id, body } = await next(); await call("POST", "invocation/" + id + "/response", body, { "Content-Type": "application/json" }); }`;

void t.test("bytes pass unchanged both ways: big numbers, key order, binary", async (t) => {
  const rig = await openProgram(t, ECHO);
  for (const event of [
    Buffer.from(`{"b":12345678901234567890,"1":1.0,"a":1e400,"a":"\\u00e9é"}`),
    Buffer.from([0, 255, 254, 10, 13, 0xc3, 0x28]),
    Buffer.alloc(0),
  ]) {
    const answer = await rig.invoke(event);
    t.match(answer, { kind: "buffered", status: "ok", contentType: "application/json" });
    t.ok(answer.kind === "buffered" && Buffer.from(answer.body).equals(event));
  }
});

void t.test("6 MB pass, one byte over is Lambda's own error, and the runtime goes on", async (t) => {
  const rig = await openProgram(
    t,
    `for (;;) {
      const { id, body } = await next();
      const { status, body: said } = await call("POST", "invocation/" + id + "/response", Buffer.alloc(Number(body), 97));
      console.log(status + " " + said);
    }`,
  );
  const whole = await rig.invoke(MAX_PAYLOAD_BYTES);
  t.ok(whole.kind === "buffered" && whole.body.length === MAX_PAYLOAD_BYTES);
  t.match(shown(await rig.invoke(MAX_PAYLOAD_BYTES + 1)), {
    status: "error",
    errorType: "Function.ResponseSizeTooLarge",
    value: {
      errorMessage:
        "Response payload size (6291557 bytes) exceeded maximum allowed payload size (6291556 bytes).",
    },
  });
  await rig.line("413");
  const event = Buffer.alloc(MAX_PAYLOAD_BYTES - 1, 32);
  event.write("5", 0);
  t.match(await rig.invoke(event), { kind: "buffered", status: "ok" }, "and as an event");
});

void t.test(
  "F24: stray and second answers are refused as AWS refuses them, change nothing, and are in the log",
  async (t) => {
    const logged: string[] = [];
    const log = openLog({ write: (line) => void logged.push(line) });
    const rig = await openProgram(
      t,
      `const say = (name, { status, body }) => console.log(name + " " + status + " " + JSON.parse(body).errorType);
     say("early", await call("POST", "invocation/none/response", "0"));
     let last = "none";
     for (;;) {
      const { id } = await next();
      say("init", await call("POST", "init/error", "{}"));
      say("unknown", await call("POST", "invocation/nobody/response", "1"));
      say("unknown error", await call("POST", "invocation/%zz/error", "{}"));
      say("stale", await call("POST", "invocation/" + last + "/response", "2"));
      say("next", await call("GET", "invocation/next"));
      await call("POST", "invocation/" + id + "/response", JSON.stringify("the answer"));
      say("second", await call("POST", "invocation/" + id + "/response", "3"));
      say("second error", await call("POST", "invocation/" + id + "/error", "{}"));
      say("nowhere " + id, await call("POST", "somewhere", "{}"));
      last = id;
    }`,
      { log },
    );
    t.equal(shown(await rig.invoke()).value, "the answer");
    t.equal(shown(await rig.invoke()).value, "the answer");
    await rig.line("nowhere request-2");
    const said = (name: string) =>
      rig.lines.filter(({ text }) => text.startsWith(`${name} `)).map(({ text }) => text);
    t.same(said("early"), ["early 403 InvalidStateTransition"]);
    t.match(said("init"), ["init 403 InvalidStateTransition"]);
    t.match(said("unknown"), ["unknown 400 InvalidRequestID", "unknown error 400 InvalidRequestID"]);
    t.match(said("stale"), ["stale 400 InvalidRequestID", "stale 400 InvalidRequestID"]);
    t.match(said("next"), ["next 403 InvalidStateTransition"]);
    t.match(said("second"), ["second 403 InvalidStateTransition", "second error 403 InvalidStateTransition"]);
    const strays = logged
      .map((line) => JSON.parse(line) as Record<string, string>)
      .filter(({ msg }) => msg === "a stray of a runtime's was refused")
      .map(({ stray, requestId = "" }) => `${stray} ${requestId}`.trim());
    const each = (last: string, id: string) => ["init error", "answer nobody", "answer %zz", last, id, id];
    t.same(strays, [
      "answer none",
      ...each("answer none", "answer request-1"),
      ...each("answer request-1", "answer request-2"),
    ]);
  },
);

void t.test("an answer that comes after its invocation was given up is a stray", async (t) => {
  const rig = await openProgram(
    t,
    `const told = new Promise((resolve) => {
      const alive = setInterval(() => {}, 1000);
      process.once("SIGUSR2", () => resolve(clearInterval(alive)));
    });
    for (;;) {
      const { id } = await next();
      console.log("begun " + id);
      if (id === "request-1") await told;
      const { status } = await call("POST", "invocation/" + id + "/response", JSON.stringify(id));
      console.log("answered " + status);
    }`,
  );
  const cancel = new AbortController();
  const answer = rig.environment.invoke(invocation({}), cancel.signal);
  await rig.line("begun request-1");
  cancel.abort(new Error("timeout"));
  await t.rejects(answer, { message: "timeout" });
  const given = new AbortController();
  const waiting = rig.environment.invoke(invocation({}, {}, 2), given.signal);
  given.abort(new Error("cancelled"));
  await t.rejects(waiting, { message: "cancelled" }, "one that waits for the runtime can be given up too");
  process.kill(rig.environment.pid, "SIGUSR2");
  t.match(await rig.line("answered"), { text: "answered 403" });
  t.equal(shown(await rig.environment.invoke(invocation({}, {}, 3), NEVER)).value, "request-3");
});

void t.test("an error as a runtime posts it is kept byte for byte", async (t) => {
  const rig = await openProgram(
    t,
    `for (;;) {
      const { id, body } = await next();
      await call("POST", "invocation/" + id + "/error", body, id === "request-1" ? { "Lambda-Runtime-Function-Error-Type": "Header.Type" } : {});
    }`,
  );
  const body = Buffer.from(`{ "errorType" : "Body.Type", "errorMessage": "m", "trace": ["x"] }`);
  const one = await rig.invoke(body);
  t.match(one, { kind: "buffered", status: "error", errorType: "Header.Type", cause: "handler" });
  t.ok(one.kind === "buffered" && Buffer.from(one.body).equals(body));
  t.match(
    await rig.invoke(body),
    { errorType: "Body.Type" },
    "a client that sends no header has it in the body",
  );
  t.match(await rig.invoke(Buffer.from("no json")), { status: "error" });
});

void t.test("a runtime that stops in the middle of its answer", async (t) => {
  const rig = await openProgram(
    t,
    `import net from "node:net";
     for (;;) {
      const { id, body } = await next();
      // The API hears of the cut after this program does, and refuses its polls until then.
      if (id === undefined) continue;
      const socket = net.connect(port, host);
      socket.write("POST /2018-06-01/runtime/invocation/" + id + "/response HTTP/1.1\\r\\nHost: " + host + ":" + port + "\\r\\nContent-Length: 100\\r\\n\\r\\nhalf", () => {
        if (JSON.parse(body).die) process.kill(process.pid, "SIGKILL");
        // Not destroyed: a peer that is gone before it was looked at cannot be told from another user's.
        socket.resume().end();
      });
      await new Promise((resolve) => socket.once("close", resolve));
    }`,
  );
  t.match(shown(await rig.invoke({ die: false })), { errorType: "Runtime.TruncatedResponse" });
  t.match(shown(await rig.invoke({ die: true })), {
    errorType: "Runtime.ExitError",
    value: { errorMessage: /killed/ },
  });
});

void t.test("web pages and rebound names are refused, whatever they ask, and change nothing", async (t) => {
  const rig = await openProgram(t, `console.log("at " + host + ":" + port); ${ECHO}`);
  const address = (await rig.line("at ")).text.slice(3);
  await rig.environment.ready;
  const port = address.split(":")[1]!;
  const statuses = await Promise.all(
    [
      { Host: "evil.example" },
      { Host: `localhost:${port}` },
      { Host: "127.0.0.1" },
      { Host: `127.1:${port}` },
      { Host: address, Origin: "https://evil.example" },
      { Host: address, Origin: "null" },
      { Host: address, Origin: `http://${address}` },
    ].flatMap((headers) => [
      post(port, "GET", "/2018-06-01/runtime/invocation/next", headers),
      post(port, "POST", "/2018-06-01/runtime/invocation/request-1/response", headers),
    ]),
  );
  t.same([...new Set(statuses)], [403]);
  t.equal(shown(await rig.invoke("still here")).value, "still here");
});

void t.test("an idle connection and a long poll are never cut", async (t) => {
  const rig = await openProgram(
    t,
    `const { status, headers } = await call("GET", "nowhere");
     console.log(status + " keep-alive: " + (headers["keep-alive"] ?? "for ever")); ${ECHO}`,
  );
  // What Node's server would cut by itself, it announces there.
  t.match(await rig.line("keep-alive"), { text: "404 keep-alive: for ever" });
});

function post(port: string, method: string, path: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, method, path, headers });
    outgoing.once("error", reject);
    outgoing.once("response", (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    outgoing.end(method === "POST" ? `"forged"` : undefined);
  });
}
