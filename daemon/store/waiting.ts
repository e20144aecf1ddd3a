/**
 * What the rows that wait for the disk say of an invocation, on top of what the file says: while the disk is full,
 * a key that comes again must not be taken for a new one and run twice.
 */
import type { InvocationKey } from "../../proto/frames.ts";
import { answerOf, type KnownInvocation } from "./lookups.ts";
import type { Row } from "./rows.ts";

export function withWaiting(
  known: KnownInvocation | undefined,
  { requestId, nonce }: InvocationKey,
  waiting: readonly Row[],
): KnownInvocation | undefined {
  let found = known;
  for (const row of waiting) {
    const { event, seq } = row;
    if (event.type === "invocation.received") {
      if (event.requestId === requestId && event.nonce === nonce) found ??= { id: seq, state: "received" };
    } else if (found !== undefined && "id" in event && event.id === found.id) found = after(found, row);
  }
  return found;
}

/** As rows.ts changes the invocation's row. */
function after(known: KnownInvocation, { event, attachments }: Row): KnownInvocation {
  const { id, state } = known;
  if (event.type === "invocation.delivered") return { ...known, state: "delivered" };
  if (event.type === "invocation.undelivered") return { ...known, state: "undelivered" };
  if (event.type === "invocation.begun") return state === "received" ? { id, state: "begun" } : known;
  if (event.type !== "invocation.answered") return known;
  const kept = attachments.find(({ kind }) => kind === "answer");
  const whole = kept !== undefined && kept.content.length >= kept.bytes;
  const answer = whole ? answerOf({ ...event, ...kept, body: kept.content }) : undefined;
  return { id, state: "answered", ...(answer === undefined ? {} : { answer }) };
}
