/** `livedev logs --daemon`: the daemon's own log, for reading. It needs no daemon, only its file. */
import { existsSync } from "node:fs";

import { locate } from "../discovery.ts";
import { noDaemonLog } from "../errors.ts";
import { daemonLine, parseEntry } from "./daemon-line.ts";
import { FileTail } from "./file-tail.ts";
import { print, printJson } from "./output.ts";

export type DaemonLogsOptions = {
  readonly project?: string;
  readonly stage?: string;
  readonly json?: boolean;
  readonly since?: number;
  readonly limit: number;
  readonly follow?: boolean;
  readonly grep?: RegExp;
};

export async function daemonLogs(options: DaemonLogsOptions, signal: () => AbortSignal): Promise<void> {
  const { logFile } = locate(options);
  if (!existsSync(logFile)) throw noDaemonLog(logFile);
  const past: string[] = [];
  let show = (line: string) => {
    past.push(line);
    // Twice as many before it is cut, so that cutting costs little.
    if (past.length > 2 * options.limit) past.splice(0, past.length - options.limit);
  };
  const take = (line: string) => {
    if (wanted(line, options)) show(line);
  };
  const old = `${logFile}.1`;
  if (existsSync(old)) readWhole(old, take);
  const tail = new FileTail(logFile, take);
  tail.read();
  for (const line of past.slice(-options.limit)) printLine(line, options);
  show = (line) => printLine(line, options);
  if (options.follow === true) await tail.follow(signal());
}

/** A daemon's file before the last rotation. */
function readWhole(file: string, take: (line: string) => void): void {
  const tail = new FileTail(file, take);
  tail.read();
  tail.close();
}

/** A line without a time (a crash, a stack) is as old as what stands before it: shown rather than lost. */
function wanted(line: string, { since, grep }: DaemonLogsOptions): boolean {
  if (grep !== undefined && !grep.test(line)) return false;
  if (since === undefined) return true;
  const entry = parseEntry(line);
  return entry === undefined || entry.time >= since;
}

function printLine(line: string, { json }: DaemonLogsOptions): void {
  if (json !== true) print(daemonLine(line));
  else printJson(parseEntry(line) ?? { line });
}
