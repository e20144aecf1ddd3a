import { appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import t from "tap";

import { daemonLine } from "../../client/cli/daemon-line.ts";
import { FileTail } from "../../client/cli/file-tail.ts";
import { FakeDaemon } from "./fake-daemon.ts";

const entry = (msg: string, time: number, more: object = {}) =>
  `${JSON.stringify({ level: 30, time, component: "watch", msg, ...more })}\n`;

t.test("a log file is followed over rotation and emptying, no line lost, doubled or cut", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "livedev-tail-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "daemon.log");
  writeFileSync(file, "one\ntwo\nhal");
  const lines: string[] = [];
  let wake = () => {};
  const tail = new FileTail(file, (line) => {
    lines.push(line);
    wake();
  });
  const until = async (last: string) => {
    while (lines.at(-1) !== last) await new Promise<void>((resolve) => (wake = resolve));
  };
  tail.read();
  t.same(lines, ["one", "two"], "half a line is none yet");
  const stop = new AbortController();
  const following = tail.follow(stop.signal);
  appendFileSync(file, "f\n");
  await until("half");

  // The last line of the old file is written in the moment of the rotation.
  appendFileSync(file, "before\n");
  renameSync(file, `${file}.1`);
  appendFileSync(`${file}.1`, "last\n");
  writeFileSync(file, "new\n");
  await until("new");
  appendFileSync(file, "wäl");
  appendFileSync(file, "den\n");
  await until("wälden");

  truncateSync(file, 0);
  appendFileSync(file, "fresh\n");
  await until("fresh");
  rmSync(file);
  writeFileSync(file, "again\n");
  await until("again");
  stop.abort();
  await following;
  t.same(lines, ["one", "two", "half", "before", "last", "new", "wälden", "fresh", "again"]);
});

t.test("the daemon's JSON is shown for reading, and anything else as it stands, inert", (t) => {
  const at = new Date(2030, 0, 31, 9, 5, 7, 8).getTime();
  t.equal(
    daemonLine(entry("saw 3 paths", at, { paths: ["a b"], took: 4 }).trim()),
    '2030-01-31 09:05:07.008  info   watch  saw 3 paths  paths=["a b"] took=4',
  );
  const err = { type: "Error", message: "no", stack: "Error: no\n    at x (/y.ts:1:2)" };
  t.match(
    daemonLine(entry("broke", at, { level: 50, err }).trim()),
    /error {2}watch {2}broke\n {4}Error: no\n {8}at x \(\/y\.ts:1:2\)$/,
  );
  t.equal(daemonLine("(node:1) Warning: \u001B]0;x\u0007"), "(node:1) Warning: ␛]0;x␇");
  t.equal(daemonLine('{"level":30,"ti'), '{"level":30,"ti', "a line that a crash cut off");
  t.end();
});

t.test(
  "logs --daemon: over the rotated file, filtered by time and expression, as text and as JSON",
  async (t) => {
    await using daemon = await FakeDaemon.open();
    const { rig } = daemon;
    t.match(await rig.livedev("logs", "--daemon"), { code: 1, stderr: /no daemon's log yet/ });
    const now = Date.now();
    rig.save(".livedev/dev/daemon.log.1", entry("old", now - 7_200_000) + entry("recent", now - 60_000));
    rig.save(".livedev/dev/daemon.log", `a stack\n${entry("new", now)}`);
    const texts = async (...args: readonly string[]) =>
      (await rig.livedev("logs", "--daemon", ...args)).stdout
        .trim()
        .split("\n")
        .map((line) => line.split("  ").at(-1));
    t.same(await texts(), ["old", "recent", "a stack", "new"]);
    t.same(await texts("--since", "10m"), ["recent", "a stack", "new"]);
    t.same(await texts("--limit", "1"), ["new"]);
    t.same(await texts("--grep", "recent|stack"), ["recent", "a stack"]);
    const json = (await rig.livedev("logs", "--daemon", "--json")).stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as object);
    t.match(json, [{ msg: "old", level: 30 }, { msg: "recent" }, { line: "a stack" }, { msg: "new" }]);

    const child = rig.spawn("livedev.js", ["logs", "--daemon", "--follow", "--limit", "1"]);
    let out = "";
    let wake = () => {};
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      out += text;
      wake();
    });
    const until = async (text: string) => {
      while (!out.includes(text)) await new Promise<void>((resolve) => (wake = resolve));
    };
    await until("new");
    appendFileSync(join(rig.project, ".livedev/dev/daemon.log"), entry("newest", now));
    await until("newest");
    const closed = new Promise<number | null>((resolve) => child.on("close", resolve));
    child.kill("SIGINT");
    t.equal(await closed, 130);
  },
);
