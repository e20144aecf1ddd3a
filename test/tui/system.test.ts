/** The system in the multiplexer: deployments, the tunnel, the daemon's going and coming back, the end; F36. */
import { existsSync } from "node:fs";

import t from "tap";

import { HOSTILE } from "../support/hostile.ts";
import { tmuxMissing } from "../support/parts.ts";
import { LIVEDEV, TuiRig } from "./rig.ts";

const FILES = {
  "livedev.config.ts": `
import { $config, aws, DevCommand } from "livedev";
export default $config({
  app: () => ({
    name: "system",
    home: "local",
    bastion: { host: "127.0.0.1", port: 9, user: "ada", ranges: ["10.9.0.0/16"] },
  }),
  async run() {
    new aws.Function("Api", { handler: "src/api.handler", url: true });
    new aws.Function("Old", { handler: "src/api.handler" });
    new DevCommand("Hostile", { dev: { command: "exec node hostile.cjs" } });
    return { greeting: "good day" };
  },
});
`,
  "src/api.ts": `
const lines = ${JSON.stringify(HOSTILE)};
export const handler = async ({ fail }: { fail?: string }) => {
  for (const line of lines) console.log(line);
  if (fail) throw Object.assign(new Error(lines.join("|")), { name: lines[0] });
  return { lines };
};
`,
  "hostile.cjs": `
for (const line of ${JSON.stringify(HOSTILE)}) console.log(line);
console.log("\\x1b[1;1Hall of it");
setInterval(() => {}, 1000);
`,
};

/** All that the multiplexer itself ever writes: places, colours, modes, what is copied. */
const OURS =
  // oxlint-disable-next-line no-control-regex -- these are the characters in question
  /\u001B\[(?:\d+;\d+H|\d+G|K|2J|[\d;]*m|\?(?:7|25|1000|1002|1003|1006|1049|2004|2026)[hl])/g;
// oxlint-disable-next-line no-control-regex
const COPIED = /\u001B\]52;c;([A-Za-z\d+/=]*)\u0007/g;
// oxlint-disable-next-line no-control-regex
const FORBIDDEN = /[\u0000-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]/;

t.test("the system in the multiplexer", { skip: tmuxMissing }, async (t) => {
  const tui = TuiRig.open(t, FILES);
  const { rig } = tui;
  const screen = await tui.screen({ command: "", columns: 130 });
  const written = await screen.record();
  await screen.type(`${LIVEDEV} dev; echo ended with $?`, "Enter");
  const choose = async (name: string) => {
    const { y } = await screen.find(` ${name}`);
    await screen.click(3, y);
    await screen.until((text) => (text.split("\n")[0] ?? "").includes(`│${name}`));
  };

  await t.test("a deployment shows its plan, how far it is, and what it gave", async (t) => {
    const shown = await screen.until(/Deployed at[^]*greeting +good day/);
    t.match(shown[0], /^● Deploy +live│Deploy {2}system, stage dev, home local/);
    t.match(shown.at(-1), /^j move .* q quit$/);
    const rows = shown.join("\n");
    for (const done of [
      'create aws.Function "Api"',
      'create aws.Function "Old"',
      'create aws.Function "Api" URL',
    ])
      t.match(rows, `✓ ${done}`);
    t.match(rows, /Api +http:\/\/127\.0\.0\.1:\d+/);
    t.match(written(), /Deploying, \d of \d/, "as it went");
    t.match(written(), /·.{1,9} create aws\.Function/, "what was still to come");
  });

  await t.test("by hand it is planned, and applied when one agrees", async (t) => {
    const cloud = (await rig.processes()).find(({ command }) => command.includes("cloud.js"));
    process.kill(cloud?.pid ?? 0, "SIGSTOP");
    await screen.type("r");
    const planning = await screen.until("Comparing what stands with the config");
    t.notMatch(planning.at(-1), "r plan", "once at a time");
    process.kill(cloud?.pid ?? 0, "SIGCONT");
    await screen.until("Nothing to do: all stands as the config says.");
    rig.edit("livedev.config.ts", '    new aws.Function("Old", { handler: "src/api.handler" });\n', "");
    await screen.until(/Functions +1│/);
    // The saved config is deployed by itself, which takes nothing away; until that is done the key does nothing.
    const plan = async () => {
      for (;;) {
        await screen.type("r");
        const text = (await screen.until(/Apply \d+ steps?\?|r plan/)).join("\n");
        if (text.includes("Apply")) return text;
      }
    };
    t.match(await plan(), /- aws\.Function "Old"[^]*0 to create, 0 to update, \d to delete/);
    await screen.type("n");
    await screen.until("Nothing was applied.");
    t.notMatch(await screen.text(), '- aws.Function "Old"');
    await plan();
    await screen.type("y");
    await screen.until(/Deployed at[^]*✓ delete aws\.Function "Old"/);
  });

  await t.test("a config that is wrong says where, until it is mended", async (t) => {
    rig.edit("livedev.config.ts", "return {", "return {{");
    const wrong = (await screen.until(/✗ Deploy +live/)).join("\n");
    t.match(wrong, /│livedev\.config\.ts:\d+/);
    rig.edit("livedev.config.ts", "return {{", "return {");
    await screen.until(/● Deploy +live/);
  });

  await t.test("the tunnel: how it stands, and why", async (t) => {
    t.match(await screen.text(), /Network[^]*Tunnel/);
    await choose("Tunnel");
    const shown = (await screen.until(/✗ Tunnel/)).join("\n");
    t.match(shown, /│Tunnel {2}waiting {2}127\.0\.0\.1 since/);
    t.match(shown, /into the VPC +0 open, 0 in all/);
    t.match(shown, /tried again at \d\d:\d\d:\d\d/);
  });

  await t.test("F36: what programs, handlers and broken code say is inert", async (t) => {
    await choose("Hostile");
    await screen.until(/│all of it/);
    await using client = await rig.connect();
    const event = JSON.stringify({ fail: HOSTILE.join("\n") });
    await client.call("function.invoke", { functionName: "Api", event });
    await choose("Functions");
    await screen.until(/✗ error .* Api/);
    await screen.type("Enter", "Enter");
    await screen.until(/Event \(\d+ bytes\)/);
    await screen.type("G");
    await screen.until(/│Answer/);
    await screen.type("y");
    await screen.until("Copy as");
    await screen.type("j", "j", "j", "Enter");
    await screen.until("Copied");
    t.equal(await screen.copied(), event, "copied, it is what it was");
    await screen.type("Escape");
    const code = rig.read("src/api.ts");
    rig.save("src/api.ts", `export const handler = async () => "${HOSTILE.join("")}" + ;`);
    await screen.until(/✗ Api does not build/);
    rig.save("src/api.ts", code);
    await screen.until((text) => !text.includes("does not build"));
    await screen.type("Escape");

    const raw = written();
    const ours = raw.slice(raw.indexOf("\u001B[?1049h"));
    t.same(
      [...ours.matchAll(COPIED)].map(([, text = ""]) => Buffer.from(text, "base64").toString()),
      [event],
      "nothing but what was copied reaches the clipboard",
    );
    const rest = ours.replaceAll(OURS, "").replaceAll(COPIED, "");
    const at = FORBIDDEN.exec(rest)?.index ?? -1;
    t.equal(at, -1, `nothing but text is left: ${JSON.stringify(rest.slice(Math.max(0, at - 40), at + 40))}`);
    t.notMatch(await screen.ask("#{pane_title}"), "pwned");
  });

  await t.test(
    "the daemon's going shows, and its coming back heals all, by itself or by a key",
    async (t) => {
      await choose("Hostile");
      await screen.until(/● Hostile +ready/);
      process.kill(rig.daemonPid(), "SIGKILL");
      const away = await screen.until(/livedevd is gone since \d\d:\d\d:\d\d/);
      t.match(away[0], /✗ Deploy +no daemon/);
      t.match(away.at(-1), /^o open livedevd /);
      t.notMatch(away.at(-1), /x stop|r restart|s start/, "what cannot be done is not offered");
      await rig.start();
      await screen.until((text) => /● Deploy +live/.test(text) && /● Hostile +ready/.test(text));
      await screen.until(/│all of it/);
      t.notMatch(await screen.text(), "is gone since");
      process.kill(rig.daemonPid(), "SIGKILL");
      await screen.until("livedevd is gone since");
      await screen.type("o");
      await screen.until((text) => /● Deploy +live/.test(text) && /● Hostile +ready/.test(text));
      await screen.until(/│all of it/);
      t.notMatch((await screen.rows()).at(-1), "open livedevd");
    },
  );

  await t.test("it asks before it quits, and stops everything when that is wished", async (t) => {
    await screen.type("q");
    const asked = (await screen.until("stop everything")).join("\n");
    t.match(asked, /s {2}stop everything[^]*l {2}leave livedevd running[^]*esc {2}stay/);
    await screen.type("Escape");
    await screen.until((text) => !text.includes("stop everything"));
    await screen.type("C-c");
    await screen.until("stop everything");
    await screen.type("s");
    await screen.until(/livedevd \(pid \d+\) has stopped[^]*ended with 0/);
    t.equal(await screen.ask("#{alternate_on} #{cursor_flag} #{mouse_any_flag}"), "0 1 0");
    t.notOk(existsSync(`${rig.project}/.livedev/${rig.stage}/daemon.json`));
    t.notOk((await rig.processes()).some(({ command }) => command.includes("hostile.cjs")));
  });
});
