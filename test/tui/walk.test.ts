/** `livedev dev` at a terminal: the way through it, by keys. */
import t from "tap";

import { inFull } from "../support/counts.ts";
import { tmuxMissing } from "../support/parts.ts";
import { TuiRig } from "./rig.ts";

const FILES = {
  "livedev.config.ts": `
import { $config, aws, DevCommand } from "livedev";
export default $config({
  app: () => ({ name: "walk", home: "local" }),
  async run() {
    const api = new aws.Function("Api", { handler: "src/api.handler", url: true });
    new aws.StaticSite("Web", { path: "web", environment: { API: api.url }, dev: { command: "sh web.sh" } });
    new DevCommand("Shell", { dev: { command: "sh shell.sh" } });
    new DevCommand("Studio", { dev: { command: "echo studio is up; exec sleep 1000", autostart: false } });
    return { greeting: "good day" };
  },
});
`,
  "src/api.ts": "export const handler = async () => 'hello';",
  // An interactive one heeds no signal, and takes seconds to end.
  "shell.sh": "while printf 'sh> ' && read -r line; do eval \"$line\"; done",
  "web/web.sh": "for n in $(seq 1 200); do echo line $n; done; echo api at $API; exec sleep 1000",
};

t.test("from the plan to a program in a pane, and out again", { skip: tmuxMissing || inFull }, async (t) => {
  const tui = TuiRig.open(t, FILES);
  const screen = await tui.screen();
  await screen.until(/Deployed at/);
  const first = await screen.until(/greeting +good day/);
  t.match(first[0], /^● Deploy +live│Deploy {2}walk, stage dev, home local/);
  t.match(first.join("\n"), /✓ create aws\.Function "Api" URL/);
  t.match(first.join("\n"), /Api +http:\/\/127\.0\.0\.1:\d+/);
  t.match(first.at(-1), /^j move .* q quit$/);

  await screen.until(/● Shell +ready/);
  await screen.type("j", "j");
  await screen.until("api at http://127.0.0.1");
  await screen.type("Down", "Enter");
  await screen.until("ctrl-z leave");
  await screen.type("echo $((6 * 7)) q", "Enter");
  await screen.until(/^.*│42 q/m);
  await screen.type("C-z");
  await screen.until("q quit");
  await screen.type("q");
  await screen.until("leave livedevd running");
  await screen.type("l");
  await screen.until(/^livedevd goes on.*\n\$\s*$/m);
  t.equal(
    await screen.ask("#{alternate_on} #{cursor_flag} #{mouse_any_flag}"),
    "0 1 0",
    "the terminal as it was",
  );
  await screen.type("stty -a | tr ' ' '\\n' | grep -c -e -icanon -e -isig", "Enter");
  await screen.until(/^0$/m);
  t.match((await tui.rig.livedev("ps")).stdout, /^Shell +ready/m);
});
