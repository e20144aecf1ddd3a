/** Payloads and what stands in them, as functions answer: without regard to who shows them. */

export type FunctionError = {
  readonly type?: string | undefined;
  readonly message?: string | undefined;
  readonly stack?: readonly string[] | undefined;
};

/** The error in Lambda's own shape: `{ errorType, errorMessage, trace }`. Its stack is source-mapped already. */
export function errorIn(answer: string): FunctionError | undefined {
  let value: unknown;
  try {
    value = JSON.parse(answer);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || !("errorMessage" in value || "errorType" in value))
    return undefined;
  const { errorType, errorMessage, trace, stackTrace } = value as Readonly<Record<string, unknown>>;
  const stack = Array.isArray(trace) ? trace : Array.isArray(stackTrace) ? stackTrace : undefined;
  return {
    type: typeof errorType === "string" ? errorType : undefined,
    message: typeof errorMessage === "string" ? errorMessage : undefined,
    stack: stack?.map(String),
  };
}

/**
 * Indented, by inserting space between its tokens alone: JSON.parse and stringify would change numbers beyond a
 * double and move integer-like keys.
 */
export function prettyJson(text: string): string {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  let out = "";
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  for (const [token] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[{[]\s*[}\]]|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    if (token === "{" || token === "[") {
      depth += 1;
      out += token + line();
    } else if (token === "}" || token === "]") {
      depth -= 1;
      out += line() + token;
    } else if (token === ",") out += token + line();
    else if (token === ":") out += ": ";
    else out += token.length > 2 && /^[{[]/.test(token) ? token.replaceAll(/\s/g, "") : token;
  }
  return out;
}
