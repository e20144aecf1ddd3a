/** A runtime's end in Lambda's words, with its last output, which Lambda leaves to the log. */
import { constants } from "node:os";

import { errorAnswer, type BufferedAnswer } from "../../proto/answer.ts";
import type { Exit } from "./process.ts";

export function exitAnswer(
  cause: "init" | "exit",
  exit: Exit,
  tail: readonly string[],
  requestId: string | undefined,
): BufferedAnswer {
  const prefix = requestId === undefined ? "" : `RequestId: ${requestId} `;
  return errorAnswer(cause, "Runtime.ExitError", `${prefix}Error: ${reasonOf(exit)}`, tail);
}

function reasonOf({ code, signal }: Exit): string {
  if (signal !== null)
    return `Runtime exited with error: signal: ${WORDS[signal] ?? "terminated"} (${signal})`;
  // A shell between us and the runtime reports its signal as 128 + number.
  const name = code !== null && code > 128 ? signalName(code - 128) : undefined;
  if (code !== 0 && code !== null) {
    return `Runtime exited with error: exit status ${code}${name === "SIGKILL" ? " (SIGKILL)" : ""}`;
  }
  return "Runtime exited without providing a reason";
}

/** As the Go runtime, in which Lambda's own supervisor is written, names them. */
const WORDS: Partial<Record<NodeJS.Signals, string>> = {
  SIGABRT: "aborted",
  SIGBUS: "bus error",
  SIGFPE: "floating point exception",
  SIGHUP: "hangup",
  SIGILL: "illegal instruction",
  SIGINT: "interrupt",
  SIGKILL: "killed",
  SIGPIPE: "broken pipe",
  SIGQUIT: "quit",
  SIGSEGV: "segmentation fault",
  SIGTERM: "terminated",
  SIGTRAP: "trace/breakpoint trap",
};

function signalName(number: number): string | undefined {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0];
}
