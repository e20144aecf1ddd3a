/** A line of `livedev logs`: what a function printed, or what livedevd has to say of one that failed. */
import type { BuildError, LivedevEvent } from "../../proto/events.ts";

export type LogLine = {
  /** Neither of them: of the app as a whole. */
  readonly functionName?: string;
  readonly processName?: string;
  /** `livedev`: nobody printed it. Absent: at a terminal, where they are one. */
  readonly stream?: "stdout" | "stderr" | "livedev";
  readonly text: string;
  readonly id?: number;
  readonly requestId?: string;
};

/** What `logLines` makes something of; `app`: what belongs to no function. */
export const LINE_TYPES = {
  functions: [
    "invocation.logged",
    "function.logged",
    "build.failed",
    "invocation.answered",
    "invocation.undelivered",
  ],
  app: ["config.failed"],
  processes: ["process.logged"],
} as const;

export function logLines(event: LivedevEvent): readonly LogLine[] {
  if (event.type === "process.logged")
    return event.lines.map((text) => ({ processName: event.processName, text }));
  const line = lineOf(event);
  return line === undefined ? [] : [line];
}

function lineOf(event: LivedevEvent): LogLine | undefined {
  // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- most of what happens is no line
  switch (event.type) {
    case "invocation.logged": {
      const { functionName, stream, text, id, requestId } = event;
      return { functionName, stream, text, id, requestId };
    }
    case "function.logged": {
      const { functionName, stream, text } = event;
      return { functionName, stream, text };
    }
    case "build.failed":
      return said(event.functionName, `does not build: ${buildErrors(event.errors)}`);
    case "config.failed": {
      const at = event.file === undefined ? "" : `${event.file}${colon(event.line)}: `;
      const text = event.message.startsWith(at) ? event.message : at + event.message;
      return { stream: "livedev", text: `the config does not load: ${oneLine(text)}` };
    }
    case "invocation.answered": {
      if (event.status === "ok") return undefined;
      const { functionName, id, requestId, errorType, errorMessage } = event;
      const what = [errorType, errorMessage].filter((part) => part !== undefined && part !== "").join(": ");
      const text = `invocation ${id} failed${what === "" ? "" : `: ${oneLine(what)}`}`;
      return { ...said(functionName, text), id, requestId };
    }
    case "invocation.undelivered": {
      const { functionName, id, requestId, reason } = event;
      return {
        ...said(functionName, `the answer of invocation ${id} was not taken: ${reason}`),
        id,
        requestId,
      };
    }
    default:
      return undefined;
  }
}

const said = (functionName: string, text: string): LogLine => ({ functionName, stream: "livedev", text });

function buildErrors([first, ...more]: readonly BuildError[]): string {
  if (first === undefined) return "it is not known why";
  const { file, line, column = 0, text } = first;
  const at = file === undefined ? "" : `${file}${colon(line)}${line === undefined ? "" : `:${column + 1}`} `;
  const rest = more.length === 0 ? "" : ` (and ${more.length} more: livedev status)`;
  return `${at}${oneLine(text)}${rest}`;
}

const colon = (line: number | undefined): string => (line === undefined ? "" : `:${line}`);

/** A message of many lines is whole in `livedev status` or `livedev history`. */
const oneLine = (text: string): string => text.trim().split("\n", 1)[0] ?? "";
