/**
 * F29 in AWS: a kill -9 after each call of a real deployment that changes something, and after each entry of the
 * journal, with a bucket and a stack beside the function. Two motos side by side, each with a stage of its own, take
 * one moment after the other; a story's end is the next one's beginning, so that nothing is deployed only to begin.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import t, { type Test } from "tap";

import type { WantedApp } from "../../proto/app.ts";
import { counted, times } from "../support/counts.ts";
import type { ChildOrder } from "./child.ts";
import { Killed, tried, type Moment } from "./killed.ts";
import { Moto, motoMissing } from "./moto.ts";
import { openDeploy, wantedApp, wantedBucket, wantedFunction, wantedStack, type DeployPlace } from "./rig.ts";
import { TRIGGERS } from "./triggers.ts";

const RELEASE = { mode: "release" } as const;
const URL = { authorization: "none" } as const;

const shop = ({ memoryMb = 256, versioning = false, minutes = 5 } = {}): WantedApp =>
  wantedApp(
    { stage: "k" },
    [wantedFunction("Api", { url: URL, memoryMb, tags: { team: "a" }, whenAway: "deployed" })],
    {
      home: "aws",
      removal: "remove",
      buckets: [wantedBucket("Files", { versioning })],
      stacks: [
        wantedStack("Triggers", TRIGGERS, {
          Arn: { "livedev:output": [{ ref: "Api.arn" }] },
          Rate: `rate(${minutes} minutes)`,
        }),
      ],
    },
  );

const FIRST = shop();
const CHANGED = shop({ memoryMb: 512, versioning: true, minutes: 7 });

type Order = Omit<ChildOrder, "killAt" | "looks" | "place">;
const DEPLOYS: Order = { app: FIRST, mode: "release" };
const CHANGES: Order = { app: CHANGED, mode: "release" };
const GOES_LIVE: Order = { app: FIRST, mode: "dev" };
const REMOVES: Order = { app: null };

/** One stage in a moto of its own, with nothing of it to begin with. */
class Lane {
  readonly #moto: Moto;
  readonly #killed: Killed;
  readonly #place: DeployPlace;
  /** What moto holds when nothing is deployed. */
  #nothing: unknown;

  private constructor(moto: Moto, killed: Killed) {
    this.#moto = moto;
    this.#killed = killed;
    const { dir, serving } = moto;
    mkdirSync(join(dir, "src"), { recursive: true });
    writeFileSync(join(dir, "package.json"), `{ "type": "module" }`);
    const journalFile = join(dir, "journal.db");
    this.#place = { serving, app: "shop", stage: "k", journalFile, project: dir, cloudFormation: true };
  }

  static async open(t: Test, killed: Killed): Promise<Lane> {
    // What throttling does is tried elsewhere.
    const lane = new Lane(await Moto.open(t, { callsPerSecond: Number.POSITIVE_INFINITY }), killed);
    // A service of moto's is there once it was asked something.
    await lane.apply(FIRST);
    await lane.remove();
    lane.#nothing = await lane.#moto.dump();
    return lane;
  }

  /** The moments of it, from its beginning to its end. */
  whole(order: Order): Promise<string[]> {
    return this.#killed.whole({ place: this.#place, ...order });
  }

  killedAt({ killAt }: Moment, order: Order): Promise<boolean> {
    return this.#killed.killedAt(killAt, { place: this.#place, ...order });
  }

  /** The handler as it is deployed with the app. */
  code(wanted: WantedApp): void {
    const file = join(this.#moto.dir, "src", "index.js");
    writeFileSync(file, `export const handler = async () => ${wanted === FIRST ? 1 : 2};`);
  }

  async apply(wanted: WantedApp): Promise<void> {
    this.code(wanted);
    const rig = await openDeploy(this.#place);
    await rig.deploy.apply(wanted, RELEASE);
    await rig.close();
  }

  /** What is left to do. */
  async plan(wanted: WantedApp): Promise<readonly unknown[]> {
    const rig = await openDeploy(this.#place);
    const { steps } = await rig.deploy.plan(wanted, RELEASE);
    await rig.close();
    return steps;
  }

  async remove(): Promise<void> {
    const rig = await openDeploy(this.#place);
    await rig.deploy.remove({ name: "shop", stage: "k", functions: [], removal: "remove" });
    await rig.close();
  }

  /** What is left of the stage after it was removed. */
  async left(): Promise<{ readonly found: unknown; readonly wanted: unknown }> {
    return { found: await this.#moto.dump(), wanted: this.#nothing };
  }
}

// All of them in full; a few, spread from the first to the last, where tests are to be quick.
const SOME = times(Number.POSITIVE_INFINITY, 4);
t.setTimeout(600_000);
if (motoMissing !== false) t.plan(0, motoMissing);
else {
  const killed = Killed.open(t);
  const lanes = await Promise.all([Lane.open(t, killed), Lane.open(t, killed)]);
  const [first] = lanes;
  let count = 0;

  /** Each moment in one of the lanes. */
  const inLanes = async (
    t: Test,
    what: string,
    moments: readonly string[],
    atLeast: number,
    work: (lane: Lane, moment: Moment) => Promise<void>,
  ) => {
    t.ok(moments.length >= atLeast, `${moments.length} moments`);
    const left = tried(moments, SOME);
    count += left.length;
    counted(t, `${what} on moto: killed at ${left.length} of ${moments.length} moments`);
    await Promise.all(
      lanes.map(async (lane) => {
        for (let one = left.shift(); one !== undefined; one = left.shift()) await work(lane, one);
      }),
    );
  };

  const gone = async (t: Test, lane: Lane, moment: string) => {
    const { found, wanted } = await lane.left();
    t.same(found, wanted, `${moment}: nothing of it is left`);
  };

  const deploying = await first.whole(DEPLOYS);
  const removing = await first.whole(REMOVES);

  void t.test("killed while it deploys, the next deployment adopts what is there", async (t) => {
    // What stands then is removed, by one that is killed as well as long as there are moments of that.
    const removals = tried(removing, SOME);
    counted(t, `removal on moto: killed at ${removals.length} of ${removing.length} moments`);
    count += removals.length;
    t.ok(removing.length >= 12, `${removing.length} moments of a removal`);
    await inLanes(t, "deployment", deploying, 35, async (lane, moment) => {
      t.ok(await lane.killedAt(moment, DEPLOYS), `${moment.name} (${moment.killAt})`);
      await lane.apply(FIRST);
      t.same(await lane.plan(FIRST), [], `${moment.name}: it comes to its end`);
      const removal = removals.shift();
      if (removal !== undefined) t.ok(await lane.killedAt(removal, REMOVES), `removed: ${removal.name}`);
      await lane.remove();
      await gone(t, lane, removal?.name ?? moment.name);
    });
    t.same(removals, [], "removals killed at all of their moments, too");
  });

  void t.test("killed while it deploys, it can be removed at once", (t) =>
    inLanes(t, "deployment, then removal,", deploying, 35, async (lane, moment) => {
      t.ok(await lane.killedAt(moment, DEPLOYS), `${moment.name} (${moment.killAt})`);
      await lane.remove();
      await gone(t, lane, moment.name);
    }),
  );

  void t.test("killed while it changes what is deployed, the next deployment goes on", async (t) => {
    for (const lane of lanes) await lane.apply(FIRST);
    first.code(CHANGED);
    const moments = await first.whole(CHANGES);
    await first.apply(FIRST);
    await inLanes(t, "change", moments, 25, async (lane, moment) => {
      lane.code(CHANGED);
      t.ok(await lane.killedAt(moment, CHANGES), `${moment.name} (${moment.killAt})`);
      await lane.apply(CHANGED);
      t.same(await lane.plan(CHANGED), [], `${moment.name}: it comes to its end`);
      await lane.apply(FIRST);
    });
  });

  void t.test("killed on the way from deployed code to stubs, the next run goes on", async (t) => {
    for (const lane of lanes) await lane.apply(FIRST);
    const moments = await first.whole(GOES_LIVE);
    await first.apply(FIRST);
    await inLanes(t, "going live", moments, 6, async (lane, moment) => {
      t.ok(await lane.killedAt(moment, GOES_LIVE), `${moment.name} (${moment.killAt})`);
      await lane.apply(FIRST);
      t.same(await lane.plan(FIRST), [], `${moment.name}: it comes to its end`);
    });
    for (const lane of lanes) {
      await lane.remove();
      await gone(t, lane, "after all of them");
    }
    counted(t, `on moto in all: ${count} kills of a process that deploys, changes or removes`);
  });
}
