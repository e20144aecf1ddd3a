import t from "tap";

import { some } from "../support/counts.ts";
import { Rig } from "../support/rig.ts";

const rig = Rig.open();
t.teardown(() => rig[Symbol.asyncDispose]());

const PROGRAMS = { livedev: "livedev.js", livedevd: "livedevd.js" };

/** The commands that a program's own help lists. */
async function commandsOf(program: string): Promise<string[]> {
  const { stdout } = await rig.run(program, ["--help"]);
  const [, list = ""] = /Commands:\n([\s\S]*?)\n\n/.exec(stdout) ?? [];
  return [...list.matchAll(/^ {2}(\w+)/gm)].map(([, name = ""]) => name).filter((name) => name !== "help");
}

const examplesIn = (help: string): string[] =>
  [...help.matchAll(/^ {2}\$ (.*?)\s+# .+$/gm)].map(([, command = ""]) => command);

for (const [name, program] of Object.entries(PROGRAMS)) {
  t.test(`every command of ${name} explains itself with examples that its own parser takes`, async (t) => {
    const commands = await commandsOf(program);
    t.ok(commands.length >= 5, commands.join(" "));
    for (const command of some(commands, 5)) {
      const { code, stdout, stderr } = await rig.run(program, [command, "--help"]);
      t.equal(code, 0, command);
      t.equal(stderr, "");
      const examples = examplesIn(stdout);
      t.ok(examples.length >= 2, `${command} has examples`);
      t.ok(
        examples.every((line) => line.includes(`${name} ${command}`) || command === "status"),
        examples.join("\n"),
      );
      // The options of an example are options of the command.
      const [, usage = ""] = /^([\s\S]*?)\nExamples:/.exec(stdout) ?? [];
      for (const example of examples) {
        const own =
          (example.split(" | ").find((part) => part.includes(`${name} ${command}`)) ?? "").split("'")[0] ??
          "";
        for (const [flag] of own.matchAll(/(?<=\s)--[\w-]+/g))
          t.ok(usage.includes(flag), `${command}: ${flag}`);
      }
    }
  });

  t.test(
    `${name} alone, an unknown command and an unknown option are wrong usage, with what was meant`,
    async (t) => {
      const alone = await rig.run(program, []);
      t.equal(alone.code, 2);
      t.match(alone.stderr, /^Usage:/);

      const unknown = await rig.run(program, ["statuss"]);
      t.match(unknown, { code: 2, stdout: "" });
      t.equal(unknown.stderr, `Unknown command 'statuss' (Did you mean status?)\nSee \`${name} --help\`.\n`);

      const option = await rig.run(program, ["status", "--jsn"]);
      t.equal(option.code, 2);
      t.equal(
        option.stderr,
        `Unknown option '--jsn' (Did you mean --json?)\nSee \`${name} status --help\`.\n`,
      );
    },
  );

  t.test(`${name} prints its version and the help of a command`, async (t) => {
    t.match((await rig.run(program, ["--version"])).stdout, /^\d+\.\d+\.\d+\n$/);
    t.equal(
      (await rig.run(program, ["help", "status"])).stdout,
      (await rig.run(program, ["status", "--help"])).stdout,
    );
  });
}

t.test("commands of commands explain themselves, and take mistakes, as all do", async (t) => {
  for (const [group, verbs] of [
    ["cloud", ["start", "stop", "status", "env", "serve"]],
    ["state", ["export", "import"]],
    ["tunnel", ["status", "run"]],
  ] as const) {
    for (const verb of some(verbs)) {
      const { code, stdout } = await rig.livedev(group, verb, "--help");
      t.equal(code, 0);
      t.match(stdout, new RegExp(`^Usage: livedev ${group} ${verb} `));
      t.ok(examplesIn(stdout).every((line) => line.includes(`livedev ${group} ${verb}`)));
    }
    t.match(await rig.livedev(group, verbs[0], "--jsn"), {
      code: 2,
      stderr: `Unknown option '--jsn' (Did you mean --json?)\nSee \`livedev ${group} ${verbs[0]} --help\`.\n`,
    });
  }
  t.match(await rig.livedev("cloud", "strt"), { code: 2, stderr: /Did you mean start\?/ });
  const wrong = await rig.livedev("cloud", "start", "--port", "x", "--json");
  t.match(
    { ...wrong, stdout: JSON.parse(wrong.stdout) as unknown },
    {
      code: 2,
      stdout: { error: { code: "cloud.usage", message: /whole number/ } },
      stderr: "",
    },
  );
});

t.test("outside of a project, one sentence and what to do, and no stack", async (t) => {
  const { code, stdout, stderr } = await rig.livedev("status");
  t.equal(code, 1);
  t.equal(stdout, "");
  t.match(stderr, /^There is no livedev\.config\.ts in .*\nRun `livedev init`.*\n$/);
});

t.test("with --json an error is an object on stdout, and stderr stays empty", async (t) => {
  for (const [args, code, expected] of [
    [["status", "--json"], 1, "project.missing"],
    [["history", "--since", "yesterday", "--json"], 2, "cli.usage"],
    [["nonsense", "--json"], 2, "cli.usage"],
    [["invoke", "MyApi", "--event", "{a}", "--json"], 2, "event.notJson"],
  ] as const) {
    const found = await rig.livedev(...args);
    t.match({ code: found.code, stderr: found.stderr }, { code, stderr: "" });
    const { error } = JSON.parse(found.stdout) as { error: { code: string; message: string; hint: string } };
    t.match(error, { code: expected, message: /\S+.*[.)?]$/, hint: /\S/ });
  }
});

t.test("values that cannot be meant are refused with the way to write them", async (t) => {
  for (const [args, sentence] of [
    [["history", "--since", "yesterday"], /10m, 2h, 1d/],
    [["history", "--status", "ok,bad"], /received, running, answered/],
    [["history", "--limit", "0"], /1 or more/],
    [["history", "--min-duration", "fast"], /250ms, 10s/],
    [["logs", "--grep", "("], /Invalid regular expression/],
    [["wait"], /--for/],
    [["wait", "--for", "fn:MyApi=done"], /ready\|broken/],
    [["invoke", "MyApi", "--type", "Async"], /RequestResponse, Event/],
    [["invoke", "MyApi", "--event", "1", "--file", "x"], /more than one event/],
    [["invoke"], /argument 'function'/],
    [["completion", "powershell"], /bash, zsh, fish/],
  ] as const) {
    const { code, stderr } = await rig.livedev(...args);
    t.equal(code, 2, args.join(" "));
    t.match(stderr, sentence);
    t.notMatch(stderr, /\n\s+at /);
  }
});
