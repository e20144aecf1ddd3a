import { spawn } from "node:child_process";
import { join } from "node:path";

import t from "tap";

import { prettyJson } from "../../client/payload.ts";
import { inert, table } from "../../client/cli/output.ts";
import { times } from "../support/counts.ts";
import { ROOT } from "../support/rig.ts";
import { FakeDaemon, STATUS } from "./fake-daemon.ts";

/** A command line of a shell, with `livedev` as it ships. */
function shell(daemon: FakeDaemon, line: string, env: Record<string, string> = {}) {
  const command = line.replaceAll("livedev ", `${process.execPath} ${join(ROOT, "dist", "livedev.js")} `);
  const child = spawn("bash", ["-o", "pipefail", "-c", command], {
    cwd: daemon.rig.project,
    env: { ...daemon.rig.env, ...env },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

t.test(
  "status says what stands: live, config, functions, and a build error as an editor can open it",
  async (t) => {
    const [fn] = STATUS.functions;
    if (fn === undefined) throw new Error("no function");
    const errors = [
      { text: 'Unexpected ";"', file: "src/slow.ts", line: 2, column: 12, lineText: "  return 1 +;" },
      { text: "Could not resolve \u001B[31mx" },
    ];
    await using daemon = await FakeDaemon.open({
      "daemon.status": () =>
        Promise.resolve({
          ...STATUS,
          config: {
            state: "broken",
            message: "livedev.config.ts:3: run() failed: no",
            file: "livedev.config.ts",
            line: 3,
          },
          live: { state: "failed", message: "AWS denies this.", hint: "Ask for it." },
          functions: [
            fn,
            { ...fn, name: "Old", runtime: "nodejs99.x", node: "v20.1.0" },
            { ...fn, name: "Slow", state: "broken", errors, running: 2, queued: 1 },
          ],
        }),
    });
    const { code, stdout, stderr } = await daemon.rig.livedev("status");
    t.match({ code, stderr }, { code: 0, stderr: "" });
    t.match(stdout, /^app +shop, stage dev, home local$/m);
    t.match(stdout, /^daemon +pid \d+, up 1 min 3\d s, livedev \d+\.\d+\.\d+$/m);
    t.match(stdout, /^live +failed: AWS denies this\. Ask for it\.$/m);
    t.match(stdout, /^bridge +tls:\/\/127\.0\.0\.1:4000, 1 stub connected$/m);
    t.match(stdout, /^config +livedev\.config\.ts:3: run\(\) failed: no$/m);
    t.match(stdout, /^MyApi +ready +src\/api\.handler +http:\/\/127\.0\.0\.1:9\/$/m);
    t.match(stdout, /^Old .* nodejs99\.x under Node v20\.1\.0$/m);
    t.match(stdout, /^Slow +broken .* 2 running {2}1 queued$/m);
    t.match(stdout, /^Slow {2}src\/slow\.ts:2:13 Unexpected ";"\n {2}2 │ {3}return 1 \+;\n {4}│ {13}\^$/m);
    t.match(
      stdout,
      "Could not resolve ␛[31mx".replace("␛[31m", ""),
      "colours of others are dropped where ours are",
    );

    const json = await daemon.rig.livedevd("status", "--json");
    t.match(JSON.parse(json.stdout), { app: "shop", live: { state: "failed" } });
  },
);

t.test("a bridge that is down is said, with since when and why", async (t) => {
  const since = Date.now() - 90_000;
  const down = { since, reason: "Port 4000 is taken by \u001B[31manother program." };
  await using daemon = await FakeDaemon.open({
    "daemon.status": () => Promise.resolve({ ...STATUS, bridge: { ...STATUS.bridge, down } }),
  });
  const { stdout } = await daemon.rig.livedev("status");
  t.match(
    stdout,
    /^bridge +tls:\/\/127\.0\.0\.1:4000, 1 stub connected, down since \d\d:\d\d:\d\d\S*: Port 4000 is taken by/m,
  );
  t.match(JSON.parse((await daemon.rig.livedev("status", "--json")).stdout), { bridge: { down: { since } } });
});

t.test("colours: none in a pipe, none with NO_COLOR, some when forced", async (t) => {
  await using daemon = await FakeDaemon.open();
  const { NO_COLOR: _none, ...env } = daemon.rig.env;
  daemon.rig.env["NO_COLOR"] = "";
  t.notMatch((await shell(daemon, "livedev status")).stdout, "\u001B");
  t.match(
    (await shell(daemon, "livedev status", { ...env, FORCE_COLOR: "1" })).stdout,
    "\u001B[32myes\u001B[39m",
  );
  t.notMatch((await shell(daemon, "livedev status", { FORCE_COLOR: "1", NO_COLOR: "1" })).stdout, "\u001B");
});

t.test("a reader that has had enough, as head has, is no error", async (t) => {
  await using daemon = await FakeDaemon.open();
  for (let line = 0; line < times(20_000, 5_000); line += 1)
    daemon.history.log(`line ${line} ${"x".repeat(100)}`);
  const head = await shell(daemon, "livedev logs --json --limit 20000 | head -n 1");
  t.equal(head.stderr, "");
  t.equal(head.code, 0);
  t.match(JSON.parse(head.stdout), { text: /^line 0 / });
});

t.test("logs: the last 100, filters, and a stream of JSON one value a line", async (t) => {
  await using daemon = await FakeDaemon.open();
  for (let line = 1; line <= 5_000; line += 1)
    daemon.history.log(`line ${line}`, line % 2 === 0 ? "Even" : "Odd");
  const last = (await daemon.rig.livedev("logs")).stdout.trim().split("\n");
  t.equal(last.length, 100);
  t.match(last[99], /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} {2}Even {2}line 5000$/);

  const odd = await daemon.rig.livedev("logs", "--fn", "Odd", "--limit", "2500", "--json");
  const rows = odd.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { text: string; seq: number });
  t.equal(rows.length, 2_500, "a page of the past is not the end of it");
  t.match([rows[0], rows.at(-1)], [{ text: "line 1", seq: 1 }, { text: "line 4999" }]);

  const grep = await daemon.rig.livedev("logs", "--grep", "line (7|77)$");
  t.match(grep.stdout, /line 7\n.*line 77\n$/);
  t.equal(
    (await daemon.rig.livedev("logs", "--since", "1m")).stdout,
    "",
    "the rig's clock stands in the past",
  );
});

t.test("logs --follow shows what comes, none missed, until Ctrl-C", async (t) => {
  await using daemon = await FakeDaemon.open();
  daemon.history.log("before");
  const child = daemon.rig.spawn("livedev.js", ["logs", "--follow", "--json"]);
  let out = "";
  let wake = () => {};
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    out += text;
    wake();
  });
  const until = async (text: string) => {
    while (!out.includes(text)) await new Promise<void>((resolve) => (wake = resolve));
  };
  await until("before");
  for (let line = 0; line < 50; line += 1) daemon.history.log(`line ${line}`);
  await until("line 49");
  const closed = new Promise<number | null>((resolve) => child.on("close", resolve));
  child.kill("SIGINT");
  t.equal(await closed, 130);
  const texts = out
    .trim()
    .split("\n")
    .map((line) => (JSON.parse(line) as { text: string }).text);
  t.same(texts, ["before", ...Array.from({ length: 50 }, (_, line) => `line ${line}`)]);
});

t.test("what a function printed cannot drive the terminal (F36)", async (t) => {
  await using daemon = await FakeDaemon.open();
  daemon.history.log("\u001B]0;title\u0007\u001B[2J\u001B[1;1Hhome \u001B]52;c;Zm9v\u0007 \u202Egnp.exe\r");
  const { stdout } = await daemon.rig.livedev("logs");
  // oxlint-disable-next-line no-control-regex -- these are the characters in question
  t.notMatch(stdout, /[\u0000-\u0009\u000B-\u001F\u007F-\u009F\u202E]/);
  t.match(stdout, "␛]0;title␇␛[2J␛[1;1Hhome ␛]52;c;Zm9v␇");
  const json = await daemon.rig.livedev("logs", "--json");
  const { text } = JSON.parse(json.stdout) as { text: string };
  t.ok(text.startsWith("\u001B]0;title"), "and JSON has it as it was");
});

t.test("JSON is indented without a change to its numbers, its keys or its strings", (t) => {
  const text = '{"b":1,"1":12345678901234567890,"s":"a{,\\"}:","e":{},"f":[ ],"l":[1.0,true,{"x":null}]}';
  t.equal(
    prettyJson(text),
    `{
  "b": 1,
  "1": 12345678901234567890,
  "s": "a{,\\"}:",
  "e": {},
  "f": [],
  "l": [
    1.0,
    true,
    {
      "x": null
    }
  ]
}`,
  );
  t.equal(prettyJson("not { json"), "not { json");
  t.end();
});

t.test("a table's columns are as wide as what is seen of them", (t) => {
  t.equal(
    table([
      ["a", "\u001B[31mred\u001B[39m", "x"],
      ["long", "b", "yy"],
    ]),
    "a     \u001B[31mred\u001B[39m  x\nlong  b    yy",
  );
  t.equal(inert("plain é ü 漢字"), "plain é ü 漢字");
  t.end();
});
