/**
 * `livedev dev`: goes live, and shows what happens: at a terminal all of it in panes, elsewhere as one stream of lines.
 * The daemon and what it supervises go on when this ends. With a command behind `--`, one frontend in this terminal
 * instead, beside the daemon.
 */
import { realpathSync } from "node:fs";

import { Option, type Command } from "commander";

import type { RecordedEvent } from "../../proto/events.ts";

import type { LivedevClient } from "../client.ts";
import { connect } from "../connect.ts";
import { locate } from "../discovery.ts";
import { historyGone, noTerminal } from "../errors.ts";
import { multiplex } from "../multiplexer.ts";
import type { Cli } from "./cli.ts";
import { inspectAsked, inspectIfAsked } from "./debug.ts";
import { EXIT, type Exit } from "./exit.ts";
import { goLive, printLive } from "./live.ts";
import { Mono } from "./mono.ts";
import { note, print, printJson } from "./output.ts";
import { Running } from "./run-as.ts";
import { withYes, type StartOptions } from "./start.ts";
import { printStopped, stopAt } from "./stop.ts";

type Options = StartOptions & {
  readonly mode?: "multi" | "mono" | "basic";
  readonly as?: string;
  readonly stop?: boolean;
};

const RUNNING = ["waiting", "starting", "ready", "stopping", "crashed"];

export function devCommand(cli: Cli): Command {
  return withYes(
    cli.command(
      "dev",
      "Goes live and shows what happens: functions, frontends, services. At a terminal all of them in one, with panes and keys; elsewhere one stream of lines, until Ctrl-C. With a command, one frontend in this terminal, with its links.",
      [
        ["livedev dev", "at a terminal: panes, and ? for all keys"],
        ["livedev dev --mode=mono", "one stream of lines, each with who says it"],
        ["livedev dev --mode=basic", "functions and deployments only; starts no frontends"],
        ["livedev dev --inspect", "VS Code and Chrome attach to port 9229"],
        ["livedev dev --stop", "the daemon ends with it: for CI"],
        ["livedev dev -- next dev", "in the frontend's directory: this command in its place, flags and all"],
      ],
    ),
  )
    .addOption(
      new Option("--mode <mode>", "what is shown and run (default: multi at a terminal, else mono)").choices([
        "multi",
        "mono",
        "basic",
      ]),
    )
    .option("--stop", "stop the daemon when this ends")
    .option(
      "--as <name>",
      "with a command: the frontend or service in whose place it runs; by default the one of this directory",
    )
    .argument("[command...]", "behind --, so that its own options stay its own")
    .passThroughOptions()
    .action(
      cli.action<Options>(async ({ args, options }) => {
        if (args.length > 0) return inItsPlace(args, options);
        const terminal = process.stdin.isTTY && process.stdout.isTTY;
        const quiet = options.json === true || process.env["TERM"] === "dumb";
        const { mode = terminal && !quiet ? "multi" : "mono" } = options;
        if (mode === "multi" && !terminal) throw noTerminal();
        if (mode === "multi") return panes(cli, options);
        await stream(cli, options, mode);
        return EXIT.done;
      }),
    );
}

async function panes(cli: Cli, options: Options): Promise<Exit> {
  const { yes = false, takeOver = false, stop: stopAtQuit = false } = options;
  if (inspectAsked(options) !== undefined) {
    // What it says stands above the panes, and is read again when they are gone.
    await using client = await connect({ ...options, signal: cli.signal });
    await inspectIfAsked(client, options);
  }
  const ended = await multiplex({ ...options, yes, takeOver, stopAtQuit });
  if (ended.is === "stop") {
    const stopped = await stopAt(cli, locate(options), {});
    if (stopped.state === "stopped") printStopped(stopped, false);
  } else note(goesOn());
  return ended.is === "interrupted" ? EXIT.interrupted : EXIT.done;
}

async function stream(cli: Cli, options: Options, mode: "mono" | "basic"): Promise<void> {
  const { signal } = cli;
  await using client = await connect({ ...options, signal });
  await inspectIfAsked(client, options);
  const mono = new Mono({ processes: mode === "mono" });
  const show = ({ seq, at, event }: RecordedEvent) => {
    if (options.json === true) printJson({ seq, at, ...event });
    else for (const line of mono.lines(event)) print(line);
  };
  mono.know(await names(client));
  await using subscription = await client.subscribe(
    {},
    (events) => events.forEach(show),
    ({ reason }) => note(historyGone(reason)),
  );
  const interrupted = new Promise<undefined>((resolve) => {
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
  const basic = mode === "basic";
  const live = await goLive(client, { ...options, quiet: true, ...(basic && { processes: false }) }, signal);
  mono.know(await names(client));
  if (options.json === true) printLive(client, live, true);
  else for (const line of mono.live(live, client.hello)) print(line);
  const error = await Promise.race([subscription.closed, interrupted]);
  if (error !== undefined) throw error;
  if (options.stop === true) await client.call("daemon.stop", {});
  else if (options.json !== true) note(goesOn());
}

const goesOn = () => "livedevd goes on; `livedevd stop` ends it, and all that it runs.";

async function names(client: LivedevClient): Promise<string[]> {
  const [functions, processes] = await Promise.all([
    client.call("function.list", {}),
    client.call("process.list", {}),
  ]);
  return [...functions, ...processes].map(({ name }) => name);
}

/** The daemon's own run of it makes room: two of them would fight for one port. */
async function inItsPlace(args: readonly string[], options: Options): Promise<number> {
  const given = await environment(options);
  return new Running(args, given).exit;
}

async function environment(options: Options) {
  await using client = await connect({ ...options });
  const { as, inspect } = options;
  // NODE_OPTIONS are the command's own.
  if (inspect !== undefined) await inspectIfAsked(client, options);
  const whose = as === undefined ? { directory: realpathSync(process.cwd()) } : { as };
  const given = await client.call("environment.get", { ...whose, reveal: true });
  const running = (await client.call("process.list", {})).find(({ name }) => name === given.as);
  if (running !== undefined && RUNNING.includes(running.state)) {
    await client.call("process.stop", { name: running.name });
    note(`livedevd's own ${running.name} makes room; \`livedev start ${running.name}\` starts it again.`);
  }
  return given;
}
