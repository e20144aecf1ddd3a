/** What functions print in AWS, out of CloudWatch: of those that hold their own code. A stub's lines are livedev's own. */
import type { FilteredLogEvent } from "@aws-sdk/client-cloudwatch-logs";

import { ABSENT, type Calls } from "./calls.ts";
import type { DeployedFunction } from "./plan.ts";

export type CloudLine = {
  /** CloudWatch's own, unique: who asks again from a little earlier leaves out what was there. */
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly functionName: string;
  readonly text: string;
};

/** Oldest first; of more than `limit` the newest. */
export async function readCloudLogs(
  calls: Calls,
  functions: readonly DeployedFunction[],
  { since, limit }: { readonly since: number; readonly limit: number },
): Promise<CloudLine[]> {
  const found = await Promise.all(functions.map((one) => ofOne(calls, one, since, limit)));
  return found
    .flat()
    .sort((a, b) => a.at - b.at)
    .slice(-limit);
}

async function ofOne(
  calls: Calls,
  { component, nameInAws, logGroup = `/aws/lambda/${nameInAws}` }: DeployedFunction,
  since: number,
  limit: number,
): Promise<CloudLine[]> {
  const { paginateFilterLogEvents } = await import("@aws-sdk/client-cloudwatch-logs");
  const client = await calls.aws.logs();
  let lines: CloudLine[] = [];
  // A group of several functions names in its streams whose each is.
  const shared = logGroup !== `/aws/lambda/${nameInAws}`;
  const isOf = ({ logStreamName = "" }: FilteredLogEvent) =>
    !shared || logStreamName.includes(`/${nameInAws}[`);
  // A function that never ran has no group.
  await calls.unless(ABSENT, `FilterLogEvents of ${logGroup}`, async () => {
    const pages = paginateFilterLogEvents({ client }, { logGroupName: logGroup, startTime: since });
    for await (const { events = [] } of pages) {
      calls.signal.throwIfAborted();
      const more = events.filter(isOf).map(({ eventId = "", timestamp = 0, message = "" }) => ({
        id: eventId,
        at: timestamp,
        functionName: component,
        text: message.replace(/\r?\n$/, ""),
      }));
      lines = [...lines, ...more].slice(-limit);
    }
  });
  return lines;
}
