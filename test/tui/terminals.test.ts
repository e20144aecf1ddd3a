/** Terminals of every size and colour, help and other keys, and the terminal given back however it ends. */
import { setTimeout as wait } from "node:timers/promises";

import t, { type Test } from "tap";

import { ACTION_NAMES, ACTIONS } from "../../client/tui/keymap.ts";
import { textWidth } from "../../client/tui/width.ts";
import { some, times } from "../support/counts.ts";
import { tmuxMissing } from "../support/parts.ts";
import { LIVEDEV, TuiRig, type Screen } from "./rig.ts";

const FILES = {
  "livedev.config.ts": `
import { $config, aws, DevCommand } from "livedev";
export default $config({
  app: () => ({ name: "sizes", home: "local" }),
  async run() {
    new aws.Function("Api", { handler: "src/api.handler" });
    new DevCommand("Shell", { dev: { command: "sh shell.sh" } });
  },
});
`,
  "src/api.ts": `export const handler = async () => { throw new Error("日本 🎉 é \\u{1F468}\\u200D\\u{1F469} end"); };`,
  // An interactive one heeds no signal, and takes seconds to end.
  "shell.sh": `while printf 'sh> ' && read -r line; do eval "$line"; done`,
  // What a bug is: an error that nobody expects, at a moment of the test's.
  "bug.cjs": `process.once("SIGUSR2", () => setImmediate(() => { throw new Error("a planted bug"); }));`,
};

const RESIZES = times(200, 60);
const COLUMNS = 110;
const ROWS = 30;
const FLAGS = "#{alternate_on} #{cursor_flag} #{mouse_any_flag}#{mouse_sgr_flag}";
const GIVEN_BACK = "0 1 00";

t.test("the multiplexer at terminals of every kind", { skip: tmuxMissing }, async (t) => {
  const tui = TuiRig.open(t, FILES);
  const { rig } = tui;
  const screen = await tui.screen({ command: "", columns: COLUMNS, rows: ROWS });
  /** `echo` is the shell's own sign that it has the terminal again. */
  const dev = async (before = "", after = "") => {
    await screen.type(`clear; ${before} ${LIVEDEV} dev ${after}; echo ended with $?`, "Enter");
    await screen.until(/● Deploy +live[^]*[qQ] quit\s*$/);
  };
  const shell = async (on: Screen = screen) => {
    const { y } = await on.find("● Shell ");
    await on.click(3, y);
    await on.until(/│Shell {2}ready[^]*│sh>/);
  };
  const pid = async () => {
    const found = (await rig.processes()).filter(({ command }) => command.includes("livedev.js dev"));
    t.equal(found.length, 1);
    return found[0]?.pid ?? 0;
  };

  /** What it shows is what one shows that was never resized; its program has the pane's size. */
  const asFresh = async (t: Test) => {
    const other = await tui.screen({ columns: COLUMNS, rows: ROWS });
    await other.click(3, (await other.find("● Shell ")).y);
    const { x } = await other.find("│Shell  ready");
    // Drawn anew at this size, not as it was a moment ago.
    await screen.until((text) => text.split("\n")[0]?.indexOf("│Shell  ready") === x);
    await screen.type("Enter");
    await screen.until("ctrl-z leave");
    await screen.type("clear; stty size", "Enter");
    // With the prompt behind it.
    const size = new RegExp(`│${ROWS - 2} ${COLUMNS - x - 1}\\n[^\\n]*│sh>[^]*`);
    await screen.until(size);
    await screen.type("C-z");
    const whole = new RegExp(`${size.source}q quit`);
    await screen.until(whole);
    await other.until(whole);
    await screen.until(/● Deploy +live/);
    // Either may be the first to hear of a build, or that it is live.
    const both = () => Promise.all([screen.rows(), other.rows()]);
    let [shown, fresh] = await both();
    for (let more = 0; more < 1_000 && shown.join("\n") !== fresh.join("\n"); more += 1) {
      await wait(10);
      [shown, fresh] = await both();
    }
    t.same(fresh, shown);
    await other.close();
  };

  await dev();
  await shell();

  await t.test(`after ${RESIZES} fast resizes, in the midst of output, the screen is right`, async (t) => {
    await screen.type("Enter");
    await screen.until("ctrl-z leave");
    const lines = times(60_000, 20_000);
    await screen.type(`for n in $(seq 1 ${lines}); do echo flood $n of ${lines}; done`, "Enter");
    await screen.until("│flood ");
    const began = performance.now();
    for (let count = 0; count < RESIZES; count += 1) {
      await wait(Math.max(0, began + 5 * count - performance.now()));
      await screen.resize(40 + ((count * 7) % 120), 5 + ((count * 3) % 40));
    }
    t.comment(`in ${Math.round(performance.now() - began)} ms`);
    await screen.resize(COLUMNS, ROWS);
    await screen.until(new RegExp(`│flood ${lines} of ${lines}\n[^\n]*│sh>`));
    await screen.type("C-z");
    await asFresh(t);
  });

  await t.test("one cell is enough to live on, and a few show what they can", async (t) => {
    const sizes = [
      [1, 1],
      [2, 1],
      [1, 3],
      [8, 2],
      [20, 4],
      [49, 6],
    ] as const;
    for (const [columns, rows] of sizes) {
      await screen.resize(columns, rows);
      await screen.became("#{pane_width}x#{pane_height}", `${columns}x${rows}`);
      await screen.type("?", "x", "/", "ab", "C-c", "Enter", "C-z", "z", "z", "q", "Escape");
      // Whatever follows an Escape so fast would be that with alt; the mouse is not.
      await screen.mouse("wheelDown", 0, 0);
      if (columns >= 20) await screen.until(/● Shell/);
    }
    await screen.resize(10, 3);
    await screen.until(/● Shell/);
    await screen.type("k");
    await screen.until(/Functio/);
    await screen.type("j");
    await screen.until(/● Shell/);
    await screen.resize(COLUMNS, ROWS);
    await asFresh(t);
  });

  await t.test("all keys are shown on ?", async (t) => {
    await screen.type("?");
    let shown = (await screen.until("─ Keys")).join("\n");
    while (!shown.includes("Other keys: ")) {
      await screen.type("NPage");
      shown += await screen.text();
    }
    for (const action of ACTION_NAMES) t.ok(shown.includes(ACTIONS[action].long.slice(0, 24)), action);
    t.match(shown, `Other keys: ${rig.root}/home/.config/livedev/keys.json`);
    await screen.type("x");
    await screen.until((text) => !text.includes("Other keys:"));
    t.match(await screen.text(), /● Shell +ready/, "the key that closes it does nothing else");
  });

  await t.test("wide characters and emoji in our own rows move nothing", async (t) => {
    await using client = await rig.connect();
    await client.call("function.invoke", { functionName: "Api", event: "{}" });
    await screen.type("k");
    const rows = await screen.until(/✗ error .* Api Error: 日本 🎉 é/);
    const wide = rows.filter((row) => row.includes("日本"));
    t.equal(wide.length, 2, "in the list, and as the last error in the sidebar");
    const border = textWidth((rows[5] ?? "").split("│")[0] ?? "");
    for (const row of wide) t.equal(textWidth(row.split("│")[0] ?? ""), border);
    await screen.type("j", "q", "l");
    await screen.until("ended with 0");
  });

  await t.test("256 colours, 16, or none", async (t) => {
    const paint = (word: string) =>
      `clear; printf '\\033[38;2;200;30;40mrgb \\033[38;5;208mpalette \\033[32mgreen\\033[0m \\033[1mbold\\033[0m ${word}\\n'`;
    const kinds: readonly (readonly [env: string, fits: RegExp])[] = [
      ["env -u TMUX -u COLORTERM TERM=xterm-256color", /38;5;\d+m\S*rgb.*38;5;208mpalette.*\[32mgreen/],
      ["env -u TMUX -u COLORTERM TERM=xterm", /\[91m\S*rgb palette .*\[32mgreen/],
      ["NO_COLOR=1", /rgb palette green .*\[1mbold/],
    ];
    for (const [index, [env, fits]] of kinds.entries()) {
      await dev(env);
      await shell();
      // What the last one painted stands there still.
      await screen.type("Enter", paint(`round-${index}`), "Enter");
      await screen.until(`│rgb palette green bold round-${index}`);
      await screen.type("C-z");
      await screen.until("q quit");
      const styled = (await screen.rows({ styles: true })).join("\n");
      const row = styled.split("\n").find((one) => one.includes("palette")) ?? "";
      t.match(row, fits, env);
      if (env.startsWith("NO")) t.notMatch(styled, /\[(?:\d+;)*(?:[349][0-7]|[34]8)[;m]/, "not one");
      await screen.type("q", "l");
      await screen.until("ended with 0");
    }
  });

  await t.test("other keys, by the user's file", async (t) => {
    const file = "../home/.config/livedev/keys.json";
    rig.save(file, '{ "fly": "a" }');
    await screen.type(`clear; ${LIVEDEV} dev; echo ended with $?`, "Enter");
    const refused = (await screen.until(/fly[^]*ended with \d/)).join("").replaceAll(" ", "");
    t.match(refused, 'keys.jsoncannotbeused:thereisnoaction"fly";');
    t.match(refused, "endedwith1");
    rig.save(file, '{ "leave": "ctrl-]", "quit": "Q", "zoom": [], "down": "ctrl-n" }');
    await dev();
    t.match((await screen.rows()).at(-1), /^ctrl-n move .* Q quit$/);
    await screen.type("C-n", "C-n");
    await screen.until("│Shell  ready");
    await screen.type("q", "z", "Enter");
    await screen.until("ctrl-] leave");
    await screen.type("C-a", "C-]");
    await screen.until(/Q quit/);
    t.match((await screen.rows())[0], "│Shell", "the others are nobody's now");
    await screen.type("Q");
    await screen.until("stop everything");
    await screen.type("l");
    await screen.until("ended with 0");
    rig.save(file, "{}");
  });

  await t.test("however it ends, the terminal is as it was", async (t) => {
    await screen.type("clear; stty -g > before", "Enter");
    const ends: readonly (readonly [signal: NodeJS.Signals, shown: RegExp])[] = [
      ["SIGHUP", /livedevd goes on[^]*ended with 130/],
      ["SIGUSR2", /a planted bug[^]*ended with 1\b/],
      // The shell goes on at once, and may have told so on the screen that is taken away.
      ["SIGKILL", /^/],
      ["SIGTERM", /livedevd goes on[^]*ended with 130/],
    ];
    for (const [signal, shown] of some(ends, 3)) {
      await dev(`NODE_OPTIONS=--require=${rig.project}/bug.cjs`);
      t.equal(await screen.ask(FLAGS), "1 0 11");
      process.kill(await pid(), signal);
      await screen.became(FLAGS, GIVEN_BACK);
      await screen.until(shown);
      await screen.type("stty -g > after; echo compared", "Enter");
      // Behind the prompt, where it was typed before there was one.
      await screen.until(/^(?:\$ )?compared$/m);
      t.equal(rig.read("after"), rig.read("before"), `${signal}: its settings, too`);
    }
  });

  await t.test("stopped and continued, and at the end with everything", async (t) => {
    await dev("", "--stop");
    process.kill(await pid(), "SIGTSTP");
    await screen.became(FLAGS, GIVEN_BACK);
    await screen.type("clear; fg; echo ended with $?", "Enter");
    await screen.until(/● Shell +ready[^]*q quit\s*$/);
    t.equal(await screen.ask(FLAGS), "1 0 11");
    const gone = await tui.screen();
    await gone.until(/● Shell +ready/);
    await gone.close();
    // The daemon knows of no client that went with its terminal; our own goes on, and ends all.
    await screen.type("q");
    await screen.until(/livedevd \(pid \d+\) has stopped[^]*ended with 0/);
    t.notOk((await rig.processes()).some(({ command }) => command.includes("livedev.js dev")));
  });
});
