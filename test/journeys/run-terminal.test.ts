/** A program of the terminal under `livedev run`: it has the terminal whole, as if nothing stood in between. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

import t from "tap";

import { TMUX, tmuxMissing } from "../support/parts.ts";
import { Rig, ROOT } from "../support/rig.ts";

const CONFIG = `
import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "shop", home: "local", removal: "remove" }),
  async run() {
    new aws.Bucket("Files");
  },
});
`;

/** Draws on the alternate screen, in raw mode; tells its size, each key, and that Ctrl-C is a key like any other. */
const PROGRAM = `
process.stdin.setRawMode(true);
const draw = (text) => process.stdout.write("\\x1b[?1049h\\x1b[2J\\x1b[H" + process.stdout.columns + "x" + process.stdout.rows + " " + text);
draw("drawn");
process.on("SIGINT", () => draw("interrupted"));
process.on("SIGWINCH", () => draw("resized"));
process.stdin.on("data", (key) => {
  if (String(key) === "q") process.exit(3);
  draw("key " + JSON.stringify(String(key)));
});
`;

t.test("a program that draws has the keys, the size and the screen", { skip: tmuxMissing }, async (t) => {
  const rig = Rig.open({ files: { "livedev.config.ts": CONFIG, "draws.cjs": PROGRAM } });
  t.teardown(() => rig[Symbol.asyncDispose]());
  const socket = join(rig.root, "tmux");
  const tmux = (...args: readonly string[]) =>
    spawnSync(TMUX, ["-S", socket, "-f", "/dev/null", ...args], {
      encoding: "utf8",
      env: { ...rig.env, SHELL: "/bin/sh", TERM: "xterm" },
    });
  t.teardown(() => tmux("kill-server"));
  /** Each look is a program that runs and ends. */
  const until = (pattern: RegExp) => {
    for (let looks = 0; ; looks += 1) {
      const { stdout } = tmux("capture-pane", "-p");
      if (pattern.test(stdout)) return t.pass(String(pattern));
      if (looks > 3_000) throw new Error(`It never showed ${pattern}:\n${stdout}`);
    }
  };
  const livedev = `'${process.execPath}' '${join(ROOT, "dist", "livedev.js")}' run --`;
  tmux("new-session", "-d", "-x", "90", "-y", "20", "-c", rig.project, "sh");
  tmux("send-keys", `${livedev} '${process.execPath}' draws.cjs; echo "ended with $?" | tee code`, "Enter");
  until(/^90x20 drawn/);
  tmux("send-keys", "x");
  until(/^90x20 key "x"/);
  tmux("send-keys", "C-c");
  until(/^90x20 key "\\u0003"/);
  tmux("resize-window", "-x", "70", "-y", "15");
  until(/^70x15 resized/);
  tmux("send-keys", "q");
  until(/ended with 3/);
  t.equal(readFileSync(join(rig.project, "code"), "utf8"), "ended with 3\n");

  // A shell of its own: jobs, and a Ctrl-C that ends what runs in it and not the shell.
  tmux("send-keys", `clear; ${livedev} env PS1=inner: sh -i`, "Enter");
  until(/inner:/);
  tmux("send-keys", "echo bucket $SST_RESOURCE_Files; sleep 1000", "Enter");
  until(/bucket \{"name":/);
  tmux("send-keys", "C-c");
  tmux("send-keys", "echo still $((40 + 2))", "Enter");
  until(/still 42/);
  tmux("send-keys", "exit 9", "Enter");
  tmux("send-keys", "echo outer $?", "Enter");
  until(/outer 9/);
  t.ok(existsSync(socket));
});
