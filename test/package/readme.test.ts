/** What README.md shows works as it stands there, against a daemon that runs. */
import { spawn, type ChildProcess } from "node:child_process";
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";

import t from "tap";

import { Rig, ROOT, type Finished } from "../support/rig.ts";
import { block, README } from "./readme.ts";

const FIRST = "A first project";
const SCRIPTS = "From scripts and editors";

const rig = Rig.open();
t.teardown(() => rig[Symbol.asyncDispose]());

// As npm installs it: the package among others, its programs on npx's PATH.
rmSync(join(rig.project, "node_modules"));
mkdirSync(join(rig.project, "node_modules"));
symlinkSync(ROOT, join(rig.project, "node_modules", "livedev"));
const bin = join(rig.root, "bin");
mkdirSync(bin);
for (const name of ["livedev", "livedevd"])
  program(name, `exec "${process.execPath}" "${join(ROOT, "dist", `${name}.js`)}" "$@"`);
program("npx", 'exec "$@"');
rig.env["PATH"] = [bin, rig.env["PATH"]].join(delimiter);

function program(name: string, line: string): void {
  writeFileSync(join(bin, name), `#!/bin/sh\n${line}\n`);
  chmodSync(join(bin, name), 0o755);
}

/** In a process group of its own, as at a terminal. */
function start(command: string, ...args: readonly string[]): ChildProcess {
  return spawn(command, args, {
    cwd: rig.project,
    env: rig.env,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
}

async function finish(child: ChildProcess): Promise<Finished> {
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  return { code, stdout, stderr };
}

/** What it has printed, once that matches. */
async function printed(child: ChildProcess, pattern: RegExp): Promise<string> {
  let text = "";
  for await (const chunk of child.stdout ?? []) {
    text += String(chunk);
    if (pattern.test(text)) return text;
  }
  throw new Error(`It ended, and never printed ${pattern}:\n${text}`);
}

/** The lines of the first project, each without its comment. */
const lines = block(FIRST, "sh")
  .trim()
  .split("\n")
  .map((line) => line.replace(/ +#.*$/, ""));

t.test("the first project, line by line, up to its stop", async (t) => {
  t.equal(lines[0], "npm i -D livedev");
  t.equal(lines.at(-1), "npx livedevd stop");
  for (const line of lines.slice(1, -1)) {
    const child = start("sh", "-c", line);
    if (line.includes("--follow")) {
      const ended = new Promise((resolve) => child.on("exit", resolve));
      t.match(await printed(child, /MyApi was asked/), "MyApi was asked", line);
      // Ctrl-C reaches the shell and what it runs.
      process.kill(-(child.pid ?? 0), "SIGINT");
      await ended;
      continue;
    }
    const { code, stdout, stderr } = await finish(child);
    t.equal(code, 0, `${line}\n${stderr}`);
    if (line.includes("invoke")) t.same(JSON.parse(stdout), { greeting: "Hello", event: { a: 1 } });
    if (line.includes("history")) t.match(stdout, /MyApi/);
  }
  t.same(
    rig.read("livedev.config.ts").replace(/name: "\w+"/, 'name: "hello"'),
    block(FIRST, "ts").replace("// livedev.config.ts\n", ""),
    "the config that it shows is the one that init writes",
  );
});

t.test("the control API by curl", async (t) => {
  const { code, stdout, stderr } = await finish(start("sh", "-c", block(SCRIPTS, "sh")));
  t.equal(code, 0, stderr);
  t.match(JSON.parse(stdout), {
    jsonrpc: "2.0",
    id: 1,
    result: [{ name: "MyApi", handler: "src/api.handler" }],
  });
});

t.test("the client in TypeScript follows invocations and broken builds", async (t) => {
  rig.save("watch.mjs", block(SCRIPTS, "ts"));
  const watch = start(process.execPath, "watch.mjs");
  let shown = "";
  let wake = () => {};
  const ended = new Promise<void>((resolve) => {
    watch.on("exit", () => {
      resolve();
      wake();
    });
  });
  t.teardown(() => watch.kill());
  watch.stdout?.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
    wake();
  });
  const until = async (pattern: RegExp) => {
    while (!pattern.test(shown)) {
      if (watch.exitCode !== null) throw new Error(`It ended, and never printed ${pattern}:\n${shown}`);
      await new Promise<void>((resolve) => (wake = resolve));
    }
    t.pass(String(pattern));
  };
  await until(/^MyApi \w+ http:\/\/127\.0\.0\.1:\d+\/$/m);
  // It has subscribed once it is told of an invocation.
  const asking = new AbortController();
  const asked = (async () => {
    while (!asking.signal.aborted) await rig.livedev("invoke", "MyApi");
  })();
  await until(/^MyApi printed: MyApi was asked \[\]$/m);
  await until(/^MyApi answered: ok, [\d.]+ ms$/m);
  asking.abort();
  await asked;
  const good = rig.read("src/api.ts");
  rig.save("src/api.ts", "export const handler = (");
  await until(/^MyApi does not build: \S/m);
  rig.save("src/api.ts", good);
  watch.kill("SIGINT");
  await ended;
});

t.test("the client in Python, with nothing but Python", async (t) => {
  rig.save("last.py", block(SCRIPTS, "python"));
  const { code, stdout, stderr } = await finish(start("python3", "last.py"));
  t.equal(code, 0, stderr);
  t.match(stdout, /^\d+ MyApi ok\n/);
});

t.test("the first project's last line stops it", async (t) => {
  t.equal((await finish(start("sh", "-c", lines.at(-1) ?? ""))).code, 0);
});

t.test("the table of commands has every command, and no other", async (t) => {
  const table = README.slice(README.indexOf("## Commands"), README.indexOf("## From scripts"));
  const shown = [...table.matchAll(/^\| (.*?) \|(?= )/gm)].flatMap(([, cell = ""]) =>
    [...cell.matchAll(/`(livedevd?) ([^`]*)`/g)].flatMap(([, name = "", rest = ""]) =>
      name === "livedevd"
        ? rest.split(" \\| ").map((verb) => `${name} ${verb}`)
        : [`${name} ${rest.split(" ")[0]}`],
    ),
  );
  const helped: string[] = [];
  for (const name of ["livedev", "livedevd"]) {
    const { stdout } = await rig.run(`${name}.js`, ["--help"]);
    const commands = stdout.slice(stdout.indexOf("Commands:"), stdout.indexOf("Examples:"));
    for (const [, verb = ""] of commands.matchAll(/^ {2}(\w+)/gm))
      if (verb !== "help") helped.push(`${name} ${verb}`);
  }
  t.same(shown.toSorted(), helped.toSorted());
});
