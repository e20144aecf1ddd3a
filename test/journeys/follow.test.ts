import t from "tap";

import { connect } from "../../client/connect.ts";
import { times } from "../support/counts.ts";
import { Rig } from "../support/rig.ts";

const RESTARTS = times(3, 1);

const FILES = {
  "livedev.config.ts": `
import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "follow", home: "local" }),
  async run() {
    new aws.Function("Echo", { handler: "src/echo.handler" });
  },
});
`,
  "src/echo.ts": "export const handler = async (event: unknown) => event;",
};

t.test("a client follows a daemon's events through its restart, none missed and none doubled", async (t) => {
  await using rig = Rig.open({ files: FILES });
  await rig.start();

  // The twenty lines that any script can write.
  const seqs: number[] = [];
  await using client = await connect({ project: rig.project, environment: {} });
  const { cursor } = await client.call("event.list", { limit: 1 });
  let enough = () => {};
  await client.subscribe({ after: { ...cursor, seq: 0 } }, (events) => {
    seqs.push(...events.map(({ seq }) => seq));
    enough();
  });

  for (let round = 0; round < RESTARTS; round++) {
    for (let call = 0; call < 5; call++)
      await client.call("function.invoke", { functionName: "Echo", event: "{}" });
    t.equal((await rig.livedevd("restart")).code, 0);
  }
  const echoed = await rig.livedev("invoke", "Echo", "--event", "1");
  t.equal(echoed.stdout.trim(), "1");

  // History is read whole by another way, and compared.
  const all = await client.call("event.list", { limit: 10_000 });
  const wanted = all.events.map(({ seq }) => seq);
  while (seqs.length < wanted.length) await new Promise<void>((resolve) => (enough = resolve));
  t.same(seqs.slice(0, wanted.length), wanted);
  t.equal(new Set(seqs).size, seqs.length);
  t.equal(all.events.filter(({ event }) => event.type === "daemon.started").length, RESTARTS + 1);
  t.equal(all.events.filter(({ event }) => event.type === "invocation.delivered").length, RESTARTS * 5 + 1);
});
