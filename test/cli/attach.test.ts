/** `livedev attach` at real terminals: a supervised program's screen, keys and size; leaving stops nothing. */
import t from "tap";

import { tmuxMissing } from "../support/parts.ts";
import { LIVEDEV, TuiRig } from "../tui/rig.ts";

/** Draws on the alternate screen, in raw mode, with the mouse; tells its size and each key; "q" ends it with 3. */
const PROGRAM = `
process.stdin.setRawMode(true);
let text = "begun";
const draw = () => process.stdout.write("\\x1b[?1049h\\x1b[?1002h\\x1b[?25l\\x1b[2J\\x1b[H" + process.stdout.columns + "x" + process.stdout.rows + " " + text);
draw();
process.on("SIGINT", () => { text = "interrupted"; draw(); });
process.on("SIGWINCH", draw);
process.stdin.on("data", (key) => {
  if (String(key) === "q") process.exit(3);
  text = "key " + JSON.stringify(String(key));
  draw();
});
`;

const FILES = {
  "livedev.config.ts": `
import { $config, DevCommand } from "livedev";
export default $config({
  app: () => ({ name: "shown", home: "local" }),
  async run() {
    new DevCommand("Tui", { dev: { command: "exec node draws.cjs" } });
  },
});
`,
  "draws.cjs": PROGRAM,
};

t.test(
  "any number look at one screen, and each leaves with its own terminal as it was",
  { skip: tmuxMissing },
  async (t) => {
    const tui = TuiRig.open(t, FILES);
    const { rig } = tui;
    await rig.start();
    t.equal((await rig.livedev("wait", "--for", "process:Tui")).code, 0);
    await using client = await rig.connect();
    const process_ = async () => (await client.call("process.list", {}))[0];
    const command = `${LIVEDEV} attach Tui; echo "left with $?"`;
    const flags = "#{alternate_on} #{mouse_button_flag} #{cursor_flag}";

    const pid = (await process_())?.pid;
    const one = await tui.screen({ columns: 90, rows: 20, command });
    await one.until(/^90x20 begun/);
    t.equal(await one.ask(flags), "1 1 0", "as the program set it");
    await one.type("x");
    await one.until(/^90x20 key "x"/);
    await one.type("C-c");
    await one.until(/^90x20 key "\\u0003"/);
    await one.type("Up");
    await one.until(/^90x20 key "\\u001b\[A"/);
    await one.resize(70, 15);
    await one.until(/^70x15 key/);

    // A second one has the same, and its size.
    const two = await tui.screen({ columns: 60, rows: 12, command });
    await two.until(/^60x12 key "\\u001b\[A"/);
    await two.type("y");
    await one.until(/^60x12 key "y"/);

    // It goes on without the one that left, whose terminal is a shell's again.
    await two.type("C-]");
    await two.until(/left with 0/);
    t.equal(await two.ask(flags), "0 0 1");
    await two.type(
      "clear; stty -a | tr ' ;' '\\n\\n' | grep -xE -e '-?(icanon|echo|isig)' | tr '\\n' ,",
      "Enter",
    );
    await two.until(/^isig,icanon,echo,/m);
    await one.type("z");
    await one.until(/key "z"/);
    t.match(await process_(), { state: "ready", pid, restarts: 0 });

    // It ends, and is there again: still on the same terminal.
    await one.type("q");
    await one.until(/60x12 begun/);
    const again = await process_();
    t.not(again?.pid, pid);
    t.match(again, { restarts: 1, restarted: { why: "exit code 3" } });
    await one.type("k");
    await one.until(/60x12 key "k"/);

    // And without a terminal what it writes is passed on, until it is interrupted.
    const piped = rig.spawn("livedev.js", ["attach", "Tui"]);
    let text = "";
    const written = new Promise<void>((resolve) => {
      piped.stdout?.setEncoding("utf8").on("data", (part: string) => {
        text += part;
        if (text.includes('key "m"')) resolve();
      });
    });
    const ended = new Promise((resolve) => piped.once("close", resolve));
    const typing = setInterval(() => void one.type("m"), 200);
    await written;
    clearInterval(typing);
    piped.kill("SIGINT");
    t.equal(await ended, 130);
    await one.type("C-]");
    await one.until(/left with 0/);
  },
);
