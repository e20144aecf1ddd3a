import t from "tap";

import { startPostgres, Laptop, FarStub, following } from "./rig.ts";
import { Net, netMissing, INSIDE } from "./net.ts";
import { CLIENTS, clientsMissing, postgresMissing } from "../support/parts.ts";

t.test(
  "a stub inside reaches the laptop, and its function the database inside",
  { skip: netMissing || postgresMissing || clientsMissing },
  async (t) => {
    await using net = await Net.open();
    await startPostgres(net);
    await using laptop = Laptop.open(net, {
      run: `new aws.Function("Ask", { handler: "src/ask.handler", timeout: "20 seconds" });`,
      files: {
        "src/ask.js": `
import pg from "pg";
export const handler = async ({ host }) => {
  const client = new pg.Client({ host, user: "ada", password: "planted", database: "shop" });
  await client.connect();
  const { rows } = await client.query("select 6 * 7 as answer, inet_server_addr()::text as server, inet_client_addr()::text as client");
  await client.end();
  return rows[0];
};`,
      },
    });
    laptop.rig.install({ pg: `${CLIENTS}/pg` });
    await using watched = await laptop.watch();
    const up = await watched.next("tunnel.connected");
    t.comment(JSON.stringify(up));
    t.equal(up.problem, undefined);
    await using stub = await FarStub.open(laptop, "Ask");
    for (const host of ["db.corp.internal", INSIDE]) {
      const { body } = await stub.runtime.invoke(JSON.stringify({ host }));
      t.match(JSON.parse(body.toString()), { answer: 42 });
      t.comment(body.toString());
    }
    t.comment((await laptop.rig.livedev("tunnel", "status")).stdout);
    void following;
  },
);
