/** examples/databases: livedevd starts a real PostgreSQL and a real Redis, and the function has them by its links. */
import { chmodSync, readdirSync } from "node:fs";
import { join } from "node:path";

import t from "tap";

import { freePort } from "../support/free-port.ts";
import { DATABASES, databasesMissing } from "../support/parts.ts";
import { Rig } from "../support/rig.ts";

t.test("a PostgreSQL and a Redis are started by their dev.command", { skip: databasesMissing }, async (t) => {
  await using rig = Rig.open({ example: "databases" });
  const packages = readdirSync(DATABASES).filter((name) => !name.startsWith("."));
  rig.install(Object.fromEntries(packages.map((name) => [name, join(DATABASES, name)])));
  // PostgreSQL runs as a user of its own where we are root.
  chmodSync(rig.root, 0o711);
  const ports = { postgres: await freePort(), redis: await freePort() };
  rig.save(".env", `POSTGRES_PORT=${ports.postgres}\nREDIS_PORT=${ports.redis}\n`);

  /** Live, and both databases answer. */
  const start = async () => {
    const { Api: url = "" } = await rig.start();
    await using client = await rig.connect();
    let states: readonly string[] = [];
    while (states.length < 2 || states.some((state) => state !== "ready")) {
      states = (await client.call("process.list", {})).map(({ state }) => state);
      if (states.includes("crashed")) throw new Error((await rig.livedev("logs", "Database")).stdout);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return async (body?: string) =>
      (await (await fetch(url, body === undefined ? {} : { method: "POST", body })).json()) as object;
  };
  let ask = await start();
  t.match(
    (await rig.livedev("ps")).stdout,
    new RegExp(`Database +ready.* \\d+ % +\\d+ MB .*postgresql://localhost:${ports.postgres}`),
  );
  t.strictSame(await ask("first"), { notes: ["first"], asked: 1 });
  t.strictSame(await ask("second"), { notes: ["first", "second"], asked: 2 });
  t.match((await rig.livedev("logs", "Cache")).stdout, "Ready to accept connections");

  await rig.livedevd("stop");
  t.strictSame(
    (await rig.processes()).filter(({ command }) => /postgres|redis/.test(command)),
    [],
    "they end with livedevd",
  );
  ask = await start();
  t.strictSame(
    await ask(),
    { notes: ["first", "second"], asked: 1 },
    "PostgreSQL's data stays, Redis's does not",
  );
});
