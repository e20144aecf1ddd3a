/** A short run of `npm run soak`: everything that disturbs, in 40 s. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

import t from "tap";

import { inFull } from "../support/counts.ts";
import { ROOT } from "../support/rig.ts";

t.test(
  "saves, dead workers, cuts, restarts and kills: each invocation is accounted for",
  { skip: inFull },
  async (t) => {
    const args = [
      "--invocations",
      "3000",
      "--concurrency",
      "16",
      "--seconds",
      "40",
      "--pace",
      "1.5",
      "--seed",
      "7",
    ];
    const child = spawn(process.execPath, ["--import=tsx", join(ROOT, "scripts/soak.ts"), ...args], {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => (output += text));
    const [code] = (await once(child, "close")) as [number | null];
    t.equal(code, 0, output);
    t.match(output, / 0 not accounted for/);
    const [, sent] = /^(\d+) invocations at/m.exec(output) ?? [];
    t.ok(Number(sent) > 50, `${sent} were sent`);
    const [, faults = ""] = /^Meanwhile: (.*)\.$/m.exec(output) ?? [];
    const none = faults.split(", ").filter((fault) => fault.startsWith("0 "));
    t.equal(faults.split(", ").length, 7);
    t.same(none, [], "each kind of fault happened");
    t.comment(output);
  },
);
