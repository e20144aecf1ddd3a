import { InvalidArgumentError, Option, type Command } from "commander";

import type { RpcParams, RpcResult } from "../../proto/rpc.ts";

import type { LivedevClient } from "../client.ts";
import { connect } from "../connect.ts";
import { breakMissing } from "../errors.ts";
import { inspectOfNode } from "../inspect.ts";
import { debugBreak, parsePlace, type BreakOptions } from "./debug-break.ts";
import { printEither, type Cli, type Common } from "./cli.ts";
import { note, paint, table } from "./output.ts";
import { parseDuration } from "./time.ts";

type Status = RpcResult<"debug.status">;
type OnOptions = Common & {
  readonly port?: number;
  readonly maxTimeout?: boolean;
  readonly token?: boolean;
};

export function debugCommand(cli: Cli): Command {
  const debug = cli
    .command(
      "debug",
      "One port that VS Code, Chrome and other debuggers attach to, and that stays over every save: on | off | status. Or, with a function's name, a debugger without an editor: it waits for an invocation at a line, prints the stack and the local variables there, and lets it go on.",
      [
        ["livedev debug on", "then attach to 127.0.0.1:9229"],
        ["livedev debug off", "workers run on without"],
        ["livedev debug MyApi --break src/api.ts:12", "the next invocation that comes there"],
        ["livedev debug MyApi --break src/api.ts:12 --follow", "each, until Ctrl-C"],
        ["livedev debug MyApi --break src/api.ts:12 --timeout 30s --json", "for scripts"],
      ],
    )
    .enablePositionalOptions()
    .argument("[function]", "its name in livedev.config.ts")
    .option("--break <place>", "a file and a line: src/api.ts:12; may be given again", parsePlace)
    .option("-f, --follow", "go on until Ctrl-C")
    .addOption(
      new Option("--timeout <time>", "how long it waits, before exit code 1: 30s, 5m").argParser(
        parseDuration,
      ),
    )
    .action(
      cli.action<BreakOptions>(async ({ args: [functionName], options }) => {
        if (functionName === undefined || options.break === undefined) throw breakMissing();
        await debugBreak(cli, functionName, { ...options, break: options.break });
      }),
    );
  debug.addCommand(onCommand(cli));
  debug.addCommand(offCommand(cli));
  debug.addCommand(statusCommand(cli));
  return debug;
}

function onCommand(cli: Cli): Command {
  return cli
    .command(
      "on",
      "Opens the port. A breakpoint that is set there holds in every worker, whatever you save.",
      [
        ["livedev debug on", "port 9229, which editors know"],
        ["livedev debug on --port 9333", "another"],
        ["livedev debug on --max-timeout", "and AWS waits for 15 minutes, until `livedev debug off`"],
        ["livedev debug on --token", "for who has its address alone, which it prints"],
      ],
    )
    .option("--port <port>", "the port (default: 9229)", portOf)
    .option("--max-timeout", "raise the deployed functions' time-outs to 15 minutes; `off` puts them back")
    .option("--token", "name no addresses at the port: debuggers attach by the ones that this prints alone")
    .action(
      cli.action<OnOptions>(async ({ options }) => {
        await using client = await connect({ ...options, signal: cli.signal });
        const { port, maxTimeout, token } = options;
        const params: RpcParams<"debug.on"> = {
          ...(port !== undefined && { port }),
          ...(maxTimeout !== undefined && { maxTimeout }),
          ...(token !== undefined && { tokenOnly: token }),
        };
        const status = await client.call("debug.on", params, { signal: cli.signal });
        printEither(options.json, status, () => statusText(status));
      }),
    );
}

function offCommand(cli: Cli): Command {
  return cli
    .command("off", "Closes the port, and puts raised time-outs back.", [
      ["livedev debug off", "what runs runs on, undebugged"],
    ])
    .action(
      cli.action<Common>(async ({ options }) => {
        await using client = await connect({ ...options, open: false, signal: cli.signal });
        const status = await client.call("debug.off", {}, { signal: cli.signal });
        printEither(options.json, status, () => statusText(status));
      }),
    );
}

function statusCommand(cli: Cli): Command {
  return cli
    .command(
      "status",
      "The port, who is attached, and which workers stand at a breakpoint. Starts nothing.",
      [["livedev debug status", "exit code 3 where no daemon runs"]],
    )
    .action(
      cli.action<Common>(async ({ options }) => {
        await using client = await connect({ ...options, open: false, environment: {}, signal: cli.signal });
        const status = await client.call("debug.status", {}, { signal: cli.signal });
        printEither(options.json, status, () => statusText(status));
      }),
    );
}

function statusText(status: Status): string {
  if (status.state === "off") return "Debugging is off: `livedev debug on` opens the port.";
  const { port, waiting, sessions, workers, maxTimeout, tokenOnly, websocketAddress, targets } = status;
  const address = paint("cyan", `127.0.0.1:${port}`);
  const listens =
    waiting === undefined
      ? `Debuggers attach to ${address}; ${sessions === 0 ? "none is" : `${sessions} attached`}.`
      : `Port ${port} is not free yet (${waiting}); debuggers can attach as soon as it is.`;
  const rows = workers.map(({ functionName, pid, paused }) => [
    functionName,
    `pid ${pid}`,
    paused ? paint("yellow", "at a breakpoint") : "runs",
  ]);
  return [
    listens,
    ...(maxTimeout ? ["Deployed time-outs are raised to 15 minutes until `livedev debug off`."] : []),
    ...(tokenOnly
      ? [
          "Addresses hold a token, and stay the same over restarts. VS Code's `websocketAddress`:",
          `  ${websocketAddress}`,
          ...(targets.length === 0 ? [] : ["One function each, for Chrome and others:"]),
          ...targets.map((target) => `  ${target.functionName}  ${target.websocketAddress}`),
        ]
      : []),
    ...(rows.length === 0 ? [] : [table(rows, "  ")]),
  ].join("\n");
}

// ---- for `livedevd start` and `run`, and `livedev dev`

export type InspectOptions = { readonly inspect?: number | true; readonly json?: boolean };

export function withInspect(command: Command): Command {
  return command.option(
    "--inspect [port]",
    "open the port for debuggers (default: 9229); NODE_OPTIONS=--inspect does the same",
    portOf,
  );
}

/** Undefined where nobody asked. */
export function inspectAsked({ inspect }: InspectOptions): RpcParams<"debug.on"> | undefined {
  const byNode = inspectOfNode();
  if (inspect === undefined) return byNode;
  return typeof inspect === "number" ? { port: inspect } : { ...byNode };
}

/** Told after the daemon answers, and before anything runs; one that ran before is told as well. */
export async function inspectIfAsked(client: LivedevClient, options: InspectOptions): Promise<void> {
  const asked = inspectAsked(options);
  if (asked === undefined) return;
  const status = await client.call("debug.on", asked);
  if (options.json !== true) note(statusText(status));
}

function portOf(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new InvalidArgumentError("a port is a number from 0 to 65535.");
  }
  return port;
}
