/** F29: a real kill -9 of a deploying process at each of its moments; the next run adopts whatever it left. */
import { join } from "node:path";

import t, { type Test } from "tap";

import { counted, times } from "../support/counts.ts";
import { mayStand } from "../../daemon/deploy/journal.ts";
import type { WantedApp, WantedFunction } from "../../proto/app.ts";
import { TestCloud } from "../cloud/rig.ts";
import { Killed, tried } from "./killed.ts";
import { openDeploy, standing, wantedApp, wantedFunction, type DeployPlace } from "./rig.ts";

// With LIVEDEV_KILL_STEPS=all some two hundred deployments, each in a process of its own.
t.setTimeout(900_000);

const cloud = await TestCloud.open(t);
const killed = Killed.open(t);

const URL = { authorization: "none" } as const;
const API = wantedFunction("Api", { url: URL, tags: { team: "a" } });

// As on moto: all of them in full; else the first and the last of one story, and of each other one in the middle.
const FIRST_AND_LAST = times(Number.POSITIVE_INFINITY, 1);
const MIDDLE = times(Number.POSITIVE_INFINITY, 1);

let stages = 0;
function nextPlace(): DeployPlace {
  stages += 1;
  const stage = `k${stages}`;
  return {
    serving: cloud.serving,
    app: "shop",
    stage,
    journalFile: join(cloud.stateDir, `journal-${stage}.db`),
  };
}

// Another stage of the account, so that the bucket of their states stands all the while.
const other = await openDeploy(nextPlace());
await other.deploy.apply(wantedApp({ stage: "k1" }, [API]));
await other.close();

/** `from`, then a process that is on its way to `to` and killed at each moment in turn, then `next`. */
async function killEverywhere(
  t: Test,
  steps: {
    readonly from: readonly WantedFunction[];
    readonly to: readonly WantedFunction[] | "removed";
    readonly next: readonly WantedFunction[];
    readonly atLeast: number;
    readonly kills?: number;
  },
): Promise<void> {
  const prepare = async () => {
    const place = nextPlace();
    if (steps.from.length > 0) {
      const rig = await openDeploy(place);
      await rig.deploy.apply(wantedApp(place, steps.from));
      await rig.close();
    }
    const app: WantedApp | null = steps.to === "removed" ? null : wantedApp(place, steps.to);
    return { place, app };
  };
  const moments = await killed.whole(await prepare());
  t.ok(moments.length >= steps.atLeast, `${moments.length} moments`);
  const left = tried(moments, steps.kills ?? MIDDLE);
  counted(t, `deploy: killed at ${left.length} of ${moments.length} moments`);
  const lane = async () => {
    for (let one = left.shift(); one !== undefined; one = left.shift()) {
      const { name, killAt } = one;
      const { place, app } = await prepare();
      t.ok(await killed.killedAt(killAt, { place, app }), name);
      await adopts(t, name, place, steps.next);
    }
  };
  await Promise.all([lane(), lane()]);
}

async function adopts(
  t: Test,
  moment: string,
  place: DeployPlace,
  functions: readonly WantedFunction[],
): Promise<void> {
  const rig = await openDeploy(place);
  try {
    const entries = rig.journal.entries();
    const known = [
      ...[...mayStand(entries, "function")].map((name) => `function ${name}`),
      ...[...mayStand(entries, "role")].map((name) => `role ${name}`),
    ];
    const prefixes = [`shop-${place.stage}-`, `own-${place.stage}-`];
    const stands = async () => (await Promise.all(prefixes.map((one) => standing(cloud, one)))).flat();
    for (const one of await stands()) t.ok(known.includes(one), `${moment}: the journal knows of ${one}`);
    const wanted = wantedApp(place, functions);
    await rig.deploy.apply(wanted);
    t.same((await rig.deploy.plan(wanted)).steps, [], `${moment}: the next run comes to its end`);
    const names = functions.map(({ name, nameInAws }) => nameInAws ?? `shop-${place.stage}-${name}`);
    t.same(
      await stands(),
      [...names.map((name) => `function ${name}`), ...names.map((name) => `role ${name}`)],
      `${moment}: nothing else is left`,
    );
    await rig.deploy.remove();
    t.same(await stands(), [], `${moment}: and all of it can be removed`);
  } finally {
    await rig.close();
  }
}

void t.test("killed while it creates, the next run goes on", (t) =>
  killEverywhere(t, { from: [], to: [API], next: [API], atLeast: 16, kills: FIRST_AND_LAST }),
);

void t.test("killed while it creates what is then wanted no more, nothing of it is left", (t) =>
  killEverywhere(t, { from: [], to: [API], next: [], atLeast: 16 }),
);

void t.test("killed while it changes a function, its role and its URL, the next run goes on", (t) => {
  const changed = wantedFunction("Api", {
    url: { authorization: "iam" },
    memoryMb: 512,
    tags: { team: "b" },
  });
  return killEverywhere(t, { from: [API], to: [changed], next: [API], atLeast: 14 });
});

void t.test("killed while it removes, the next run removes the rest", (t) =>
  killEverywhere(t, { from: [API], to: "removed", next: [], atLeast: 10 }),
);

void t.test("killed while several are made at once, no one of them is lost", async (t) => {
  const several = [0, 1, 2, 3].map((index) => wantedFunction(`F${index}`, { url: URL }));
  const place = nextPlace();
  const app = wantedApp(place, several);
  // One after another in the same stage: each goes on from what the last one left.
  for (let killAt = 7; await killed.killedAt(killAt, { place, app }); killAt += times(9, 20));
  await adopts(t, "at last", place, several);
});
