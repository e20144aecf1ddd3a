/** Frontends and services that have nothing to do cost the daemon nothing either. */
import t from "tap";

import { Rig } from "../support/rig.ts";
import { AT_REST_PERCENT, restOf } from "../support/rest.ts";

const FILES = {
  "livedev.config.ts": `
import { $config, aws, DevCommand } from "livedev";
export default $config({
  app: () => ({ name: "rest", home: "local" }),
  async run() {
    new aws.Function("Hello", { handler: "src/hello.handler" });
    for (let n = 0; n < 5; n += 1) new DevCommand("Idle" + n, { dev: { command: "echo up; exec sleep 1000" } });
  },
});
`,
  "src/hello.ts": "export const handler = async () => 1;",
};

t.test(
  "a daemon with five idle processes costs 0 % of a core",
  { skip: process.platform === "linux" ? false : "only Linux counts so finely" },
  async (t) => {
    await using rig = Rig.open({ files: FILES });
    await rig.start();
    await using client = await rig.connect();
    for (;;) {
      const all = await client.call("process.list", {});
      if (all.length === 5 && all.every(({ state }) => state === "ready")) break;
    }
    await client.close();
    const measured = await restOf(rig.daemonPid(), 5_000, 12);
    t.comment(`% of a core, 5 s each: ${measured.map((percent) => percent.toFixed(2)).join(", ")}`);
    t.ok((measured.at(-1) ?? Infinity) < AT_REST_PERCENT);
    const { stdout } = await rig.livedev("ps", "--json");
    const used = stdout
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { cpu: number }).cpu);
    t.same(used, [0, 0, 0, 0, 0], "and `livedev ps` says so of each");
  },
);
