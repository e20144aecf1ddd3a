/** Where the event of an invocation comes from, and what a user gets who meant something else. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

import t from "tap";

import { some } from "../support/counts.ts";
import { Terminal } from "../support/pty.ts";
import { ROOT } from "../support/rig.ts";
import { FakeDaemon } from "./fake-daemon.ts";

const LIVEDEV = `${process.execPath} ${join(ROOT, "dist", "livedev.js")}`;

/** Its function answers with the event that it was given. */
const echo = () =>
  FakeDaemon.open({
    "function.invoke": ({ event }) => Promise.resolve({ statusCode: 200, payload: event, requestId: "r" }),
  });

async function shell(daemon: FakeDaemon, line: string) {
  const child = spawn("bash", ["-c", line.replaceAll("livedev ", `${LIVEDEV} `)], {
    cwd: daemon.rig.project,
    env: daemon.rig.env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

t.test("an event that is piped in, or a file as stdin, is the event", async (t) => {
  await using daemon = await echo();
  daemon.rig.save("event.json", '\uFEFF{"from":"file"}\n');
  daemon.rig.save("empty.json", "");
  for (const [line, event] of [
    [`echo '{"s":1}' | livedev invoke MyApi`, '{"s":1}\n\n'],
    [`(sleep 0.2; echo '{"slow":1}') | livedev invoke MyApi`, '{"slow":1}\n\n'],
    ["livedev invoke MyApi < event.json", '{"from":"file"}\n\n'],
    [`echo '{"s":1}' | livedev invoke MyApi --event '{"given":1}'`, '{"given":1}\n'],
    ["livedev invoke MyApi < /dev/null", "{}\n"],
    ["livedev invoke MyApi < empty.json", "{}\n"],
    [": | livedev invoke MyApi", "{}\n"],
    ["livedev invoke MyApi <&-", "{}\n"],
  ] as const) {
    t.match(await shell(daemon, line), { code: 0, stdout: event, stderr: "" }, line);
  }
  const wrong = await shell(daemon, "echo Nope | livedev invoke MyApi");
  t.match(wrong, { code: 2, stdout: "", stderr: /^What came from stdin is not JSON/ });
});

t.test("a pipe that stays open and says nothing is refused, with what to write", async (t) => {
  await using daemon = await echo();
  // Bash holds the other end of the pipe.
  const silent = await shell(daemon, "mkfifo pipe; exec 3<> pipe; livedev invoke MyApi <&3");
  t.match(silent, { code: 2, stdout: "", stderr: /nothing came from it in 5 s\.\n.*--event.*<\/dev\/null/ });
});

t.test("a socket as stdin, as another program may hold it open, is left alone", async (t) => {
  await using daemon = await echo();
  const child = daemon.rig.spawn("livedev.js", ["invoke", "MyApi"]);
  let stdout = "";
  child.stdout?.on("data", (chunk: Buffer) => (stdout += String(chunk)));
  t.same(await once(child, "close"), [0, null]);
  t.equal(stdout, "{}\n");
});

t.test("a file's name in the place of an event is answered with --file", async (t) => {
  await using daemon = await echo();
  for (const name of some(["@order.json", "events/order.json", "@order"])) {
    const { code, stderr } = await daemon.rig.livedev("invoke", "MyApi", "--event", name);
    t.equal(code, 2);
    t.match(stderr, `An event in a file: --file ${name.replace("@", "")}\n`);
  }
  t.match((await daemon.rig.livedev("invoke", "MyApi", "--event", "text")).stderr, `--event '"text"'`);
  t.equal(
    (await daemon.rig.livedev("invoke", "MyApi", "--file", "nowhere.json")).stderr,
    "nowhere.json cannot be read: it does not exist.\nIs the path right?\n",
  );
});

t.test("--edit without a terminal is refused, unless an editor was chosen", async (t) => {
  await using daemon = await FakeDaemon.open({
    "invocation.replay": ({ event = "" }) =>
      Promise.resolve({ id: 9, status: "ok" as const, payload: event, durationMs: 1 }),
    "invocation.get": ({ id }) =>
      Promise.resolve({
        id: Number(id),
        functionName: "MyApi",
        requestId: "r",
        status: "ok" as const,
        receivedAt: 0,
        event: { text: '{"a":1}', bytes: 7, sealed: false },
        logs: [],
        deliveries: 1,
      }),
  });
  const refused = await shell(daemon, "livedev replay 115 --edit </dev/null | cat; exit ${PIPESTATUS[0]}");
  t.match(refused, { code: 2, stdout: "", stderr: /^There is no terminal to edit at\.\n.*--event/ });

  daemon.rig.env["EDITOR"] = "sed -i s/1/2/";
  t.match(await shell(daemon, "livedev replay 115 --edit </dev/null"), { code: 0, stdout: /"a": 2/ });
  daemon.rig.env["EDITOR"] = "sed -i s/{/x/";
  t.match(await shell(daemon, "livedev replay 115 --edit </dev/null"), {
    code: 2,
    stderr: /^The edited event is not JSON.*\nNothing was run\. Edit it again, or give it/,
  });
});

t.test("what takes over a second says so on a terminal, and leaves no trace", async (t) => {
  let answer = () => {};
  await using daemon = await FakeDaemon.open({
    "function.invoke": () =>
      new Promise((resolve) => {
        answer = () => resolve({ statusCode: 200, payload: '"late"', requestId: "r" });
      }),
  });
  const screen = new Terminal([...LIVEDEV.split(" "), "invoke", "MyApi"], {
    cwd: daemon.rig.project,
    env: { ...daemon.rig.env, TERM: "xterm" },
  });
  await screen.until(/MyApi … 1\.\d s/);
  answer();
  t.equal(await screen.ended(), 0);
  // oxlint-disable-next-line no-control-regex -- the line is cleared before the answer
  t.match(screen.shown, /MyApi … [\d.]+ s\r\u001B\[K"late"/);
});
