/**
 * F36: what a handler prints, throws and answers, and what stands in the code that does not build, is shown inert at
 * a terminal: of all escapes only colours pass. Who copies it as JSON gets the raw text.
 */
import { join } from "node:path";

import t, { type Test } from "tap";

import { some } from "../support/counts.ts";
import { HOSTILE } from "../support/hostile.ts";
import { Terminal } from "../support/pty.ts";
import { ROOT, Rig } from "../support/rig.ts";

const ESC = "\u001B";
const ENDLESS = "x".repeat(5 * 1024 * 1024);

const FILES = {
  "livedev.config.ts": `
import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "hostile", home: "local" }),
  async run() {
    new aws.Function("Prints", { handler: "src/prints.handler" });
    new aws.Function("Broken", { handler: "src/broken.handler" });
  },
});
`,
  "src/prints.ts": `
const lines = ${JSON.stringify(HOSTILE)};
export async function handler({ fail }: { fail?: boolean }) {
  for (const line of lines) console.log(line);
  if (fail) {
    console.log("x".repeat(${ENDLESS.length}));
    throw Object.assign(new Error(lines.join("|")), { name: lines[0] });
  }
  return { lines };
}
`,
  "src/broken.ts": `export const handler = async () => "${ESC}]0;pwned\u0007" + ; // ${ESC}[2J\n`,
};

// oxlint-disable-next-line no-control-regex -- these are the characters in question
const FORBIDDEN = /[\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]/;
// oxlint-disable-next-line no-control-regex
const COLOURS = /\u001B\[[\d;]*m/g;

/** At a terminal with colours, as a person has it. */
async function shown(rig: Rig, ...args: readonly string[]): Promise<string> {
  const terminal = new Terminal([process.execPath, join(ROOT, "dist", "livedev.js"), ...args], {
    cwd: rig.project,
    env: { ...rig.env, TERM: "xterm-256color" },
  });
  await terminal.ended();
  return terminal.shown;
}

function isInert(t: Test, what: string, text: string): void {
  const rest = text.replaceAll(COLOURS, "").replaceAll("\r\n", "\n");
  t.equal(FORBIDDEN.exec(rest)?.[0], undefined, `${what} holds nothing but text and colours`);
  t.notOk(rest.includes("\r"), `${what} returns to no line's beginning`);
}

t.test("F36: hostile output is shown inert by each command, and copied raw", async (t) => {
  await using rig = Rig.open({ files: FILES });
  await rig.start();
  const answer = await shown(rig, "invoke", "Prints", "--event", "{}");
  isInert(t, "invoke", answer);
  isInert(t, "invoke of an error", await shown(rig, "invoke", "Prints", "--event", '{"fail":true}'));
  isInert(t, "invoke of broken code", await shown(rig, "invoke", "Broken", "--event", "{}"));

  await using client = await rig.connect();
  const rows = await client.call("invocation.list", { limit: 10 });
  const ids = rows.map(({ id }) => String(id));
  t.equal(ids.length, 3);
  for (const id of ids) isInert(t, `history ${id}`, await shown(rig, "history", id));
  const commands = [
    ["status"],
    ["doctor"],
    ["history"],
    ["logs"],
    ["logs", "--fn", "Prints"],
    ["history", "--text", "pwned"],
  ];
  for (const args of some(commands, 4)) isInert(t, args.join(" "), await shown(rig, ...args));

  // Copied, it is what it was.
  const copied = (await rig.livedev("logs", "--fn", "Prints", "--json")).stdout.trim().split("\n");
  const texts = copied.map((line) => JSON.stringify(JSON.parse(line)));
  for (const line of HOSTILE) {
    // Control characters other than a line's end stand in JSON as escapes, and come back whole.
    t.ok(
      texts.some((text) => text.includes(JSON.stringify(line).slice(1, -1))),
      JSON.stringify(line),
    );
  }
  t.ok(Math.max(...copied.map((line) => line.length)) < 1024 * 1024, "an endless line is kept up to a cap");
  isInert(t, "the pipe's JSON", copied.join("\n"));
});
