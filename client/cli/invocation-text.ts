/** One invocation whole, for reading: what came, what was printed, what went back. */
import type { InvocationDetail } from "../../proto/rpc.ts";

import { errorIn, prettyJson, type FunctionError } from "../payload.ts";
import { inert, paint, table } from "./output.ts";
import { clock, duration, fineClock } from "./time.ts";

export function wholeInvocation(invocation: InvocationDetail): string {
  const { id, functionName, requestId, status, receivedAt, durationMs, codeHash } = invocation;
  const good = status === "ok" ? "green" : status === "received" || status === "running" ? "yellow" : "red";
  const facts = [
    ["request id", requestId],
    ["received", clock(receivedAt)],
    ...(durationMs === undefined
      ? []
      : [["took", duration(durationMs) + (invocation.coldStart === true ? ", cold start" : "")]]),
    ...(codeHash === undefined ? [] : [["code", codeHash]]),
    ...(invocation.local === true ? [["run", "on this machine alone, without AWS"]] : []),
    ...(invocation.replayOf === undefined ? [] : [["replay of", String(invocation.replayOf)]]),
    ...(invocation.retryOf === undefined ? [] : [["retry of", String(invocation.retryOf)]]),
  ];
  const parts = [
    `${paint("bold", `${id}  ${functionName}`)}  ${paint(good, status)}\n${table(facts.map(([name = "", text = ""]) => [paint("dim", name), text]))}`,
    payload("Event", invocation.event),
    ...(invocation.logs.length === 0 ? [] : [logs(invocation.logs)]),
    ...errorPart(invocation),
    ...(invocation.answer === undefined ? [] : [payload("Answer", invocation.answer)]),
  ];
  return parts.join("\n\n");
}

function payload(title: string, { text, bytes, sealed }: InvocationDetail["event"]): string {
  const facts = `${bytes} byte${bytes === 1 ? "" : "s"}${sealed ? ", parts sealed: --reveal shows them" : ""}`;
  return `${paint("bold", title)} ${paint("dim", `(${facts})`)}\n${inert(prettyJson(text))}`;
}

function logs(lines: InvocationDetail["logs"]): string {
  const rows = lines.map(({ at, stream, text }) => {
    const shown = inert(text);
    return `${paint("dim", fineClock(at))}  ${stream === "stderr" ? paint("yellow", shown) : shown}`;
  });
  return [paint("bold", "Logs"), ...rows].join("\n");
}

function errorPart({ errorType, errorMessage, answer }: InvocationDetail): string[] {
  if (errorType === undefined && errorMessage === undefined) return [];
  const stack = answer === undefined ? undefined : errorIn(answer.text)?.stack;
  return [`${paint("bold", "Error")}\n${errorText({ type: errorType, message: errorMessage, stack })}`];
}

/** The frames alone of the stack, as its first lines say type and message again. */
export function errorText(
  { type, message, stack = [] }: FunctionError,
  stream: NodeJS.WriteStream = process.stdout,
): string {
  const head = [type, message].filter((part) => part !== undefined && part !== "").join(": ");
  const frames = stack.filter((line) => /^\s*at /.test(line)).map((line) => `    ${line.trim()}`);
  const first = paint("red", inert(head, stream), stream);
  return frames.length === 0 ? first : `${first}\n${paint("dim", inert(frames.join("\n"), stream), stream)}`;
}
