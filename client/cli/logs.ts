import { InvalidArgumentError, Option, type Command } from "commander";

import type { LivedevEvent, RecordedEvent } from "../../proto/events.ts";

import { historyGone, messageOf, notRunning } from "../errors.ts";
import { locate } from "../discovery.ts";
import type { Cli, Common } from "./cli.ts";
import { daemonLogs } from "./daemon-logs.ts";
import { HistorySource } from "./history-source.ts";
import { tailEvents } from "./history-tail.ts";
import { inert, note, paint, print, printJson } from "./output.ts";
import { fineClock, parseCount, parseSince } from "./time.ts";

type Logged = Extract<LivedevEvent, { type: "invocation.logged" | "function.logged" }>;

type Options = Common & {
  readonly fn?: string;
  readonly since?: number;
  readonly limit?: number;
  readonly follow?: boolean;
  readonly grep?: RegExp;
  readonly daemon?: boolean;
};

const TYPES = ["invocation.logged", "function.logged"];
const LINES = 100;

export function logsCommand(cli: Cli): Command {
  return cli
    .command(
      "logs",
      "What your functions print; or with --daemon what livedevd says itself. Starts nothing.",
      [
        ["livedev logs", "the last 100 lines"],
        ["livedev logs --follow --fn MyApi", "as they come, over restarts of the daemon"],
        ["livedev logs --since 10m --grep 'timeout|refused'", "by a regular expression"],
        ["livedev logs --json | jq -r .text", "one JSON value a line"],
        ["livedev logs --daemon --follow", "the daemon's own log"],
      ],
    )
    .option("--fn <name>", "of this function")
    .option("-f, --follow", "go on until Ctrl-C")
    .option("--since <time>", "printed since: 10m, 2h, 2030-01-31T09:30", parseSince)
    .option("--grep <expression>", "lines that match it", parseExpression)
    .option("--limit <n>", "at most so many lines of the past (default: 100, with --since all)", parseCount)
    .addOption(new Option("--daemon", "the daemon's own log file").conflicts("fn"))
    .action(
      cli.action<Options>(({ options }) => {
        const limit = options.limit ?? (options.since === undefined ? LINES : Number.POSITIVE_INFINITY);
        if (options.daemon === true) return daemonLogs({ ...options, limit }, () => cli.signal);
        return functionLogs(cli, { ...options, limit });
      }),
    );
}

async function functionLogs(cli: Cli, options: Options & { readonly limit: number }): Promise<void> {
  await using history = await HistorySource.open(cli, options);
  const { client } = history;
  if (options.follow === true && client === undefined) {
    const { project, stage, stageKnown } = locate(options);
    throw notRunning(project, stageKnown ? stage : undefined);
  }
  const show = (event: RecordedEvent) => {
    if (isLogged(event.event) && (options.grep?.test(event.event.text) ?? true))
      printLine(event, event.event, options);
  };
  const filter = { types: TYPES, ...(options.fn === undefined ? {} : { functionName: options.fn }) };
  const { since, grep } = options;
  const past = await tailEvents(history, {
    ...filter,
    since,
    limit: options.limit,
    ...(grep === undefined
      ? {}
      : { fits: ({ event }: RecordedEvent) => isLogged(event) && grep.test(event.text) }),
  });
  for (const event of past.events) show(event);
  if (client === undefined || options.follow !== true) return;

  await using subscription = await client.subscribe(
    { ...filter, after: past.cursor },
    (events) => events.forEach(show),
    ({ reason }) => note(historyGone(reason)),
  );
  const interrupted = new Promise<undefined>((resolve) => {
    cli.signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
  const error = await Promise.race([subscription.closed, interrupted]);
  if (error !== undefined) throw error;
}

function parseExpression(text: string): RegExp {
  try {
    return new RegExp(text, "u");
  } catch (error) {
    throw new InvalidArgumentError(`${messageOf(error)}.`);
  }
}

const isLogged = (event: LivedevEvent): event is Logged => TYPES.includes(event.type);

function printLine({ seq, at }: RecordedEvent, logged: Logged, { json }: Options): void {
  const { functionName, stream, text } = logged;
  if (json === true) {
    const invocation = "id" in logged ? { invocation: logged.id, requestId: logged.requestId } : {};
    printJson({ seq, at, functionName, stream, text, ...invocation });
    return;
  }
  const shown = inert(text);
  const line = stream === "stderr" ? paint("yellow", shown) : shown;
  print(`${paint("dim", fineClock(at))}  ${paint("bold", functionName)}  ${line}`);
}
