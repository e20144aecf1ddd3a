import { Option, type Command } from "commander";

import { connect } from "../connect.ts";
import { errorIn } from "../payload.ts";
import type { Cli, Common } from "./cli.ts";
import { readEvent, readPipedEvent } from "./event-input.ts";
import { EXIT, type Exit } from "./exit.ts";
import { errorText } from "./invocation-text.ts";
import { inert, note, paint, print, printJson } from "./output.ts";
import { showWait } from "./progress.ts";
import { duration } from "./time.ts";

type Options = Common & {
  readonly event?: string;
  readonly file?: string;
  readonly local?: boolean;
  readonly type: "RequestResponse" | "Event";
};

export function invokeCommand(cli: Cli): Command {
  return cli
    .command(
      "invoke",
      "Invokes a function the whole way, through AWS or the local cloud, and prints its answer. Exit code 4 where the function answers with an error.",
      [
        [`livedev invoke MyApi --event '{"a":1}'`, "the answer goes to stdout"],
        ["livedev invoke MyApi --file events/order.json", "from a file"],
        ["jq -n '{a: 1}' | livedev invoke MyApi", "from a pipe, or a file as stdin"],
        ["livedev invoke MyApi --local", "in a worker here, without AWS"],
        ["livedev invoke MyApi --type Event", "asynchronously: its answer stands in the history"],
      ],
    )
    .argument("<function>", "its name in livedev.config.ts")
    .argument("[-]", "a dash: the event comes from stdin, however long it takes")
    .option("--event <json>", "the event (default: what is piped in, else {})")
    .option("--file <path>", "the event, from a file; - is stdin")
    .addOption(
      new Option("--type <type>", "Event: Lambda queues it and answers at once")
        .choices(["RequestResponse", "Event"])
        .default("RequestResponse"),
    )
    .addOption(new Option("--local", "in a worker on this machine alone, without AWS").conflicts("type"))
    .action(
      cli.action<Options>(async ({ args: [functionName = "", dash], options }) => {
        const event = (await readEvent(options, dash)) ?? (await readPipedEvent()) ?? "{}";
        if (options.local === true) return invokeLocal(cli, options, functionName, event);
        return invoke(cli, options, functionName, event);
      }),
    );
}

async function invoke(cli: Cli, options: Options, functionName: string, event: string): Promise<Exit> {
  const { signal } = cli;
  await using client = await connect({ ...options, open: false, signal });
  const began = performance.now();
  const answer = await showWait(
    functionName,
    options.json,
    client.call("function.invoke", { functionName, event, type: options.type }, { signal }),
  );
  const exit = answer.functionError === undefined ? EXIT.done : EXIT.functionError;
  if (options.json === true) {
    printJson(answer);
    return exit;
  }
  if (options.type === "Event") {
    note(`Lambda has queued it (request id ${answer.requestId}).`);
    return exit;
  }
  printAnswer(answer.payload, exit, `${duration(performance.now() - began)}, request id ${answer.requestId}`);
  return exit;
}

async function invokeLocal(cli: Cli, options: Options, functionName: string, event: string): Promise<Exit> {
  const { signal } = cli;
  await using client = await connect({ ...options, signal });
  const answer = await showWait(
    functionName,
    options.json,
    client.call("function.invokeLocal", { functionName, event }, { signal }),
  );
  const exit = answer.status === "ok" ? EXIT.done : EXIT.functionError;
  if (options.json === true) printJson(answer);
  else printAnswer(answer.payload, exit, `${duration(answer.durationMs)}, here, invocation ${answer.id}`);
  return exit;
}

/** The answer byte for byte; on a terminal also how it went, and an error for reading. */
export function printAnswer(payload: string, exit: Exit, facts: string): void {
  print(process.stdout.isTTY ? inert(payload) : payload);
  const error = exit === EXIT.functionError ? errorIn(payload) : undefined;
  if (error !== undefined) note(errorText(error, process.stderr));
  if (process.stderr.isTTY) note(paint("dim", facts, process.stderr));
}
