/** `livedevd start --new-key`: stubs are given another key, and those that still have the one before go on meanwhile. */
import { join } from "node:path";

import t from "tap";

import { loadStageKey } from "../../daemon/credentials/stage-key.ts";
import { killDaemon, project, startAgain } from "../support/live-stub.ts";

const json = (value: Record<string, unknown>) => JSON.stringify(value);

t.test("old stubs go on by the old key, over a restart, until its time is over", async (t) => {
  // Its stub is none of the deployment's: it keeps the key of its beginning.
  await using made = await project("Plain", { direct: true });
  const { rig, watched, stub } = made;
  const stateDir = join(rig.project, ".livedev", rig.stage);
  const answer = async (name: string) => (await stub.runtime.invoke(json({ name }))).body.toString();
  const deployed = async (name: string) => {
    const event = json({ name });
    return (await watched.client.call("function.invoke", { functionName: "Plain", event })).payload;
  };
  await rig.start();
  t.equal(await answer("before"), json({ ran: "before" }));
  const before = await loadStageKey(stateDir);

  const { code, stdout, stderr } = await rig.livedevd("start", "--new-key", "--json");
  t.equal(code, 0, stderr);
  t.equal((JSON.parse(stdout) as { steps: number }).steps, 3, "each of the three stubs is put in place anew");
  t.not((await loadStageKey(stateDir)).keyId, before.keyId);
  t.equal(await deployed("new"), json({ ran: "new" }));
  t.equal(await answer("old"), json({ ran: "old" }));

  await killDaemon(rig);
  await startAgain(rig);
  t.equal(await answer("again"), json({ ran: "again" }), "it has come back by the old key");
  t.equal(await deployed("new again"), json({ ran: "new again" }));
  const again = await rig.livedevd("start", "--json");
  t.equal((JSON.parse(again.stdout) as { steps: number }).steps, 0, "a start draws no key by itself");

  await killDaemon(rig);
  const file = `.livedev/${rig.stage}/stage.key.previous`;
  const previous = JSON.parse(rig.read(file)) as { until: number }[];
  rig.save(file, JSON.stringify(previous.map((one) => ({ ...one, until: Date.now() }))));
  await startAgain(rig);
  const refused = await stub.runtime.invoke(json({ name: "late" }));
  t.equal(refused.to, "error");
  t.match(refused.body.toString(), /does not accept this stub's key: run `livedevd start`/);
  t.equal(await deployed("on"), json({ ran: "on" }));
});
