/** F35: saves at bad moments and saves that are wrong, through the real watcher of the real daemon. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import t from "tap";

import { some, times } from "../support/counts.ts";
import { Watched } from "../support/live-stub.ts";
import { Rig } from "../support/rig.ts";

const CONFIG = `import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "saves", home: "local" }),
  async run() {
    new aws.Function("Api", { handler: "src/api.handler", environment: { WORD: "first" } });
  },
});
`;
const API = (text: string) => `export const handler = async () => process.env.WORD + " ${text}";\n`;

const FILES = { "livedev.config.ts": CONFIG, "src/api.ts": API("one") };

const ROUNDS = times(20, 4);

const rig = Rig.open({ files: FILES });
t.teardown(() => rig[Symbol.asyncDispose]());
await rig.start();
const client = await rig.connect();
t.teardown(() => client[Symbol.asyncDispose]());
const invoke = async () =>
  (await client.call("function.invoke", { functionName: "Api", event: "{}" })).payload;

t.test(
  "F35: two saves 5 ms apart, a save during a build, a file deleted and restored: the last wins",
  async (t) => {
    t.equal(await invoke(), '"first one"');
    let counted = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      rig.save("src/api.ts", API(`early ${round}`));
      await wait(round % 10);
      if (round % 4 === 3) rmSync(join(rig.project, "src/api.ts"));
      rig.save("src/api.ts", API(`late ${round}`));
      while ((await invoke()) !== `"first late ${round}"`) await wait(2);
      // And it stays so: nothing that was being built comes afterwards.
      for (let more = 0; more < 3; more += 1) t.equal(await invoke(), `"first late ${round}"`);
      counted += 1;
    }
    t.comment(`${counted} pairs of saves, 0 to 9 ms apart`);

    rmSync(join(rig.project, "src/api.ts"));
    while (!(await invoke()).includes("src/api")) await wait(2);
    rig.save("src/api.ts", API("restored"));
    while ((await invoke()) !== '"first restored"') await wait(2);
  },
);

t.test(
  "F35: a config with a mistake is told once with its place, and the last good one serves on",
  async (t) => {
    await using watched = await Watched.open(rig);
    t.equal(await invoke(), '"first restored"');

    const mistakes = [
      {
        what: "a syntax error",
        body: CONFIG.replace("environment:", "environment"),
        says: /livedev\.config\.ts:5/,
      },
      {
        what: "one that throws",
        body: CONFIG.replace("    new aws", '    throw new Error("not today");\n    new aws'),
        says: /livedev\.config\.ts:5: .*not today/,
      },
      {
        what: "one that never returns",
        body: CONFIG.replace("    new aws", "    for (;;) {}\n    new aws"),
        says: /did not come to an end within 10 s/,
      },
    ];
    let code = "restored";
    for (const { what, body, says } of some(mistakes, 2)) {
      const before = watched.events.length;
      rig.save("livedev.config.ts", body);
      const failed = await watched.next(
        "config.failed",
        (event) => says.test(event.message) || says.test(`${event.file}:${event.line}: ${event.message}`),
      );
      t.ok(failed, what);
      t.equal(await invoke(), `"first ${code}"`, `${what}: the last good config serves`);
      t.match((await rig.livedev("status")).stdout, says, `${what}: status says so`);
      // A file that was there for a moment has the config loaded again, and it fails as before.
      rig.save(".env", "");
      rmSync(join(rig.project, ".env"));
      code = what;
      rig.save("src/api.ts", API(code));
      await watched.next("build.finished", () => watched.events.length > before);
      while ((await invoke()) !== `"first ${what}"`) await wait(5);
      const told = watched.events.slice(before).filter((event) => event.type === "config.failed");
      t.equal(told.filter(({ message }) => says.test(message)).length, 1, `${what}: it is told once`);
    }

    // One that never returns is overtaken by the next save, and not told.
    const told = watched.events.length;
    rig.save("livedev.config.ts", CONFIG.replace("    new aws", "    for (;;) {}\n    new aws"));
    await wait(300);
    rig.save("livedev.config.ts", CONFIG.replace("first", "second"));
    while ((await invoke()) !== `"second ${code}"`) await wait(5);
    t.notOk(watched.events.slice(told).some(({ type }) => type === "config.failed"));
    t.match((await rig.livedev("status", "--json")).stdout, /"state":"ready"/);
  },
);
