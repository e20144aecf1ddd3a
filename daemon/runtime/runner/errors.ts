/** Errors in the shape and under the names of AWS's Node runtime. */
import { fileURLToPath } from "node:url";

/** Lambda's own errors, whose name is their `errorType`. */
export class RuntimeError extends Error {
  constructor(kind: string, message: string, options?: { stack?: string | undefined }) {
    super(message);
    this.name = `Runtime.${kind}`;
    // The stack was drawn before the name was known.
    this.stack = options?.stack ?? `${this.name}: ${message}`;
  }
}

export const handlerNotFound = (message: string) => new RuntimeError("HandlerNotFound", message);

export const malformedHandlerName = (message: string) => new RuntimeError("MalformedHandlerName", message);

export const importModuleError = (cause: Error) =>
  new RuntimeError("ImportModuleError", String(cause), {
    stack: `Runtime.ImportModuleError: ${cause.stack ?? String(cause)}`,
  });

export const userCodeSyntaxError = (cause: Error) =>
  new RuntimeError("UserCodeSyntaxError", String(cause), {
    stack: `Runtime.UserCodeSyntaxError: ${cause.stack ?? String(cause)}`,
  });

export const unhandledPromiseRejection = (reason: unknown) => {
  const message = String(reason);
  // AWS's trace shows only the runtime's own frames here; those of the reason are what helps.
  const frames = reason instanceof Error ? (reason.stack ?? "").split("\n").filter(isFrame) : [];
  return new RuntimeError("UnhandledPromiseRejection", message, {
    stack: [`Runtime.UnhandledPromiseRejection: ${message}`, ...frames].join("\n"),
  });
};

export const invalidStreamingOperation = (message: string) =>
  new RuntimeError("InvalidStreamingOperation", message);

export const nodeJsExit = () =>
  new RuntimeError(
    "NodeJsExit",
    "The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes",
  );

export type PostedError = {
  readonly errorType: string;
  readonly errorMessage: string;
  readonly trace: readonly string[];
};

/** What is posted for anything that was thrown. Reading it may throw in turn: a getter, a proxy, no prototype. */
export function postedError(error: unknown): PostedError {
  try {
    if (isErrorLike(error)) {
      return {
        errorType: escapeDel(error.name),
        errorMessage: escapeDel(error.message),
        trace: escapeDel(stackOf(error)).split("\n"),
      };
    }
    return { errorType: typeof error, errorMessage: String(error), trace: [] };
  } catch {
    return {
      errorType: "handled",
      errorMessage:
        "callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack",
      trace: [],
    };
  }
}

/** The stack without this runner's own frames: they say nothing about the user's code. */
export function stackOf(error: { readonly stack?: string | undefined }): string {
  return (error.stack ?? "")
    .split("\n")
    .filter((line) => !(isFrame(line) && (line.includes(SELF_URL) || line.includes(SELF_FILE))))
    .join("\n");
}

const SELF_URL = import.meta.url;
const SELF_FILE = fileURLToPath(SELF_URL);

const isFrame = (line: string) => /^\s+at /.test(line);

/** Errors of another realm, and what only looks like one, count too. */
function isErrorLike(value: unknown): value is Error {
  if (value instanceof Error) return true;
  if (typeof value !== "object" || value === null) return false;
  const { name, message, stack } = value as Partial<Error>;
  return [name, message, stack].every((text) => typeof text === "string" && text !== "");
}

/** A DEL character is refused in HTTP headers. */
const escapeDel = (text: string) => text.replaceAll("\x7F", "%7F");
