/**
 * What of a stack's resources is not as its template says. CloudFormation looks at each of them when it is asked, which
 * takes seconds, and not every stand-in of AWS can: what could not be looked at is told and holds up nothing.
 */
import type { StackResourceDrift } from "@aws-sdk/client-cloudformation";

import { awsName } from "../aws/failure.ts";
import { Backoff } from "../lib/backoff.ts";
import { messageOf } from "../lib/errors.ts";
import type { Calls } from "./calls.ts";
import { pause } from "./pause.ts";

export type StackDrift = {
  readonly drifted: readonly DriftedResource[];
  /** Why not all of them were looked at. */
  readonly unknown?: string;
};

export type DriftedResource = {
  /** As the template calls it. */
  readonly name: string;
  readonly type: string;
  /** `/VisibilityTimeout`; without values, which may be secrets. Absent: it is gone. */
  readonly properties?: readonly string[];
};

/** The largest of stacks take minutes; a deployment does not wait for those. */
const LOOKS_MS = 90_000;

export async function readDrift(calls: Calls, StackName: string): Promise<StackDrift> {
  const { DetectStackDriftCommand, DescribeStackDriftDetectionStatusCommand } =
    await import("@aws-sdk/client-cloudformation");
  const { signal } = calls;
  const patience = AbortSignal.timeout(LOOKS_MS);
  const abortSignal = AbortSignal.any([signal, patience]);
  try {
    const client = await calls.aws.driftDetector();
    const { StackDriftDetectionId } = await client.send(new DetectStackDriftCommand({ StackName }), {
      abortSignal,
    });
    const backoff = new Backoff({ firstMs: 200, maxMs: 3000 });
    for (;;) {
      const { DetectionStatus, DetectionStatusReason, StackDriftStatus } = await client.send(
        new DescribeStackDriftDetectionStatusCommand({ StackDriftDetectionId }),
        { abortSignal },
      );
      if (DetectionStatus !== "DETECTION_IN_PROGRESS") {
        const drifted = StackDriftStatus === "IN_SYNC" ? [] : await resources(calls, StackName, abortSignal);
        // Of one that failed there are results for the others.
        const failed = DetectionStatus === "DETECTION_FAILED";
        return { drifted, ...(failed && { unknown: DetectionStatusReason ?? "it says no more" }) };
      }
      await pause(backoff.next(), abortSignal);
    }
  } catch (error) {
    signal.throwIfAborted();
    if (patience.aborted) return { drifted: [], unknown: `CloudFormation took over ${LOOKS_MS / 1000} s` };
    return { drifted: [], unknown: `${awsName(error) ?? "it failed"}: ${messageOf(error)}` };
  }
}

async function resources(
  calls: Calls,
  StackName: string,
  abortSignal: AbortSignal,
): Promise<DriftedResource[]> {
  const { DescribeStackResourceDriftsCommand } = await import("@aws-sdk/client-cloudformation");
  const client = await calls.aws.driftDetector();
  const found: StackResourceDrift[] = [];
  let NextToken: string | undefined;
  do {
    const answer = await client.send(
      new DescribeStackResourceDriftsCommand({
        StackName,
        StackResourceDriftStatusFilters: ["MODIFIED", "DELETED"],
        NextToken,
      }),
      { abortSignal },
    );
    found.push(...(answer.StackResourceDrifts ?? []));
    ({ NextToken } = answer);
  } while (NextToken !== undefined);
  return found.map(
    ({ LogicalResourceId = "", ResourceType = "", StackResourceDriftStatus, PropertyDifferences = [] }) => ({
      name: LogicalResourceId,
      type: ResourceType,
      ...(StackResourceDriftStatus !== "DELETED" && {
        properties: PropertyDifferences.map(({ PropertyPath = "" }) => PropertyPath),
      }),
    }),
  );
}
