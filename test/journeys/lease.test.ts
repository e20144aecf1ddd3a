/** Two laptops on one stage: two projects with a state of their own each, one account behind both. */
import t from "tap";

import { TestCloud } from "../cloud/rig.ts";
import { Rig } from "../support/rig.ts";

const SLOW = (word: string) => `
import { existsSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
export async function handler(event: { until?: string }) {
  while (event.until !== undefined && !existsSync(event.until)) await wait(10);
  return "${word}";
}
`;

const cloud = await TestCloud.open(t);

function laptop(word: string): Rig {
  const { endpoint, region, accessKeyId, secretAccessKey } = cloud.serving;
  const rig = Rig.open({
    files: {
      "livedev.config.ts": `
        import { $config, aws } from "livedev";
        export default $config({
          app: () => ({ name: "shop", home: "aws", endpoint: "${endpoint}" }),
          async run() { new aws.Function("Api", { handler: "src/api.handler", timeout: "60 seconds" }); },
        });`,
      "src/api.ts": SLOW(word),
    },
  });
  t.teardown(() => rig[Symbol.asyncDispose]());
  Object.assign(rig.env, {
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    LIVEDEV_STAGE: "team",
  });
  return rig;
}
const ann = laptop("ann");
const bob = laptop("bob");

t.test(
  "the second is told who has the stage, takes it over, and what runs finishes where it began",
  async (t) => {
    await ann.start();
    const invoke = async (rig: Rig, event: string) => {
      await using client = await rig.connect();
      return (await client.call("function.invoke", { functionName: "Api", event })).payload;
    };
    t.equal(await invoke(ann, "{}"), '"ann"');

    const refused = await bob.livedevd("start");
    t.equal(refused.code, 1);
    t.match(refused.stderr, /shop\/team is live on .+@.+ since 20\d\d-/);
    t.match(refused.stderr, /--take-over/);
    t.equal(await invoke(ann, "{}"), '"ann"', "nothing has changed");

    await using watching = await ann.connect();
    const events: { type: string; message?: string }[] = [];
    let wake = () => {};
    await watching.subscribe({ types: ["stage.lost", "invocation.begun"] }, (batch) => {
      events.push(...batch.map(({ event }) => event));
      wake();
    });
    const told = async (type: string) => {
      while (!events.some((event) => event.type === type))
        await new Promise<void>((resolve) => (wake = resolve));
    };
    const gate = `${ann.root}/gate`;
    const running = invoke(ann, JSON.stringify({ until: gate }));
    await told("invocation.begun");

    const taken = await bob.livedevd("start", "--take-over");
    t.equal(taken.code, 0, taken.stderr);
    t.equal(await invoke(bob, "{}"), '"bob"', "new events go to the new owner");
    await told("stage.lost");
    const status = await ann.livedev("status");
    t.match(status.stdout, /taken over by .+@/);
    ann.save("../gate", "");
    t.equal(await running, '"ann"', "the running one finished where it began");

    // A save of the config must not put the old owner's stubs back.
    ann.edit("livedev.config.ts", "60 seconds", "50 seconds");
    await using again = await ann.connect();
    const { live } = await again.call("daemon.status", {});
    t.equal(live.state, "failed");
    t.equal(await invoke(bob, "{}"), '"bob"');
  },
);

t.test("who stops lets the stage go; who is killed is let go of, and comes back to its own", async (t) => {
  await bob.start();
  t.equal((await bob.livedevd("stop")).code, 0);
  t.equal((await ann.livedevd("start")).code, 0, "at once");
  process.kill(ann.daemonPid(), "SIGKILL");
  t.equal((await bob.livedevd("start")).code, 1, "not before ann's lease has ended");
  t.equal((await ann.livedevd("start")).code, 0, "its own is taken again at once");
});
