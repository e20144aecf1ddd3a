/** Processes in panes: their keys, programs that have the whole screen, scrollback, searching, selecting, the mouse. */
import t from "tap";

import { tmuxMissing } from "../support/parts.ts";
import { TuiRig, type Screen } from "./rig.ts";

/** A shell that heeds signals: an interactive one takes seconds to end. */
const SHELL = `while printf 'sh> ' && read -r line; do eval "$line"; done`;

/** Tells each piece of input; asks for the mouse, every move of it. */
const MOUSE = `
process.stdin.setRawMode(true);
process.stdout.write("\\x1b[?1003h\\x1b[?1006h\\x1b[2J\\x1b[Hthe mouse is mine\\r\\n");
process.stdin.on("data", (data) => process.stdout.write(JSON.stringify(String(data)) + "\\r\\n"));
`;

const FILES = {
  "livedev.config.ts": `
import { $config, DevCommand } from "livedev";
export default $config({
  app: () => ({ name: "panes", home: "local" }),
  async run() {
    new DevCommand("Shell", { dev: { command: "sh shell.sh" } });
    new DevCommand("Lines", { dev: { command: "for n in $(seq 1 300); do echo row $n of 300; done; exec sleep 1000" } });
    new DevCommand("Mouse", { dev: { command: "exec node mouse.cjs" } });
    new DevCommand("Studio", { dev: { command: "echo studio is up; exec sleep 1000", autostart: false } });
  },
});
`,
  "shell.sh": SHELL,
  "mouse.cjs": MOUSE,
  "notes.txt": "one\ntwo\nthree\n",
};

const OPTIONS = { skip: tmuxMissing };

t.test("processes in panes", OPTIONS, async (t) => {
  const tui = TuiRig.open(t, FILES);
  const screen = await tui.screen({ env: { COLORTERM: "truecolor" } });
  await screen.until(/● Shell +ready[^]*● Lines +ready[^]*● Mouse +ready/);

  /** Chooses an entry of the sidebar, from wherever it stands. */
  const choose = async (name: string, on: Screen = screen) => {
    const { y } = await on.find(` ${name} `);
    await on.click(3, y);
    await on.until((text) => new RegExp(`│${name}  `).test(text.split("\n")[0] ?? ""));
  };
  const pane = async (on: Screen = screen) =>
    (await on.rows()).slice(1, -1).map((row) => row.split("│")[1] ?? "");
  const top = async () => Number(/row (\d+) of/.exec((await pane())[0] ?? "")?.[1]);
  const topIs = (number: number) =>
    screen.until((text) => new RegExp(`│row ${number} of 300$`).test(text.split("\n")[1] ?? ""));

  await t.test("a full-screen program has its keys, its cursor and its screen", async (t) => {
    await choose("Shell");
    await screen.type("Enter");
    await screen.until("ctrl-z leave");
    await screen.type("vim -u NONE -N notes.txt", "Enter");
    await screen.until(/│one\n.*│two\n.*│three\n.*│~/);
    await screen.type("Down", "A", ", and a half", "Escape");
    await screen.until("│two, and a half");
    t.equal(await screen.ask("#{cursor_y}"), "2", "the cursor stands in its line");
    await screen.type("k", "x", "u", ":wq", "Enter");
    // The prompt itself, behind which nothing is typed yet: vim's own line has one too.
    await screen.until((text) => !text.includes("│~") && /│sh> *$/m.test(text));
    t.equal(tui.rig.read("notes.txt"), "one\ntwo, and a half\nthree\n");
    await screen.type("echo $LINES $(stty size)", "Enter");
    const { x } = await screen.find("Shell  ready");
    await screen.until(`│28 ${110 - x}`);
    await screen.type("C-z");
    await screen.until("q quit");
  });

  await t.test("colours of every kind, wide characters and emoji stand where they should", async (t) => {
    await screen.type("Enter");
    await screen.type(
      `clear; printf '\\033[31mred \\033[38;5;208morange \\033[38;2;1;2;3mdark\\033[0m \\346\\227\\245\\346\\234\\254|\\360\\237\\216\\211|e\\314\\201|\\033[?25l\\n'`,
      "Enter",
    );
    const rows = await screen.until(/red orange dark 日本\|🎉\|e\u0301\|/);
    const at = rows.findIndex((row) => row.includes("red orange"));
    const styled = (await screen.rows({ styles: true }))[at] ?? "";
    for (const colour of ["[31m", "38;5;208m", "38;2;1;2;3m"]) t.match(styled, colour);
    t.equal(await screen.ask("#{cursor_flag}"), "0", "the program has hidden the cursor");
    await screen.type("printf '\\033[?25h'", "Enter");
    await screen.until(/sh>\s*$/m);
    await screen.type("C-z");
  });

  await t.test("the scrollback is the daemon's, by every key of it", async (t) => {
    await choose("Lines");
    await screen.until("row 300 of 300");
    const height = (await pane()).length;
    const end = 300 - height + 2;
    await screen.type("C-u");
    await topIs(end - Math.floor(height / 2));
    t.match(await screen.text(), "stands still");
    await screen.type("C-y");
    await topIs(end - Math.floor(height / 2) - 3);
    await screen.type("C-e", "PPage", "NPage", "C-d");
    await screen.until((text) => !text.includes("stands still"));
    t.equal(await top(), end, "at its bottom it goes on");
    await screen.type("g");
    await topIs(1);
    await screen.type("G");
    await topIs(end);
    await screen.type("Home");
    await topIs(1);
    await screen.type("Escape");
    await topIs(end);
  });

  await t.test("a search goes to the next and the previous match, round about", async (t) => {
    await screen.type("/", "ROW 29", "Enter");
    await screen.until("no ROW 29");
    await screen.type("/", "row 29", "Enter");
    await screen.until("11/11 row 29");
    await screen.type("n");
    await screen.until("1/11 row 29");
    const shown = await screen.until(/│row 29 of 300$/m);
    const styled = (await screen.rows({ styles: true }))[
      shown.findIndex((row) => row.endsWith("row 29 of 300"))
    ];
    t.match(styled, "\u001B[0;1;7m", "it is marked");
    await screen.type("n");
    await screen.until("2/11 row 29");
    await screen.until(/│row 290 of 300$/m);
    await screen.type("N", "N");
    await screen.until("11/11 row 29");
    await screen.type("Escape");
    await screen.until((text) => !text.includes("row 29\n") && !text.includes("stands still"));
    t.notMatch(await screen.text(), "11/11");
  });

  await t.test("text is selected by keys, and copied", async (t) => {
    await screen.type("v");
    await screen.until("selecting");
    await screen.type("k", "k", "l", "l", "l", "l", "v", "j");
    await screen.type("l", "l", "y");
    await screen.until("Copied 2 lines.");
    t.equal(await screen.copied(), "299 of 300\nrow 300");
    await screen.until((text) => !text.includes("selecting"));
    await screen.type("g");
    await topIs(1);
    await screen.type("y");
    await screen.until(/Copied 28 lines/);
    t.match(await screen.copied(), /^row 1 of 300\n/, "without a selection, what the pane shows");
    await screen.type("Escape");
  });

  await t.test("the mouse chooses, scrolls, and copies what it is drawn over", async (t) => {
    const { x, y } = await screen.find("row 290 of 300");
    await screen.mouse("wheelUp", x, y);
    await screen.until("stands still");
    await screen.type("Escape");
    await screen.until((text) => !text.includes("stands still"));
    // Back before the scrollback is there: it does not come afterwards.
    const daemon = tui.rig.daemonPid();
    process.kill(daemon, "SIGSTOP");
    await screen.mouse("wheelUp", x, y);
    await screen.until("stands still");
    await screen.type("Escape");
    await screen.until((text) => !text.includes("stands still"));
    process.kill(daemon, "SIGCONT");
    await screen.until("row 300 of 300");
    await screen.mouse("press", x + 4, y);
    await screen.mouse("drag", x + 6, y + 1);
    await screen.mouse("release", x + 6, y + 1);
    await screen.until("Copied 2 lines.");
    t.equal(await screen.copied(), "290 of 300\nrow 291");
    // The press has given the program the keys, too.
    await screen.type("C-z");
    await screen.until("q quit");
  });

  await t.test("a program that asks for the mouse has it, while it has the keys", async (t) => {
    await choose("Mouse");
    const { x, y } = await screen.find("the mouse is mine");
    await screen.click(x + 2, y);
    await screen.until("ctrl-z leave");
    await screen.click(x + 4, y + 2);
    await screen.until(`\\u001b[<0;5;3M`);
    await screen.until(`\\u001b[<0;5;3m`);
    await screen.mouse("wheelDown", x, y);
    await screen.until(`\\u001b[<65;1;1M`);
    t.equal(await screen.ask("#{mouse_all_flag}"), "1", "every move, since it wants to hear of every move");
    await screen.type("C-z");
    await screen.until("q quit");
    t.equal(await screen.ask("#{mouse_all_flag}"), "0");
  });

  await t.test("start, stop, restart, and a task that starts by hand", async (t) => {
    t.match(await screen.text(), /Tasks[^]*○ Studio +stopped/);
    await choose("Studio");
    t.match((await screen.rows()).at(-1), /s start/);
    t.notMatch((await screen.rows()).at(-1), /x stop/, "the footer shows what works now");
    await screen.type("s");
    await screen.until(/● Studio +ready[^]*/);
    await screen.until("│studio is up");
    await screen.type("x");
    await screen.until(/○ Studio +stopped/);
    await screen.type("s");
    await screen.until(/● Studio +ready/);
    await screen.type("r");
    await screen.until((text) => text.split("│studio is up").length === 4);
    await screen.until(/● Studio +ready/);
  });

  await t.test("clear empties the terminal, zoom shows it alone", async (t) => {
    await choose("Lines");
    await screen.until("row 300 of 300");
    await screen.type("C-l");
    await screen.until((text) => !text.includes("row 300 of 300"));
    await screen.type("C-u");
    await screen.until("stands still");
    t.notMatch(await screen.text(), "of 300", "nothing is above it, either");
    await screen.type("Escape");
    await screen.until((text) => !text.includes("stands still"));
    await screen.type("z");
    await screen.until((text) => !text.includes("│"));
    await screen.type("z");
    await screen.until("│Lines");
  });

  await t.test("a crash shows, with how, and so does its coming back", async (t) => {
    await choose("Shell");
    await screen.type("Enter");
    await screen.until("ctrl-z leave");
    await screen.type("exit 3", "Enter");
    await screen.until(/✗ Shell +crashed/);
    await screen.until(/● Shell +ready\s*│/);
    t.match(await screen.text(), /\d\d:\d\d:\d\d .*3/, "what it crashed by stays to be read");
    await screen.type("C-z");
  });

  await t.test("two at once see the same; the last to ask has its size", async (t) => {
    const other = await tui.screen({ columns: 90, rows: 20 });
    await other.until(/● Shell +ready/);
    await choose("Shell", other);
    const theirs = 90 - (await other.find("Shell  ready")).x;
    await other.type("Enter");
    await other.type("clear; echo seen by $((1 + 1)); stty size", "Enter");
    await other.until(`│18 ${theirs}`);
    await screen.until(`│18 ${theirs}`);
    t.match(await screen.text(), "│seen by 2");
    await screen.type("Enter");
    await screen.until("ctrl-z leave");
    await screen.type("stty size", "Enter");
    await screen.until(/│28 \d+/);
    await other.until(/│28 \d+/);
    await other.type("C-z", "q", "l");
    await other.until(/livedevd goes on/);
    await screen.type("echo still here", "Enter");
    await screen.until("│still here");
    t.pass();
  });
});
