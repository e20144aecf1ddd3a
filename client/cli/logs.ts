import { existsSync } from "node:fs";
import { join } from "node:path";

import { InvalidArgumentError, Option, type Command } from "commander";

import type { LivedevEvent, RecordedEvent } from "../../proto/events.ts";

import { historyGone, messageOf, notRunning, usage, withoutCloud } from "../errors.ts";
import { locate } from "../discovery.ts";
import type { Cli, Common } from "./cli.ts";
import { daemonLogs } from "./daemon-logs.ts";
import { CloudLines, type CloudLine } from "./cloud-lines.ts";
import { HISTORY_FILE, HistorySource } from "./history-source.ts";
import { tailEvents } from "./history-tail.ts";
import { inert, note, paint, print, printJson } from "./output.ts";
import { fineClock, parseCount, parseSince } from "./time.ts";

type Logged = Extract<LivedevEvent, { type: "invocation.logged" | "function.logged" | "process.logged" }>;

type Options = Common & {
  readonly fn?: string;
  readonly since?: number;
  readonly limit?: number;
  readonly follow?: boolean;
  readonly grep?: RegExp;
  readonly daemon?: boolean;
  readonly cloud?: boolean;
};

const TYPES = ["invocation.logged", "function.logged"];
const OF_PROCESSES = ["process.logged"];
const LINES = 100;

export function logsCommand(cli: Cli): Command {
  return cli
    .command(
      "logs",
      "What your functions print, those in the cloud too, or a frontend, service or command by its name; or with --daemon what livedevd says itself. Without --cloud it starts nothing.",
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
  const linesIn = (event: LivedevEvent): string[] =>
    isLogged(event) ? textsOf(event).filter((text) => grep?.test(text) ?? true) : [];
  const show = ({ seq, at, event }: RecordedEvent, texts: readonly string[] = linesIn(event)) => {
    if (isLogged(event)) for (const text of texts) printLine({ seq, at }, event, text, options);
  };
  const name = options.fn ?? options.name;
  const filter =
    name === undefined
      ? { types: TYPES }
      : { types: options.fn === undefined ? [...TYPES, ...OF_PROCESSES] : TYPES, functionName: name };
  const past = await tailEvents(history, {
    ...filter,
    since,
    limit,
    ...(grep === undefined ? {} : { fits: ({ event }: RecordedEvent) => linesIn(event).length > 0 }),
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
      linesIn(event.event).map((text) => ({ at: event.at, show: () => show(event, [text]) })),
    ),
    ...far.filter(fits).map((line) => ({ at: line.at, show: () => printCloudLine(line, options) })),
  ].toSorted((a, b) => a.at - b.at);
  for (const one of Number.isFinite(limit) ? all.slice(-limit) : all) one.show();
  if (client === undefined || options.follow !== true) return;

  await using subscription = await client.subscribe(
    { ...filter, after: past.cursor },
    (events) => events.forEach((event) => show(event)),
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

const isLogged = (event: LivedevEvent): event is Logged =>
  TYPES.includes(event.type) || OF_PROCESSES.includes(event.type);

const textsOf = (logged: Logged): readonly string[] =>
  logged.type === "process.logged" ? logged.lines : [logged.text];

type Place = Pick<RecordedEvent, "seq" | "at">;

function printLine({ seq, at }: Place, logged: Logged, text: string, { json }: Options): void {
  if (json === true) {
    printJson({ seq, at, ...whose(logged), text });
    return;
  }
  const shown = inert(text);
  const failed = logged.type !== "process.logged" && logged.stream === "stderr";
  const name = logged.type === "process.logged" ? logged.processName : logged.functionName;
  print(`${paint("dim", fineClock(at))}  ${paint("bold", name)}  ${failed ? paint("yellow", shown) : shown}`);
}

function whose(logged: Logged): Readonly<Record<string, unknown>> {
  if (logged.type === "process.logged") return { processName: logged.processName };
  const { functionName, stream } = logged;
  const invocation =
    logged.type === "invocation.logged" ? { invocation: logged.id, requestId: logged.requestId } : {};
  return { functionName, stream, ...invocation };
}
