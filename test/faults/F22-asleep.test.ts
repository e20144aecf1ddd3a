/**
 * F22: the daemon's whole process stands still for a while, as with a laptop that sleeps, and an event waits for it
 * beyond its deadline. The local cloud is awake: it is AWS, and goes on.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import t from "tap";

import { Rig } from "../support/rig.ts";
import { FILES, printed, slowness } from "./support.ts";

const ASLEEP = {
  ...FILES,
  "livedev.config.ts": `
import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "asleep", home: "local" }),
  async run() {
    const short = { handler: "src/short.handler", timeout: "3 seconds", url: true } as const;
    new aws.Function("Warm", short);
    new aws.Function("Cold", short);
    new aws.Function("Gate", { handler: "src/gate.handler", timeout: "60 seconds", url: true });
  },
});
`,
  "src/short.ts": `
import { appendFileSync } from "node:fs";
export async function handler(event: { body?: string }) {
  if (event.body !== undefined) appendFileSync(event.body, "ran\\n");
  return "awake";
}
`,
  "src/gate.ts": `
import { existsSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
export async function handler(event: { body: string }) {
  console.log("begins");
  while (!existsSync(event.body)) await wait(10);
  return "through";
}
`,
};

const rig = Rig.open({ files: ASLEEP });
t.teardown(() => rig[Symbol.asyncDispose]());
const urls = await rig.start();
const client = await rig.connect();
t.teardown(() => client[Symbol.asyncDispose]());
const daemon = rig.daemonPid();

/** How that function's invocations went, the last one first. */
async function statusesOf(functionName: string): Promise<string[]> {
  const rows = await client.call("invocation.list", {});
  return rows.filter((row) => row.functionName === functionName).map(({ status }) => status);
}

for (const [how, warm] of [
  ["that had run before", true],
  ["that is started meanwhile", false],
] as const) {
  t.test(
    `F22: an event whose deadline passed while the daemon slept is not run, in a stub ${how}`,
    async (t) => {
      const name = warm ? "Warm" : "Cold";
      const url = urls[name] ?? "";
      if (warm) t.equal(await (await fetch(url)).text(), '"awake"');
      const ran = join(rig.root, `ran ${name}`);

      process.kill(daemon, "SIGSTOP");
      const late = await fetch(url, { method: "POST", body: ran });
      // A stub that was connected waits until AWS ends it; one that cannot connect says that nobody is there.
      t.equal(late.status, warm ? 502 : 503);
      await wait(500);
      process.kill(daemon, "SIGCONT");

      const began = performance.now();
      const again = await fetch(url);
      t.equal(again.status, 200);
      t.equal(await again.text(), '"awake"');
      const tookMs = performance.now() - began;
      const bound = 5_000 * (await slowness());
      t.ok(tookMs < bound, `answers ${Math.round(tookMs)} ms after it woke`);
      t.notOk(existsSync(ran), "the late one was not run");
      const [last, ...before] = await statusesOf(name);
      t.comment([last, ...before].join(", "));
      t.equal(last, "ok");
      t.same(before, warm ? ["expired", "ok"] : before.map(() => "expired"));
    },
  );
}

t.test("F22: an invocation in the middle of the sleep finishes, and is answered once", async (t) => {
  const next = await printed(client);
  const gate = join(rig.root, "gate");
  const answer = fetch(urls["Gate"] ?? "", { method: "POST", body: gate });
  t.equal(await next(), "begins");
  process.kill(daemon, "SIGSTOP");
  // The worker is awake; what it answers waits in a pipe.
  rig.save("../gate", "");
  await wait(3_000);
  process.kill(daemon, "SIGCONT");
  const began = performance.now();
  t.equal(await (await answer).text(), '"through"');
  t.ok(performance.now() - began < 5_000 * (await slowness()));
  t.same(await statusesOf("Gate"), ["ok"]);
});
