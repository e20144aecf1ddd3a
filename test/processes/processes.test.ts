/** What a supervised process goes through: started, ready, restarted, crashed, stopped; the whole of its tree. */
import { existsSync, readdirSync } from "node:fs";
import { createServer } from "node:net";

import t from "tap";

import { freePort } from "../support/free-port.ts";
import { alive, open, until, wanted, type Rig } from "./rig.ts";

const SERVER = (port: number | string) =>
  `node -e 'require("http").createServer((q, s) => s.end("hello")).listen(${port}, "127.0.0.1", function () { console.log("at http://localhost:" + this.address().port + "/") })'`;

void t.test(
  "a command runs in a terminal of its own, with its variables, and its lines are recorded",
  async (t) => {
    const rig = await open(t);
    rig.processes.apply([
      wanted(
        "Shown",
        `test -t 0 && test -t 1 && echo "a terminal, $COLOR"; stty size; printf '\\033[31mred\\033[0m\\033]0;title\\007 one\\rtwo\\n'; sleep 60`,
        {
          environment: { COLOR: "blue" },
        },
      ),
    ]);
    t.equal(await rig.line("Shown", "terminal"), "a terminal, blue");
    await rig.line("Shown", "30 120");
    t.equal(await rig.line("Shown", "two"), "two", "a line that was written over stands as in the end");
    await rig.event("process.ready");
    const [shown] = await rig.processes.list();
    t.match(shown, { name: "Shown", state: "ready", restarts: 0 });
  },
);

void t.test("what is bound to a package's folder is found on the path", async (t) => {
  const rig = await open(t);
  const { mkdirSync, writeFileSync } = await import("node:fs");
  for (const [folder, says] of [
    ["packages/web", "of the package"],
    [".", "of the project"],
  ] as const) {
    mkdirSync(`${rig.project}/${folder}/node_modules/.bin`, { recursive: true });
    writeFileSync(`${rig.project}/${folder}/node_modules/.bin/tool`, `#!/bin/sh\necho tool ${says}\n`, {
      mode: 0o755,
    });
  }
  rig.processes.apply([
    wanted("Near", "tool; sleep 60", { directory: "packages/web" }),
    wanted("Far", "tool; sleep 60"),
  ]);
  t.equal(await rig.line("Near", "tool"), "tool of the package");
  t.equal(await rig.line("Far", "tool"), "tool of the project");
});

void t.test("a frontend is ready where it says that it listens, and its URL is shown", async (t) => {
  const rig = await open(t);
  const port = await freePort();
  rig.processes.apply([wanted("Web", SERVER(port), { kind: "aws.StaticSite" })]);
  const ready = await rig.event("process.ready");
  t.equal(ready.url, `http://localhost:${port}/`);
  t.same(rig.urls, { Web: `http://localhost:${port}/` });
});

void t.test("a process is ready when its output matches", async (t) => {
  const rig = await open(t);
  rig.processes.apply([
    wanted("Slow", "echo up; read line; echo listening now; sleep 60", { ready: "listening (on|now)" }),
  ]);
  await rig.line("Slow", "up");
  t.equal((await rig.processes.list())[0]?.state, "starting");
  rig.processes.write("Slow", "\n");
  await rig.event("process.ready");
});

void t.test("a process starts after those that it links to are ready", async (t) => {
  const rig = await open(t);
  rig.processes.apply([
    wanted("Second", "echo second; sleep 60", { after: ["First"] }),
    wanted("First", "read line; echo listening; sleep 60", { ready: "listening" }),
  ]);
  const { why } = await rig.event("process.waiting");
  t.equal(why, "for First to be ready");
  await rig.event("process.started");
  rig.processes.write("First", "\n");
  await rig.line("Second", "second");
  const names = rig.events
    .filter(({ type }) => type === "process.started")
    .map(({ processName }) => processName);
  t.same(names, ["First", "Second"]);
});

void t.test("two that link to each other start all the same", async (t) => {
  const rig = await open(t);
  rig.processes.apply([
    wanted("One", "echo one; sleep 60", { after: ["Two"] }),
    wanted("Two", "echo two; sleep 60", { after: ["One"] }),
  ]);
  await rig.line("One", "one");
  await rig.line("Two", "two");
});

void t.test("one that crashes comes back, later each time; one that ends by itself does not", async (t) => {
  const rig = await open(t, { limits: { backoff: { firstMs: 20, maxMs: 160 } } });
  rig.processes.apply([wanted("Bad", "echo no; exit 3"), wanted("Done", "echo done")]);
  const ended = await rig.event("process.exited", (event) => event.processName === "Done");
  t.match(ended, { reason: "ended", how: "exit code 0", survivors: 0 });
  const crashed = await rig.event("process.exited", (event) => event.processName === "Bad");
  t.match(crashed, { reason: "crashed", how: "exit code 3" });
  const retries = () =>
    rig.events.flatMap((event) =>
      event.type === "process.exited" && event.reason === "crashed" ? [event.retryInMs ?? Number.NaN] : [],
    );
  const ceilings = [20, 40, 80, 160, 160];
  await until(() => retries().length >= ceilings.length, "it comes back");
  for (const [at, ceiling] of ceilings.entries()) {
    const retry = retries()[at] ?? Number.NaN;
    t.ok(retry >= ceiling / 2 && retry <= ceiling, `${retry} ms, of ${ceiling} at most`);
  }
  await rig.processes.stop("Bad");
  const states = (await rig.processes.list()).map(({ state }) => state);
  t.same(states, ["stopped", "stopped"]);
});

void t.test("it is asked first, then told, then killed, and only as far as it takes", async (t) => {
  const [askMs, termMs] = [2_000, 2_000];
  const rig = await open(t, { limits: { askMs, termMs } });
  const environment = { TEST_MARK: `ladder-${process.pid}` };
  const program = (handlers: string) =>
    `exec node -e '${handlers} console.log("up"); setInterval(() => {}, 1000)'`;
  const says = (signal: string, word: string) =>
    `process.on("${signal}", () => { console.log("${word}"); process.exit(); });`;
  const deaf = (signal: string) => `process.on("${signal}", () => {});`;
  const child = `require("child_process").spawn("sh", ["-c", "trap \\"\\" INT TERM HUP; while :; do sleep 1000; done"], { stdio: "ignore" });`;
  rig.processes.apply([
    wanted("Polite", program(says("SIGINT", "asked") + says("SIGTERM", "told")), { environment }),
    wanted("Busy", program(deaf("SIGINT") + says("SIGTERM", "told")), { environment }),
    wanted("Deaf", program(deaf("SIGINT") + deaf("SIGTERM") + deaf("SIGHUP") + child), { environment }),
  ]);
  await Promise.all(["Polite", "Busy", "Deaf"].map((name) => rig.line(name, "up")));
  // The sleep of the child's shell, too.
  await until(() => alive(environment.TEST_MARK).length >= 5, "all stand");
  const took = async (name: string) => {
    const began = performance.now();
    await rig.processes.stop(name);
    const exited = await rig.event("process.exited", ({ processName }) => processName === name);
    t.match(exited, { reason: "stopped", survivors: 0 }, name);
    return performance.now() - began;
  };
  const [polite = 0, busy = 0, longest = 0] = await Promise.all(["Polite", "Busy", "Deaf"].map(took));
  t.ok(polite < askMs, `asked: ${polite} ms`);
  t.ok(busy >= askMs, `told: ${busy} ms`);
  t.ok(longest >= askMs + termMs, `killed, since nothing else ends it: ${longest} ms`);
  t.same(alive(environment.TEST_MARK), []);
  await rig.line("Polite", "asked");
  await rig.line("Busy", "told");
  const printed = (name: string) =>
    rig.events.flatMap((event) =>
      event.type === "process.logged" && event.processName === name ? event.lines : [],
    );
  t.same(["Polite", "Busy", "Deaf"].map(printed), [["up", "asked"], ["up", "told"], ["up"]]);
});

void t.test("another environment restarts it, the same leaves it alone", async (t) => {
  const rig = await open(t);
  const version = (value: string) => [
    wanted("Web", "echo value $VALUE; sleep 60", { environment: { VALUE: value } }),
  ];
  rig.processes.apply(version("one"));
  await rig.line("Web", "value one");
  rig.processes.apply(version("one"));
  rig.processes.apply(version("two"));
  await rig.line("Web", "value two");
  t.match(await rig.event("process.exited"), { reason: "restarted", how: "VALUE changed" });
  t.equal(rig.events.filter(({ type }) => type === "process.started").length, 2);
  t.match(await rig.processes.list(), [{ restarts: 1, restarted: { why: "VALUE changed" } }]);
});

void t.test(
  "what is gone from the config ends, and what is not started by itself waits for a hand",
  async (t) => {
    const rig = await open(t);
    const environment = { TEST_MARK: `gone-${process.pid}` };
    rig.processes.apply([
      wanted("Gone", "echo up; sleep 60 & sleep 61", { environment }),
      wanted("Manual", "sleep 60", { autostart: false }),
    ]);
    await rig.line("Gone", "up");
    rig.processes.apply([wanted("Manual", "sleep 60", { autostart: false })]);
    t.match(await rig.event("process.exited"), { processName: "Gone", reason: "stopped", survivors: 0 });
    t.same(alive(environment.TEST_MARK), []);
    t.match(await rig.processes.list(), [{ name: "Manual", state: "stopped", why: "not started yet" }]);
    rig.processes.start("Manual");
    await rig.event("process.ready");
  },
);

void t.test("a taken port is named with who holds it, and taken once it is free", async (t) => {
  const rig = await open(t);
  const port = await freePort();
  const holder = createServer().listen(port, "127.0.0.1");
  rig.processes.apply([wanted("Web", SERVER(port), { url: `http://localhost:${port}` })]);
  const { why } = await rig.event("process.waiting");
  t.match(why, `port ${port} is taken by `);
  t.match(why, `(pid ${process.pid})`);
  holder.close();
  await rig.event("process.ready");
});

void t.test("a restarted frontend gets its old port", async (t) => {
  const rig = await open(t);
  // A program that chooses: the port that it is told, or any.
  rig.processes.apply([wanted("Web", SERVER("process.env.PORT || 0"), { kind: "aws.Nextjs" })]);
  const { url } = await rig.event("process.ready");
  rig.processes.restart("Web");
  await until(() => rig.events.filter(({ type }) => type === "process.ready").length === 2, "ready again");
  t.same(
    rig.events.filter((event) => event.type === "process.ready").map((event) => event.url),
    [url, url],
  );
});

void t.test("frontends that choose their ports keep them, also when both start at once", async (t) => {
  const first = await freePort();
  // As Vite does: the first port that is free.
  const chooses = `node -e 'const listen = (port) => require("http").createServer((q, s) => s.end("hello")).on("error", () => listen(port + 1)).listen(port, "127.0.0.1", () => console.log("at http://localhost:" + port + "/")); listen(${first})'`;
  const apps = ["Web", "Admin"].map((name) => wanted(name, chooses, { kind: "aws.StaticSite" }));
  const urlsOf = async (rig: Rig, times: number) => {
    const ready = () => rig.events.filter((event) => event.type === "process.ready");
    await until(() => ready().length === 2 * times, `ready ${times} times`);
    return Object.fromEntries((await rig.processes.list()).map(({ name, url }) => [name, url]));
  };
  const rig = await open(t);
  rig.processes.apply(apps);
  const before = await urlsOf(rig, 1);
  t.equal(new Set(Object.values(before)).size, 2);
  for (const { pid } of await rig.processes.list()) process.kill(-(pid ?? 0), "SIGKILL");
  t.same(await urlsOf(rig, 2), before, "both crashed");
  const { urls } = rig;
  await rig.processes[Symbol.asyncDispose]();

  const next = await open(t, { urls });
  next.processes.apply([...apps].reverse());
  t.same(await urlsOf(next, 1), before, "another daemon, another order");
});

void t.test("the second client sees the same screen, and goes on where it stands", async (t) => {
  const rig = await open(t);
  rig.processes.apply([
    wanted("Tui", `printf '\\033[2J\\033[5;10Hdrawn'; read line; printf '\\033[6;10Hmore'; sleep 60`),
  ]);
  await rig.event("process.started");
  await until(async () => (await rig.processes.screen("Tui", 0)).text.includes("drawn"), "drawn");
  const first = await rig.processes.screen("Tui", 0);
  const second = await rig.processes.screen("Tui", 0);
  t.same(first, second);
  t.match(first, { columns: 120, rows: 30 });
  rig.processes.write("Tui", "\n");
  let text = "";
  for (let cursor = first.cursor; !text.includes("more");) {
    const output = await rig.processes.output("Tui", cursor, 5_000);
    t.notOk(output.gap);
    text += output.text;
    cursor = output.cursor;
  }
  t.match((await rig.processes.screen("Tui", 0)).text, "more");
});

void t.test("who draws a terminal along is told of another size and of an emptied screen", async (t) => {
  const rig = await open(t);
  rig.processes.apply([
    wanted(
      "Tui",
      `seq 1 100; printf 'end \\033[?25l\\033[?1000;1006h'; read line; printf '\\033[?25h\\033[?1006l\\nshown'; sleep 60`,
    ),
    wanted("Party", `printf '🎉\\033[2Gx'; printf '\\nover'; sleep 60`),
  ]);
  const shows = (name: string, text: string) =>
    until(async () => (await rig.processes.screen(name, 0)).text.includes(text), text);
  await shows("Tui", "end");
  const first = await rig.processes.screen("Tui", 1_000);
  t.match(first.text, "\r\n12\r\n");
  t.ok(first.text.endsWith("\u001B[?1000h\u001B[?25l\u001B[?1006h"), "no cursor, the mouse by SGR");

  const waiting = rig.processes.output("Tui", first.cursor, 20_000);
  rig.processes.resize("Tui", 90, 20);
  t.match(await waiting, { text: "", gap: false, columns: 90, rows: 20 });

  await rig.processes.clear("Tui");
  t.match(await rig.processes.output("Tui", first.cursor, 0), { gap: true });
  const empty = await rig.processes.screen("Tui", 1_000);
  t.notMatch(empty.text, "12");
  t.match(empty.text, "end", "the line of the cursor stays");
  rig.processes.write("Tui", "\n");
  await shows("Tui", "shown");
  t.notMatch((await rig.processes.screen("Tui", 0)).text, "\u001B[?25l");

  await shows("Party", "over");
  t.notMatch((await rig.processes.screen("Party", 0)).text, "🎉", "an emoji takes two cells");
});

void t.test(
  "each run's output goes on below that of the one before, also behind a full-screen program",
  async (t) => {
    const rig = await open(t);
    rig.processes.apply([
      wanted(
        "Runs",
        "n=$(cat run 2>/dev/null || echo 0); n=$((n + 1)); echo $n > run; echo run $n; sleep 60",
      ),
      wanted(
        "Full",
        `if [ -e full ]; then echo after; else echo before; touch full; printf '\\033[?1049h\\033[20;20Hfull'; fi; sleep 60`,
      ),
    ]);
    const shows = (name: string, text: RegExp) =>
      until(async () => text.test((await rig.processes.screen(name, 0)).text), String(text));
    for (let run = 1; run <= 3; run++) {
      await shows("Runs", new RegExp(`run ${run}\\b`));
      if (run < 3) rig.processes.restart("Runs");
    }
    t.match((await rig.processes.screen("Runs", 0)).text, /^run 1\r\n(?:\r\n)?run 2\r\n(?:\r\n)?run 3/);
    await shows("Full", /full/);
    rig.processes.restart("Full");
    await shows("Full", /before\r\n(?:\r\n)?after/);
    t.notMatch((await rig.processes.screen("Full", 0)).text, "full");
  },
);

void t.test("processor time and memory are those of the whole tree", async (t) => {
  const rig = await open(t);
  rig.processes.apply([wanted("Busy", "(while :; do :; done) & sleep 60"), wanted("Idle", "sleep 60")]);
  await rig.event("process.ready", ({ processName }) => processName === "Busy");
  await rig.event("process.ready", ({ processName }) => processName === "Idle");
  const [busy, idle] = await rig.processes.list({ usage: true });
  t.ok((busy?.cpu ?? 0) > 0.1, `busy: ${busy?.cpu}`);
  t.equal(idle?.cpu, 0);
  t.equal(busy?.processes, 3);
  t.ok((busy?.memoryBytes ?? 0) > 100_000);
});

void t.test("a directory that is not there, a name that nobody has", async (t) => {
  const rig = await open(t);
  rig.processes.apply([wanted("Lost", "sleep 60", { directory: "packages/none" })]);
  await rig.event("process.exited");
  t.match(await rig.processes.list(), [
    {
      state: "stopped",
      why: /^The directory of Lost is missing: packages\/none\. Mend `path` or `dev\.directory` in /,
    },
  ]);
  t.throws(() => rig.processes.start("Nobody"), { code: "process.unknown", hint: "There are: Lost." });
});

void t.test("one that is stopped while the system starts it is gone when the stop is over", async (t) => {
  const rig = await open(t);
  rig.processes.apply([wanted("Deaf", "trap '' TERM HUP INT; while :; do sleep 1; done")]);
  // On record, and so asked for; the terminals' thread cannot have answered yet.
  const records = `${rig.project}/.livedev/processes`;
  while (!existsSync(records) || readdirSync(records).length === 0)
    await new Promise((resolve) => setImmediate(resolve));
  await rig.processes.stop("Deaf");
  await rig.event("process.started");
  const exited = rig.events.filter(({ type }) => type === "process.exited");
  t.match(exited, [{ reason: "stopped", survivors: 0 }], "it had ended before the stop was over");
});
