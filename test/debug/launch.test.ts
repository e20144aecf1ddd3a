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
