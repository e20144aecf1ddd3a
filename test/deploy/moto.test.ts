import { GetFunctionCommand, GetFunctionUrlConfigCommand } from "@aws-sdk/client-lambda";
import { join } from "node:path";
import t, { type Test } from "tap";

import { TAGS } from "../../daemon/deploy/stubs.ts";
import { Moto, motoMissing } from "./moto.ts";
import { openDeploy, wantedApp, wantedFunction } from "./rig.ts";

if (motoMissing !== false) t.plan(0, motoMissing);
else {
  const moto = await Moto.open(t);
  const URL = { authorization: "none" } as const;
  let stages = 0;

  const open = async (t: Test) => {
    const stage = `s${(stages += 1)}`;
    const journalFile = join(moto.dir, `journal-${stage}.db`);
    const rig = await openDeploy({ serving: moto.serving, journalFile, app: "shop", stage });
    t.teardown(rig.close);
    const app = (functions: Parameters<typeof wantedApp>[1], more: Parameters<typeof wantedApp>[2] = {}) =>
      wantedApp({ stage }, functions, { home: "aws", ...more });
    return { ...rig, stage, app, nameOf: (component: string) => `shop-${stage}-${component}` };
  };

  void t.test("stubs are made, changed and removed in AWS; nothing of them is left", async (t) => {
    const { deploy, app, taken, nameOf, aws } = await open(t);
    const worker = wantedFunction("Worker");
    // A service of moto's is there once it was asked something.
    await deploy.plan(app([worker]));
    const before = await moto.dump();
    const first = await deploy.apply(
      app([wantedFunction("Api", { url: URL, tags: { team: "a", gone: "1" } }), worker]),
    );
    t.match(first.functions["Api"], { nameInAws: nameOf("Api"), url: /^https:/ });
    t.notSame(await moto.dump(), before);
    taken();

    const changed = app([wantedFunction("Api", { url: URL, memoryMb: 512, tags: { team: "b" } }), worker]);
    const second = await deploy.apply(changed);
    t.same(taken().toSorted(), ['update aws.Function "Api"', 'update aws.Function "Api" role']);
    t.same(second.functions, first.functions, "ARN and URL stay");
    const lambda = await aws.lambda();
    const { Configuration, Tags = {} } = await lambda.send(
      new GetFunctionCommand({ FunctionName: nameOf("Api") }),
    );
    t.match(Configuration, { MemorySize: 512, Runtime: "nodejs20.x" });
    t.match(Tags, { team: "b", [TAGS.hash]: String });
    t.notOk("gone" in Tags);
    t.match(await lambda.send(new GetFunctionUrlConfigCommand({ FunctionName: nameOf("Api") })), {
      AuthType: "NONE",
    });

    t.same((await deploy.plan(changed)).steps, [], "an unchanged app has nothing to do");
    t.equal((await deploy.apply(changed)).steps, 0);
    await deploy.remove();
    t.same(await moto.dump(), before);
    t.comment(`${moto.passed} calls, ${moto.throttled} answered 429`);
  });
}
