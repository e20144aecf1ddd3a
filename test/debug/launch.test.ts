/** What editors are told, by `livedev init` and by docs/debugging.md. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import t from "tap";

import { Rig, ROOT } from "../support/rig.ts";
import { launchJson } from "./support.ts";

t.test("`livedev init` writes .vscode/launch.json as the docs show it, and over nobody's", async (t) => {
  await using rig = Rig.open({ files: { ".vscode/launch.json": "{}\n" } });
  const docs = readFileSync(join(ROOT, "docs", "debugging.md"), "utf8");
  const [, shown] = /^## VS Code\n.*?^```json\n(.*?)^```/ms.exec(docs) ?? [];
  t.equal(await launchJson(rig), shown);
  const { stdout } = await rig.livedev("init");
  t.equal(rig.read(".vscode/launch.json"), "{}\n");
  t.notMatch(stdout, /launch\.json/);
});

t.test("nvim-dap, which has VS Code's debug adapter, is told the same", (t) => {
  const docs = readFileSync(join(ROOT, "docs", "debugging.md"), "utf8");
  const [, json = ""] = /^```json\n(.*?)^```/ms.exec(docs) ?? [];
  const [, lua = ""] = /^```lua\n(.*?)^```/ms.exec(docs) ?? [];
  const { configurations } = JSON.parse(json) as { configurations: [Record<string, unknown>] };
  const { type, ...settings } = configurations[0];
  for (const [name, value] of Object.entries(settings)) {
    const text = JSON.stringify(value)
      .replace(/^\[(.*)\]$/, "{ $1 }")
      .replaceAll('","', '", "');
    t.ok(lua.includes(` ${name} = ${text},\n`), `${name} = ${text}`);
  }
  t.match(lua, `type = "pwa-${type as string}"`);
  t.end();
});
