/** Completion in real shells, as a person meets it: keys and what comes back. */
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import t from "tap";

import { some } from "../support/counts.ts";
import { Terminal } from "../support/pty.ts";
import { ROOT } from "../support/rig.ts";
import { FakeDaemon, STATUS } from "./fake-daemon.ts";

const [fn] = STATUS.functions;
if (fn === undefined) throw new Error("no function");

const daemon = await FakeDaemon.open({
  "function.list": () => Promise.resolve([fn, { ...fn, name: "MyQueue" }, { ...fn, name: "Other" }]),
  "process.list": () =>
    Promise.resolve([
      {
        name: "Web",
        title: "Web",
        kind: "DevCommand",
        command: "vite",
        directory: ".",
        autostart: true,
        state: "ready",
        since: 0,
        restarts: 0,
      },
    ]),
  "invocation.list": () =>
    Promise.resolve([
      { id: 12, functionName: "MyApi", requestId: "r", status: "ok", receivedAt: 0, deliveries: 1 },
    ]),
});
t.teardown(() => daemon[Symbol.asyncDispose]());
const { rig } = daemon;

// `livedev` on PATH, as an installed package has it.
const bin = join(rig.root, "bin");
mkdirSync(bin);
for (const name of ["livedev", "livedevd"]) {
  writeFileSync(
    join(bin, name),
    `#!/bin/sh\nexec "${process.execPath}" "${join(ROOT, "dist", `${name}.js`)}" "$@"\n`,
  );
  chmodSync(join(bin, name), 0o755);
}
const env = { ...rig.env, PATH: `${bin}:${rig.env["PATH"]}`, TERM: "dumb" };

function run(command: string, args: readonly string[], input = "", cwd = rig.project): Promise<string> {
  const child = spawn(command, args, { cwd, env, stdio: ["pipe", "pipe", "pipe"] });
  let out = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", () => resolve(out));
  });
}

const words = (text: string): string[] =>
  text.split("\n").flatMap((line) => (line === "" ? [] : [line.split("\t")[0] ?? ""]));
const complete = async (...line: readonly string[]) =>
  words(await run("livedev", ["__complete", "--", ...line]));

t.test("commands, options, values and functions, each in its place", async (t) => {
  t.same((await complete("")).slice(0, 3), ["init", "dev", "status"]);
  t.same(words(await run("livedevd", ["__complete", "--", "re"])), ["restart"]);
  const cases: readonly (readonly [line: readonly string[], words: readonly string[]])[] = [
    [["in"], ["init", "invoke"]],
    [
      ["history", "--st"],
      ["--stage", "--status"],
    ],
    [
      ["invoke", "My"],
      ["MyApi", "MyQueue"],
    ],
    [
      ["invoke", "MyApi", "--type", ""],
      ["RequestResponse", "Event"],
    ],
    [["logs", "--fn", "O"], ["Other"]],
    [["wait", "--for", "fn:MyApi=r"], ["fn:MyApi=ready"]],
    [["wait", "--for", "process:Web=r"], ["process:Web=ready"]],
    [["status", "--stage", ""], ["dev"]],
    [
      ["cloud", "start", "--p"],
      ["--project", "--port"],
    ],
    [["state", "import", "x"], [":files"]],
    [
      ["debug", ""],
      ["on", "off", "status", "help", "MyApi", "MyQueue", "Other"],
    ],
    [["debug", "MyApi", "--f"], ["--follow"]],
    [["replay", "1"], ["12"]],
    [
      ["history", "--status", "ok,e"],
      ["ok,error", "ok,expired"],
    ],
    [
      ["completion", ""],
      ["bash", "zsh", "fish"],
    ],
    [["help", "lo"], ["logs"]],
    [["history", "--limit", ""], []],
    // As those above.
    [["nonsense", ""], []],
    [["invoke", "MyApi", "x", ""], []],
    [["history", "--g"], []],
    [
      ["invoke", ""],
      ["MyApi", "MyQueue", "Other"],
    ],
    [["invoke", "MyApi", "--file", "x"], [":files"]],
    [
      ["cloud", "st"],
      ["start", "stop", "status"],
    ],
    [
      ["state", ""],
      ["export", "import", "help"],
    ],
    [["debug", "on", "--to"], ["--token"]],
  ];
  for (const [line, candidates] of some(cases, 10)) {
    let found = await complete(...line);
    // Nothing at all is what it says on a machine so busy that the daemon does not answer soon enough.
    for (let more = 0; more < 10 && found.length === 0 && candidates.length > 0; more += 1)
      found = await complete(...line);
    t.same(found, candidates);
  }
});

t.test("where something is wrong it is silent, quick, and starts nothing", async (t) => {
  t.equal(await run("livedev", ["__complete", "--", "invoke", ""], "", rig.root), "", "no project");
  const elsewhere = join(rig.root, "elsewhere");
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, "livedev.config.ts"), "");
  t.equal(await run("livedev", ["__complete", "--", "invoke", ""], "", elsewhere), "", "no daemon");
  t.notOk(existsSync(join(elsewhere, ".livedev")), "and none was started");

  await using stuck = await FakeDaemon.open({ "function.list": () => new Promise(() => {}) });
  const began = performance.now();
  const out = await run("livedev", ["__complete", "--", "invoke", ""], "", stuck.rig.project);
  t.equal(out, "");
  t.comment(`a daemon that does not answer: ${Math.round(performance.now() - began)} ms in all`);
});

t.test("bash", async (t) => {
  // What bash itself would do at TAB: the words as it breaks them, then the function that is registered for the name.
  const script = `
eval "$(livedev completion bash)"
complete -p livedev livedevd >/dev/null
ask() {
  COMP_LINE="$1"; COMP_POINT=\${#1}; COMPREPLY=()
  IFS=$'\\n' read -r -d '' -a COMP_WORDS < <(printf '%s' "$1" | sed -E 's/[ ]+/\\n/g; s/([:=])/\\n\\1\\n/g') || true
  [[ "$1" == *" " ]] && COMP_WORDS+=("")
  COMP_CWORD=$(( \${#COMP_WORDS[@]} - 1 ))
  _livedev
  echo "$(IFS=,; echo "\${COMPREPLY[*]}")"
}
ask "livedev in"
ask "livedev invoke My"
ask "livedev invoke "
ask "livedev wait --for fn:MyA"
ask "livedev wait --for fn:MyApi=re"
ask "livedevd st"
ask "livedev nonsense "
touch "a file.json"
ask "livedev invoke MyApi --file a"
`;
  t.same((await run("bash", ["--norc", "-c", script])).split("\n"), [
    "init,invoke",
    "MyApi,MyQueue",
    "MyApi,MyQueue,Other",
    "MyApi=ready,MyApi=broken,MyApi=building,MyApi=idle",
    "ready",
    "start,stop,status",
    "",
    "a file.json",
    "",
  ]);
});

/** Ctrl-U empties the line. Ctrl-C would throw away what is typed behind it, too. */
const CLEAR = "\u0015";

const has = (shell: string): boolean => {
  try {
    execFileSync(shell, ["--version"], { stdio: "pipe" });
    return true;
  } catch {
    return false;
  }
};
const unless = (shell: string) => (has(shell) ? false : `${shell} is not installed`);

t.test("bash at a terminal: TAB writes the function's name", async (t) => {
  const screen = new Terminal(["bash", "--norc", "-i"], { cwd: rig.project, env: { ...env, PS1: "> " } });
  screen.type('eval "$(livedev completion bash)"; echo rea""dy\r');
  await screen.until(/^ready/m);
  screen.type("livedev invoke MyA\t");
  await screen.until(/invoke MyApi /);
  screen.type("--ty\t");
  await screen.until(/--type /);
  screen.type(`${CLEAR}exit\r`);
  t.equal(await screen.ended(), 0);
});

t.test("zsh at a terminal: TAB writes the function's name", { skip: unless("zsh") }, async (t) => {
  const screen = new Terminal(["zsh", "-f", "-i"], { cwd: rig.project, env });
  screen.type(
    'unsetopt zle_bracketed_paste 2>/dev/null; autoload -U compinit && compinit -u -D; eval "$(livedev completion zsh)"; echo rea""dy\r',
  );
  await screen.until(/^ready/m);
  screen.type("livedev invoke MyA\t");
  await screen.until(/invoke MyApi /);
  screen.type("--ty\t");
  await screen.until(/--type /);
  screen.type(`${CLEAR}livedev wait --for fn:MyApi=rea\t`);
  await screen.until(/fn:MyApi=ready/);
  screen.type(`${CLEAR}exit\r`);
  t.equal(await screen.ended(), 0);
});

t.test("fish completes what is written, with what it is", { skip: unless("fish") }, async (t) => {
  const ask = (line: string) =>
    run("fish", ["--no-config", "-c", `livedev completion fish | source; complete -C '${line}'`]);
  t.same(words(await ask("livedev invoke M")), ["MyApi", "MyQueue"]);
  t.match(await ask("livedev in"), /^init\tWrites a first project\ninvoke\tInvokes /);
  t.same(words(await ask("livedev wait --for fn:Other=rea")), ["fn:Other=ready"]);
  t.same(words(await ask("livedevd sta")), ["start", "status"]);
});
