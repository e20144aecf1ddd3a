/** What `livedev wait --for` waits for, and what stands in its place. */
import { InvalidArgumentError } from "commander";

import type { DaemonStatus, FunctionStatus } from "../../proto/rpc.ts";

export const FUNCTION_STATES = ["ready", "broken", "building", "idle"] as const;

export type Condition =
  | { readonly of: "live" }
  | { readonly of: "config" }
  | { readonly of: "function"; readonly name: string; readonly state: FunctionStatus["state"] };

export function parseCondition(text: string, before: readonly Condition[] = []): readonly Condition[] {
  if (text === "live" || text === "config") return [...before, { of: text }];
  const [, name, word = "ready"] = /^fn:([^=]+)(?:=(\w+))?$/.exec(text) ?? [];
  const state = FUNCTION_STATES.find((one) => one === word);
  if (name === undefined || state === undefined) {
    throw new InvalidArgumentError(`Write it as live, config, or fn:<name>=${FUNCTION_STATES.join("|")}.`);
  }
  return [...before, { of: "function", name, state }];
}

export const named = (condition: Condition): string =>
  condition.of === "function" ? `fn:${condition.name}=${condition.state}` : condition.of;

// oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
export function holds(condition: Condition, status: DaemonStatus): boolean {
  switch (condition.of) {
    case "live":
      return status.live.state === "live";
    case "config":
      return status.config.state === "ready";
    case "function":
      return status.functions.find(({ name }) => name === condition.name)?.state === condition.state;
  }
}

export const namesIn = (status: Pick<DaemonStatus, "functions"> | undefined): readonly string[] =>
  status?.functions.map(({ name }) => name) ?? [];

/** The function that it names, where the config as it is loaded does not define it: only another config would. */
export function neverThere(condition: Condition, status: DaemonStatus | undefined): string[] {
  if (condition.of !== "function" || status?.config.state !== "ready") return [];
  return namesIn(status).includes(condition.name) ? [] : [condition.name];
}

/** What stands in its place, where it does not hold. */
export function instead(condition: Condition, status: DaemonStatus | undefined): string[] {
  if (status === undefined) return [`${named(condition)}: livedevd does not answer`];
  if (holds(condition, status)) return [];
  return [`${named(condition)}: ${found(condition, status)}`];
}

// oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
function found(condition: Condition, { live, config, functions }: DaemonStatus): string {
  switch (condition.of) {
    case "live":
      if (live.state === "failed") return `going live failed: ${live.message}`;
      return live.state === "off" ? "nobody has gone live; run `livedevd start`" : "it is being deployed";
    case "config":
      return config.state === "broken" ? `it is broken: ${config.message}` : "it is being loaded";
    case "function": {
      const fn = functions.find(({ name }) => name === condition.name);
      if (fn === undefined) {
        const names = namesIn({ functions }).join(", ");
        return `there is no such function${names === "" ? "" : `; this app has ${names}`}`;
      }
      const [error] = fn.errors ?? [];
      const at = error?.file === undefined ? "" : `${error.file}:${error.line ?? 1}: `;
      return `it is ${fn.state}${error === undefined ? "" : ` (${at}${error.text})`}`;
    }
  }
}
