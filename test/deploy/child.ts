/**
 * A deployment in a process of its own that kills itself (SIGKILL) at a given moment; without one it prints how many
 * moments there are. A moment is after the answer to a call that changes something, or after a journal entry: what
 * lies between two of them leaves the same behind.
 */
import type { MiddlewareStack } from "@smithy/types";

import type { WantedApp } from "../../proto/app.ts";
import { openDeploy, type DeployPlace } from "./rig.ts";

export type ChildOrder = {
  readonly place: DeployPlace;
  /** `null`: everything is removed. */
  readonly app: WantedApp | null;
  /** From 1; absent: to the end. */
  readonly killAt?: number;
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
for (const { middlewareStack } of [await rig.aws.lambda(), await rig.aws.iam()]) {
  (middlewareStack as unknown as MiddlewareStack<object, object>).add(
    (next, { commandName = "" }: { commandName?: string }) =>
      async (args) => {
        const answer = await next(args);
        if (!/^(Get|List)/.test(commandName)) moment(commandName);
        return answer;
      },
    { step: "initialize", name: "moments" },
  );
}
if (order.app === null) await rig.deploy.remove();
else await rig.deploy.apply(order.app);
await rig.close();
console.log(JSON.stringify(moments));
