/** What was asked for and cannot be: said at once, by name, with what to write. */
import t from "tap";

import { parseDuration } from "../../client/cli/time.ts";
import type { DaemonStatus } from "../../proto/rpc.ts";
import { FakeDaemon, STATUS } from "./fake-daemon.ts";

t.test(
  "a time without a unit is refused: it would mean seconds to one and milliseconds to another",
  async (t) => {
    await using daemon = await FakeDaemon.open();
    const { code, stderr } = await daemon.rig.livedev("wait", "--for", "live", "--timeout", "5");
    t.equal(code, 2);
    t.match(stderr, "Write its unit: 5s or 5ms.");
    t.match((await daemon.rig.livedev("history", "--min-duration", "500")).stderr, "500s or 500ms");
    t.equal(parseDuration("0"), 0);
  },
);

t.test("wait looks once, however short its time-out is", async (t) => {
  await using daemon = await FakeDaemon.open();
  for (const timeout of ["1ms", "0"])
    t.match(await daemon.rig.livedev("wait", "--for", "live", "--timeout", timeout), {
      code: 0,
      stdout: /^live after/,
      stderr: "",
    });
  t.match(await daemon.rig.livedev("wait", "--for", "fn:MyApi=broken", "--timeout", "1ms"), {
    code: 1,
    stderr: /^Not after 1 ms\. fn:MyApi=broken: it is ready\./,
  });
});

t.test("wait for a function that the config does not define does not use up its time-out", async (t) => {
  await using daemon = await FakeDaemon.open();
  t.match(await daemon.rig.livedev("wait", "--for", "fn:Nope=ready", "--timeout", "10m"), {
    code: 1,
    stderr: "There is no function named Nope.\nThis app has: MyApi.\n",
  });
});

const PROCESS = {
  kind: "aws.Nextjs",
  command: "next dev",
  directory: "web",
  autostart: true,
  since: Date.now() - 3_000,
  restarts: 0,
} as const;
const PROCESSES: DaemonStatus["processes"] = [
  {
    ...PROCESS,
    name: "Web",
    title: "Web",
    state: "ready",
    url: "http://localhost:3000/",
    pid: 4711,
    restarts: 2,
    restarted: { at: Date.now() - 3_000, why: "API_URL changed" },
  },
  {
    ...PROCESS,
    name: "Worker",
    title: "Worker",
    state: "waiting",
    why: "port 8080 is taken by nginx (pid 12)",
  },
];

t.test("status shows frontends and services, and wait waits for them", async (t) => {
  await using daemon = await FakeDaemon.open({
    "daemon.status": () => Promise.resolve({ ...STATUS, processes: PROCESSES }),
  });
  const { rig } = daemon;
  const { stdout } = await rig.livedev("status");
  t.match(
    stdout,
    /^Web +ready +for [\d.]+ m?s +pid 4711 .*http:\/\/localhost:3000\/ +2 restarts, the last [\d.]+ m?s ago: API_URL changed$/m,
  );
  t.match(stdout, /^Worker +waiting .*port 8080 is taken by nginx \(pid 12\)$/m);
  t.match(await rig.livedev("wait", "--for", "process:Web", "--for", "process:Worker=waiting"), {
    code: 0,
    stdout: /^process:Web=ready, process:Worker=waiting after/,
  });
  t.match(await rig.livedev("wait", "--for", "process:Worker", "--timeout", "1ms"), {
    code: 1,
    stderr: /process:Worker=ready: it is waiting \(port 8080 is taken by nginx \(pid 12\)\)/,
  });
  t.match(await rig.livedev("wait", "--for", "process:Wep", "--timeout", "10m"), {
    code: 1,
    stderr: "There is no frontend, service or command named Wep.\nThere are: Web, Worker.\n",
  });
  t.match(await rig.livedev("wait", "--for", "process:Web=broken"), {
    code: 2,
    stderr: /Write it as process:<name>=ready\|stopped\|crashed/,
  });
});

t.test("logs and history of a function that is not there name those that are", async (t) => {
  await using daemon = await FakeDaemon.open({
    "invocation.list": () => Promise.resolve([]),
    "process.list": () => Promise.resolve([]),
  });
  daemon.history.log("from before", "Gone");
  t.match(
    (await daemon.rig.livedev("logs", "Nope")).stderr,
    "There is no function and no process named Nope.\nThis app has: MyApi.\n",
  );
  for (const command of [
    ["logs", "--fn", "Nope"],
    ["history", "--fn", "Nope"],
  ])
    t.match(await daemon.rig.livedev(...command), {
      code: 1,
      stdout: "",
      stderr: "There is no function named Nope.\nThis app has: MyApi.\n",
    });
  t.match(await daemon.rig.livedev("logs", "--fn", "Gone"), { code: 0, stdout: /from before/ });
  t.match(await daemon.rig.livedev("logs", "--fn", "MyApi"), { code: 0, stdout: "", stderr: "" });
});

t.test("history refuses an option that would change nothing, and knows what was meant", async (t) => {
  await using daemon = await FakeDaemon.open({ "invocation.list": () => Promise.resolve([]) });
  for (const [args, sentence] of [
    [["--grep", "walden"], "Unknown option '--grep' (Did you mean --text?)"],
    [["--reveal"], "--reveal shows one invocation, and none is named."],
    [["90", "--fn", "X"], "--fn chooses among invocations, and an id names one."],
    [["90", "--limit", "3"], "--limit chooses among invocations"],
  ] as const) {
    const { code, stderr } = await daemon.rig.livedev("history", ...args);
    t.equal(code, 2);
    t.match(stderr, sentence);
  }
  t.match(await daemon.rig.livedev("history", "--text", "walden"), {
    code: 0,
    stderr: /Sealed parts of events and answers were not searched\./,
  });
  t.notMatch((await daemon.rig.livedev("history", "--help")).stdout, "--grep");
});

t.test("what fails has a line in logs, marked as livedev's, and inert", async (t) => {
  await using daemon = await FakeDaemon.open();
  const functionName = "MyApi";
  daemon.history.log("working");
  daemon.history.record({
    type: "build.failed",
    functionName,
    errors: [
      { text: 'Unexpected ";"\u001B[2J', file: "src/api.ts", line: 2, column: 12 },
      { text: "Unexpected end of file" },
    ],
  });
  const answered = { type: "invocation.answered", functionName, durationMs: 1, bytes: 2 } as const;
  daemon.history.record({
    ...answered,
    id: 7,
    requestId: "a",
    status: "error",
    errorType: "RangeError",
    errorMessage: "too far\nand more",
  });
  daemon.history.record({ ...answered, id: 8, requestId: "b", status: "ok" });
  daemon.history.record({ type: "config.failed", message: "no app()", file: "livedev.config.ts", line: 3 });
  const { stdout } = await daemon.rig.livedev("logs");
  t.same(
    stdout
      .trim()
      .split("\n")
      .map((line) => line.replace(/^[\d :.-]+ {2}/, "")),
    [
      "hello  working",
      'MyApi  ! does not build: src/api.ts:2:13 Unexpected ";"␛[2J (and 1 more: livedev status)',
      "MyApi  ! invocation 7 failed: RangeError: too far",
      "livedev  ! the config does not load: livedev.config.ts:3: no app()",
    ],
  );
  const rows = (await daemon.rig.livedev("logs", "--json", "--grep", "failed")).stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
  t.match(rows, [{ functionName, stream: "livedev", text: /^invocation 7/, invocation: 7, requestId: "a" }]);
  t.equal(rows.length, 1);
  t.notMatch((await daemon.rig.livedev("logs", "--fn", functionName)).stdout, "config does not load");
});

t.test("a state that cannot be imported says what is wrong with the file", async (t) => {
  await using daemon = await FakeDaemon.open();
  daemon.rig.save("package.json", '{"name":"shop"}');
  daemon.rig.save("text.txt", "hello");
  for (const [file, stderr] of [
    ["nowhere.json", "nowhere.json cannot be read: it does not exist.\nIs the path right?\n"],
    ["text.txt", /^text\.txt is not JSON: .*\nGive what `livedev state export` wrote\.\n$/],
    [
      "package.json",
      /^package\.json is not what `livedev state export` wrote: state.*\.\nNothing was imported\. .*\n$/,
    ],
  ] as const)
    t.match(await daemon.rig.livedev("state", "import", file), { code: 1, stdout: "", stderr });
});
