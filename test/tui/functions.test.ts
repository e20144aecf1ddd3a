/** Functions in the multiplexer: invocations as they come, one whole, replay, copies, what does not build. */
import { execFileSync } from "node:child_process";

import t from "tap";

import { tmuxMissing } from "../support/parts.ts";
import { LIVEDEV, TuiRig } from "./rig.ts";

const FILES = {
  "livedev.config.ts": `
import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "calls", home: "local" }),
  async run() {
    new aws.Function("Api", { handler: "src/api.handler", url: true });
    new aws.Function("Slow", { handler: "src/slow.handler" });
  },
});
`,
  "src/api.ts": `
type Event = { n?: number; fail?: boolean; body?: string };
export const handler = async (event: Event) => {
  console.log("called with", event.n ?? event.body);
  if (event.fail) fail();
  return { n: event.n, body: event.body };
};

function fail(): never {
  throw new TypeError("no such shelf");
}
`,
  "src/slow.ts": `
import { existsSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
export const handler = async () => {
  console.log("begun");
  while (!existsSync("go")) await wait(20);
  return "gone";
};
`,
  /** An editor that puts another number in. */
  "edit.sh": `sed 's/"n": 1/"n": 41/' "$1" > "$1.new" && mv "$1.new" "$1"`,
  "spoil.sh": `if [ -e spoilt ]; then echo '{"n":7}' > "$1"; else touch spoilt; echo '{"n":' > "$1"; fi`,
};

t.test("functions in the multiplexer", { skip: tmuxMissing }, async (t) => {
  const tui = TuiRig.open(t, FILES);
  const { rig } = tui;
  const screen = await tui.screen({ columns: 120, env: { EDITOR: `sh ${rig.project}/edit.sh` } });
  await screen.until(/Deployed at/);
  await using client = await rig.connect();
  const invoke = (functionName: string, event: unknown) =>
    client.call("function.invoke", { functionName, event: JSON.stringify(event) });
  const status = await client.call("daemon.status", {});
  const url = status.functions.find(({ name }) => name === "Api")?.url ?? "";

  await t.test("invocations show as they come, the newest first", async (t) => {
    await screen.type("j");
    await screen.until("No invocation yet");
    await invoke("Api", { n: 1 });
    await screen.until(/● ok +\S+ \S+ cold Api/);
    await invoke("Api", { n: 2, fail: true });
    const rows = await screen.until(/✗ error .* Api +TypeError: no such shelf/);
    t.match(rows[1], /✗ error/);
    t.match(rows[2], /● ok/);
    t.match(rows.join("\n"), /Functions.*\n +Api: TypeError: no such/, "the last error at a glance");
  });

  /** As many invocations as that in the list. */
  const listed = (text: string) => text.match(/(?:● ok|✗ error) .* Api\b/g)?.length ?? 0;

  await t.test("filters by function, status and text", async (t) => {
    await invoke("Api", { n: 3, text: "needle", password: "open sesame" });
    await screen.until((text) => listed(text) === 3);
    await screen.type("t");
    await screen.until("only status failed");
    await screen.until((text) => text.includes("✗ error") && !text.includes("● ok"));
    await screen.type("Escape");
    await screen.until(/● ok/);
    await screen.type("/", "needle", "Enter");
    await screen.until((text) => text.includes("only text needle") && listed(text) === 1);
    await screen.type("Escape");
    await screen.until((text) => !text.includes("only") && listed(text) === 3);
    await screen.type("f");
    await screen.until("Invocations of");
    await screen.type("j", "j", "Enter");
    await screen.until(/only function Slow[^]*No invocation fits/);
    await screen.type("Escape");
    await screen.until((text) => listed(text) === 3);
    t.pass();
  });

  await t.test("one opens whole, with its stack in the source", async (t) => {
    await screen.type("Enter");
    await screen.until("esc back");
    await screen.type("j", "Enter");
    const whole = (await screen.until(/Answer \(/)).join("\n");
    t.match(whole, /Event \(\d+ bytes\)[^]*"fail": true/);
    t.match(whole, /Logs[^]*called with 2/);
    t.match(whole, /Error[^]*TypeError: no such shelf[^]*src\/api\.ts:10/);
    await screen.type("/", "shelf", "Enter");
    await screen.until(/\d\/\d shelf/);
    await screen.type("Escape");
    await screen.until((text) => !/\d\/\d shelf/.test(text));
    await screen.type("Escape");
    await screen.until(/✗ error .* Api/);
  });

  await t.test("replayed as it was, and with its event changed in the editor first", async (t) => {
    await screen.type("G");
    await screen.type("r");
    const again = (await screen.until(/replay of +\d+/)).join("\n");
    t.match(again, /run +on this machine alone/);
    t.match(again, /"n": 1/);
    await screen.until(/ok[^]*Answer/);
    await screen.type("e");
    await screen.until(/"n": 41[^]*Answer \(\d+ bytes\)\n.*\n.*"n": 41/);
    await screen.type("Escape");
    await screen.until(/replay of \d+/);
    t.equal((await client.call("invocation.list", {})).length, 5);
  });

  await t.test("what is no JSON is edited again, or given up", async (t) => {
    const other = await tui.screen({ columns: 120, env: { EDITOR: `sh ${rig.project}/spoil.sh` } });
    await other.until(/Deployed at/);
    await other.type("j");
    await other.until(/● ok/);
    await other.type("Enter", "e");
    await other.until(/is not JSON[^]*edit it again/);
    await other.type("e");
    await other.until(/"n": 7/);
    await other.type("q", "l");
    await other.until(/livedevd goes on/);
    t.equal(await other.ask("#{alternate_on}"), "0");
  });

  await t.test("copied as JSON, as curl, as livedev invoke: each of them works", async (t) => {
    await fetch(`${url}books?max=2`, { method: "POST", headers: { "x-shop": "it's ours" }, body: "a body" });
    // What is chosen stays chosen when a row comes above it.
    await screen.until(/● ok .* Api\n.*replay of/);
    await screen.type("g", "Enter");
    await screen.until(/rawPath[^]*books/);
    const copyAs = async (downs: number) => {
      await screen.type("y");
      await screen.until("Copy as");
      await screen.type(...Array.from({ length: downs }, () => "j"), "Enter");
      await screen.until(/Copied/);
      return screen.copied();
    };
    const json = JSON.parse(await copyAs(0)) as { functionName: string; event: { text: string } };
    t.equal(json.functionName, "Api");
    t.match(json.event.text, '"body":"a body"');

    const curl = await copyAs(1);
    t.match(curl, /^curl -X POST 'http:\/\/127\.0\.0\.1:\d+\/books\?max=2' .*-H 'x-shop: it'\\''s ours'/);
    const shell = (command: string) =>
      execFileSync("/bin/sh", ["-c", command], {
        cwd: rig.project,
        env: rig.env,
        encoding: "utf8",
        stdio: "pipe",
      });
    t.match(JSON.parse(shell(curl)), { body: "a body" });

    const invoked = await copyAs(2);
    t.match(invoked, /^livedev invoke Api --event '\{/);
    t.match(JSON.parse(shell(invoked.replace(/^livedev/, LIVEDEV))), { body: "a body" });
    t.equal(await copyAs(3), json.event.text, "the event's own bytes");
    t.match(JSON.parse(await copyAs(4)), { body: "a body" }, "the answer's");
    await screen.type("Escape");
    await screen.until(/● ok/);
  });

  await t.test("an event of no HTTP request is invoked by curl, signed", async (t) => {
    await screen.type("t", "t", "t");
    await screen.until("only status ok");
    await screen.type("/", "needle", "Enter");
    await screen.until((text) => text.includes("text needle") && listed(text) === 1);
    await screen.type("y");
    await screen.until("Copy as");
    await screen.type("j", "Enter");
    await screen.until("Copied");
    const curl = await screen.copied();
    const environment = (await rig.livedev("cloud", "env")).stdout;
    const answer = execFileSync("/bin/sh", ["-c", `${environment}\n${curl} -s`], {
      cwd: rig.project,
      env: rig.env,
      encoding: "utf8",
      stdio: "pipe",
    });
    t.match(JSON.parse(answer), { n: 3 });
  });

  await t.test("what is sealed in it is shown when that is asked for, and no longer", async (t) => {
    await screen.type("Enter");
    const sealed = (await screen.until(/Event \(\d+ bytes, parts sealed\)/)).join("\n");
    t.notMatch(sealed, "open sesame");
    t.match(sealed, "u reveal");
    await screen.type("u");
    await screen.until(/unsealed[^]*"password": "open sesame"/);
    await screen.type("u");
    await screen.until((text) => text.includes("parts sealed") && !text.includes("open sesame"));
    await screen.type("Escape");
    await screen.until("only status ok, text needle");
    await screen.type("Escape");
    await screen.until((text) => !text.includes("only"));
  });

  await t.test("one that runs is followed, line by line, to its end", async (t) => {
    const slow = invoke("Slow", {});
    await screen.until(/◐ running .* Slow/);
    await screen.type("Enter");
    await screen.until(/Slow {2}running[^]*Logs[^]*begun/);
    t.notMatch(await screen.text(), "Answer");
    await screen.until(/Functions +1 running 2│/);
    rig.save("go", "");
    await slow;
    await screen.until(/Slow {2}ok[^]*Answer[^]*"gone"/);
    await screen.until(/Functions +2│/);
    await screen.type("Escape");
  });

  await t.test("what does not build is shown, with file and line, until it is mended", async (t) => {
    rig.edit("src/api.ts", "n: event.n,", "n: event.,");
    const rows = await screen.until(/✗ Api does not build +src\/api\.ts:6:/);
    t.match(rows.join("\n"), /6 │ +return \{ n: event\.,/);
    t.match(rows.join("\n"), /✗ Functions +1 broken/);
    rig.edit("src/api.ts", "n: event.,", "n: event.n,");
    await screen.until((text) => !text.includes("does not build") && /● Functions/.test(text));
  });
});
