/** `livedev attach` at real terminals: a supervised program's screen, keys and size; leaving stops nothing. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import t from "tap";

import type { ProcessStatus } from "../../proto/rpc.ts";
import { TMUX, tmuxMissing } from "../support/parts.ts";
import { Rig, ROOT } from "../support/rig.ts";

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
    const rig = Rig.open({ files: FILES });
    t.teardown(() => rig[Symbol.asyncDispose]());
    await rig.start();
    t.equal((await rig.livedev("wait", "--for", "process:Tui")).code, 0);
    const tmux = (...args: readonly string[]) =>
      spawnSync(TMUX, ["-S", join(rig.root, "tmux"), "-f", "/dev/null", ...args], {
        encoding: "utf8",
        env: { ...rig.env, SHELL: "/bin/sh", TERM: "xterm" },
      });
    t.teardown(() => tmux("kill-server"));
    const until = async (who: string, pattern: RegExp) => {
      for (let looks = 0; ; looks += 1) {
        const { stdout } = tmux("capture-pane", "-p", "-t", who);
        if (pattern.test(stdout)) return t.pass(`${who}: ${pattern}`);
        if (looks > 1_000) throw new Error(`${who} never showed ${pattern}:\n${stdout}`);
        await wait(20);
      }
    };
    const told = (who: string, format: string) =>
      tmux("display-message", "-p", "-t", who, format).stdout.trim();
    const process_ = async () => JSON.parse((await rig.livedev("ps", "--json")).stdout) as ProcessStatus;
    const attach = `'${process.execPath}' '${join(ROOT, "dist", "livedev.js")}' attach Tui; echo "left with $?"`;

    const { pid } = await process_();
    tmux("new-session", "-d", "-s", "one", "-x", "90", "-y", "20", "-c", rig.project, "sh");
    tmux("send-keys", "-t", "one", attach, "Enter");
    await until("one", /^90x20 begun/);
    t.equal(
      told("one", "#{alternate_on} #{mouse_button_flag} #{cursor_flag}"),
      "1 1 0",
      "as the program set it",
    );
    tmux("send-keys", "-t", "one", "x");
    await until("one", /^90x20 key "x"/);
    tmux("send-keys", "-t", "one", "C-c");
    await until("one", /^90x20 key "\\u0003"/);
    tmux("send-keys", "-t", "one", "Up");
    await until("one", /^90x20 key "\\u001b\[A"/);
    tmux("resize-window", "-t", "one", "-x", "70", "-y", "15");
    await until("one", /^70x15 key/);

    // A second one has the same, and its size.
    tmux("new-session", "-d", "-s", "two", "-x", "60", "-y", "12", "-c", rig.project, "sh");
    tmux("send-keys", "-t", "two", attach, "Enter");
    await until("two", /^60x12 key "\\u001b\[A"/);
    tmux("send-keys", "-t", "two", "y");
    await until("one", /^60x12 key "y"/);

    // It goes on without the one that left, whose terminal is a shell's again.
    tmux("send-keys", "-t", "two", "C-]");
    await until("two", /left with 0/);
    t.equal(told("two", "#{alternate_on} #{mouse_button_flag} #{cursor_flag}"), "0 0 1");
    tmux(
      "send-keys",
      "-t",
      "two",
      "clear; stty -a | tr ' ;' '\\n\\n' | grep -xE -e '-?(icanon|echo|isig)' | tr '\\n' ,",
      "Enter",
    );
    await until("two", /^isig,icanon,echo,/m);
    tmux("send-keys", "-t", "one", "z");
    await until("one", /key "z"/);
    t.match(await process_(), { state: "ready", pid, restarts: 0 });

    // It ends, and is there again: still on the same terminal.
    tmux("send-keys", "-t", "one", "q");
    await until("one", /60x12 begun/);
    const again = await process_();
    t.not(again.pid, pid);
    t.match(again, { restarts: 1, restarted: { why: "exit code 3" } });
    tmux("send-keys", "-t", "one", "k");
    await until("one", /60x12 key "k"/);

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
    const typing = setInterval(() => tmux("send-keys", "-t", "one", "m"), 200);
    await written;
    clearInterval(typing);
    piped.kill("SIGINT");
    t.equal(await ended, 130);
    tmux("send-keys", "-t", "one", "C-]");
    await until("one", /left with 0/);
  },
);
