/** F29 in AWS: a kill -9 after each call of a real deployment, with a bucket and a stack beside the function. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import t, { type Test } from "tap";

import { counted } from "../support/counts.ts";
import type { WantedApp } from "../../proto/app.ts";
import type { ChildOrder } from "./child.ts";
import { Killed, tried } from "./killed.ts";
import { Moto, motoMissing } from "./moto.ts";
import { openDeploy, wantedApp, wantedBucket, wantedFunction, wantedStack, type DeployPlace } from "./rig.ts";
import { TRIGGERS } from "./triggers.ts";

// With LIVEDEV_KILL_STEPS=all some three hundred deployments, each in a process of its own.
t.setTimeout(1_800_000);
if (motoMissing !== false) t.plan(0, motoMissing);
else {
  // What throttling does is tried elsewhere.
  const moto = await Moto.open(t, { callsPerSecond: Number.POSITIVE_INFINITY });
  const killed = Killed.open(t);
  const URL = { authorization: "none" } as const;
  let stages = 0;

  const nextPlace = (): DeployPlace => {
    const stage = `k${(stages += 1)}`;
    const project = join(moto.dir, stage);
    mkdirSync(join(project, "src"), { recursive: true });
    writeFileSync(join(project, "package.json"), `{ "type": "module" }`);
    writeFileSync(join(project, "src/index.js"), "export const handler = async () => 1;");
    const journalFile = join(moto.dir, `journal-${stage}.db`);
    return { serving: moto.serving, app: "shop", stage, journalFile, project, cloudFormation: true };
  };

  const shop = (place: DeployPlace, { memoryMb = 256, versioning = false, minutes = 5 } = {}): WantedApp =>
    wantedApp(
      place,
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

  const deployed = async (place: DeployPlace, app: WantedApp) => {
    const rig = await openDeploy(place);
    await rig.deploy.apply(app, { mode: "release" });
    await rig.close();
  };

  /** What stands in moto of any stage. A service of moto's is there once it was asked something. */
  const nothing = async () => {
    const place = nextPlace();
    const app = shop(place);
    await deployed(place, app);
    const rig = await openDeploy(place);
    await rig.deploy.remove(app);
    await rig.close();
    return moto.dump();
  };

  /** `begin`, then a process that is killed at each moment in turn, then `after`, then the stage is removed. */
  const killEverywhere = async (
    t: Test,
    story: {
      readonly begin: (place: DeployPlace) => Promise<Omit<ChildOrder, "killAt" | "looks" | "place">>;
      readonly after: (place: DeployPlace) => WantedApp | undefined;
      readonly atLeast: number;
      readonly usually?: number;
    },
  ) => {
    const before = await nothing();
    const prepare = async () => {
      const place = nextPlace();
      return { place, ...(await story.begin(place)) };
    };
    const whole = await prepare();
    const moments = await killed.whole(whole);
    await removed(t, "not killed", whole.place, before);
    t.ok(moments.length >= story.atLeast, `${moments.length} moments`);
    const picked = tried(moments, story.usually ?? 4);
    counted(t, `deploy on moto: killed at ${picked.length} of ${moments.length} moments`);
    for (const { name, killAt } of picked) {
      const order = await prepare();
      t.ok(await killed.killedAt(killAt, order), `${name} (${killAt})`);
      const wanted = story.after(order.place);
      if (wanted !== undefined) {
        const rig = await openDeploy(order.place);
        await rig.deploy.apply(wanted, { mode: "release" });
        t.same(
          (await rig.deploy.plan(wanted, { mode: "release" })).steps,
          [],
          `${name}: it comes to its end`,
        );
        await rig.close();
      }
      await removed(t, name, order.place, before);
    }
  };

  const removed = async (t: Test, moment: string, place: DeployPlace, before: unknown) => {
    const rig = await openDeploy(place);
    await rig.deploy.remove({ name: "shop", stage: place.stage, functions: [], removal: "remove" });
    await rig.close();
    t.same(await moto.dump(), before, `${moment}: and nothing of it is left`);
  };

  void t.test("killed while it deploys, the next deployment adopts what is there", (t) =>
    killEverywhere(t, {
      begin: async (place) => ({ app: shop(place), mode: "release" }),
      after: (place) => shop(place),
      atLeast: 35,
    }),
  );

  void t.test("killed while it deploys, it can be removed at once", (t) =>
    killEverywhere(t, {
      begin: async (place) => ({ app: shop(place), mode: "release" }),
      after: () => undefined,
      atLeast: 35,
      // The quickest way to see what is left behind.
      usually: Number.POSITIVE_INFINITY,
    }),
  );

  void t.test("killed while it changes what is deployed, the next deployment goes on", (t) =>
    killEverywhere(t, {
      begin: async (place) => {
        await deployed(place, shop(place));
        writeFileSync(join(place.project ?? "", "src/index.js"), "export const handler = async () => 2;");
        return { app: shop(place, { memoryMb: 512, versioning: true, minutes: 7 }), mode: "release" };
      },
      after: (place) => shop(place, { memoryMb: 512, versioning: true, minutes: 7 }),
      atLeast: 25,
    }),
  );

  void t.test("killed on the way from deployed code to stubs, the next run goes on", (t) =>
    killEverywhere(t, {
      begin: async (place) => {
        await deployed(place, shop(place));
        return { app: shop(place), mode: "dev" };
      },
      after: (place) => shop(place),
      atLeast: 6,
    }),
  );

  void t.test("killed while it removes, the next removal removes the rest", (t) =>
    killEverywhere(t, {
      begin: async (place) => {
        await deployed(place, shop(place));
        return { app: null };
      },
      after: () => undefined,
      atLeast: 12,
    }),
  );
}
