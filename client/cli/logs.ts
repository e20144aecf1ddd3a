import { existsSync } from "node:fs";
import { join } from "node:path";

import { InvalidArgumentError, Option, type Command } from "commander";

import type { RecordedEvent } from "../../proto/events.ts";

import { historyGone, messageOf, notRunning, usage, withoutCloud } from "../errors.ts";
import { locate } from "../discovery.ts";
import { tailEvents } from "../history-tail.ts";
import type { Cli, Common } from "./cli.ts";
import { daemonLogs } from "./daemon-logs.ts";
import { CloudLines, type CloudLine } from "./cloud-lines.ts";
import { HISTORY_FILE, HistorySource } from "./history-source.ts";
import { LINE_TYPES, logLines, type LogLine } from "./log-line.ts";
import { inert, note, paint, print, printJson } from "./output.ts";
import { fineClock, parseCount, parseSince } from "./time.ts";

type Options = Common & {
  readonly fn?: string;
  readonly since?: number;
  readonly limit?: number;
  readonly follow?: boolean;
  readonly grep?: RegExp;
  readonly daemon?: boolean;
  readonly cloud?: boolean;
};

const LINES = 100;

export function logsCommand(cli: Cli): Command {
  return cli
    .command(
      "logs",
      "What your functions print, those in the cloud too, or a frontend, service or command by its name; or with --daemon what livedevd says itself. What fails or does not build has a line marked with !. Without --cloud it starts nothing.",
      [
        ["livedev logs", "the last 100 lines"],
        ["livedev logs --follow --fn MyApi", "as they come, over restarts of the daemon"],
        ["livedev logs Web --follow", "of a frontend; of a function too, by its name"],
        ["livedev logs --since 10m --grep 'timeout|refused'", "by a regular expression"],
        ["livedev logs --json | jq -r .text", "one JSON value a line"],
        ["livedev logs --stage production --cloud --follow", "out of CloudWatch"],
        ["livedev logs --daemon --follow", "the daemon's own log"],
      ],
    )
    .argument("[name]", "of this function, frontend, service or command alone")
    .option("--fn <name>", "of this function")
    .option("-f, --follow", "go on until Ctrl-C")
    .option("--since <time>", "printed since: 10m, 2h, 2030-01-31T09:30", parseSince)
    .option("--grep <expression>", "lines that match it", parseExpression)
    .option("--limit <n>", "at most so many lines of the past (default: 100, with --since all)", parseCount)
    .addOption(new Option("--cloud", "of the cloud too, also where no daemon runs yet").conflicts("daemon"))
    .addOption(new Option("--daemon", "the daemon's own log file").conflicts("fn"))
    .action(
      cli.action<Options>(({ args: [name], options }) => {
        if (name !== undefined && (options.fn !== undefined || options.daemon === true)) {
          throw usage(
            `a name does not go with ${options.daemon === true ? "--daemon" : "--fn"}`,
            "livedev logs",
          );
        }
        const limit = options.limit ?? (options.since === undefined ? LINES : Number.POSITIVE_INFINITY);
        if (options.daemon === true) return daemonLogs({ ...options, limit }, () => cli.signal);
        return recordedLogs(cli, { ...options, ...(name !== undefined && { name }), limit });
      }),
    );
}

type Asked = Options & { readonly limit: number; readonly name?: string };

async function recordedLogs(cli: Cli, options: Asked): Promise<void> {
  await using history = await HistorySource.open(cli, options, { daemon: asksCloud(options) });
  const { client } = history;
  if (options.follow === true && client === undefined) {
    const { project, stage, stageKnown } = locate(options);
    throw notRunning(project, stageKnown ? stage : undefined);
  }
  const { since, grep, limit } = options;
  const linesIn = ({ event }: RecordedEvent): LogLine[] =>
    logLines(event).filter(({ text }) => grep?.test(text) ?? true);
  const name = options.fn ?? options.name;
  const filter =
    name === undefined
      ? { types: [...LINE_TYPES.functions, ...LINE_TYPES.app] }
      : {
          types: [...LINE_TYPES.functions, ...(options.fn === undefined ? LINE_TYPES.processes : [])],
          functionName: name,
        };
  const past = await tailEvents(history, {
    ...filter,
    since,
    limit,
    fits: (event) => linesIn(event).length > 0,
  });
  const cloud =
    client === undefined
      ? undefined
      : new CloudLines(client, { since, ...(name !== undefined && { functionName: name }) }, cli.signal);
  const fits = ({ text }: CloudLine) => grep?.test(text) ?? true;
  const unread = (error: unknown): CloudLine[] => {
    if (asksCloud(options)) throw error;
    // Who did not ask for the cloud reads what is here, and why that is not all.
    note(withoutCloud(messageOf(error)));
    return [];
  };
  const far = (await cloud?.next().catch(unread)) ?? [];
  // An event of a process holds several lines: of the first, only the last of them may count.
  const all = [
    ...past.events.flatMap((event) =>
      linesIn(event).map((line) => ({ at: event.at, show: () => printLine(event, line, options) })),
    ),
    ...far.filter(fits).map((line) => ({ at: line.at, show: () => printCloudLine(line, options) })),
  ].toSorted((a, b) => a.at - b.at);
  if (all.length === 0 && name !== undefined) await history.expectFunction(name, options.fn === undefined);
  for (const one of Number.isFinite(limit) ? all.slice(-limit) : all) one.show();
  if (client === undefined || options.follow !== true) return;

  await using subscription = await client.subscribe(
    { ...filter, after: past.cursor },
    (events) => {
      for (const event of events) for (const line of linesIn(event)) printLine(event, line, options);
    },
    ({ reason }) => note(historyGone(reason)),
  );
  const interrupted = new Promise<undefined>((resolve) => {
    cli.signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
  const following = cloud?.follow((line) => fits(line) && printCloudLine(line, options)).catch(unread);
  const error = await Promise.race([subscription.closed, interrupted]);
  if (error !== undefined) throw error;
  await following;
}

/** A stage of which nothing is here has its logs in the cloud alone. */
function asksCloud(options: Options): boolean {
  if (options.cloud === true || options.stage === undefined) return options.cloud === true;
  return !existsSync(join(locate(options).stateDir, HISTORY_FILE));
}

function printCloudLine({ id, at, functionName, text }: CloudLine, { json }: Options): void {
  if (json === true) return printJson({ at, functionName, text, eventId: id });
  print(`${paint("dim", fineClock(at))}  ${paint("bold", functionName)}  ${inert(text)}`);
}

function parseExpression(text: string): RegExp {
  try {
    return new RegExp(text, "u");
  } catch (error) {
    throw new InvalidArgumentError(`${messageOf(error)}.`);
  }
}

function printLine({ seq, at }: Pick<RecordedEvent, "seq" | "at">, line: LogLine, { json }: Options): void {
  const { functionName, processName, stream, text, id, requestId } = line;
  if (json === true) {
    printJson({ seq, at, functionName, processName, stream, text, invocation: id, requestId });
    return;
  }
  const name = functionName ?? processName ?? "livedev";
  print(`${paint("dim", fineClock(at))}  ${paint("bold", name)}  ${painted(stream, inert(text))}`);
}

function painted(stream: LogLine["stream"], text: string): string {
  if (stream === "livedev") return paint("red", `! ${text}`);
  return stream === "stderr" ? paint("yellow", text) : text;
}
