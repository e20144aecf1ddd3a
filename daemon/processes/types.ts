import type { ProcessKind } from "../../proto/app.ts";
import type { LivedevEvent } from "../../proto/events.ts";
import type { Patience } from "./ladder.ts";

/** A process as it is run: its outputs are filled in. */
export type RunnableProcess = {
  readonly name: string;
  readonly title: string;
  readonly kind: ProcessKind;
  /** For the shell. */
  readonly command: string;
  /** Relative to the project. */
  readonly directory: string;
  readonly url?: string;
  /** A regular expression that its output matches once it is ready. */
  readonly ready?: string;
  readonly autostart: boolean;
  /** Links and variables. */
  readonly environment: Readonly<Record<string, string>>;
  /** Variables of the daemon's own environment that it must not have; a `*` at the end stands for any rest. */
  readonly unset: readonly string[];
  /** Names of processes that are ready before it starts. */
  readonly after: readonly string[];
};

export type ProcessEvent = Extract<LivedevEvent, { type: `process.${string}` }>;

export type Limits = Patience & {
  readonly backoff: { readonly firstMs: number; readonly maxMs: number };
  /** Who was up so long did not crash at its start: the backoff begins anew. */
  readonly steadyMs: number;
  /** How long a process waits for one that it links to. */
  readonly linkedMs: number;
  /** How often a port that somebody else holds is looked at. */
  readonly portMs: number;
};

export const DEFAULT_LIMITS: Limits = {
  askMs: 5_000,
  termMs: 2_000,
  backoff: { firstMs: 500, maxMs: 30_000 },
  steadyMs: 10_000,
  linkedMs: 60_000,
  portMs: 1_000,
};
