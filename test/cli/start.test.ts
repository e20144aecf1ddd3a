/** `livedevd start` where something is wrong: with the user's files, with the local cloud, with the config itself. */
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import t from "tap";

import { Rig, ROOT } from "../support/rig.ts";

const FILES = {
  "livedev.config.ts": `
import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "starts", home: "local" }),
  async run() {
    new aws.Function("Api", { handler: "src/api.handler" });
  },
});
`,
  "src/api.ts": `export const handler = async () => "fine";\n`,
};

const rig = Rig.open({ files: FILES });
t.teardown(() => rig[Symbol.asyncDispose]());

t.test("a client that opens the daemon is given its functions by the first answer", async (t) => {
  await using client = await rig.connect();
  t.match(await client.call("function.list", {}), [{ name: "Api" }]);
  t.equal((await rig.livedevd("stop")).code, 0);
});

t.test("code and a config that are broken are told at the start, which goes live all the same", async (t) => {
  rig.save("src/api.ts", "export const handler = async () => 1 +;\n");
  const broken = await rig.livedevd("start");
  t.match(broken, { code: 0, stdout: /is live/, stderr: /Api {2}src\/api\.ts:1:\d+ Unexpected ";"/ });

  rig.save("src/api.ts", FILES["src/api.ts"]);
  rig.edit("livedev.config.ts", "new aws.Function(", "new aws.Function(,");
  await using client = await rig.connect();
  while ((await client.call("daemon.status", {})).config.state !== "broken") await wait(5);
  const again = await rig.livedevd("start");
  t.match(again, { code: 0, stdout: /is live/, stderr: /livedev\.config\.ts:6/ });
  rig.save("livedev.config.ts", FILES["livedev.config.ts"]);
  while ((await client.call("daemon.status", {})).config.state !== "ready") await wait(5);
});

t.test(
  "a local cloud that was stopped is named by status and doctor, and started by who needs it",
  async (t) => {
    t.equal((await rig.livedev("cloud", "stop", "--project", ".")).code, 0);
    t.match((await rig.livedev("status")).stdout, /^cloud +stopped: `livedev cloud start`/m);
    t.match((await rig.livedev("doctor")).stdout, /local cloud is not running/);
    t.match(await rig.livedev("invoke", "Api", "--event", "1"), { code: 0, stdout: '"fine"\n' });
    t.match((await rig.livedev("status")).stdout, /^cloud +http:/m);
  },
);

t.test("where the config was deleted, the daemon is still found, looked at and stopped", async (t) => {
  rmSync(join(rig.project, "livedev.config.ts"));
  t.match(await rig.livedev("status"), { code: 0, stdout: /^config +There is no livedev\.config\.ts/m });
  t.equal((await rig.livedev("remove", "--yes")).code, 0);
  t.equal((await rig.livedevd("stop")).code, 0);
  rig.save("livedev.config.ts", FILES["livedev.config.ts"]);
});

t.test("a daemon holds nothing open that its opener's shell left open", async (t) => {
  const start = `${process.execPath} ${join(ROOT, "dist", "livedevd.js")} start`;
  // `cat` ends when the last holder of its pipe is gone.
  const child = spawn(
    "bash",
    ["-c", `exec 62> >(cat); ${start} > /dev/null; exec 62>&-; wait $!; echo over`],
    {
      cwd: rig.project,
      env: rig.env,
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  await new Promise((resolve) => child.once("close", resolve));
  t.equal(said, "over\n");
  t.equal((await rig.livedev("status")).code, 0, "and it runs");
});
