/**
 * An error that a user can meet and mend: what was wrong and where, and what to do next. Everything else that is
 * thrown is a bug and keeps its stack.
 */
export class LivedevError extends Error {
  override readonly name = "LivedevError";
  /** Stable, for scripts: `config.invalid`, `daemon.notRunning` … */
  readonly code: string;
  /** What to do next: a sentence or a command. */
  readonly hint: string | undefined;

  constructor(code: string, message: string, hint?: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.hint = hint;
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a Node or AWS error (`ECONNREFUSED`, `ENOENT` …), if it has one. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** Both ends compare; the older one may not know how. */
export const protocolDiffers = (
  daemon: { version: string; protocol: number },
  client: { version: string; protocol: number },
) =>
  new LivedevError(
    "daemon.protocol",
    `livedevd ${daemon.version} speaks control protocol ${daemon.protocol}, this client ${client.version} speaks ${client.protocol}.`,
    "Run `livedevd restart`.",
  );

/** JSON-RPC error codes beside those of the specification (-32700 to -32600). */
export const RPC_ERROR = {
  /** A LivedevError; `data` says which. */
  livedev: -32000,
  /** The request was cancelled by `$/cancelRequest`. */
  cancelled: -32001,
  internal: -32603,
} as const;
