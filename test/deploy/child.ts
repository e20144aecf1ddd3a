/**
 * A deployment in a process of its own that kills itself (SIGKILL) at a given moment; without one it prints how many
 * moments there are. A moment is after the answer to a call of AWS, or after a journal entry: what lies between two
 * of them leaves the same behind.
 */
import type { MiddlewareStack } from "@smithy/types";

import type { Mode } from "../../daemon/deploy/wanted.ts";
import type { WantedApp } from "../../proto/app.ts";
import { openDeploy, type DeployPlace } from "./rig.ts";

export type ChildOrder = {
  readonly place: DeployPlace;
  /** `null`: everything is removed. */
  readonly app: WantedApp | null;
  readonly mode?: Mode;
  /** From 1; absent: to the end. */
  readonly killAt?: number;
  /** Calls that only look change nothing: without them there are as many states, and half as many moments. */
  readonly looks?: boolean;
};

const order = JSON.parse(process.argv[2] ?? "") as ChildOrder;
const moments: string[] = [];

function moment(name: string): void {
  moments.push(name);
  if (moments.length === order.killAt) process.kill(process.pid, "SIGKILL");
}

const rig = await openDeploy(order.place, {
  journal: (journal) => ({
    entries: () => journal.entries(),
    append: (entry) => {
      const id = journal.append(entry);
      moment(`journaled ${entry.phase} ${entry.resource}`);
      return id;
    },
  }),
});
const { aws } = rig;
const clients = [aws.lambda(), aws.iam(), aws.s3(), aws.sts()];
if (order.place.cloudFormation === true) clients.push(aws.cloudformation());
for (const { middlewareStack } of await Promise.all<{ middlewareStack: unknown }>(clients)) {
  (middlewareStack as MiddlewareStack<object, object>).add(
    (next, { commandName = "" }: { commandName?: string }) =>
      async (args) => {
        const answer = await next(args);
        if (order.looks === true || !/^(Get|List|Describe)/.test(commandName)) moment(commandName);
        return answer;
      },
    { step: "initialize", name: "moments" },
  );
}
const { deploy } = rig;
const { app: name, stage } = order.place;
if (order.app === null) await deploy.remove({ name, stage, functions: [], removal: "remove" });
else await deploy.apply(order.app, { mode: order.mode ?? "dev" });
await rig.close();
console.log(JSON.stringify(moments));
