import { InvalidArgumentError, Option, type Command } from "commander";

import type { InvocationSummary } from "../../proto/rpc.ts";

import { onlyOfList, onlyWithId, optionMeant } from "../errors.ts";
import type { Cli, Common } from "./cli.ts";
import { HistorySource } from "./history-source.ts";
import { wholeInvocation } from "./invocation-text.ts";
import { inert, note, paint, print, printJson, table, type Style } from "./output.ts";
import { clock, duration, parseCount, parseDuration, parseSince } from "./time.ts";

type Status = InvocationSummary["status"];

type Options = Common & {
  readonly fn?: string;
  readonly status?: readonly Status[];
  readonly minDuration?: number;
  readonly since?: number;
  readonly text?: string;
  readonly limit?: number;
  readonly before?: number;
  readonly reveal?: boolean;
};

const STATUS: Readonly<Record<Status, Style>> = {
  received: "dim",
  running: "yellow",
  answered: "yellow",
  ok: "green",
  error: "red",
  interrupted: "red",
  undelivered: "red",
  expired: "red",
};

export const STATES = Object.keys(STATUS) as readonly Status[];

export function historyCommand(cli: Cli): Command {
  return cli
    .command(
      "history",
      "Every invocation, newest first; or one whole: its event, logs, answer, error. Sensitive parts are shown as «sealed». Starts nothing.",
      [
        ["livedev history", "the last 50"],
        ["livedev history 12", "one, whole"],
        ["livedev history --fn MyApi --status error --since 2h", "what failed"],
        ["livedev history --min-duration 500ms --text walden", "slow ones that say walden anywhere"],
        ["livedev history --json | jq .requestId", "one JSON value a line"],
      ],
    )
    .argument("[id]", "its number in the list, or its request id")
    .option("--fn <name>", "of this function")
    .option(
      "--status <status>",
      `in this state, or any of these with commas: ${STATES.join(", ")}`,
      parseStatus,
    )
    .option("--min-duration <time>", "that took at least this long: 500ms, 2s", parseDuration)
    .option("--since <time>", "received since: 10m, 2h, 2030-01-31T09:30", parseSince)
    .option("--text <text>", "that have it in the event, the answer, a log line or the error")
    .addOption(
      // As `logs` has it.
      new Option("--grep <text>").hideHelp().argParser(() => {
        throw optionMeant("--grep", "--text", "livedev history");
      }),
    )
    .option("--limit <n>", "at most so many (default: 50)", parseCount)
    .option("--before <id>", "older than this one: the next page", parseCount)
    .option("--reveal", "with an id: event and answer as they were, nothing sealed")
    .action(
      cli.action<Options>(async ({ args: [id], options }) => {
        refuseIdle(id, options);
        await using history = await HistorySource.open(cli, options);
        if (id === undefined) return await list(history, options);
        const which = /^\d+$/.test(id) ? Number(id) : id;
        const reveal = options.reveal === true ? { reveal: true } : {};
        const invocation = await history.ask("invocation.get", { id: which, ...reveal });
        if (options.json === true) printJson(invocation);
        else print(wholeInvocation(invocation));
      }),
    );
}

const OF_LIST = {
  fn: "--fn",
  status: "--status",
  minDuration: "--min-duration",
  since: "--since",
  text: "--text",
  limit: "--limit",
  before: "--before",
} as const satisfies Partial<Record<keyof Options, string>>;

/** An option that would change nothing was meant to change something. */
function refuseIdle(id: string | undefined, options: Options): void {
  if (id === undefined) {
    if (options.reveal === true) throw onlyWithId();
    return;
  }
  for (const [name, flag] of Object.entries(OF_LIST))
    if (options[name as keyof typeof OF_LIST] !== undefined) throw onlyOfList(flag);
}

async function list(history: HistorySource, options: Options): Promise<void> {
  const { fn, status, minDuration, since, text, before } = options;
  const limit = Math.min(options.limit ?? 50, 1_000);
  const rows = await history.ask("invocation.list", {
    limit,
    ...(fn === undefined ? {} : { functionName: fn }),
    ...(status === undefined ? {} : { status: [...status] }),
    ...(minDuration === undefined ? {} : { minDurationMs: minDuration }),
    ...(since === undefined ? {} : { since }),
    ...(text === undefined ? {} : { text }),
    ...(before === undefined ? {} : { before }),
  });
  if (rows.length === 0 && fn !== undefined) await history.expectFunction(fn);
  if (options.json === true) {
    for (const row of rows) printJson(row);
    return;
  }
  if (text !== undefined) note("Sealed parts of events and answers were not searched.");
  if (rows.length === 0) note("No invocation.");
  else print(table(rows.map(cells)));
  const last = rows.at(-1);
  if (rows.length === limit && last !== undefined) note(`Older ones: --before ${last.id}`);
}

function parseStatus(text: string, before: readonly Status[] = []): readonly Status[] {
  const found = text.split(",").map((word) => STATES.find((state) => state === word.trim()));
  const known = found.filter((state) => state !== undefined);
  if (known.length === found.length) return [...before, ...known];
  throw new InvalidArgumentError(`Write any of ${STATES.join(", ")}.`);
}

function cells(row: InvocationSummary): string[] {
  const error = row.errorType === undefined ? "" : `${row.errorType}: ${row.errorMessage ?? ""}`;
  const facts = [
    ...(row.coldStart === true ? ["cold"] : []),
    ...(row.local === true ? ["local"] : []),
    ...(row.replayOf === undefined ? [] : [`replay of ${row.replayOf}`]),
    ...(row.retryOf === undefined ? [] : [`retry of ${row.retryOf}`]),
  ];
  return [
    String(row.id),
    paint("dim", clock(row.receivedAt)),
    paint(STATUS[row.status], row.status),
    row.durationMs === undefined ? "" : duration(row.durationMs),
    paint("bold", row.functionName),
    [paint("dim", facts.join(", ")), inert(oneLine(error))].filter((part) => part !== "").join("  "),
  ];
}

function oneLine(text: string): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length > 120 ? `${line.slice(0, 119)}…` : line;
}
