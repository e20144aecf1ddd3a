/** Local code has its deployed function's own permissions, also where a client runs it, and after they have changed. */
import t from "tap";

import { Rig } from "../support/rig.ts";

const FILES = {
  "livedev.config.ts": `
    import { $config, aws } from "livedev";
    export default $config({
      app: () => ({ name: "shop", home: "local", removal: "remove" }),
      async run() {
        new aws.Function("MyApi", { handler: "src/api.handler" });
      },
    });`,
  "src/api.ts": `export const handler = async (event: unknown) => ({ key: process.env.AWS_ACCESS_KEY_ID, event });`,
};

t.test("a client's own event has the function's credentials, which a stub was asked for", async (t) => {
  await using rig = Rig.open({ files: FILES });
  await rig.start();
  const { code, stdout, stderr } = await rig.livedev("invoke", "MyApi", "--local");
  t.equal(code, 0, stderr);
  t.match((JSON.parse(stdout) as { key: string }).key, /^ASIA/);
  await using client = await rig.connect();
  const rows = await client.call("invocation.list", {});
  t.equal(rows.length, 1, "the daemon's own event is nobody's invocation");

  // Who may invoke the function may send those bytes too.
  const forged = await rig.livedev("invoke", "MyApi", "--event", '{"livedev:knock":{"at":1,"mac":"00"}}');
  t.match(forged, { code: 4, stderr: /Only livedevd itself may send this event/ });
  t.equal((await client.call("invocation.list", {})).length, 1, "it was not run");
});
