import { InvalidArgumentError, Option, type Command } from "commander";

import type { LivedevEvent, RecordedEvent } from "../../proto/events.ts";

import { historyGone, messageOf, notRunning, usage } from "../errors.ts";
import { locate } from "../discovery.ts";
import type { Cli, Common } from "./cli.ts";
import { daemonLogs } from "./daemon-logs.ts";
import { HistorySource } from "./history-source.ts";
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
};

const TYPES = ["invocation.logged", "function.logged"];
const OF_PROCESSES = ["process.logged"];
const LINES = 100;

export function logsCommand(cli: Cli): Command {
  return cli
    .command(
      "logs",
      "What your functions print, or a frontend, service or command by its name; or with --daemon what livedevd says itself. Starts nothing.",
      [
        ["livedev logs", "the last 100 lines"],
        ["livedev logs --follow --fn MyApi", "as they come, over restarts of the daemon"],
        ["livedev logs Web --follow", "of a frontend; of a function too, by its name"],
        ["livedev logs --since 10m --grep 'timeout|refused'", "by a regular expression"],
        ["livedev logs --json | jq -r .text", "one JSON value a line"],
        ["livedev logs --daemon --follow", "the daemon's own log"],
      ],
    )
    .argument("[name]", "of this function, frontend, service or command alone")
    .option("--fn <name>", "of this function")
    .option("-f, --follow", "go on until Ctrl-C")
    .option("--since <time>", "printed since: 10m, 2h, 2030-01-31T09:30", parseSince)
    .option("--grep <expression>", "lines that match it", parseExpression)
    .option("--limit <n>", "at most so many lines of the past (default: 100, with --since all)", parseCount)
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
  await using history = await HistorySource.open(cli, options);
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
  // An event of a process holds several lines: of the first, only the last of them may count.
  const lines = past.events.map(({ event }) => linesIn(event));
  let over = lines.reduce((sum, texts) => sum + texts.length, 0) - limit;
  for (const [index, event] of past.events.entries()) {
    const texts = lines[index] ?? [];
    show(event, texts.slice(Math.max(0, Math.min(over, texts.length))));
    over -= texts.length;
  }
  if (client === undefined || options.follow !== true) return;

  await using subscription = await client.subscribe(
    { ...filter, after: past.cursor },
    (events) => events.forEach((event) => show(event)),
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
