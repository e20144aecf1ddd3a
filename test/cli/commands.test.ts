/** What a person meets around the loop: ask, look up, replay, wait, diagnose; with the real daemon and its history. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

import t from "tap";

import type { Finding, InvocationDetail, InvocationSummary } from "../../proto/rpc.ts";
import { Rig, type Finished } from "../support/rig.ts";
import { CONFIG } from "./fake-daemon.ts";

const HANDLER = `
type Event = { fail?: boolean; slow?: number; word?: string; password?: string };
export async function handler(event: Event) {
  console.log("asked for", event.word ?? "nothing");
  if (event.slow !== undefined) await new Promise((resolve) => setTimeout(resolve, event.slow));
  if (event.fail === true) throw new RangeError("too far");
  return { word: event.word ?? "none", version: 1 };
}
`;

const lines = ({ stdout }: Finished): string[] => stdout.split("\n").filter((line) => line !== "");
const rowsOf = <T>(finished: Finished): T[] => lines(finished).map((line) => JSON.parse(line) as T);

const rig = Rig.open({ files: { "livedev.config.ts": CONFIG, "src/api.ts": HANDLER } });
t.teardown(() => rig[Symbol.asyncDispose]());
await rig.start();
const client = await rig.connect();
t.teardown(() => client[Symbol.asyncDispose]());

const history = async (...args: readonly string[]) =>
  rowsOf<InvocationSummary>(await rig.livedev("history", "--json", ...args));
const latest = async (): Promise<InvocationSummary> => {
  const [row] = await client.call("invocation.list", { limit: 1 });
  if (row === undefined) throw new Error("history is empty");
  return row;
};

const invoke = (event: string) => client.call("function.invoke", { functionName: "MyApi", event });

t.test("invoke takes its event from text, a file and stdin, byte for byte", async (t) => {
  const event = '{"word":"wälden","n":12345678901234567890}';
  rig.save("event.json", `\uFEFF${event}\n`);
  for (const run of [
    () => rig.livedev("invoke", "MyApi", "--event", event),
    () => rig.livedev("invoke", "MyApi", "--file", "event.json"),
    () => rig.run("livedev.js", ["invoke", "MyApi", "-"], event),
    () => rig.run("livedev.js", ["invoke", "MyApi", "--file", "-"], event),
  ]) {
    t.match(await run(), { code: 0, stdout: '{"word":"wälden","version":1}\n', stderr: "" });
    const whole = await client.call("invocation.get", { id: (await latest()).id });
    t.equal(whole.event.text.trim(), event);
  }
  const shown = await rig.livedev("history", String((await latest()).id), "--json");
  t.equal((JSON.parse(shown.stdout) as InvocationDetail).event.text.trim(), event);

  const json = await rig.livedev("invoke", "MyApi", "--json");
  t.match(JSON.parse(json.stdout), {
    statusCode: 200,
    payload: '{"word":"none","version":1}',
    requestId: /^[\da-f-]{36}$/,
  });

  const local = await rig.livedev("invoke", "MyApi", "--local", "--json");
  t.match(local.stdout, /"durationMs":\d+(?:\.\d{1,3})?[,}]/, "no finer than a clock can tell");

  const queued = await rig.livedev("invoke", "MyApi", "--type", "Event");
  t.match(queued, { code: 0, stdout: "", stderr: /queued/ });

  const missing = await rig.livedev("invoke", "MyAp");
  t.match(missing, { code: 1, stderr: /no function named MyAp\.\n.*MyApi/ });
  t.match(await rig.livedev("invoke", "MyApi", "--file", "nowhere.json"), {
    code: 1,
    stderr: /nowhere\.json cannot be read/,
  });
});

t.test(
  "a function's own error: exit code 4, Lambda's shape on stdout, its place in the source for reading",
  async (t) => {
    for (const local of [[], ["--local"]]) {
      const failed = await rig.livedev("invoke", "MyApi", "--event", '{"fail":true}', ...local);
      t.equal(failed.code, 4);
      t.match(JSON.parse(failed.stdout), { errorType: "RangeError", errorMessage: "too far" });
      t.match(failed.stderr, /^RangeError: too far\n {4}at .*src\/api\.ts:6:/);
      t.match(await latest(), { status: "error", errorType: "RangeError" });
    }
    t.match(await latest(), { local: true });
    const whole = await rig.livedev("history", String((await latest()).id));
    t.match(whole.stdout, /^\d+ {2}MyApi {2}error\nrequest id/);
    for (const part of [
      /^Event \(13 bytes\)\n\{\n {2}"fail": true\n\}$/m,
      /^Logs\n[\d:.]+ {2}asked for nothing$/m,
      /^Error\nRangeError: too far\n {4}at .*src\/api\.ts:6/m,
      /^Answer \(\d+ bytes\)$/m,
    ]) {
      t.match(whole.stdout, part);
    }
  },
);

t.test("history is filtered by function, status, duration, time and text, and paged", async (t) => {
  await invoke('{"slow":300,"word":"tortoise"}');
  const slow = await latest();
  // A cold start on a busy machine may take as long.
  const long = (await history()).filter(({ durationMs = 0 }) => durationMs >= 250);
  t.ok(long.some(({ id }) => id === slow.id));
  t.same(await history("--min-duration", "250ms"), long);
  t.same(
    (await history("--text", "tortoise")).map(({ id }) => id),
    [slow.id],
  );
  t.ok((await history("--status", "error,interrupted")).every(({ status }) => status === "error"));
  t.equal((await history("--status", "error")).length, 2);
  t.match(await history("--fn", "Nobody"), [{ error: { code: "function.unknown", hint: /MyApi/ } }]);
  t.same(await history("--since", new Date(Date.now() + 60_000).toISOString()), []);
  t.ok((await history("--since", "10m")).length >= 8);
  const [first, second] = await history("--limit", "2");
  t.same(await history("--before", String(first?.id), "--limit", "1"), [second]);
  const text = await rig.livedev("history", "--limit", "1");
  t.match(text.stdout, /^\d+ {2}\d\d:\d\d:\d\d {2}ok {2}[\d.]+ m?s {2}MyApi\n$/);
  t.equal(text.stderr, `Older ones: --before ${slow.id}\n`);
});

t.test("sensitive parts are sealed in every showing but --reveal", async (t) => {
  await invoke('{"password":"hunter2","word":"w"}');
  const id = String((await latest()).id);
  const shown = await rig.livedev("history", id);
  t.notMatch(shown.stdout, "hunter2");
  t.match(shown.stdout, /parts sealed: --reveal/);
  t.match((await rig.livedev("history", id, "--reveal")).stdout, '"password": "hunter2"');
});

t.test(
  "replay runs today's code on the old event, edited or not, and shows how the answers differ",
  async (t) => {
    await invoke('{"word":"walden","password":"hunter2"}');
    const id = String((await latest()).id);
    t.match(await rig.livedev("replay", id, "--diff"), {
      code: 0,
      stdout: "",
      stderr: /^The answers are the same \(ok then, ok now/,
    });

    rig.edit("src/api.ts", "version: 1", "version: 2");
    const replayed = await rig.livedev("replay", id);
    t.match(replayed, { code: 0, stdout: '{"word":"walden","version":2}\n' });
    t.match(await latest(), { replayOf: Number(id), local: true });

    const diff = await rig.livedev("replay", id, "--diff");
    t.equal(diff.stdout, '  {\n    "word": "walden",\n-   "version": 1\n+   "version": 2\n  }\n');
    const json = JSON.parse((await rig.livedev("replay", id, "--diff", "--json")).stdout) as Record<
      string,
      unknown
    >;
    t.match(json, {
      same: false,
      before: '{"word":"walden","version":1}',
      payload: '{"word":"walden","version":2}',
    });

    // The editor sees the event as it was, in a file of the user's alone, which is gone afterwards.
    rig.save(
      "editor.sh",
      `stat -c '%a' "$1" "$(dirname "$1")" > seen; cat "$1" >> seen; echo "$1" > where; sed -i s/walden/emma/ "$1"`,
    );
    rig.env["EDITOR"] = "sh editor.sh";
    t.match(await rig.livedev("replay", id, "--edit"), { code: 0, stdout: '{"word":"emma","version":2}\n' });
    t.match(rig.read("seen"), /^600\n700\n\{\n {2}"word": "walden",\n {2}"password": "hunter2"\n\}\n$/);
    t.notOk(existsSync(rig.read("where").trim()));

    const before = (await latest()).id;
    for (const [editor, sentence] of [
      ["false", /Nothing was run: the editor `false` ended with exit code 1/],
      ["truncate -s 0", /Nothing was run/],
      ["sed -i s/{/x/", /not JSON/],
    ] as const) {
      rig.env["VISUAL"] = editor;
      const { code, stderr } = await rig.livedev("replay", id, "--edit");
      t.ok(code === 1 || code === 2);
      t.match(stderr, sentence);
    }
    delete rig.env["VISUAL"];
    t.equal((await latest()).id, before);
    t.same(
      readdirSync(join(rig.root, "tmp")).filter(
        (name) => name.startsWith("livedev-") && !/^livedev-\d+$/.test(name),
      ),
      [],
      "no file stays behind",
    );

    t.match(await rig.livedev("replay", "4000000"), { code: 1, stderr: /no invocation 4000000/ });
  },
);

t.test(
  "wait: at once where it holds, when it comes to hold, and what stands instead at the time-out",
  async (t) => {
    t.match(await rig.livedev("wait", "--for", "live", "--for", "fn:MyApi"), {
      code: 0,
      stdout: /^live, fn:MyApi=ready after \d+ ms\.\n$/,
    });

    const good = rig.read("src/api.ts");
    const waiting = rig.livedev("wait", "--for", "fn:MyApi=broken", "--timeout", "60s", "--json");
    rig.save("src/api.ts", "export const handler = async () => {\n  return 1 +;\n};\n");
    t.match(JSON.parse((await waiting).stdout), { for: ["fn:MyApi=broken"] });

    const late = await rig.livedev(
      "wait",
      "--for",
      "fn:MyApi=ready",
      "--for",
      "live",
      "--for",
      "fn:Other",
      "--timeout",
      "300ms",
    );
    t.equal(late.code, 1);
    t.match(
      late.stderr,
      /^Not after 300 ms\. fn:MyApi=ready: it is broken \(src\/api\.ts:2: .*\); fn:Other=ready: there is no such function; this app has MyApi\.\n/,
    );

    rig.save("src/api.ts", good);
    t.equal((await rig.livedev("wait", "--for", "fn:MyApi=ready")).code, 0);
  },
);

t.test("list shows daemons that live, and clears away the dead", async (t) => {
  const folder = join(rig.root, "home", ".local", "state", "livedev", "daemons");
  const dead = join(folder, "0123456789abcdef.json");
  const file = {
    version: 1,
    pid: process.pid,
    startTime: "long ago",
    socket: "/s",
    epoch: "e",
    startedAt: 1,
    livedevVersion: "0",
    project: "/gone",
    stage: "dev",
  };
  writeFileSync(dead, JSON.stringify(file));
  writeFileSync(join(folder, "notes.txt"), "not ours");
  const listed = await rig.livedev("list");
  t.match(
    listed.stdout,
    new RegExp(`^${rig.project} +stage ${rig.stage} +pid ${rig.daemonPid()} +up .* +livedev \\d`),
  );
  t.equal(lines(listed).length, 1);
  t.notOk(existsSync(dead));
  t.ok(existsSync(join(folder, "notes.txt")));
  t.match(rowsOf(await rig.livedev("list", "--json")), [
    { project: rig.project, stage: rig.stage, pid: rig.daemonPid() },
  ]);
});

t.test("doctor: all is well; its bundle holds no payload, no printed line and no secret", async (t) => {
  const { code, stdout } = await rig.livedev("doctor");
  t.equal(code, 0, stdout);
  t.notMatch(stdout, /^✗/m);
  for (const sentence of [
    /Node is v/,
    /better-sqlite3 loads/,
    /state directory .* is ours alone/,
    /control socket's directory .* is ours alone/,
    /livedevd \S+ runs/,
  ]) {
    t.match(stdout, sentence);
  }

  const bundled = await rig.livedev("doctor", "--bundle", "support.json.gz", "--json");
  t.ok(
    rowsOf<Finding>(bundled).every(({ id, level, title }) => id !== "" && level !== "error" && title !== ""),
  );
  const file = join(rig.project, "support.json.gz");
  t.equal(statSync(file).mode & 0o777, 0o600);
  const text = gunzipSync(readFileSync(file)).toString();
  t.match(JSON.parse(text), { livedev: /^\d/, findings: [{}], status: { app: "shop" }, daemonLog: [{}] });
  t.match(text, '"invocation.received"');
  for (const planted of ["hunter2", "walden", "tortoise", "asked for", "too far"]) t.notMatch(text, planted);
  t.notMatch(text, join(rig.root, "home"));
});

t.test("without a daemon history and logs are read from the file, and nothing is started", async (t) => {
  const before = await history();
  const logs = await rig.livedev("logs");
  const whole = await rig.livedev("history", String(before.at(-1)?.id), "--reveal");
  t.equal((await rig.livedevd("stop")).code, 0);

  t.same(await history(), before);
  t.equal((await rig.livedev("logs")).stdout, logs.stdout);
  t.equal((await rig.livedev("history", String(before.at(-1)?.id), "--reveal")).stdout, whole.stdout);
  t.same((await history("--text", "tortoise")).length, 1);
  t.match(await rig.livedev("history", "4000000"), { code: 1, stderr: /no invocation 4000000/ });
  t.match(await rig.livedev("logs", "--follow"), { code: 3, stdout: "" });
  t.match(await rig.livedev("invoke", "MyApi"), { code: 3, stdout: "", stderr: /Run `livedevd start`/ });
  t.match(await rig.livedev("doctor"), { code: 0, stdout: /livedevd is not running\./ });
  t.match(await rig.livedev("list"), { code: 0, stdout: "" });
  t.match(await rig.livedevd("status"), { code: 3 });
});

t.test("doctor names what is wrong here, each with what mends it", async (t) => {
  const state = join(rig.project, ".livedev", rig.stage);
  execFileSync("chmod", ["755", state, join(rig.root, "run", `livedev-${process.geteuid?.()}`)]);
  execFileSync("chmod", ["644", join(state, "history.db")]);
  execFileSync("git", ["init", "-q", rig.project]);
  const findings = rowsOf<Finding>(await rig.livedev("doctor", "--json"));
  const bad = findings.filter(({ level }) => level !== "ok");
  t.same(bad.map(({ id }) => id).toSorted(), [
    "daemon",
    "socket.directory",
    "state.directory",
    "state.files",
    "state.ignored",
  ]);
  t.ok(bad.every(({ fix }) => (fix ?? "") !== ""));
  t.equal((await rig.livedev("doctor")).code, 1);
  // The fixes are commands: run as they stand, they mend it.
  for (const { id, fix = "" } of bad) {
    if (id !== "daemon") execFileSync("sh", ["-c", fix.split(", or set")[0] ?? ""], { cwd: rig.project });
  }
  t.same(
    rowsOf<Finding>(await rig.livedev("doctor", "--json")).filter(({ level }) => level !== "ok"),
    [],
  );
});
