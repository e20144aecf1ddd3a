/** How each state looks: a sign that is told apart without colours, too. */
import type { FunctionStatus, InvocationSummary, ProcessStatus } from "../../proto/rpc.ts";
import { STYLES, type Style } from "./style.ts";

export type Sign = { readonly sign: string; readonly style: Style };

const PROCESS: Readonly<Record<ProcessStatus["state"], Sign>> = {
  waiting: { sign: "…", style: STYLES.yellow },
  starting: { sign: "◐", style: STYLES.yellow },
  ready: { sign: "●", style: STYLES.green },
  stopping: { sign: "◑", style: STYLES.yellow },
  crashed: { sign: "✗", style: STYLES.red },
  stopped: { sign: "○", style: STYLES.dim },
};

const FUNCTION: Readonly<Record<FunctionStatus["state"], Sign>> = {
  idle: { sign: "○", style: STYLES.dim },
  building: { sign: "◐", style: STYLES.yellow },
  ready: { sign: "●", style: STYLES.green },
  broken: { sign: "✗", style: STYLES.red },
};

const INVOCATION: Readonly<Record<InvocationSummary["status"], Sign>> = {
  received: { sign: "…", style: STYLES.yellow },
  running: { sign: "◐", style: STYLES.yellow },
  answered: { sign: "●", style: STYLES.yellow },
  ok: { sign: "●", style: STYLES.green },
  error: { sign: "✗", style: STYLES.red },
  interrupted: { sign: "✗", style: STYLES.red },
  undelivered: { sign: "✗", style: STYLES.red },
  expired: { sign: "✗", style: STYLES.red },
};

/** A newer daemon may know states that we do not. */
const UNKNOWN: Sign = { sign: "?", style: STYLES.dim };

export const processSign = (state: ProcessStatus["state"]): Sign => PROCESS[state] ?? UNKNOWN;
export const processStyle = (state: ProcessStatus["state"]): Style => processSign(state).style;
export const functionSign = (state: FunctionStatus["state"]): Sign => FUNCTION[state] ?? UNKNOWN;
export const invocationSign = (status: InvocationSummary["status"]): Sign => INVOCATION[status] ?? UNKNOWN;
