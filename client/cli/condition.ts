/** What `livedev wait --for` waits for, and what stands in its place. */
import { InvalidArgumentError } from "commander";

import type { DaemonStatus, FunctionStatus, ProcessStatus } from "../../proto/rpc.ts";

import { functionMissing, processMissing, type LivedevError } from "../errors.ts";

export const FUNCTION_STATES = ["ready", "broken", "building", "idle"] as const;
export const PROCESS_STATES = ["ready", "stopped", "crashed", "waiting", "starting", "stopping"] as const;

export type Condition =
  | { readonly of: "live" }
  | { readonly of: "config" }
  | { readonly of: "function"; readonly name: string; readonly state: FunctionStatus["state"] }
  | { readonly of: "process"; readonly name: string; readonly state: ProcessStatus["state"] };

export function parseCondition(text: string, before: readonly Condition[] = []): readonly Condition[] {
  if (text === "live" || text === "config") return [...before, { of: text }];
  const [, kind, name = "", word = "ready"] = /^(fn|process):([^=]+)(?:=(\w+))?$/.exec(text) ?? [];
  const fn = FUNCTION_STATES.find((one) => one === word);
  if (kind === "fn" && fn !== undefined) return [...before, { of: "function", name, state: fn }];
  const process = PROCESS_STATES.find((one) => one === word);
  if (kind === "process" && process !== undefined)
    return [...before, { of: "process", name, state: process }];
  const [ofFunctions, ofProcesses] = [FUNCTION_STATES.join("|"), PROCESS_STATES.join("|")];
  throw new InvalidArgumentError(
    kind === "process"
      ? `Write it as process:<name>=${ofProcesses}.`
      : `Write it as live, config, fn:<name>=${ofFunctions}${kind === "fn" ? "" : `, or process:<name>=${ofProcesses}`}.`,
  );
}

// oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
export function named(condition: Condition): string {
  switch (condition.of) {
    case "live":
    case "config":
      return condition.of;
    case "function":
      return `fn:${condition.name}=${condition.state}`;
    case "process":
      return `process:${condition.name}=${condition.state}`;
  }
}

// oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
export function holds(condition: Condition, status: DaemonStatus): boolean {
  switch (condition.of) {
    case "live":
      return status.live.state === "live";
    case "config":
      return status.config.state === "ready";
    case "function":
      return status.functions.find(({ name }) => name === condition.name)?.state === condition.state;
    case "process":
      return status.processes.find(({ name }) => name === condition.name)?.state === condition.state;
  }
}

const namesOf = (those: readonly { readonly name: string }[]): string[] => those.map(({ name }) => name);

/**
 * Where the config as it is loaded does not define what the condition names: only another config would. Of processes
 * nothing is known before the stage is live.
 */
export function neverThere(condition: Condition, status: DaemonStatus | undefined): LivedevError[] {
  if (status?.config.state !== "ready") return [];
  const [functions, processes] = [namesOf(status.functions), namesOf(status.processes)];
  if (condition.of === "function" && !functions.includes(condition.name))
    return [functionMissing(condition.name, functions)];
  if (condition.of === "process" && status.live.state === "live" && !processes.includes(condition.name))
    return [processMissing(condition.name, processes)];
  return [];
}

/** What stands in its place, where it does not hold. */
export function instead(condition: Condition, status: DaemonStatus | undefined): string[] {
  if (status === undefined) return [`${named(condition)}: livedevd does not answer`];
  if (holds(condition, status)) return [];
  return [`${named(condition)}: ${found(condition, status)}`];
}

// oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
function found(condition: Condition, { live, config, functions, processes }: DaemonStatus): string {
  const notLive =
    live.state === "off" ? "nobody has gone live; run `livedevd start`" : "it is being deployed";
  switch (condition.of) {
    case "live":
      return live.state === "failed" ? `going live failed: ${live.message}` : notLive;
    case "config":
      return config.state === "broken" ? `it is broken: ${config.message}` : "it is being loaded";
    case "function": {
      const fn = functions.find(({ name }) => name === condition.name);
      if (fn === undefined) {
        const names = namesOf(functions).join(", ");
        return `there is no such function${names === "" ? "" : `; this app has ${names}`}`;
      }
      const [error] = fn.errors ?? [];
      const at = error?.file === undefined ? "" : `${error.file}:${error.line ?? 1}: `;
      return `it is ${fn.state}${error === undefined ? "" : ` (${at}${error.text})`}`;
    }
    case "process": {
      const one = processes.find(({ name }) => name === condition.name);
      if (one !== undefined) return `it is ${one.state}${one.why === undefined ? "" : ` (${one.why})`}`;
      return live.state === "live" ? "there is no such process" : notLive;
    }
  }
}
